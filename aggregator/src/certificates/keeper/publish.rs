//! The bundle goes where those look who verify: into the `ConfigMap` of the agents and, where that is asked
//! for, into the `APIService`.

use serde_json::Value;

use super::super::bundle::{self, ApiService};
use super::super::held::Held;
use super::super::pace::{AGAIN_S, Pace};
use super::super::told::About;
use super::Keeper;

/// What was published, as of the last look.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// The bundle that everybody had.
    everywhere: Option<String>,
    config_map: Pace,
    api_service: Pace,
}

impl Published {
    /// True when all had this bundle at the last look.
    pub(super) fn is(&self, bundle: &str) -> bool {
        self.everywhere.as_deref() == Some(bundle)
    }
}

/// Which field of which object.
const OF_CONFIG_MAP: [&str; 2] = ["f:data", "f:ca.crt"];
const OF_API_SERVICE: [&str; 2] = ["f:spec", "f:caBundle"];

impl Keeper {
    /// Publishes the bundle where it is not yet.
    pub(super) async fn publish(&mut self, held: &Held, now_s: u64) {
        let bundle = held.bundle();
        let agents = self.publish_config_map(&bundle, now_s).await;
        let api_server = self.publish_api_service(&bundle, now_s).await;
        self.published.everywhere = (agents && api_server).then_some(bundle);
    }

    /// True when the `ConfigMap` has it now.
    async fn publish_config_map(&mut self, bundle: &str, now_s: u64) -> bool {
        let object = match self.objects.config_map().await {
            Ok(object) => object,
            Err(failed) => {
                self.wrong(About::ConfigMap, &failed);
                return false;
            }
        };
        let Some(filled) = bundle::config_map(&object, bundle) else {
            self.told.well(About::ConfigMap);
            return true;
        };
        let name = format!("ConfigMap {}", self.objects.config_map_name());
        let pace = &mut self.published.config_map;
        let (is_again, may) = (pace.wrote(bundle), pace.may(bundle, now_s));
        if is_again {
            if self.published.config_map.gone() {
                self.metrics.reset(About::ConfigMap);
            }
            self.taken_away(About::ConfigMap, (&object, OF_CONFIG_MAP), &name);
        }
        if !may {
            return false;
        }
        match self.objects.put_config_map(&filled).await {
            Ok(()) => {
                self.published.config_map.written(bundle, now_s);
                self.metrics.written(About::ConfigMap, now_s);
                tracing::info!(name, "the CAs were written for the agents");
                if !is_again {
                    self.told.well(About::ConfigMap);
                }
                true
            }
            Err(failed) if failed.is_conflict() => false,
            Err(failed) => {
                self.wrong(About::ConfigMap, &failed);
                false
            }
        }
    }

    /// True when the `APIService` has it now, or is no business of ours.
    async fn publish_api_service(&mut self, bundle: &str, now_s: u64) -> bool {
        let Some(name) = self.objects.config().api_service.clone() else {
            return true;
        };
        let object = match self.objects.api_service(&name).await {
            Ok(object) => object,
            Err(failed) => {
                self.wrong(About::ApiService, &failed);
                return false;
            }
        };
        let config = self.objects.config();
        let found = bundle::api_service(&object, &config.namespace, &config.services, bundle);
        self.metrics.foreign(matches!(found, ApiService::Theirs(_)));
        let patch = match found {
            ApiService::Same => {
                self.told.well(About::ApiService);
                return true;
            }
            ApiService::Theirs(whose) => {
                let text = format!(
                    "APIService {name} leads to {whose} and not to a Service of Cairn's: its caBundle is \
                     left alone. To let Cairn serve it, apply the overlay metrics-api; else leave \
                     --tls-api-service out"
                );
                self.told.wrong(About::ApiService, "theirs", text);
                return true;
            }
            ApiService::Patch(patch) => patch,
        };
        let called = format!("APIService {name}");
        let pace = &mut self.published.api_service;
        let (is_again, may) = (pace.wrote(bundle), pace.may(bundle, now_s));
        if is_again {
            if self.published.api_service.gone() {
                self.metrics.reset(About::ApiService);
            }
            self.taken_away(About::ApiService, (&object, OF_API_SERVICE), &called);
        }
        if !may {
            return false;
        }
        match self.objects.patch_api_service(&name, patch).await {
            Ok(()) => {
                self.published.api_service.written(bundle, now_s);
                self.metrics.written(About::ApiService, now_s);
                tracing::info!(name, "the CAs were written for the API server");
                if !is_again {
                    self.told.well(About::ApiService);
                }
                true
            }
            // It has become another's since it was read; the next look says whose.
            Err(failed) if failed.is_invalid() => {
                self.wrong(About::ApiService, &failed);
                false
            }
            Err(failed) if failed.is_conflict() => false,
            Err(failed) => {
                self.wrong(About::ApiService, &failed);
                false
            }
        }
    }

    /// Says who takes away what was written.
    fn taken_away(&mut self, about: About, (object, field): (&Value, [&str; 2]), name: &str) {
        let who = bundle::writer(object, field);
        let who = who.unwrap_or_else(|| "somebody whom the object does not name".to_owned());
        self.told.wrong(
            about,
            "taken",
            format!(
                "{name}: {who} takes away the CAs that Cairn writes; they are written again once in {AGAIN_S} s. \
                 Tell it to leave this field alone (deploy/README.md has the lines for Argo CD and Flux)"
            ),
        );
    }
}

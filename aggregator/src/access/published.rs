//! How an API server lets itself be known to those behind it: the `ConfigMap`
//! `kube-system/extension-apiserver-authentication`, which it writes itself and rotates with its CAs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use cairn_runtime::logging;
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use cairn_runtime::tls::{self, Trust};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::FrontProxy;
use crate::cluster::authority::Authority;

/// How often it is read. A CA is published long before it signs.
const EVERY: Duration = Duration::from_secs(60);

/// After it could not be read.
const AGAIN: Duration = Duration::from_secs(5);

/// For one reading.
const DEADLINE: Duration = Duration::from_secs(10);

const CLIENT_CA: &str = "client-ca-file";
const PROXY_CA: &str = "requestheader-client-ca-file";
const PROXY_NAMES: &str = "requestheader-allowed-names";

/// What it says.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// By whom the API server asks for others; `None` when it does not.
    pub front_proxy: Option<FrontProxy>,
    /// CAs of client certificates.
    pub clients: Option<Arc<Trust>>,
}

/// Why it is not understood.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// Not JSON of a `ConfigMap`, or of a list of names in it.
    #[error("{what} of kube-system/extension-apiserver-authentication is not understood")]
    Form {
        /// What of it.
        what: &'static str,
        /// What the library said.
        source: serde_json::Error,
    },
    /// A CA in it is broken.
    #[error("a CA of kube-system/extension-apiserver-authentication is not understood")]
    Ca {
        /// What is wrong with it.
        source: tls::Error,
    },
}

#[derive(Deserialize)]
struct ConfigMap {
    #[serde(default)]
    data: HashMap<String, String>,
}

/// Keeps what is published up to date.
#[derive(Debug)]
pub struct Follow {
    /// Whom to ask.
    pub api: Arc<dyn Authority>,
    /// Where it goes.
    pub into: Arc<ArcSwapOption<Published>>,
    /// Where it is said that it does not work.
    pub readiness: Readiness,
}

impl Follow {
    /// Reads it again every minute until it is told to stop. What was read stays when it cannot be read any
    /// more.
    ///
    /// # Errors
    ///
    /// None: what does not work is told and tried again.
    pub async fn run(self, stop: Token) -> Result<(), TaskError> {
        let mut before: Option<Vec<u8>> = None;
        let mut told = None;
        loop {
            let read = timeout(DEADLINE, self.api.published()).await;
            let problem = match read {
                Ok(Ok(body)) if before.as_ref() == Some(&body) => None,
                Ok(Ok(body)) => match Published::parse(&body) {
                    Ok(published) => {
                        self.into.store(Some(Arc::new(published)));
                        before = Some(body);
                        None
                    }
                    Err(error) => Some(logging::chain(&error)),
                },
                Ok(Err(unanswered)) => Some(unanswered.to_string()),
                Err(_) => Some(format!("nothing came in {} s", DEADLINE.as_secs())),
            };
            let next = if problem.is_some() { AGAIN } else { EVERY };
            if problem != told {
                self.tell(problem.as_deref());
                told = problem;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = sleep(next) => {}
            }
        }
    }

    fn tell(&self, problem: Option<&str>) {
        const NOTE: &str = "front-proxy";
        let Some(problem) = problem else {
            self.readiness.clear(NOTE);
            tracing::info!("how the API server's proxy is known was read");
            return;
        };
        let text = format!(
            "how the API server's proxy is known could not be read: {problem}; what was read before \
             stays, and without it requests through the API server are refused. May the \
             aggregator's service account get this ConfigMap (Role \
             extension-apiserver-authentication-reader in kube-system)?"
        );
        tracing::warn!("{text}");
        self.readiness.note(NOTE, Note::Degraded(text));
    }
}

impl Published {
    /// Reads the `ConfigMap` as JSON.
    ///
    /// # Errors
    ///
    /// See [`PublishedError`].
    pub fn parse(config_map: &[u8]) -> Result<Self, PublishedError> {
        let form = |what| move |source| PublishedError::Form { what, source };
        let ConfigMap { data } = serde_json::from_slice(config_map).map_err(form("the object"))?;
        let trust = |key: &str| {
            let pem = data.get(key).filter(|pem| !pem.trim().is_empty());
            let trust = pem.map(|pem| Trust::of_pem(key, pem.as_bytes()));
            trust
                .transpose()
                .map_err(|source| PublishedError::Ca { source })
        };
        let names = data.get(PROXY_NAMES).map(|names| names.trim());
        let names = names.filter(|names| !names.is_empty()).unwrap_or("null");
        // A list of nothing is written as null.
        let names: Option<Vec<String>> = serde_json::from_str(names).map_err(form(PROXY_NAMES))?;
        let names = names.unwrap_or_default();
        Ok(Self {
            front_proxy: trust(PROXY_CA)?.map(|trust| FrontProxy { trust, names }),
            clients: trust(CLIENT_CA)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &[u8] = include_bytes!(
        "../../../tests/fixtures/apiserver-1.36/extension-apiserver-authentication.json"
    );

    #[test]
    fn a_recorded_one_names_the_proxy_and_both_cas() {
        let published = Published::parse(RECORDED).unwrap();
        assert_eq!(published.front_proxy.unwrap().names, ["front-proxy-client"]);
        assert!(published.clients.is_some_and(|trust| !trust.is_empty()));
    }

    #[test]
    fn what_is_not_there_is_not_taken_and_what_is_broken_is_told() {
        let parse = |data: &str| Published::parse(format!(r#"{{"data":{data}}}"#).as_bytes());
        for names in ["null", "", " ", "[]"] {
            let data = format!(r#"{{"requestheader-allowed-names":"{names}"}}"#);
            assert!(parse(&data).is_ok(), "{names:?}");
        }
        let none = parse("{}").unwrap();
        assert!(none.front_proxy.is_none() && none.clients.is_none());
        let broken = parse(
            r#"{"client-ca-file":"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}"#,
        );
        assert!(
            matches!(broken, Err(PublishedError::Ca { .. })),
            "{broken:?}"
        );
        let empty = parse(r#"{"client-ca-file":"no certificate"}"#);
        assert!(matches!(empty, Err(PublishedError::Ca { .. })), "{empty:?}");
        let names = parse(r#"{"requestheader-allowed-names":"front-proxy-client"}"#);
        assert!(
            matches!(names, Err(PublishedError::Form { .. })),
            "{names:?}"
        );
        assert!(Published::parse(b"").is_err());
    }
}

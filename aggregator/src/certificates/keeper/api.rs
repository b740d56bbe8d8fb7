//! The objects by their names: read and written within a deadline, with errors that name them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::logging;
use serde_json::Value;
use tokio::time::timeout;

use super::super::bundle::MANAGER;
use super::super::guard;
use super::super::requests::{Answered, Requests};
use crate::cluster::{Dated, Error};
use crate::config::SelfManaged;

/// For one request and its answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Why an object was not read or written.
#[derive(Debug)]
pub(super) struct Failed {
    /// Kind and name.
    object: String,
    /// What was tried: `read` or `written`.
    what: &'static str,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Late,
    Refused(Error),
    NoJson(serde_json::Error),
}

impl Failed {
    /// True when the object has changed since it was read.
    pub(super) fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }

    /// True when a test of a patch did not hold.
    pub(super) fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    fn code(&self) -> Option<u16> {
        match &self.why {
            Why::Refused(Error::Status { code, .. }) => Some(*code),
            _ => None,
        }
    }

    /// What it is called in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match &self.why {
            Why::Late => "timeout",
            Why::NoJson(_) => "parse",
            Why::Refused(Error::Status { code: 404, .. }) => "missing",
            Why::Refused(Error::Status { code: 409, .. }) => "conflict",
            Why::Refused(error) => error.kind().as_str(),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, what, why } = self;
        write!(f, "{object} was not {what}: ")?;
        match why {
            Why::Late => write!(f, "nothing came in {} s", DEADLINE.as_secs())?,
            Why::NoJson(error) => write!(f, "it is no JSON: {error}")?,
            Why::Refused(error) => f.write_str(&logging::chain(error))?,
        }
        match self.code() {
            Some(404) => f.write_str("; it is part of the manifests: apply them again")?,
            Some(403) => f.write_str(
                "; may the aggregator's service account get and write it (Role \
                 cairn-aggregator-certificates, for an APIService ClusterRole \
                 cairn-aggregator-apiservice)?",
            )?,
            _ => {}
        }
        f.write_str("; what is served stays")
    }
}

/// The objects.
#[derive(Debug)]
pub(super) struct Objects {
    config: SelfManaged,
    api: Arc<dyn Requests>,
}

impl Objects {
    pub(super) fn new(config: SelfManaged, api: Arc<dyn Requests>) -> Self {
        Self { config, api }
    }

    pub(super) fn config(&self) -> &SelfManaged {
        &self.config
    }

    /// Namespace and name of the Secret.
    pub(super) fn secret_name(&self) -> String {
        format!("{}/{}", self.config.namespace, self.config.secret)
    }

    /// Namespace and name of the `ConfigMap`.
    pub(super) fn config_map_name(&self) -> String {
        format!("{}/{}", self.config.namespace, self.config.config_map)
    }

    /// The command that empties the Secret.
    pub(super) fn how_to_empty(&self) -> String {
        let SelfManaged {
            namespace, secret, ..
        } = &self.config;
        let patch = r#"[{"op":"remove","path":"/data"}]"#;
        format!("kubectl -n {namespace} patch secret {secret} --type json -p '{patch}'")
    }

    /// The Lease, and what time it was by the API server's clock when it gave it, Unix seconds, if it said so.
    pub(super) async fn lease(&self) -> Result<(Value, Option<u64>), Failed> {
        let (path, object) = self.lease_path();
        let (lease, date) = dated(&object, "read", self.api.get(&path)).await?;
        Ok((lease, date.and_then(|date| guard::date(&date))))
    }

    pub(super) async fn put_lease(&self, lease: &Value) -> Result<Value, Failed> {
        let (path, object) = self.lease_path();
        self.put(&path, &object, lease).await
    }

    /// The Secret, and what time it was by the API server's clock when it gave it, Unix seconds, if it said so.
    pub(super) async fn secret(&self) -> Result<(Value, Option<u64>), Failed> {
        let path = self.core("secrets", &self.config.secret);
        let object = format!("Secret {}", self.secret_name());
        let (secret, date) = dated(&object, "read", self.api.get(&path)).await?;
        Ok((secret, date.and_then(|date| guard::date(&date))))
    }

    pub(super) async fn put_secret(&self, secret: &Value) -> Result<(), Failed> {
        let path = self.core("secrets", &self.config.secret);
        let object = format!("Secret {}", self.secret_name());
        self.put(&path, &object, secret).await.map(drop)
    }

    pub(super) async fn config_map(&self) -> Result<Value, Failed> {
        let path = self.core("configmaps", &self.config.config_map);
        let object = format!("ConfigMap {}", self.config_map_name());
        read(&object, "read", self.api.get(&path)).await
    }

    pub(super) async fn put_config_map(&self, config_map: &Value) -> Result<(), Failed> {
        let path = self.core("configmaps", &self.config.config_map);
        let object = format!("ConfigMap {}", self.config_map_name());
        self.put(&path, &object, config_map).await.map(drop)
    }

    pub(super) async fn api_service(&self, name: &str) -> Result<Value, Failed> {
        let object = format!("APIService {name}");
        read(&object, "read", self.api.get(&api_service_path(name))).await
    }

    pub(super) async fn patch_api_service(&self, name: &str, patch: Vec<u8>) -> Result<(), Failed> {
        let object = format!("APIService {name}");
        let path = format!("{}?fieldManager={MANAGER}", api_service_path(name));
        let patched = self.api.patch(&path, patch);
        read(&object, "written", patched).await.map(drop)
    }

    async fn put(&self, path: &str, object: &str, body: &Value) -> Result<Value, Failed> {
        let path = format!("{path}?fieldManager={MANAGER}");
        let body = body.to_string().into_bytes();
        read(object, "written", self.api.put(&path, body)).await
    }

    fn core(&self, resource: &str, name: &str) -> String {
        let namespace = &self.config.namespace;
        format!("/api/v1/namespaces/{namespace}/{resource}/{name}")
    }

    fn lease_path(&self) -> (String, String) {
        let SelfManaged {
            namespace, secret, ..
        } = &self.config;
        let path = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{secret}");
        (path, format!("Lease {namespace}/{secret}"))
    }
}

fn api_service_path(name: &str) -> String {
    format!("/apis/apiregistration.k8s.io/v1/apiservices/{name}")
}

async fn read(object: &str, what: &'static str, answered: Answered<'_>) -> Result<Value, Failed> {
    Ok(dated(object, what, answered).await?.0)
}

async fn dated(
    object: &str,
    what: &'static str,
    answered: Answered<'_>,
) -> Result<(Value, Option<String>), Failed> {
    let failed = |why| Failed {
        object: object.to_owned(),
        what,
        why,
    };
    let answered: Result<Dated, Error> = timeout(DEADLINE, answered)
        .await
        .map_err(|_| failed(Why::Late))?;
    let Dated { body, date } = answered.map_err(|error| failed(Why::Refused(error)))?;
    let object = serde_json::from_slice(&body).map_err(|error| failed(Why::NoJson(error)))?;
    Ok((object, date))
}

//! How an API server lets itself be known to those behind it: the `ConfigMap`
//! `kube-system/extension-apiserver-authentication`, which it writes itself and rotates with its CAs.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_runtime::tls::{self, Trust};
use serde::Deserialize;

use super::FrontProxy;

/// Where it is.
pub const PATH: &str =
    "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";

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
        let names = data.get(PROXY_NAMES).map(String::as_str);
        let names = serde_json::from_str(names.unwrap_or("[]")).map_err(form(PROXY_NAMES))?;
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

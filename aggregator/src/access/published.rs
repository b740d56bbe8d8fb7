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
use http::HeaderName;
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::{FrontProxy, ProxyHeaders};
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
const USERS: &str = "requestheader-username-headers";
const UIDS: &str = "requestheader-uid-headers";
const GROUPS: &str = "requestheader-group-headers";
const EXTRAS: &str = "requestheader-extra-headers-prefix";

/// Under which name it is noted.
const NOTE: &str = "front-proxy";

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
    /// A name in it is none of a header.
    #[error(
        "{what} of kube-system/extension-apiserver-authentication has {name:?} in it, which is no name of a header"
    )]
    Header {
        /// What of it.
        what: &'static str,
        /// What stands there.
        name: String,
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
        let ConfigMap { data } = serde_json::from_slice(config_map).map_err(form("the object"))?;
        let trust = |key: &str| {
            let pem = data.get(key).filter(|pem| !pem.trim().is_empty());
            let trust = pem.map(|pem| Trust::of_pem(key, pem.as_bytes()));
            trust
                .transpose()
                .map_err(|source| PublishedError::Ca { source })
        };
        let names = list(&data, PROXY_NAMES)?;
        let headers = headers(&data)?;
        let front_proxy = trust(PROXY_CA)?.map(|trust| FrontProxy {
            trust,
            names,
            headers,
        });
        Ok(Self {
            front_proxy,
            clients: trust(CLIENT_CA)?,
        })
    }
}

fn form(what: &'static str) -> impl FnOnce(serde_json::Error) -> PublishedError {
    move |source| PublishedError::Form { what, source }
}

/// A list of texts, which is JSON in JSON; what is not there is an empty one.
fn list(data: &HashMap<String, String>, key: &'static str) -> Result<Vec<String>, PublishedError> {
    let text = data.get(key).map(|text| text.trim());
    let text = text.filter(|text| !text.is_empty()).unwrap_or("null");
    // A list of nothing is written as null.
    let list: Option<Vec<String>> = serde_json::from_str(text).map_err(form(key))?;
    Ok(list.unwrap_or_default())
}

/// In which headers a proxy says for whom it asks: the usual ones, then those that are published, of which what is not
/// told is usual as well. A UID is believed where a name is published for it: an API server that sends none hands on
/// what a client has put there.
fn headers(data: &HashMap<String, String>) -> Result<Vec<ProxyHeaders>, PublishedError> {
    let names = |what: &'static str| {
        let names = list(data, what)?.into_iter();
        let names = names.map(|name| match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Ok(name),
            Err(_) => Err(PublishedError::Header { what, name }),
        });
        names.collect::<Result<Vec<_>, _>>()
    };
    let mut usual = ProxyHeaders::default();
    let mut published = usual.clone();
    published.uids = names(UIDS)?;
    if published.uids.is_empty() {
        usual.uids.clear();
    }
    for (into, key) in [
        (&mut published.users, USERS),
        (&mut published.groups, GROUPS),
    ] {
        let told = names(key)?;
        if !told.is_empty() {
            *into = told;
        }
    }
    // A beginning is a name as well.
    let extras = names(EXTRAS)?;
    if !extras.is_empty() {
        let extras = extras.iter().map(|name| name.as_str().to_owned());
        published.extras = extras.collect();
    }
    Ok(vec![usual, published])
}

#[cfg(test)]
mod tests;

//! What is served over HTTPS, checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::review;
use crate::args::HttpsArgs;

/// The shortest and the longest span of CPU in metrics.k8s.io: below is noise, and no autoscaler waits
/// beyond.
const LEAST_SPAN: Duration = Duration::from_secs(1);
const MOST_SPAN: Duration = Duration::from_secs(300);

/// The HTTPS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// Where it listens.
    pub listen: SocketAddr,
    /// CAs of the front proxy.
    pub proxy_ca: Option<PathBuf>,
    /// Common names that it may have; empty means any.
    pub proxy_names: Vec<String>,
    /// CAs of clients.
    pub client_ca: Option<PathBuf>,
    /// Least span of CPU in metrics.k8s.io.
    pub span: Duration,
    /// By which Service readers come; `None` where the namespace of this pod is not known.
    pub service: Option<OwnService>,
}

/// A Service that leads here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnService {
    /// The namespace of this pod.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Checks the flags and tells what is wrong with them. `namespace` is that of this pod.
pub(super) fn check(
    args: HttpsArgs,
    namespace: Option<String>,
    problem: &mut impl FnMut(String),
) -> Https {
    let span = args.metrics_api_window;
    if !(LEAST_SPAN..=MOST_SPAN).contains(&span) {
        problem("--metrics-api-window must be between 1s and 5m".to_owned());
    }
    let names = &args.requestheader_allowed_names;
    if !names.is_empty() && args.requestheader_client_ca_file.is_none() {
        problem(
            "--requestheader-allowed-names goes with --requestheader-client-ca-file FILE"
                .to_owned(),
        );
    }
    if names.iter().any(String::is_empty) {
        problem("--requestheader-allowed-names has an empty name in it: leave it out".to_owned());
    }
    let name = args.https_service;
    if !review::is_name(&name) {
        problem(format!(
            "--https-service {name:?} is no name of an object: letters a to z, digits, - and . are"
        ));
    }
    Https {
        service: namespace.map(|namespace| OwnService { namespace, name }),
        listen: args.https_listen,
        proxy_ca: args.requestheader_client_ca_file,
        proxy_names: args.requestheader_allowed_names,
        client_ca: args.client_ca_file,
        span,
    }
}

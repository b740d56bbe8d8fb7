//! Where the Kubernetes API is, and how it is known.

use std::path::PathBuf;

use cairn_runtime::logging;
use cairn_runtime::tls::{self, Trust, TrustFiles};

use super::host::{HttpsHost, https_host};
use crate::args::{KubernetesArgs, Whether};

/// An API server.
#[derive(Clone, Debug)]
pub struct ApiServer {
    /// Where it is.
    pub host: HttpsHost,
    /// File of the bearer token.
    pub token_file: PathBuf,
}

/// Whether the cluster is watched.
#[derive(Clone, Debug)]
pub enum Kubernetes {
    /// It is not, and why.
    Off(&'static str),
    /// Through this API server.
    Watched(ApiServer),
}

/// Checks the flags about Kubernetes; what is wrong goes to `problem`.
pub(super) fn check(args: KubernetesArgs, mut problem: impl FnMut(String)) -> Kubernetes {
    if args.kubernetes == Whether::Off {
        return Kubernetes::Off("--kubernetes off");
    }
    let found = match (args.kubernetes_api, args.kubernetes_service_host) {
        (Some(url), _) => match https_host(&url) {
            Some(found) => found,
            None => {
                problem(format!("--kubernetes-api {url:?} is not https://HOST:PORT"));
                return Kubernetes::Off("--kubernetes-api is wrong");
            }
        },
        (None, None) => {
            return Kubernetes::Off(
                "neither --kubernetes-api nor the service of a cluster that this process is in",
            );
        }
        // A pod that was given no token is not meant to ask.
        (None, Some(_)) if !args.kubernetes_ca.exists() => {
            return Kubernetes::Off("no service account is mounted into this pod");
        }
        (None, Some(host)) => {
            let port = args.kubernetes_service_port.as_deref().map(str::parse);
            match port.unwrap_or(Ok(443)) {
                Ok(port) => (host, port),
                Err(_) => {
                    problem("KUBERNETES_SERVICE_PORT is no port: give --kubernetes-api".to_owned());
                    return Kubernetes::Off("KUBERNETES_SERVICE_PORT is wrong");
                }
            }
        }
    };
    let (host, port) = found;
    let files = TrustFiles {
        ca: vec![args.kubernetes_ca],
        ..TrustFiles::default()
    };
    let trust = Trust::load(files);
    match (trust, tls::server_name(&host)) {
        (Ok(trust), Ok(server_name)) => Kubernetes::Watched(ApiServer {
            host: HttpsHost {
                host,
                port,
                server_name,
                trust,
            },
            token_file: args.kubernetes_token_file,
        }),
        (Err(error), _) => {
            problem(format!(
                "--kubernetes-ca: {}; or --kubernetes off where none is to be watched",
                logging::chain(&error)
            ));
            Kubernetes::Off("--kubernetes-ca is wrong")
        }
        (_, Err(error)) => {
            problem(format!("--kubernetes-api: {error}"));
            Kubernetes::Off("--kubernetes-api is wrong")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> KubernetesArgs {
        KubernetesArgs {
            kubernetes: Whether::Auto,
            kubernetes_api: None,
            kubernetes_ca: "/nowhere/ca.crt".into(),
            kubernetes_token_file: "/nowhere/token".into(),
            kubernetes_service_host: None,
            kubernetes_service_port: None,
        }
    }

    fn checked(args: KubernetesArgs) -> (Kubernetes, Vec<String>) {
        let mut problems = Vec::new();
        let checked = check(args, |text| problems.push(text));
        (checked, problems)
    }

    fn off(args: KubernetesArgs) -> &'static str {
        match checked(args) {
            (Kubernetes::Off(why), problems) if problems.is_empty() => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_an_api_nothing_is_watched_and_nothing_is_wrong() {
        assert!(off(args()).contains("--kubernetes-api"));
        let mut bare_pod = args();
        bare_pod.kubernetes_service_host = Some("10.96.0.1".into());
        assert!(off(bare_pod).contains("service account"));
        let mut told = args();
        (told.kubernetes, told.kubernetes_api) = (Whether::Off, Some("nonsense".into()));
        assert_eq!(off(told), "--kubernetes off");
    }

    #[test]
    fn an_api_that_was_asked_for_must_be_known() {
        let mut without_ca = args();
        without_ca.kubernetes_api = Some("https://10.96.0.1:443".into());
        let (_, problems) = checked(without_ca.clone());
        assert!(
            problems.concat().contains("--kubernetes-ca"),
            "{problems:?}"
        );
        without_ca.kubernetes_api = Some("http://10.96.0.1".into());
        let (_, problems) = checked(without_ca);
        assert!(
            problems.concat().contains("https://HOST:PORT"),
            "{problems:?}"
        );
    }
}

//! The configuration, checked as a whole: every problem is found before the first is told.

mod checking;
mod host;
mod https;
mod ingest;
mod kubernetes;
mod peers;
mod review;
mod serving;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cairn_proto::limits::{INTERVALS_S, MAX_WINDOW_S};
use cairn_runtime::clock::Mode;
use cairn_runtime::exit::Failure;

use crate::args::{Args, StoredLabel};

pub use checking::Checking;
pub use host::HttpsHost;
pub use https::{Https, OwnService};
pub use ingest::Ingest;
pub use kubernetes::{ApiServer, Kubernetes};
pub use peers::Peers;
pub use review::Accounts;
pub use serving::{SelfManaged, Serving};

/// The longest window.
const MAX_WINDOW: Duration = Duration::from_secs(MAX_WINDOW_S);

/// How labels of nodes and pods are exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFlags {
    /// Stands between two of them.
    pub separator: String,
    /// Left out.
    pub ignored: Vec<String>,
    /// Exported as ones of their own too.
    pub stored: Vec<StoredLabel>,
}

/// What the process runs with.
#[derive(Clone, Debug)]
pub struct Config {
    /// gRPC over TLS.
    pub grpc_listen: SocketAddr,
    /// Plain HTTP.
    pub http_listen: SocketAddr,
    /// HTTPS.
    pub https: Https,
    /// Further names of the plain listener.
    pub http_hosts: Vec<String>,
    /// Dumps are served off loopback too.
    pub http_serve_dumps: bool,
    /// How labels are exported.
    pub labels: LabelFlags,
    /// Own endpoints.
    pub admin_listen: SocketAddr,
    /// Distance of the grid's ticks.
    pub interval: Duration,
    /// Time held.
    pub window: Duration,
    /// Agents' identity.
    pub ingest: Ingest,
    /// What readers' tokens must be made for.
    pub reader_audience: String,
    /// Where the serving certificate comes from.
    pub serving: Serving,
    /// Bytes of the process; 0 means no limit, `None` what the control group says.
    pub memory_limit: Option<u64>,
    /// Bytes that a node may hold in any case.
    pub node_budget: u64,
    /// Says how much memory the process has.
    pub process_status: PathBuf,
    /// Whether the cluster's objects are watched, and where.
    pub kubernetes: Kubernetes,
    /// Other aggregators.
    pub peers: Peers,
    /// System or driven.
    pub clock: Mode,
    /// Where to write the bound addresses.
    pub bound_file: Option<PathBuf>,
}

impl TryFrom<Args> for Config {
    type Error = Failure;

    fn try_from(args: Args) -> Result<Self, Failure> {
        let mut problems: Vec<String> = Vec::new();
        let mut problem = |text: String| problems.push(text);
        if !INTERVALS_S
            .iter()
            .any(|s| args.interval == Duration::from_secs(*s))
        {
            problem("--interval must be 1s, 2s, 5s, 10s, 15s, 20s, 30s or 60s".to_owned());
        }
        if args.window < 2 * args.interval || args.window > MAX_WINDOW {
            problem("--window must be between two intervals and 24h".to_owned());
        }
        for host in args.http_host.iter().filter(|host| !is_host_name(host)) {
            problem(format!(
                "--http-host {host:?} is no name: give it without scheme, port and path, such as \
                 heapster.kube-system.svc; addresses and localhost need no flag"
            ));
        }
        let own_namespace = review::own_namespace(&args.review.namespace_file);
        let https = https::check(args.https, own_namespace, &mut problem);
        let own_ca = args.serving.tls_self_managed;
        let peers = peers::check(args.peers, own_ca, &mut problem);
        let kubernetes = kubernetes::check(args.kubernetes, &mut problem);
        let is_watched = matches!(kubernetes, Kubernetes::Watched(_));
        let serving = serving::check(args.serving, &args.review, is_watched, &mut problem);
        let ingest = ingest::Given {
            auth: args.ingest_auth,
            token_file: args.ingest_token_file,
            client_ca: args.ingest_client_ca,
            has_peers: !peers.hosts.is_empty(),
            review: &args.review,
            is_loopback: args.grpc_listen.ip().is_loopback(),
            is_watched,
        };
        let ingest = ingest::check(ingest, &mut problem);
        if args.clock != Mode::System && !args.admin_listen.ip().is_loopback() {
            problem("--clock driven needs --admin-listen on loopback".to_owned());
        }
        match (ingest, serving) {
            (Some(ingest), Some(serving)) if problems.is_empty() => Ok(Config {
                grpc_listen: args.grpc_listen,
                http_listen: args.http_listen,
                https,
                http_hosts: args.http_host,
                http_serve_dumps: args.http_serve_dumps,
                labels: LabelFlags {
                    separator: args.label_separator,
                    ignored: args.ignore_label,
                    stored: args.store_label,
                },
                admin_listen: args.admin_listen,
                interval: args.interval,
                window: args.window,
                ingest,
                reader_audience: args.review.reader_audience,
                serving,
                memory_limit: args.memory_limit,
                node_budget: args.node_budget,
                process_status: args.process_status,
                kubernetes,
                peers,
                clock: args.clock,
                bound_file: args.bound_file,
            }),
            _ => Err(Failure::Config(problems.join("; "))),
        }
    }
}

/// True for what can stand in a `Host` before the port.
fn is_host_name(text: &str) -> bool {
    let in_names = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && !text.ends_with('.') && text.bytes().all(in_names)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn config(flags: &[&str]) -> Result<Config, Failure> {
        let given = ["cairn-aggregator"].iter().chain(flags);
        Config::try_from(Args::try_parse_from(given).unwrap())
    }

    const GOOD: [&str; 8] = [
        "--tls-cert",
        "c",
        "--tls-key",
        "k",
        "--ingest-auth",
        "token-file",
        "--ingest-token-file",
        "t",
    ];

    #[test]
    fn every_problem_is_told_at_once() {
        let Err(Failure::Config(text)) = config(&["--interval", "3s", "--window", "1s"]) else {
            panic!("taken")
        };
        for part in ["--interval", "--window", "--ingest-auth", "--tls-cert"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }

    #[test]
    fn a_complete_configuration_is_taken() {
        assert!(config(&GOOD).is_ok());
    }

    #[test]
    fn nobody_is_taken_at_their_word_from_another_machine() {
        let flags = ["--tls-cert", "c", "--tls-key", "k", "--ingest-auth", "none"];
        assert!(config(&flags).is_err());
        let loopback = ["--grpc-listen", "127.0.0.1:0"];
        assert!(config(&[flags.as_slice(), &loopback].concat()).is_ok());
    }

    #[test]
    fn a_host_is_a_name_without_scheme_and_port() {
        let with = |host: &str| config(&[GOOD.as_slice(), &["--http-host", host]].concat());
        let config = with("heapster,heapster.kube-system.svc").unwrap();
        assert_eq!(config.http_hosts.len(), 2);
        for bad in [
            "heapster:80",
            "http://heapster",
            "heapster/",
            "[::1]",
            "heapster.",
            "",
            "good,heapster:80",
        ] {
            let Err(Failure::Config(text)) = with(bad) else {
                panic!("{bad} was taken")
            };
            assert!(text.contains("without scheme, port and path"), "{text}");
        }
    }

    #[test]
    fn flags_of_https_are_checked_together() {
        let with = |flags: &[&str]| config(&[GOOD.as_slice(), flags].concat());
        let https = with(&[
            "--requestheader-client-ca-file",
            "p",
            "--requestheader-allowed-names",
            "a,b",
        ]);
        assert_eq!(https.unwrap().https.proxy_names, ["a", "b"]);
        for (flags, says) in [
            (&["--requestheader-allowed-names", "a"][..], "goes with"),
            (&["--metrics-api-window", "0s"], "between 1s and 5m"),
            (&["--metrics-api-window", "6m"], "between 1s and 5m"),
            (&["--https-service", "Readers_"], "no name of an object"),
        ] {
            let Err(Failure::Config(text)) = with(flags) else {
                panic!("{flags:?} was taken")
            };
            assert!(text.contains(says), "{text}");
        }
    }

    #[test]
    fn a_certificate_is_named_or_made_and_made_only_in_a_cluster() {
        let made = [
            "--tls-self-managed",
            "--ingest-auth",
            "token-file",
            "--ingest-token-file",
            "t",
        ];
        let told = |flags: &[&str]| match config(flags) {
            Err(Failure::Config(text)) => text,
            other => panic!("{other:?} was taken"),
        };
        let text = told(&made);
        assert!(
            text.contains("--tls-self-managed keeps what it makes in a Secret"),
            "{text}"
        );
        assert!(text.contains("--namespace-file"), "{text}");
        let text = told(&[GOOD.as_slice(), &["--tls-self-managed"]].concat());
        assert!(text.contains("give either"), "{text}");
        let text = told(&[GOOD.as_slice(), &["--tls-api-service", "v1.x"]].concat());
        assert_eq!(text, "--tls-api-service goes with --tls-self-managed");
        let text = told(&[made.as_slice(), &["--tls-secret", "No_Name"]].concat());
        assert!(
            text.contains("--tls-secret \"No_Name\" is no name"),
            "{text}"
        );
    }

    #[test]
    fn a_driven_clock_needs_a_loopback_admin_listener() {
        assert!(config(&[GOOD.as_slice(), &["--clock", "driven=1"]].concat()).is_err());
        let flags = ["--clock", "driven=1", "--admin-listen", "127.0.0.1:0"];
        assert!(config(&[GOOD.as_slice(), &flags].concat()).is_ok());
    }
}

//! Flags and their environment variables. Nothing else reads the environment.

mod command;
mod https;
mod kubernetes;
mod review;
mod serving;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cairn_runtime::clock::Mode;
use cairn_runtime::duration;
use cairn_runtime::size;
use clap::{Parser, ValueEnum};

pub use command::{CheckArgs, Cli, Command, Output};
pub use https::HttpsArgs;
pub use kubernetes::{KubernetesArgs, Whether};
pub use review::ReviewArgs;
pub use serving::ServingArgs;

/// Keeps rolling windows of what the agents report and serves them.
#[derive(Clone, Debug, Parser)]
#[command(name = "cairn-aggregator", version, about)]
pub struct Args {
    /// Where agents connect: gRPC over TLS
    #[arg(
        long,
        env = "CAIRN_GRPC_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:9443"
    )]
    pub grpc_listen: SocketAddr,

    /// Where the page, the Heapster model API and the Dashboard scraper API are served, plain. Off
    /// loopback only the two APIs and /healthz are
    #[arg(
        long,
        env = "CAIRN_HTTP_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8082"
    )]
    pub http_listen: SocketAddr,

    /// Over TLS.
    #[command(flatten)]
    pub https: HttpsArgs,

    /// Tokens of service accounts.
    #[command(flatten)]
    pub review: ReviewArgs,

    /// A name that the Host header may have beside addresses and localhost, without scheme and port;
    /// may be repeated. Others are answered with 421. The API server's service proxy may send a
    /// name of its own
    #[arg(
        long,
        env = "CAIRN_HTTP_HOST",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub http_host: Vec<String>,

    /// Serve what dumps everything at once (metric-export, metric-export-schema, debug/allkeys) off
    /// loopback too
    #[arg(long, env = "CAIRN_HTTP_SERVE_DUMPS")]
    pub http_serve_dumps: bool,

    /// What stands between two labels of a node or pod where they are exported as one text. Labels
    /// are those of the cluster's objects: there are none without a Kubernetes API
    #[arg(
        long,
        env = "CAIRN_LABEL_SEPARATOR",
        value_name = "TEXT",
        default_value = ","
    )]
    pub label_separator: String,

    /// A label that is not exported with the others; may be repeated. Labels are those of the
    /// cluster's objects: there are none without a Kubernetes API
    #[arg(
        long,
        env = "CAIRN_IGNORE_LABEL",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub ignore_label: Vec<String>,

    /// A label that is exported as one of its own, under its name or a new one; may be repeated.
    /// Labels are those of the cluster's objects: there are none without a Kubernetes API
    #[arg(long, env = "CAIRN_STORE_LABEL", value_name = "[NEW=]NAME", value_delimiter = ',',
          value_parser = parse_stored_label)]
    pub store_label: Vec<StoredLabel>,

    /// Where the process's own /livez, /readyz and /metrics are served, plain
    #[arg(
        long,
        env = "CAIRN_ADMIN_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:9102"
    )]
    pub admin_listen: SocketAddr,

    /// Distance of the points that the APIs show: 1s, 2s, 5s, 10s, 15s, 20s, 30s or 60s
    #[arg(long, env = "CAIRN_INTERVAL", value_name = "DURATION", default_value = "10s",
          value_parser = duration::parse)]
    pub interval: Duration,

    /// How long values are kept; from two intervals to 24h
    #[arg(long, env = "CAIRN_WINDOW", value_name = "DURATION", default_value = "15m",
          value_parser = duration::parse)]
    pub window: Duration,

    /// How agents prove which node they are. Default: token-review where the Kubernetes API is watched
    #[arg(long, env = "CAIRN_INGEST_AUTH", value_name = "HOW")]
    pub ingest_auth: Option<IngestAuth>,

    /// File with lines `node-name sha256-of-token`, and `@peer sha256-of-token` for other
    /// aggregators, for --ingest-auth token-file; read again when it changes
    #[arg(long, env = "CAIRN_INGEST_TOKEN_FILE", value_name = "FILE")]
    pub ingest_token_file: Option<PathBuf>,

    /// CA certificates, PEM, of the agents' client certificates, for --ingest-auth mtls; read again when they
    /// change. CAs that sign for agents alone: never the cluster's. May be repeated
    #[arg(
        long,
        env = "CAIRN_INGEST_CLIENT_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub ingest_client_ca: Vec<PathBuf>,

    /// The serving certificate.
    #[command(flatten)]
    pub serving: ServingArgs,

    /// The most memory that the process shall use. At 75 % of it no more history is asked for, at 85 %
    /// every window is shortened, at 95 % new agents and large requests are sent away for a while.
    /// Bytes, with the suffixes Ki, Mi, Gi; 0 means no limit. Default: 85 % of the control group's
    /// limit, and none without one
    #[arg(long, env = "CAIRN_MEMORY_LIMIT", value_name = "BYTES", value_parser = size::parse)]
    pub memory_limit: Option<u64>,

    /// What one node may hold in any case. Beyond this and four times what the median node holds its
    /// own window is shortened, and then what is new on it is refused; 0 leaves only the median and an
    /// even part of half the memory limit. Bytes, with the suffixes Ki, Mi, Gi
    #[arg(long, env = "CAIRN_NODE_BUDGET", value_name = "BYTES", default_value = "2Mi",
          value_parser = size::parse)]
    pub node_budget: u64,

    /// The Kubernetes API.
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,

    /// Other aggregators.
    #[command(flatten)]
    pub peers: PeerArgs,

    /// Which events are logged: a level, or target=level pairs separated by commas
    #[arg(long, env = "CAIRN_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// The clock: system, or driven for tests
    #[arg(
        long,
        env = "CAIRN_CLOCK",
        value_name = "CLOCK",
        default_value = "system",
        hide = true
    )]
    pub clock: Mode,

    /// File that says how much memory the process has, for tests
    #[arg(
        long,
        env = "CAIRN_PROCESS_STATUS",
        value_name = "FILE",
        default_value = "/proc/self/status",
        hide = true
    )]
    pub process_status: PathBuf,

    /// File into which the bound addresses are written, for tests and scripts
    #[arg(long, env = "CAIRN_BOUND_FILE", value_name = "FILE", hide = true)]
    pub bound_file: Option<PathBuf>,
}

/// Other aggregators, for the history that no agent has any more.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct PeerArgs {
    /// Other aggregators as https://HOST:PORT of their gRPC listener; may be repeated. A starting
    /// aggregator asks every address of the host for history that no agent has any more; its own
    /// address may be among them
    #[arg(long, env = "CAIRN_PEER", value_name = "URL", value_delimiter = ',')]
    pub peer: Vec<String>,

    /// CA certificates, PEM, that the certificates of --peer must end at; may be repeated; read
    /// again when they change
    #[arg(
        long,
        env = "CAIRN_PEER_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub peer_ca: Vec<PathBuf>,

    /// File with the bearer token for --peer, read at each connection; the peers know it by a line
    /// `@peer sha256-of-token` in their --ingest-token-file
    #[arg(long, env = "CAIRN_PEER_TOKEN_FILE", value_name = "FILE")]
    pub peer_token_file: Option<PathBuf>,
}

/// How agents prove which node they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IngestAuth {
    /// By the token of their service account, which the Kubernetes API knows
    TokenReview,
    /// By a client certificate of a CA of --ingest-client-ca, whose one DNS name is the node
    Mtls,
    /// By a bearer token whose hash stands beside the node's name in a file
    TokenFile,
    /// Not at all; only on a loopback listener
    None,
}

/// A label that is exported as one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLabel {
    /// Its name on the node or pod.
    pub name: String,
    /// Its name where it is exported.
    pub exported: String,
}

/// Reads `name` or `new=name`.
fn parse_stored_label(text: &str) -> Result<StoredLabel, String> {
    let (exported, name) = text.split_once('=').unwrap_or((text, text));
    if exported.is_empty() || name.is_empty() || name.contains('=') {
        return Err("expected the name of a label, or new=name".to_owned());
    }
    Ok(StoredLabel {
        name: name.to_owned(),
        exported: exported.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_label_keeps_its_name_or_gets_a_new_one() {
        let read = |text| parse_stored_label(text).map(|label| (label.exported, label.name));
        assert_eq!(read("app"), Ok(("app".into(), "app".into())));
        let name = "example.com/zone";
        assert_eq!(
            read("zone=example.com/zone"),
            Ok(("zone".into(), name.into()))
        );
        for bad in ["", "=app", "app=", "a=b=c"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn flags_of_labels_may_be_repeated_or_listed() {
        let args = [
            "cairn-aggregator",
            "--http-serve-dumps",
            "--label-separator= ",
            "--ignore-label=a",
            "--ignore-label=b,c",
            "--store-label=d,e=f",
        ];
        let args = Args::try_parse_from(args).unwrap();
        assert!(args.http_serve_dumps);
        assert_eq!(args.label_separator, " ");
        assert_eq!(args.ignore_label, ["a", "b", "c"]);
        let stored: Vec<&str> = args.store_label.iter().map(|s| &*s.exported).collect();
        assert_eq!(stored, ["d", "e"]);
    }

    #[test]
    fn the_help_of_labels_says_where_they_come_from() {
        use clap::CommandFactory as _;
        let command = Args::command();
        let flags = command.get_arguments().filter(|flag| {
            let name = flag.get_long().unwrap_or_default();
            name.contains("label")
        });
        let helps = flags.map(|flag| flag.get_help().map(ToString::to_string).unwrap_or_default());
        let helps: Vec<String> = helps.collect();
        assert_eq!(helps.len(), 3);
        for help in helps {
            let ends =
                "are those of the cluster's objects: there are none without a Kubernetes API";
            assert!(help.ends_with(ends), "{help}");
        }
    }

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory as _;
        Args::command().debug_assert();
    }
}

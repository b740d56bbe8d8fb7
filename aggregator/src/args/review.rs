//! Flags about the tokens of service accounts.

use std::path::PathBuf;

/// Who is known by the token of a service account.
#[derive(Clone, Debug, clap::Args)]
pub struct ReviewArgs {
    /// Service account of the agents, NAMESPACE/NAME, for --ingest-auth token-review. Default:
    /// cairn-agent in the namespace of this pod
    #[arg(long, env = "CAIRN_AGENT_SERVICE_ACCOUNT", value_name = "ACCOUNT")]
    pub agent_service_account: Option<String>,

    /// Service account of the other aggregators, NAMESPACE/NAME, for --ingest-auth token-review.
    /// Default: cairn-aggregator in the namespace of this pod
    #[arg(long, env = "CAIRN_PEER_SERVICE_ACCOUNT", value_name = "ACCOUNT")]
    pub peer_service_account: Option<String>,

    /// Audience that the tokens of agents and of other aggregators must be made for
    #[arg(
        long,
        env = "CAIRN_INGEST_AUDIENCE",
        value_name = "AUDIENCE",
        default_value = "cairn-aggregator"
    )]
    pub ingest_audience: String,

    /// Audience that the bearer tokens of readers at --https-listen must be made for
    #[arg(
        long,
        env = "CAIRN_READER_AUDIENCE",
        value_name = "AUDIENCE",
        default_value = "cairn"
    )]
    pub reader_audience: String,

    /// File with the namespace of this pod
    #[arg(
        long,
        env = "CAIRN_NAMESPACE_FILE",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/namespace",
        hide = true
    )]
    pub namespace_file: PathBuf,
}

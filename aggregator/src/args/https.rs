//! Flags of the HTTPS listener.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cairn_runtime::duration;

/// What the API server and programs ask, and how they prove who they are.
#[derive(Clone, Debug, clap::Args)]
pub struct HttpsArgs {
    /// Where metrics.k8s.io, the page and all else that readers may see is served, over TLS
    #[arg(
        long,
        env = "CAIRN_HTTPS_LISTEN",
        value_name = "ADDR",
        default_value = "[::]:8443"
    )]
    pub https_listen: SocketAddr,

    /// CA certificates, PEM, of the API server's front proxy: whoever shows a certificate of one of
    /// them says in X-Remote-* headers who asks; read again when it changes. A cluster has it in
    /// kube-system/extension-apiserver-authentication
    #[arg(long, env = "CAIRN_REQUESTHEADER_CLIENT_CA_FILE", value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,

    /// A common name that the front proxy's certificate may have; may be repeated. Without one any
    /// name will do, but not of a certificate that --client-ca-file signed too
    #[arg(
        long,
        env = "CAIRN_REQUESTHEADER_ALLOWED_NAMES",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub requestheader_allowed_names: Vec<String>,

    /// CA certificates, PEM, of clients: the common name is the user, the organizations are the
    /// groups; read again when it changes
    #[arg(long, env = "CAIRN_CLIENT_CA_FILE", value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// CPU in metrics.k8s.io is measured over at least so long, whatever the interval; a younger
    /// container since its start. From 1s to 5m
    #[arg(long, env = "CAIRN_METRICS_API_WINDOW", value_name = "DURATION", default_value = "30s",
          value_parser = duration::parse)]
    pub metrics_api_window: Duration,

    /// Service in the namespace of this pod by which the API server and readers reach the aggregators: while
    /// another one is ready there, this one is not before its metrics.k8s.io has answers, 45 s at most
    #[arg(
        long,
        env = "CAIRN_HTTPS_SERVICE",
        value_name = "NAME",
        default_value = "cairn-aggregator"
    )]
    pub https_service: String,
}

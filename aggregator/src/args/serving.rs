//! Flags of the serving certificate.

use std::path::PathBuf;

/// Where the serving certificate of the gRPC and HTTPS listeners comes from.
#[derive(Clone, Debug, clap::Args)]
pub struct ServingArgs {
    /// Serving certificate of the gRPC and HTTPS listeners, PEM, with its chain; read again when it changes
    #[arg(long, env = "CAIRN_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,

    /// Private key of the serving certificate, PEM
    #[arg(long, env = "CAIRN_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Make the serving certificate, and the CA that signs it, and renew both. All replicas share them in a
    /// Secret; the CAs go into a `ConfigMap` for the agents. In the place of --tls-cert and --tls-key
    #[arg(long, env = "CAIRN_TLS_SELF_MANAGED")]
    pub tls_self_managed: bool,

    /// Secret in the namespace of this pod that keeps keys and certificates of --tls-self-managed; a Lease
    /// of the same name says which replica writes. Both must be there already
    #[arg(
        long,
        env = "CAIRN_TLS_SECRET",
        value_name = "NAME",
        default_value = "cairn-aggregator-tls"
    )]
    pub tls_secret: String,

    /// `ConfigMap` in the namespace of this pod into which --tls-self-managed writes the CAs, as ca.crt
    #[arg(
        long,
        env = "CAIRN_TLS_CA_CONFIG_MAP",
        value_name = "NAME",
        default_value = "cairn-ca"
    )]
    pub tls_ca_config_map: String,

    /// A Service that leads here, for whose names --tls-self-managed makes the certificate; may be repeated
    #[arg(
        long,
        env = "CAIRN_TLS_SERVICE",
        value_name = "NAME",
        value_delimiter = ',',
        default_value = "cairn-aggregator,cairn-ingest"
    )]
    pub tls_service: Vec<String>,

    /// `APIService` into whose caBundle --tls-self-managed writes the CAs, if it leads to a Service of
    /// --tls-service in the namespace of this pod; without it none is written
    #[arg(long, env = "CAIRN_TLS_API_SERVICE", value_name = "NAME")]
    pub tls_api_service: Option<String>,
}

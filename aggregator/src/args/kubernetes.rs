//! Flags about the Kubernetes API, and what a pod is told of it.

use std::path::PathBuf;

use clap::ValueEnum;

/// The Kubernetes API.
#[derive(Clone, Debug, clap::Args)]
pub struct KubernetesArgs {
    /// Whether nodes and pods are watched through the Kubernetes API: auto does where one is found, by
    /// --kubernetes-api or as the service of the pod's own cluster
    #[arg(
        long,
        env = "CAIRN_KUBERNETES",
        value_name = "WHETHER",
        default_value = "auto"
    )]
    pub kubernetes: Whether,

    /// The Kubernetes API as https://HOST:PORT. Default: the service of the pod's own cluster
    #[arg(long, env = "CAIRN_KUBERNETES_API", value_name = "URL")]
    pub kubernetes_api: Option<String>,

    /// CA certificates, PEM, that the API server's certificate must end at; read again when they change
    #[arg(
        long,
        env = "CAIRN_KUBERNETES_CA",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
    )]
    pub kubernetes_ca: PathBuf,

    /// File with the bearer token for the Kubernetes API; read again every 10 s
    #[arg(
        long,
        env = "CAIRN_KUBERNETES_TOKEN_FILE",
        value_name = "FILE",
        default_value = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    )]
    pub kubernetes_token_file: PathBuf,

    /// Host of the API's service, as every pod is told it
    #[arg(
        long,
        env = "KUBERNETES_SERVICE_HOST",
        value_name = "HOST",
        hide = true
    )]
    pub kubernetes_service_host: Option<String>,

    /// Port of the API's service, as every pod is told it
    #[arg(
        long,
        env = "KUBERNETES_SERVICE_PORT",
        value_name = "PORT",
        hide = true
    )]
    pub kubernetes_service_port: Option<String>,
}

/// Whether the cluster is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Whether {
    /// Where a Kubernetes API is found
    Auto,
    /// Not at all
    Off,
}

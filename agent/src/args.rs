//! The command line. Nothing else in the agent reads the environment.

mod command;
mod top;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cairn_runtime::clock;
use cairn_runtime::duration;
use cairn_runtime::size;
use clap::Parser;

pub use self::command::{CheckArgs, Cli, Command, Output};
pub use self::top::{Sort, TopArgs};

/// Where the agent's socket is unless told otherwise.
const SOCKET: &str = "/run/cairn-agent/agent.sock";

/// Reads this node's statistics and streams them to the Cairn aggregator.
#[derive(Clone, Debug, Parser)]
#[command(name = "cairn-agent", version, max_term_width = 100)]
pub struct Args {
    /// Name of this node in the cluster
    #[arg(long, env = "NODE_NAME", value_name = "NAME")]
    pub node_name: Option<String>,

    /// Aggregator to stream to, https://HOST:PORT; every address that HOST resolves to gets a
    /// stream. May be repeated; none means that rows stay in this process
    #[arg(
        long,
        env = "CAIRN_AGGREGATOR",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub aggregator: Vec<String>,

    /// CA certificates that an aggregator's certificate is verified against, PEM; may be repeated
    #[arg(
        long,
        env = "CAIRN_AGGREGATOR_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub aggregator_ca: Vec<PathBuf>,

    /// Name that an aggregator's certificate must have [default: the URL's host]
    #[arg(long, env = "CAIRN_AGGREGATOR_SERVER_NAME", value_name = "NAME")]
    pub aggregator_server_name: Option<String>,

    /// Certificate that is shown to an aggregator, PEM, with its chain: for --ingest-auth mtls. Read again at
    /// each connect
    #[arg(long, env = "CAIRN_AGGREGATOR_CLIENT_CERT", value_name = "FILE")]
    pub aggregator_client_cert: Option<PathBuf>,

    /// Private key of that certificate, PEM
    #[arg(long, env = "CAIRN_AGGREGATOR_CLIENT_KEY", value_name = "FILE")]
    pub aggregator_client_key: Option<PathBuf>,

    /// File with the bearer token for the aggregator; read again at each connect and each 10 s
    #[arg(long, env = "CAIRN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Distance of two rows: 1s, 2s, 5s, 10s, 15s, 20s, 30s or 60s
    #[arg(long, env = "CAIRN_INTERVAL", value_name = "DURATION", default_value = "10s",
          value_parser = duration::parse)]
    pub interval: Duration,

    /// How long rows are kept for an aggregator that asks for them, 1m to 24h
    #[arg(long, env = "CAIRN_WINDOW", value_name = "DURATION", default_value = "15m",
          value_parser = duration::parse)]
    pub window: Duration,

    /// Most memory of the kept rows; the oldest go first. 15 minutes of 110 pods take 3 MB. Bytes, with
    /// the suffixes Ki, Mi, Gi; 0 keeps the newest row only
    #[arg(long, env = "CAIRN_RING_BYTES", value_name = "BYTES", default_value = "32Mi",
          value_parser = size::parse)]
    pub ring_bytes: u64,

    /// Where the kubelet answers: auto (--kubelet-port of 127.0.0.1, then of `HOST_IP`, then, only if
    /// that is given, --kubelet-read-only-port), https://ADDRESS:PORT, or off
    #[arg(
        long,
        env = "CAIRN_KUBELET",
        value_name = "auto|URL|off",
        default_value = "auto"
    )]
    pub kubelet: String,

    /// The port that --kubelet auto tries
    #[arg(long, env = "CAIRN_KUBELET_PORT", value_name = "PORT", default_value_t = 10250,
          value_parser = clap::value_parser!(u16).range(1..))]
    pub kubelet_port: u16,

    /// The kubelet's port without TLS, which --kubelet auto tries last: 10255 where a kubelet has one.
    /// Nothing is encrypted or verified there, and no token is sent; 0 never tries it
    #[arg(
        long,
        env = "CAIRN_KUBELET_READ_ONLY_PORT",
        value_name = "PORT",
        default_value_t = 0
    )]
    pub kubelet_read_only_port: u16,

    /// Name that the kubelet's certificate must have [default: the node name]
    #[arg(long, env = "CAIRN_KUBELET_SERVER_NAME", value_name = "NAME")]
    pub kubelet_server_name: Option<String>,

    /// CA certificates that the kubelet's certificate is verified against, PEM; may be repeated and
    /// may have a * in its last component [default: the places of kubeadm, k3s, RKE2, k0s,
    /// microk8s and AKS that exist]
    #[arg(
        long,
        env = "CAIRN_KUBELET_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub kubelet_ca: Vec<PathBuf>,

    /// The kubelet's own certificate, PEM: exactly this one is trusted, whatever its names and
    /// dates; may be repeated and may have a * in its last component
    #[arg(
        long,
        env = "CAIRN_KUBELET_CERT",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub kubelet_cert: Vec<PathBuf>,

    /// File with the bearer token for the kubelet; read again at each scrape
    #[arg(long, env = "CAIRN_KUBELET_TOKEN_FILE", value_name = "FILE")]
    pub kubelet_token_file: Option<PathBuf>,

    /// Take any certificate of a kubelet on loopback. The token is sent only to a process of uid 0 then
    #[arg(long, env = "CAIRN_KUBELET_INSECURE_SKIP_TLS_VERIFY")]
    pub kubelet_insecure_skip_tls_verify: bool,

    /// Which cAdvisor is read, for throttling, block I/O and what else no other source has: auto (the
    /// kubelet's /metrics/cadvisor once a minute, where a kubelet is read; where cgroups are read only
    /// for names of containers that the summary leaves open), the /metrics of another
    /// (http://ADDRESS:PORT on loopback, or https://ADDRESS:PORT), or off. With --kubelet off the
    /// containers of another one are what is there, and it is read every 10 s
    #[arg(
        long,
        env = "CAIRN_CADVISOR",
        value_name = "auto|URL|off",
        default_value = "auto"
    )]
    pub cadvisor: String,

    /// CA certificates that the certificate of --cadvisor https://... is verified against, PEM; may be
    /// repeated
    #[arg(
        long,
        env = "CAIRN_CADVISOR_CA",
        value_name = "FILE",
        value_delimiter = ','
    )]
    pub cadvisor_ca: Vec<PathBuf>,

    /// Name that the certificate of --cadvisor https://... must have [default: the URL's address]
    #[arg(long, env = "CAIRN_CADVISOR_SERVER_NAME", value_name = "NAME")]
    pub cadvisor_server_name: Option<String>,

    /// CPU that the agent may use for one source, thousandths of a core. One that takes more is scraped
    /// less often until it takes less, but at least once a minute (cAdvisor: once in two). 0 sets no
    /// limit
    #[arg(
        long,
        env = "CAIRN_SOURCE_CPU_MILLIS",
        value_name = "MILLICORES",
        default_value = "10"
    )]
    pub source_cpu_millis: u64,

    /// The node's address, the second that --kubelet auto tries
    #[arg(long, env = "HOST_IP", value_name = "ADDRESS", hide = true)]
    pub host_ip: Option<String>,

    /// Set in every pod: in a cluster the agent refuses to run where it can read the kubelet's keys
    #[arg(
        long,
        env = "KUBERNETES_SERVICE_HOST",
        value_name = "ADDRESS",
        hide = true
    )]
    pub kubernetes_service_host: Option<String>,

    /// Where the node's /proc is
    #[arg(
        long,
        env = "CAIRN_PROC_ROOT",
        value_name = "DIR",
        default_value = "/proc"
    )]
    pub proc_root: PathBuf,

    /// Tell CPU time by mode of each processor of the node too, 512 of them at most: ten values a
    /// processor and row
    #[arg(long, env = "CAIRN_PER_CPU")]
    pub per_cpu: bool,

    /// Where the node's root directory is: the file systems that are mounted below it are read, as
    /// 1/mountinfo in --proc-root lists them [default: none are read]
    #[arg(long, env = "CAIRN_HOST_ROOT", value_name = "DIR")]
    pub host_root: Option<PathBuf>,

    /// Where the node's cgroups are, its /sys/fs/cgroup: CPU, memory, pressure, processes and block I/O
    /// of pods and containers are read there, and the kubelet is asked less often [default: not read;
    /// nor where there are none that can be read]
    #[arg(long, env = "CAIRN_CGROUP_ROOT", value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,

    /// How often the kubelet's summary is asked for, up to 60s; 0s is at every row [default: 30s where
    /// cgroups are read, and sooner for a new pod; else at every row]
    #[arg(long, env = "CAIRN_SUMMARY_INTERVAL", value_name = "DURATION",
          value_parser = duration::parse)]
    pub summary_interval: Option<Duration>,

    /// Where /livez, /readyz and /metrics of the agent itself are served
    #[arg(
        long,
        env = "CAIRN_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9101"
    )]
    pub admin_listen: SocketAddr,

    /// Socket at which `cairn-agent top` is answered, for this user and root alone; off has none
    #[arg(long, env = "CAIRN_SOCKET", value_name = "FILE|off", default_value = SOCKET)]
    pub socket: PathBuf,

    /// Directory for a file of a few hundred bytes, written at each row, that says which rows there were:
    /// with it a row that dies with this process before any aggregator had it is counted as missing. It is
    /// to outlive this process, not the machine, so memory will do; not one that another machine serves
    /// [default: none is written]
    #[arg(long, env = "CAIRN_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,

    /// What is logged: a level, or target=level pairs with commas
    #[arg(long, env = "CAIRN_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,

    /// The clock: system, driven, or `driven=UNIX_MS`
    #[arg(
        long,
        env = "CAIRN_CLOCK",
        value_name = "MODE",
        default_value = "system",
        hide = true
    )]
    pub clock: clock::Mode,

    /// File that gets the bound addresses
    #[arg(long, env = "CAIRN_BOUND_FILE", value_name = "FILE", hide = true)]
    pub bound_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_the_ring_have_the_suffixes_that_other_sizes_have() {
        let read = |args: &[&str]| {
            let args = std::iter::once(&"cairn-agent").chain(args);
            Args::try_parse_from(args).map(|args| args.ring_bytes)
        };
        assert_eq!(read(&[]).unwrap(), 32 << 20);
        assert_eq!(read(&["--ring-bytes", "64Mi"]).unwrap(), 64 << 20);
        assert_eq!(read(&["--ring-bytes", "1048576"]).unwrap(), 1 << 20);
        assert!(read(&["--ring-bytes", "64MB"]).is_err());
    }

    #[test]
    fn the_flags_are_consistent() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}

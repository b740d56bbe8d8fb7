//! What the agent runs with: the checked form of [`Args`].
//!
//! All problems of a command line are found before any is told. Files are opened here once, so that
//! a wrong path is an error at start and not a line in a log later.

mod cadvisor;
mod kubelet;
mod target;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::limits::{INTERVALS_S, MAX_TOKEN_BYTES};
use cairn_proto::model::{EntityKind, check_name};
use cairn_runtime::clock::Mode;
use cairn_runtime::tls::{self, ClientIdentity, ServerName, Trust, TrustFiles};
use cairn_runtime::{duration, files, logging};

pub use self::cadvisor::Cadvisor;
pub use self::target::{Target, TargetTrust, Who};
use crate::args::Args;

/// The shortest and longest window: below a minute a restarted aggregator finds no history worth
/// asking for, above a day the ring is no longer a buffer.
const WINDOW: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));

/// The longest time between two summaries: what they alone tell of a pod without a cgroup lives 90 s.
const MAX_SUMMARY: Duration = Duration::from_secs(60);

/// One aggregator host.
#[derive(Clone, Debug)]
pub struct Aggregator {
    /// Host name or address, to be resolved.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The name that its certificate must have.
    pub server_name: ServerName<'static>,
    /// What its certificate is verified against.
    pub trust: Arc<Trust>,
    /// The certificate that is shown to it; `None` shows none.
    pub client: Option<Arc<ClientIdentity>>,
}

/// Where the agent's own state is served, and on which clock it runs.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Address of the admin listener; port 0 takes any.
    pub listen: SocketAddr,
    /// The clock.
    pub clock: Mode,
    /// File that gets the bound addresses; `None` writes none.
    pub bound_file: Option<PathBuf>,
}

/// Everything the agent runs with. Tests build it directly.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of the node.
    pub node: String,
    /// The aggregators; empty keeps rows in this process.
    pub aggregators: Vec<Aggregator>,
    /// File of the bearer token for the aggregators; `None` sends none.
    pub token_file: Option<PathBuf>,
    /// Distance of the ticks, ms: one of the eight values of `--interval`.
    pub interval_ms: u64,
    /// How long rows are kept, ms.
    pub window_ms: u64,
    /// Most bytes of kept rows.
    pub ring_bytes: usize,
    /// The kubelet; `None` reads none.
    pub kubelet: Option<Target>,
    /// Which cAdvisor is read too.
    pub cadvisor: Cadvisor,
    /// CPU that the agent may use for one source, thousandths of a core; 0 sets no limit.
    pub source_cpu_millis: u64,
    /// Where the node's /proc is.
    pub proc_root: PathBuf,
    /// Whether each processor of the node is told by itself.
    pub per_cpu: bool,
    /// Where the node's root directory is; `None` reads no file systems.
    pub host_root: Option<PathBuf>,
    /// Where the node's cgroups are; `None` reads none.
    pub cgroup_root: Option<PathBuf>,
    /// How often the summary is asked for, ms; `None` leaves it to what else is read.
    pub summary_every_ms: Option<u64>,
    /// The socket at which `cairn-agent top` is answered; `None` has none.
    pub socket: Option<PathBuf>,
    /// Where it is written down which rows there were; `None` writes nothing.
    pub state_dir: Option<PathBuf>,
    /// Admin listener and clock.
    pub admin: Admin,
}

/// What is wrong with a command line, all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.join("; "))]
pub struct Error {
    /// One entry a problem, each naming its flag; never empty.
    pub problems: Vec<String>,
}

impl TryFrom<Args> for Config {
    type Error = Error;

    fn try_from(args: Args) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let node = node_name(&args, &mut problems);
        interval(&args, &mut problems);
        if args.window < WINDOW.0 || args.window > WINDOW.1 {
            let text = duration::display(args.window);
            problems.push(format!("--window {text} is not between 1m and 24h"));
        }
        for (flag, file) in [
            ("--token-file", &args.token_file),
            ("--kubelet-token-file", &args.kubelet_token_file),
        ] {
            if let Some(path) = file {
                readable(flag, path, &mut problems);
            }
        }
        if let Some(path) = args.host_root.as_ref().filter(|path| !path.is_dir()) {
            problems.push(format!(
                "--host-root {} is no directory: mount the host's root there, or leave it out",
                path.display()
            ));
        }
        if args.clock != Mode::System && !args.admin_listen.ip().is_loopback() {
            problems.push(format!(
                "--clock {} needs an --admin-listen on loopback, not {}",
                args.clock, args.admin_listen
            ));
        }
        if let Some(every) = args.summary_interval.filter(|every| *every > MAX_SUMMARY) {
            let text = duration::display(every);
            problems.push(format!("--summary-interval {text} is more than 60s"));
        }
        let aggregators = aggregators(&args, &mut problems);
        let kubelet = kubelet::check(&args, &node, &mut problems);
        let cadvisor = cadvisor::check(&args, &mut problems);
        if !problems.is_empty() {
            return Err(Error { problems });
        }
        Ok(Self {
            node,
            aggregators,
            token_file: args.token_file,
            interval_ms: whole_ms(args.interval),
            window_ms: whole_ms(args.window),
            ring_bytes: usize::try_from(args.ring_bytes).unwrap_or(usize::MAX),
            kubelet,
            cadvisor,
            source_cpu_millis: args.source_cpu_millis,
            proc_root: args.proc_root,
            per_cpu: args.per_cpu,
            host_root: args.host_root,
            cgroup_root: args.cgroup_root,
            summary_every_ms: args.summary_interval.map(whole_ms),
            socket: Some(args.socket).filter(|path| path != Path::new("off")),
            state_dir: args.state_dir,
            admin: Admin {
                listen: args.admin_listen,
                clock: args.clock,
                bound_file: args.bound_file,
            },
        })
    }
}

impl Config {
    /// Logs the configuration, once, at start. It holds no secret: tokens are named by their file.
    pub fn log(&self) {
        let aggregators: Vec<String> = self
            .aggregators
            .iter()
            .map(|a| format!("{}:{}", a.host, a.port))
            .collect();
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            node = self.node,
            interval_ms = self.interval_ms,
            window_ms = self.window_ms,
            ring_bytes = self.ring_bytes,
            ?aggregators,
            token_file = ?self.token_file,
            kubelet = self.kubelet.as_ref().map_or("off".to_owned(), ToString::to_string),
            cadvisor = %self.cadvisor,
            source_cpu_millis = self.source_cpu_millis,
            proc_root = %self.proc_root.display(),
            per_cpu = self.per_cpu,
            host_root = ?self.host_root,
            cgroup_root = ?self.cgroup_root,
            admin = %self.admin.listen,
            socket = ?self.socket,
            state_dir = ?self.state_dir,
            clock = %self.admin.clock,
            "agent starts"
        );
        let trust = self.kubelet.as_ref().map(|kubelet| &kubelet.trust);
        if matches!(trust, Some(TargetTrust::Insecure(_))) {
            tracing::warn!(
                "--kubelet-insecure-skip-tls-verify: whoever listens on the kubelet's port is \
                 believed, and gets the token when it is a process of uid 0"
            );
        }
        if self.aggregators.is_empty() {
            tracing::warn!("no --aggregator is given: rows stay in this process");
        }
    }
}

fn node_name(args: &Args, problems: &mut Vec<String>) -> String {
    let name = args.node_name.clone().unwrap_or_default();
    if name.is_empty() {
        problems.push("--node-name is missing: give the node's name in the cluster".to_owned());
    } else if let Err(why) = check_name(EntityKind::Node, &name) {
        problems.push(format!("--node-name {name:?}: {why}"));
    }
    name
}

fn interval(args: &Args, problems: &mut Vec<String>) {
    if !INTERVALS_S
        .iter()
        .any(|s| Duration::from_secs(*s) == args.interval)
    {
        problems.push(format!(
            "--interval {} is not one of 1s, 2s, 5s, 10s, 15s, 20s, 30s, 60s",
            duration::display(args.interval)
        ));
    }
}

fn aggregators(args: &Args, problems: &mut Vec<String>) -> Vec<Aggregator> {
    if args.aggregator.is_empty() {
        return Vec::new();
    }
    let trust = if args.aggregator_ca.is_empty() {
        problems.push(
            "--aggregator needs --aggregator-ca: the CA that signed the aggregator's certificate"
                .to_owned(),
        );
        None
    } else {
        let before = problems.len();
        // In a cluster it is published by the aggregator, which may come after the agents.
        let is_awaited = args.aggregator_ca.iter().all(|path| is_missing(path));
        if is_awaited {
            let files = args
                .aggregator_ca
                .iter()
                .map(|path| path.display().to_string());
            tracing::warn!(
                files = files.collect::<Vec<_>>().join(", "),
                "no file of --aggregator-ca is there yet: no aggregator is trusted and nothing is sent \
                 until one is; rows are kept meanwhile"
            );
        } else {
            for path in &args.aggregator_ca {
                readable("--aggregator-ca", path, problems);
            }
        }
        let files = TrustFiles {
            ca: args.aggregator_ca.clone(),
            optional: is_awaited,
            ..TrustFiles::default()
        };
        (problems.len() == before)
            .then(|| load("--aggregator-ca", files, problems))
            .flatten()
    };
    let client = client_identity(args, problems);
    let mut found = Vec::new();
    for text in &args.aggregator {
        let Some((host, port)) = https_host(text) else {
            problems.push(format!("--aggregator {text:?} is not https://HOST:PORT"));
            continue;
        };
        let name = args.aggregator_server_name.as_deref().unwrap_or(&host);
        match (tls::server_name(name), &trust) {
            (Ok(server_name), Some(trust)) => {
                found.push(Aggregator {
                    host,
                    port,
                    server_name,
                    trust: Arc::clone(trust),
                    client: client.clone(),
                });
            }
            (Ok(_), None) => {}
            (Err(error), _) => problems.push(format!("--aggregator-server-name: {error}")),
        }
    }
    found
}

/// The certificate that is shown to aggregators, if there is one.
fn client_identity(args: &Args, problems: &mut Vec<String>) -> Option<Arc<ClientIdentity>> {
    let (cert, key) = match (&args.aggregator_client_cert, &args.aggregator_client_key) {
        (None, None) => return None,
        (Some(cert), Some(key)) => (cert, key),
        _ => {
            let text = "--aggregator-client-cert and --aggregator-client-key go together: give both, of one pair";
            problems.push(text.to_owned());
            return None;
        }
    };
    let loaded = ClientIdentity::load(cert, key);
    loaded
        .map_err(|error| {
            let why = logging::chain(&error);
            problems.push(format!("--aggregator-client-cert: {why}"));
        })
        .ok()
}

/// Loads a trust, or says what is wrong with it.
fn load(flag: &str, files: TrustFiles, problems: &mut Vec<String>) -> Option<Arc<Trust>> {
    match Trust::load(files) {
        Ok(trust) => Some(trust),
        Err(error) => {
            problems.push(format!("{flag}: {}", logging::chain(&error)));
            None
        }
    }
}

/// True of a file that is not there, in a directory that is.
fn is_missing(path: &Path) -> bool {
    let is_in = path.parent().is_some_and(Path::is_dir);
    is_in && matches!(path.try_exists(), Ok(false))
}

/// Says when a file cannot be read. The size is checked where the file is used.
fn readable(flag: &str, path: &Path, problems: &mut Vec<String>) {
    let missing = match files::read_small(path, MAX_TOKEN_BYTES) {
        Ok(_) | Err(files::Error::TooLarge { .. }) => return,
        Err(error) => error,
    };
    problems.push(format!(
        "{flag} {}: {}",
        path.display(),
        logging::chain(&missing)
    ));
}

/// Takes `https://HOST:PORT` apart; an IPv6 address stands in brackets and comes back without.
fn https_host(text: &str) -> Option<(String, u16)> {
    let host = url_host(text).filter(|host| host.is_tls && matches!(&*host.path, "" | "/"))?;
    Some((host.name, host.port))
}

/// A URL, taken apart.
#[derive(Debug)]
struct Host {
    is_tls: bool,
    name: String,
    port: u16,
    path: String,
}

/// Takes `http://HOST:PORT/PATH` apart, or the same with https.
fn url_host(text: &str) -> Option<Host> {
    let uri: http::Uri = text.parse().ok()?;
    let is_tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return None,
    };
    let path = uri.path_and_query();
    let path = path.map_or(String::new(), ToString::to_string);
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let port = authority.port_u16().filter(|port| *port != 0)?;
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    (!host.is_empty()).then(|| Host {
        is_tls,
        name: host.to_owned(),
        port,
        path,
    })
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

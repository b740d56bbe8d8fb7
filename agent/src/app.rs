//! The wiring: which task gets what, and in which order they stop.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::catalogue::Source;
use cairn_proto::model::Run;
use cairn_runtime::admin::{self, Admin};
use cairn_runtime::clock::Clock;
use cairn_runtime::exit::Failure;
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Outcome, Supervisor};
use cairn_runtime::tls::{self, Reloadable};
use cairn_runtime::{bound, listen, local, logging};
use prometheus_client::registry::Registry;

use crate::config::{Cadvisor, Config, TargetTrust};
use crate::marker::{Keeper, Marker};
use crate::metrics::{self, Metrics};
use crate::names::Names;
use crate::ring::Ring;
use crate::sampler::{Feeds, Sampler, Setup, boot};
use crate::sources::cadvisor::{self, Ids, Teller};
use crate::sources::cgroup::{self, Cgroups, Sandboxes, Tree};
use crate::sources::procfs::{self, FileSystems, Host, ProcRoot};
use crate::sources::status::Statuses;
use crate::sources::{Feed, cadvisor_every_ms, kubelet};
use crate::{top, uplink};

/// How often trusted certificates are re-read.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// Time for the sessions to say goodbye after the sampler has stopped.
const GRACE: Duration = Duration::from_secs(4);

/// Time for the admin listener, which stops last. Together with [`GRACE`] below five seconds less
/// what the process needs to end.
const ADMIN_GRACE: Duration = Duration::from_millis(500);

/// An agent that is set up and bound, and not yet running.
#[derive(Debug)]
pub struct Bound {
    admin: Option<SocketAddr>,
    readiness: Readiness,
    token: Token,
    admin_token: Token,
    work: Supervisor,
    admin_work: Supervisor,
}

/// Sets everything up and starts all tasks. Must be called inside a tokio runtime.
///
/// # Errors
///
/// What keeps the agent from working at all; a taken admin port does so only where a test drives the
/// clock through it.
pub async fn start(config: Config) -> Result<Bound, Failure> {
    config.log();
    let clock = Clock::new(config.admin.clock);
    let readiness = Readiness::new();
    let mut registry = Registry::default();
    admin::register_process_metrics(&mut registry, metrics::PREFIX);
    let metrics = Metrics::new(&mut registry);
    let (token, admin_token) = (Token::new(), Token::new());
    let mut work = Supervisor::new(token.clone());
    let mut admin_work = Supervisor::new(admin_token.clone());

    let listener = bind(&config, &readiness).await?;
    let run = Run {
        epoch_ms: clock.unix_ms(),
        boot_id: boot::boot_id(&config.proc_root),
        clock_stepped: false,
    };
    let ring = Ring::new(run, config.window_ms, config.ring_bytes);
    let setup = Setup {
        node: config.node.clone(),
        interval_ms: config.interval_ms,
        window_ms: config.window_ms,
        summary_every_ms: config.summary_every_ms,
        clock: clock.clone(),
        ring: ring.clone(),
        readiness: readiness.clone(),
        metrics: metrics.clone(),
    };
    let sandboxes = Sandboxes::default();
    let cgroups = start_cgroups(&config, &readiness, sandboxes.clone())?;
    let mut feeds = start_sources(&config, cgroups.is_some(), &mut work, &token);
    feeds.host = Some(start_host(&config, &readiness, &metrics)?);
    (feeds.cgroups, feeds.sandboxes) = (cgroups, sandboxes);
    let known = setup.clone();
    let marker = marker(&config, &setup);
    let past = marker.past();
    let names = Names::new(metrics.names);
    let sampler = Sampler::new(setup, feeds)
        .with_source_cpu(config.source_cpu_millis)
        .with_marker(marker)
        .with_names(names.clone());
    let (statuses, serving) = (sampler.statuses(), (&mut admin_work, &admin_token));
    start_socket(config.socket.as_deref(), known, statuses, serving).await;
    let uplink = uplink::Setup {
        living: uplink::Living::default(),
        node: config.node.clone(),
        interval_ms: config.interval_ms,
        window_ms: config.window_ms,
        token_file: config.token_file.clone(),
        clock: clock.clone(),
        ring,
        names,
        past,
        statuses: sampler.statuses(),
        readiness: readiness.clone(),
        metrics: metrics.uplink,
    };
    work.spawn("sampler", sampler.run(token.clone()));
    start_uplinks(&config, &uplink, &mut work, &token);
    let reload = tls::reload_loop(trusts(&config), RELOAD_EVERY, token.clone());
    work.spawn("tls-reload", reload);

    let address = listener.as_ref().map(listen::Bound::local_addr);
    let admin = Admin {
        registry: Arc::new(registry),
        readiness: readiness.clone(),
        health: work.health(),
        clock,
    };
    if let Some(listener) = listener {
        admin_work.spawn("admin", admin::serve(listener, admin, admin_token.clone()));
    }
    publish(&config, address)?;
    Ok(Bound {
        admin: address,
        readiness,
        token,
        admin_token,
        work,
        admin_work,
    })
}

impl Bound {
    /// Where the admin listener is; `None` when its port was taken.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Runs until `stop` completes or a task dies, then stops in order: sampling, the sessions after
    /// their last row, the admin listener. Takes less than five seconds.
    ///
    /// # Errors
    ///
    /// A task died.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let Self {
            admin: _,
            readiness,
            token,
            admin_token,
            work,
            admin_work,
        } = self;
        let stopping = async {
            stop.await;
            readiness.shutting_down();
            token.cancel();
            std::future::pending::<()>().await;
        };
        let working = async {
            let outcome = work.run(GRACE).await;
            admin_token.cancel();
            outcome
        };
        let serving = async {
            let outcome = admin_work.run(ADMIN_GRACE).await;
            // Without its admin listener nobody could tell how the agent is.
            token.cancel();
            outcome
        };
        let ended = async { tokio::join!(working, serving) };
        let (worked, served) = tokio::select! {
            () = stopping => (Outcome::Clean, Outcome::Clean),
            outcomes = ended => outcomes,
        };
        judge(worked).and(judge(served))
    }
}

fn judge(outcome: Outcome) -> Result<(), Failure> {
    match outcome {
        // Those that were aborted are in the log; the last rows were worth waiting for, not more.
        Outcome::Clean | Outcome::Pending { .. } => Ok(()),
        Outcome::TaskFailed { name, error } => {
            Err(Failure::Other(format!("task {name} failed: {error}")))
        }
        Outcome::TaskPanicked { name } => Err(Failure::Other(format!(
            "task {name} panicked: see the log, and report it"
        ))),
    }
}

async fn bind(config: &Config, readiness: &Readiness) -> Result<Option<listen::Bound>, Failure> {
    match listen::bind(config.admin.listen).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if config.admin.clock == cairn_runtime::clock::Mode::System => {
            let reason = format!("--admin-listen: {}", logging::chain(&error));
            tracing::error!(reason, "no admin listener, the agent goes on without it");
            readiness.note("admin listener", Note::Degraded(reason));
            Ok(None)
        }
        Err(error) => Err(Failure::Other(format!(
            "--admin-listen: {}",
            logging::chain(&error)
        ))),
    }
}

/// What knows of earlier runs, with a file where there is a directory for it.
fn marker(config: &Config, setup: &Setup) -> Marker {
    let marker = Marker::new(config.interval_ms, config.window_ms);
    let Some(dir) = &config.state_dir else {
        return marker;
    };
    let (readiness, metrics) = (setup.readiness.clone(), setup.metrics.marker.clone());
    let keeper = Keeper::new(dir, &config.node, readiness, metrics);
    marker.kept(keeper, setup.ring.head().run, setup.clock.unix_ms())
}

/// Starts to answer at the socket, without which the agent goes on.
async fn start_socket(
    path: Option<&Path>,
    known: Setup,
    statuses: Statuses,
    (work, token): (&mut Supervisor, &Token),
) {
    let Some(path) = path else { return };
    let asked = top::Asked {
        node: known.node,
        interval_ms: known.interval_ms,
        clock: known.clock,
        ring: known.ring,
        statuses,
    };
    match local::bind(path).await {
        Ok(bound) => work.spawn("socket", top::serve(bound, asked, token.clone())),
        Err(error) => {
            let reason = format!("--socket: {}", logging::chain(&error));
            tracing::warn!(reason, "no socket, `cairn-agent top` finds no agent");
            known.readiness.note("socket", Note::Degraded(reason));
        }
    }
}

/// Starts the thread that reads /proc and, if wanted, those that ask file systems.
fn start_host(
    config: &Config,
    readiness: &Readiness,
    metrics: &Metrics,
) -> Result<Feed<Host>, Failure> {
    let (host, worker) = Feed::new(Source::Procfs);
    let proc_root = &config.proc_root;
    let file_systems = config.host_root.clone().map(|host_root| {
        let metrics = metrics.file_systems.clone();
        FileSystems::new(host_root, proc_root, readiness.clone(), metrics)
    });
    let root = ProcRoot {
        path: proc_root.clone(),
        per_cpu: config.per_cpu,
    };
    procfs::start(root, file_systems, worker).map_err(|error| Failure::other(&error))?;
    Ok(host)
}

/// Starts the thread that reads cgroups; `None` when it is not wanted, or there is nothing to read.
fn start_cgroups(
    config: &Config,
    readiness: &Readiness,
    sandboxes: Sandboxes,
) -> Result<Option<Feed<Cgroups>>, Failure> {
    let Some(root) = &config.cgroup_root else {
        return Ok(None);
    };
    let tree = match Tree::open(root, &config.proc_root, config.interval_ms, sandboxes) {
        Ok(tree) => tree,
        Err(error) => {
            let reason = format!("--cgroup-root: {error}");
            tracing::warn!(reason, "no cgroups, the kubelet alone is read");
            readiness.note("cgroups", Note::Degraded(reason));
            return Ok(None);
        }
    };
    let (feed, worker) = Feed::new(Source::Cgroup);
    cgroup::start(tree, worker).map_err(|error| Failure::other(&error))?;
    Ok(Some(feed))
}

/// Starts a task for each aggregator.
fn start_uplinks(config: &Config, setup: &uplink::Setup, work: &mut Supervisor, token: &Token) {
    for target in &config.aggregators {
        let task = uplink::run(target.clone(), setup.clone(), token.clone());
        work.spawn("uplink", task);
    }
}

/// Starts the tasks that ask the kubelet and cAdvisor; beside cgroups what cAdvisor says of runtime ids is
/// kept.
fn start_sources(config: &Config, keeps_ids: bool, work: &mut Supervisor, token: &Token) -> Feeds {
    let interval_ms = config.interval_ms;
    let mut feeds = Feeds {
        cadvisor: start_cadvisor(config, keeps_ids, work, token),
        ..Feeds::default()
    };
    if let Some(target) = &config.kubelet {
        let (summary, worker) = Feed::new(Source::Summary);
        let (whole, stop) = (kubelet::WholeSummary, token.clone());
        let task = kubelet::run(target.clone(), whole, interval_ms, worker, stop);
        work.spawn("source-summary", task);
        let (resource, worker) = Feed::new(Source::Resource);
        let (small, stop) = (kubelet::SmallSet, token.clone());
        let task = kubelet::run(target.clone(), small, interval_ms, worker, stop);
        work.spawn("source-resource", task);
        (feeds.summary, feeds.resource) = (Some(summary), Some(resource));
    }
    feeds
}

/// Starts the task that asks cAdvisor; `None` when there is none to ask.
fn start_cadvisor(
    config: &Config,
    keeps_ids: bool,
    work: &mut Supervisor,
    token: &Token,
) -> Option<Feed<cadvisor::Cadvisor>> {
    let (target, teller) = kubelet::cadvisor_of(config)?;
    let (feed, worker) = Feed::new(Source::Cadvisor);
    let every_ms = cadvisor_every_ms(config.interval_ms, teller == Teller::Alone);
    let ids = Ids::kept(keeps_ids);
    let text = kubelet::CadvisorText { teller, ids };
    let task = kubelet::run(target.clone(), text, every_ms, worker, token.clone());
    work.spawn("source-cadvisor", task);
    Some(feed)
}

/// Everything whose files may be replaced while the agent runs.
fn trusts(config: &Config) -> Vec<Reloadable> {
    let mut found: Vec<Reloadable> = Vec::new();
    // All aggregators share one trust.
    if let Some(aggregator) = config.aggregators.first() {
        found.push(Arc::clone(&aggregator.trust).into());
    }
    let cadvisor = match &config.cadvisor {
        Cadvisor::Standalone(target) => Some(&**target),
        Cadvisor::Kubelet | Cadvisor::Off => None,
    };
    for target in config.kubelet.iter().chain(cadvisor) {
        match &target.trust {
            TargetTrust::Verified(trust) if !target.addresses.is_empty() => {
                found.push(Arc::clone(trust).into());
            }
            TargetTrust::Verified(_) | TargetTrust::Insecure(_) => {}
        }
    }
    found
}

fn publish(config: &Config, admin: Option<SocketAddr>) -> Result<(), Failure> {
    let Some(path) = &config.admin.bound_file else {
        return Ok(());
    };
    let bound: Vec<(&str, SocketAddr)> = admin
        .map(|address| ("admin", address))
        .into_iter()
        .collect();
    bound::publish(path, &bound).map_err(|error| Failure::other(&error))
}

//! The wiring: listeners, then tasks, then the wait for the end.
//!
//! [`start`] binds every listener before anything runs, so that a taken port or a broken file is
//! told before the first agent connects; [`Started::run`] runs until the token is cancelled and
//! then stops in order: readiness, listeners and streams, admin last.

mod grpc;
mod https;
mod kubernetes;
mod serving;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::admin::{self, Admin};
use cairn_runtime::clock::Clock;
use cairn_runtime::exit::Failure;
use cairn_runtime::listen::{self, Bound, ListenMetrics};
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Aside, Outcome, Supervisor};
use cairn_runtime::{bound, duration, logging, memory};
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;

use crate::api::{self, Api, Gate, LabelRules, MAX_STREAMS, MetricsApi, Secure, Streams, Wellness};
use crate::cluster::Cluster;
use crate::config::{Config, Ingest as IngestConfig, LabelFlags};
use crate::ingest::{Ingest, Metrics, Parts, Wishes};
use crate::metrics;
use crate::pressure::Pressure;
use crate::query::KEPT_LONGER_MS;
use crate::replay::{self, Replay};
use crate::rpc;
use crate::store::{Door, Exchange, PackedStore};
use crate::upkeep::{self, MemoryParts, Upkeep};
use kubernetes::Asked;
use serving::Served;

/// How long requests in flight may take once the process is asked to go.
const DRAIN: Duration = Duration::from_secs(2);

/// The whole end, under the 5 s that a stop may take.
const GRACE: Duration = Duration::from_secs(4);

/// The part of the control group's memory limit that is used when none is given, hundredths: the rest
/// is for what the process does not see of itself, such as buffers of its sockets.
const PART_OF_CGROUP: u64 = 85;

/// Addresses that were bound.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// gRPC over TLS.
    pub grpc: SocketAddr,
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS.
    pub https: SocketAddr,
    /// Own endpoints.
    pub admin: SocketAddr,
}

/// A process that is bound and runs when it is told to.
#[derive(Debug)]
pub struct Started {
    /// Where it listens.
    pub addresses: Addresses,
    /// What holds it back from being ready.
    pub readiness: Readiness,
    supervisor: Supervisor,
    token: Token,
    // End with the rest.
    asides: Asides,
}

/// Threads beside those on which agents' streams run.
#[derive(Debug)]
struct Asides {
    readers: Aside,
    // One that does not wait for anybody: probes that are late end the process, and they would be late in every
    // storm of agents, when it can be used least.
    admin: Aside,
}

/// The listeners, bound.
struct Listeners {
    grpc: Bound,
    http: Bound,
    https: Bound,
    admin: Bound,
}

/// What several tasks share.
struct Shared {
    store: Arc<dyn Door>,
    exchange: Arc<dyn Exchange>,
    cluster: Cluster,
    clock: Clock,
    token: Token,
    listens: Arc<ListenMetrics>,
    streams: Streams,
    requests: api::Metrics,
    pressure: Pressure,
    memory: upkeep::Metrics,
    memory_limit: u64,
}

impl Shared {
    /// Makes them and shows their figures in the registry.
    fn new(config: &Config, token: &Token, registry: &mut Registry) -> Self {
        let window_ms = millis(config.window);
        let memory_limit = memory_limit(config.memory_limit);
        let store = PackedStore::new(window_ms + KEPT_LONGER_MS, memory_limit)
            .with_node_budget(config.node_budget);
        let store = Arc::new(store);
        let shared = Shared {
            exchange: Arc::clone(&store) as Arc<dyn Exchange>,
            store,
            cluster: kubernetes::cluster(&config.kubernetes),
            clock: Clock::new(config.clock),
            token: token.clone(),
            listens: Arc::new(ListenMetrics::default()),
            streams: Streams::new(MAX_STREAMS),
            requests: api::Metrics::new(registry),
            pressure: Pressure::below(memory_limit),
            memory: upkeep::Metrics::new(registry, memory_limit),
            memory_limit,
        };
        admin::register_process_metrics(registry, "cairn_aggregator");
        shared.listens.register(registry, "cairn_aggregator");
        let Shared {
            store,
            clock,
            streams,
            ..
        } = &shared;
        metrics::register(registry, store, clock, streams, window_ms);
        shared
    }

    fn memory_parts(&self, config: &Config, readiness: &Readiness) -> MemoryParts {
        MemoryParts {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            window_ms: millis(config.window),
            limit: self.memory_limit,
            status: config.process_status.clone(),
            pressure: self.pressure.clone(),
            metrics: self.memory.clone(),
            readiness: readiness.clone(),
        }
    }
}

/// The memory limit in bytes, 0 for none, as it was given or as the control group has it.
fn memory_limit(given: Option<u64>) -> u64 {
    let (limit, from) = match (given, memory::cgroup_limit(Path::new("/"))) {
        (Some(limit), _) => (limit, "--memory-limit"),
        (None, Some(limit)) => (limit / 100 * PART_OF_CGROUP, "85 % of the control group's"),
        (None, None) => (0, "neither --memory-limit nor the control group"),
    };
    if limit == 0 {
        tracing::info!(
            from,
            "there is no memory limit: the window is bounded by --window alone"
        );
    } else {
        tracing::info!(limit, from, "memory limit");
    }
    limit
}

/// Reads the files, binds the listeners and prepares every task.
///
/// # Errors
///
/// A file or an address that does not work, with what to do about it.
pub async fn start(config: Config, token: Token) -> Result<Started, Failure> {
    let served = Served::load(&config).map_err(|e| Failure::config(&e))?;
    let mut access = https::Access::load(&config, &served).map_err(|e| Failure::config(&e))?;
    let by_file = kubernetes::by_file(&config, &access)?;
    let (listeners, asides) = bind(&config).await?;
    let addresses = listeners.addresses();
    let mut registry = Registry::default();
    let shared = Shared::new(&config, &token, &mut registry);
    let clock = shared.clock.clone();
    let readiness = Readiness::new();
    let mut supervisor = Supervisor::new(token.clone());
    let instance = format!("{}-{}", std::process::id(), clock.unix_ms());
    let asked = Asked::new(&config, shared.cluster.clone(), &readiness, &token);
    asked.start_watch(&mut supervisor, &mut registry);
    asked.certificates(&served, &mut supervisor, &mut registry, &clock)?;
    let auth = Arc::new(asked.agents(by_file, &mut supervisor, &mut registry, &clock)?);
    asked.readers(&mut supervisor, &mut registry, &mut access);
    let wishes = Wishes::new(config.window);
    let replay = Replay::new(replay::Parts {
        store: Arc::clone(&shared.exchange),
        clock: clock.clone(),
        auth: Arc::clone(&auth),
        wishes: wishes.clone(),
        pressure: shared.pressure.clone(),
        metrics: replay::Metrics::new(&mut registry, !config.peers.hosts.is_empty()),
        instance: instance.clone(),
        readiness: readiness.clone(),
        token: token.clone(),
    });
    let ingest = Ingest::new(Parts {
        store: Arc::clone(&shared.store),
        cluster: shared.cluster.clone(),
        clock: clock.clone(),
        auth: Arc::clone(&auth),
        pressure: shared.pressure.clone(),
        metrics: Metrics::new(&mut registry),
        instance,
        wishes: (!config.peers.hosts.is_empty()).then_some(wishes),
        token: token.clone(),
    });
    grpc::start(
        &mut supervisor,
        listeners.grpc,
        &shared,
        (ingest, replay.clone()),
        Arc::clone(&served.grpc),
    );
    replay.start(&mut supervisor, &config.peers);
    let mut certificates = access.reloaded();
    start_readers(
        (&mut supervisor, &asides.readers),
        (listeners.http, listeners.https),
        (&shared, access, &asked),
        &config,
    );
    let upkeep = Upkeep {
        clock: clock.clone(),
        interval_ms: millis(config.interval),
        memory: shared.memory_parts(&config, &readiness),
        readiness: readiness.clone(),
        token: token.clone(),
    };
    certificates.push(served.grpc.into());
    upkeep.start(&mut supervisor, auth, certificates);
    start_admin(
        (&mut supervisor, &asides.admin),
        listeners.admin,
        registry,
        &shared,
        &readiness,
    );
    announce(&config, addresses)?;
    Ok(Started {
        addresses,
        readiness,
        supervisor,
        token,
        asides,
    })
}

impl Started {
    /// Runs until the token is cancelled or a task dies.
    ///
    /// # Errors
    ///
    /// The task that died, or those that did not stop in time.
    pub async fn run(self) -> Result<(), Failure> {
        let (token, readiness) = (self.token.clone(), self.readiness.clone());
        let (mut supervisor, _asides) = (self.supervisor, self.asides);
        supervisor.spawn("readiness", async move {
            token.cancelled().await;
            readiness.shutting_down();
            Ok(())
        });
        match supervisor.run(GRACE).await {
            Outcome::Clean => Ok(()),
            other => Err(Failure::Other(format!(
                "{other:?}: see the log lines before this one"
            ))),
        }
    }
}

impl Listeners {
    fn addresses(&self) -> Addresses {
        Addresses {
            grpc: self.grpc.local_addr(),
            http: self.http.local_addr(),
            https: self.https.local_addr(),
            admin: self.admin.local_addr(),
        }
    }
}

/// Writes the bound addresses down and says what runs.
fn announce(config: &Config, addresses: Addresses) -> Result<(), Failure> {
    if let Some(path) = &config.bound_file {
        let named = [
            ("grpc", addresses.grpc),
            ("http", addresses.http),
            ("https", addresses.https),
            ("admin", addresses.admin),
        ];
        bound::publish(path, &named).map_err(|e| Failure::config(&e))?;
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        grpc = %addresses.grpc, http = %addresses.http, https = %addresses.https,
        admin = %addresses.admin,
        interval = %duration::display(config.interval), window = %duration::display(config.window),
        node_budget = config.node_budget, ingest = ?config.ingest,
        "listening"
    );
    if config.ingest == IngestConfig::None {
        tracing::warn!("--ingest-auth none: whoever reaches the gRPC listener may report any node");
    }
    Ok(())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Binds all listeners, and starts the threads to which most of them belong.
async fn bind(config: &Config) -> Result<(Listeners, Asides), Failure> {
    let start = |name, threads| Aside::start(name, threads).map_err(|e| Failure::other(&e));
    let asides = Asides {
        readers: start("readers", reader_threads())?,
        admin: start("admin", 1)?,
    };
    let told = |flag: &'static str, bound: Result<Bound, listen::Error>| {
        bound.map_err(|e| Failure::Other(format!("{flag}: {}", logging::chain(&e))))
    };
    // The socket belongs to the threads that made it.
    let on = async |aside: &Aside, addr| {
        let bound = aside.run(listen::bind(addr)).await;
        bound.map_err(|e| Failure::Other(e.to_string()))
    };
    let http = on(&asides.readers, config.http_listen).await?;
    let https = on(&asides.readers, config.https.listen).await?;
    let admin = on(&asides.admin, config.admin_listen).await?;
    let listeners = Listeners {
        grpc: told("--grpc-listen", listen::bind(config.grpc_listen).await)?,
        http: told("--http-listen", http)?,
        https: told("--https-listen", https)?,
        admin: told("--admin-listen", admin)?,
    };
    Ok((listeners, asides))
}

/// Threads that take questions and hand answers out; the answers are made on others. They wait for little
/// but sockets, and each further thread has memory of its own.
fn reader_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2))
}

fn label_rules(flags: &LabelFlags) -> LabelRules {
    let stored = flags.stored.iter().cloned();
    LabelRules {
        separator: flags.separator.clone(),
        ignored: flags.ignored.clone(),
        stored: stored.map(|label| (label.name, label.exported)).collect(),
    }
}

/// The process's own endpoints; nothing registers any more.
fn start_admin(
    (supervisor, aside): (&mut Supervisor, &Aside),
    bound: Bound,
    registry: Registry,
    shared: &Shared,
    readiness: &Readiness,
) {
    let admin = Admin {
        registry: Arc::new(registry),
        readiness: readiness.clone(),
        health: supervisor.health(),
        clock: shared.clock.clone(),
    };
    let (listens, token) = (Arc::clone(&shared.listens), shared.token.clone());
    let serve = admin::serve_counted(bound, admin, listens, token);
    supervisor.feel_pulse();
    supervisor.spawn_aside(aside, "admin", serve);
}

/// Both listeners of those who read.
fn start_readers(
    (supervisor, readers): (&mut Supervisor, &Aside),
    (http, https): (Bound, Bound),
    (shared, access, asked): (&Shared, https::Access, &Asked<'_>),
    config: &Config,
) {
    let api = api_of(shared, config);
    https::begin(&api, asked, &access, supervisor);
    start_http((&mut *supervisor, readers), http, (shared, &api), config);
    let (tls, authenticators, rights) = access.parts();
    let secure = Secure {
        // What is asked on one listener holds up nobody on the other.
        api: api.apart(),
        // No question of people's pages shall delay an autoscaler's, or be delayed by it.
        metrics: MetricsApi { api: api.apart() },
        authenticators,
        rights,
        wellness: Wellness {
            readiness: asked.readiness().clone(),
            health: supervisor.health(),
        },
    };
    https::start((supervisor, readers), https, secure, tls, &shared.listens);
}

/// What every route needs.
fn api_of(shared: &Shared, config: &Config) -> Api {
    let (store, clock) = (Arc::clone(&shared.store), shared.clock.clone());
    let terms = https::terms(&clock, config);
    let grid = (millis(config.interval), millis(config.window));
    // Everything may be seen on the plain listener; the other narrows it for each request.
    Api {
        cluster: shared.cluster.clone(),
        labels: Arc::new(label_rules(&config.labels)),
        streams: shared.streams.clone(),
        token: shared.token.clone(),
        pressure: shared.pressure.clone(),
        metrics: shared.requests.clone(),
        ..Api::alone(store, clock, terms, grid)
    }
}

/// What readers ask runs on threads of their own: a tick brings a row of each node at the same moment, and
/// in line with those a question would wait for all of them at each of its steps.
fn start_http(
    (supervisor, readers): (&mut Supervisor, &Aside),
    bound: Bound,
    (shared, api): (&Shared, &Api),
    config: &Config,
) {
    let gate = Gate {
        loopback: bound.local_addr().ip().is_loopback(),
        dumps: config.http_serve_dumps,
        hosts: config.http_hosts.clone().into(),
    };
    let config = listen::Config {
        name: "http",
        max_connections: 4_096,
        max_per_peer: 512,
        max_handshakes: 0,
        handshake_deadline: Duration::ZERO,
        // Above the Dashboard's health check, which comes every 30 s on one connection.
        header_deadline: Duration::from_secs(60),
        answer_deadline: Duration::from_secs(60),
        idle_deadline: Duration::from_secs(120),
        write_deadline: Duration::from_secs(30),
        // The Dashboard puts every pod of a namespace into one URL.
        max_header_bytes: 72 * 1024,
        tls: None,
        metrics: Arc::clone(&shared.listens),
    };
    let service =
        TowerToHyperService::new(api::router(api.clone(), gate, rpc::router(api.clone())));
    let token = shared.token.clone();
    supervisor.spawn_aside(readers, "http", async move {
        listen::serve(bound, config, service, token, DRAIN).await;
        Ok(())
    });
}

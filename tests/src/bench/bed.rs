//! A cluster on loopback to measure: simulated kubelets in this process, so that the moment at
//! which they answer is known; real agents and a real aggregator as processes, over TLS, all on the
//! driven clock.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, ensure};
use cairn_runtime::clock::Mode;
use cairn_runtime::shutdown::Token;
use tokio::runtime::{Builder, Runtime};

use crate::pki::{Pki, Validity};
use crate::proc::Proc;
use crate::sim::{self, Control};
use crate::system::{FIRST_TICK_MS, System, TRACE_START_MS};
use crate::trace::{Options, Replay, Trace};

/// Distance of the ticks.
const INTERVAL_MS: u64 = 10_000;

/// How far past a tick the clocks are stepped: later than any node's phase.
const PAST_PHASE_MS: u64 = 500;

const TOKEN: &str = "kubelet-token";

/// As its pod in deploy/base has it.
const AGENT_ENV: [(&str, &str); 1] = [("MALLOC_ARENA_MAX", "1")];

/// Where a node is, and what it shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// What was recorded.
    pub(super) trace: &'a Trace,
    /// The recorded node that it replays.
    pub(super) recorded: &'a str,
    /// Its own name.
    pub(super) name: &'a str,
    /// How many pods; `None` shows the recorded ones.
    pub(super) pods: Option<usize>,
    /// Whom its agent streams to.
    pub(super) aggregator: SocketAddr,
    /// What its agent proves its name with.
    pub(super) token: Option<&'a str>,
    /// When its clocks start, Unix ms.
    pub(super) start_unix_ms: u64,
    /// Where the aggregator's CA lies, and its own certificates and tokens may lie.
    pub(super) dir: &'a Path,
    /// What else its agent is told.
    pub(super) agent_args: &'a [&'a str],
}

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kubelet: Control,
    pub(super) agent: Proc,
    _serving: Serving,
}

/// A simulated kubelet on a thread of its own, which ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    stop: Token,
    thread: Option<JoinHandle<()>>,
}

/// The cluster; everything ends when it is dropped.
#[derive(Debug)]
pub(super) struct Bed {
    pub(super) nodes: Vec<Node>,
    pub(super) aggregator: Proc,
    runtime: Runtime,
    next_tick_ms: u64,
    _dir: tempfile::TempDir,
}

impl Bed {
    /// Starts recorded nodes, scaled to so many pods each; `None` shows the recorded pods. Their agents
    /// are told what else is given.
    pub(super) fn start(
        trace: &Trace,
        names: &[&str],
        pods: Option<usize>,
        agent_args: &[&str],
    ) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let pki = Pki::new(dir.path())?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let ca = pki.ca("ingest-ca")?;
        let server = ca
            .leaf("server")
            .dns(&["localhost"])
            .ips(&[loopback])
            .write()?;
        let clock = clock_flag(TRACE_START_MS);
        let (cert, key) = (text(&server.cert_pem), text(&server.key_pem));
        let mut args = vec!["--clock", &clock, "--tls-cert", &cert, "--tls-key", &key];
        for listener in [
            "--grpc-listen",
            "--http-listen",
            "--https-listen",
            "--admin-listen",
        ] {
            args.extend([listener, "127.0.0.1:0"]);
        }
        args.extend(["--ingest-auth", "none", "--log", "warn"]);
        let aggregator = Proc::start("cairn-aggregator", &args, &[])?;
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let nodes = names.iter().map(|name| {
            Node::start(&Place {
                trace,
                recorded: name,
                name,
                pods,
                aggregator: aggregator.addr("grpc")?,
                token: None,
                start_unix_ms: TRACE_START_MS,
                dir: dir.path(),
                agent_args,
            })
        });
        let nodes = nodes.collect::<Result<_>>()?;
        Ok(Self {
            nodes,
            aggregator,
            runtime,
            next_tick_ms: FIRST_TICK_MS,
            _dir: dir,
        })
    }

    /// The aggregator's plain listener.
    pub(super) fn http(&self) -> Result<SocketAddr> {
        Ok(self.aggregator.addr("http")?)
    }

    /// The tick that was begun last, Unix ms.
    pub(super) fn last_tick_ms(&self) -> u64 {
        self.next_tick_ms - INTERVAL_MS
    }

    /// Begins the next tick: the aggregator and the kubelets know its time, the agents do not yet.
    /// Gives the tick, Unix ms.
    pub(super) fn begin(&mut self) -> Result<u64> {
        let tick_ms = self.next_tick_ms;
        self.next_tick_ms += INTERVAL_MS;
        let now_ms = tick_ms + PAST_PHASE_MS;
        self.aggregator.step(now_ms)?;
        for node in &self.nodes {
            self.runtime.block_on(node.kubelet.step(now_ms))?;
        }
        Ok(tick_ms)
    }

    /// Lets the agents sample the tick, all at the same time; returns when they have handed their
    /// rows to their sessions.
    pub(super) fn sample(&self, tick_ms: u64) -> Result<()> {
        let now_ms = tick_ms + PAST_PHASE_MS;
        std::thread::scope(|scope| {
            let step = |node: &'_ Node| node.agent.step(now_ms);
            let others = self.nodes.iter().skip(1);
            let threads: Vec<_> = others.map(|node| scope.spawn(move || step(node))).collect();
            let first = self.nodes.first().map_or(Ok(()), step);
            let rest = threads.into_iter().map(|thread| match thread.join() {
                Ok(stepped) => stepped,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            std::iter::once(first)
                .chain(rest)
                .collect::<Result<(), _>>()
        })?;
        Ok(())
    }
}

impl Node {
    /// Starts its kubelet and its agent.
    pub(super) fn start(place: &Place<'_>) -> Result<Self> {
        let options = Options {
            pods: place.pods,
            node_name: (place.name != place.recorded).then(|| place.name.to_owned()),
            ..Options::starting(TRACE_START_MS)
        };
        let replay = Replay::new(place.trace, place.recorded, options)?;
        let at = (place.name, place.start_unix_ms);
        let (kubelet, addr, serving) = Serving::start(at, replay, place.dir)?;
        let agent = start_agent(place, addr)?;
        Ok(Self {
            kubelet,
            agent,
            _serving: serving,
        })
    }
}

impl Serving {
    /// Starts the kubelet of a node of this name at this time, Unix ms; its certificate, the CA of that and
    /// its token are in the directory. Gives how to look at it, and where it listens.
    pub(crate) fn start(
        (name, start_unix_ms): (&str, u64),
        replay: Replay,
        dir: &Path,
    ) -> Result<(Control, SocketAddr, Self)> {
        let leaf = Pki::new(dir)?.kubelet_default(name, Validity::Current)?;
        std::fs::write(dir.join("kubelet.token"), TOKEN)?;
        let config = sim::Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admin_listen: None,
            read_only_listen: None,
            cadvisor_listen: None,
            cadvisor_tls: false,
            cert: leaf.cert_pem,
            key: leaf.key_pem,
            token: Some(TOKEN.to_owned()),
            clock: Mode::Driven { start_unix_ms },
            replay,
        };
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let bound = runtime.block_on(sim::bind(config))?;
        let (kubelet, addr, stop) = (bound.control(), bound.kubelet_addr(), Token::new());
        let token = stop.clone();
        let serve = move || runtime.block_on(bound.run(token));
        let thread = std::thread::Builder::new()
            .name(format!("kubelet of {name}"))
            .spawn(serve)?;
        let thread = Some(thread);
        Ok((kubelet, addr, Self { stop, thread }))
    }
}

impl Node {
    /// CPU time that its agent has taken since its start, s.
    pub(super) fn agent_seconds(&self) -> Result<f64> {
        let name = "cairn_agent_process_cpu_seconds_total";
        let seconds = System::metric(&self.agent, name, "")?;
        ensure!(seconds > 0.0, "{name} is not in the metrics");
        Ok(seconds)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the simulator has been reported by its thread.
            drop(thread.join());
        }
    }
}

fn start_agent(place: &Place<'_>, kubelet: SocketAddr) -> Result<Proc> {
    let (name, file) = (place.name, |name: &str| text(&place.dir.join(name)));
    let (aggregator, kubelet) = (
        format!("https://{}", place.aggregator),
        format!("https://{kubelet}"),
    );
    let kubelet_ca = file(&format!("{name}-kubelet-ca.pem"));
    let kubelet_token = file("kubelet.token");
    let (ca, clock) = (file("ingest-ca.pem"), clock_flag(place.start_unix_ms));
    let mut args = vec!["--node-name", name, "--clock", &clock, "--log", "warn"];
    args.extend(["--aggregator", &aggregator, "--aggregator-ca", &ca]);
    args.extend(["--kubelet", &kubelet, "--kubelet-ca", &kubelet_ca]);
    args.extend(["--kubelet-token-file", &kubelet_token]);
    args.extend(["--admin-listen", "127.0.0.1:0"]);
    let token_file = file(&format!("{name}.token"));
    if let Some(token) = place.token {
        std::fs::write(&token_file, token)?;
        args.extend(["--token-file", &token_file]);
    }
    args.extend(place.agent_args);
    Proc::start("cairn-agent", &args, &AGENT_ENV)
        .with_context(|| format!("the agent of {name} does not come up"))
}

fn clock_flag(start_unix_ms: u64) -> String {
    format!("driven={start_unix_ms}")
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

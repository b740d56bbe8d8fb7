//! An aggregator and a fleet as processes, on one driven clock.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cairn_proto::catalogue::table;
use serde_json::Value;

use crate::deadline::Deadline;
use crate::fleet::cluster::Access;
use crate::fleet::{self, Options, Order, State, sockets};
use crate::pki::Pki;
use crate::proc::{self, MemoryGroup, Proc, cores};
use crate::proxy::Proxy;
use crate::rfc3339;
use crate::system::{System, sha256_hex};

/// Where nobody listens yet.
pub(super) const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How long expiry may take at a step: five thousand windows needed more than the thirty seconds of one answer.
const STEP_WITHIN: Duration = Duration::from_secs(300);

/// What to start.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// The fleet.
    pub(crate) fleet: Options,
    /// When both clocks start, Unix ms.
    pub(crate) start_unix_ms: u64,
    /// Further arguments of the aggregator.
    pub(crate) aggregator_args: Vec<String>,
    /// True: the aggregator has the core of the system under test to itself.
    pub(crate) has_own_core: bool,
    /// True: what is between the two can be cut and slowed down.
    pub(crate) has_proxy: bool,
    /// Names and tokens of nodes that are not of the fleet and come by themselves.
    pub(crate) guests: Vec<(String, String)>,
    /// The cluster that the aggregator watches and asks who its agents are. Without it there is none, and
    /// agents are known by a file.
    pub(crate) cluster: Option<Access>,
    /// Where the kernel limits the aggregator's memory.
    pub(crate) memory: Option<Arc<MemoryGroup>>,
}

impl Setup {
    /// A fleet that nothing else is beside, on all cores.
    pub(crate) fn of(fleet: Options, start_unix_ms: u64) -> Self {
        Self {
            fleet,
            start_unix_ms,
            aggregator_args: Vec::new(),
            has_own_core: false,
            has_proxy: false,
            guests: Vec::new(),
            cluster: None,
            memory: None,
        }
    }
}

/// Processes; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Bed {
    dir: tempfile::TempDir,
    grpc: SocketAddr,
    setup: Setup,
    /// What is between the two; `None` when nothing is.
    pub(crate) proxy: Option<Proxy>,
    pub(crate) aggregator: Proc,
    pub(crate) fleet: Proc,
    pub(crate) now_ms: u64,
}

impl Bed {
    /// Starts both; the fleet's rows of the past are made, nobody is connected yet.
    pub(crate) fn start(setup: Setup) -> Result<Self> {
        Self::start_through(setup, |aggregator| Ok(aggregator.addr("grpc")?))
    }

    /// The same; `before_fleet` is called when the aggregator is up and nobody has connected to it, and
    /// gives the address that the fleet connects to.
    pub(crate) fn start_through(
        setup: Setup,
        before_fleet: impl FnOnce(&Proc) -> Result<SocketAddr>,
    ) -> Result<Self> {
        sockets::make_room(setup.fleet.mix.nodes + setup.guests.len())?;
        let dir = tempfile::tempdir()?;
        write_files(&setup, dir.path())?;
        let now_ms = setup.start_unix_ms;
        let aggregator = start_aggregator(&dir, ANY, &setup, now_ms)?;
        let grpc = aggregator.addr("grpc")?;
        let far = before_fleet(&aggregator)?;
        let proxy = setup.has_proxy.then(|| Proxy::start(far)).transpose()?;
        let met_at = proxy.as_ref().map_or(far, |proxy| proxy.addr);
        let fleet = start_fleet(&dir, &[met_at], &setup, now_ms)?;
        Ok(Self {
            dir,
            grpc,
            setup,
            proxy,
            aggregator,
            fleet,
            now_ms,
        })
    }

    /// Where certificates and tokens lie.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the aggregator again where the last one listened, with nothing in it.
    pub(crate) fn restart_aggregator(&mut self) -> Result<()> {
        self.aggregator = start_aggregator(&self.dir, self.grpc, &self.setup, self.now_ms)?;
        Ok(())
    }

    /// Sets both clocks; returns when every session has taken the rows that were due.
    pub(crate) fn step(&mut self, now_ms: u64) -> Result<()> {
        self.now_ms = now_ms;
        // First, so that no row seems to come from the future.
        self.step_aggregator()?;
        Ok(self.fleet.step(now_ms)?)
    }

    /// Sets the aggregator's clock to `now_ms`. Expiry alone is waited for beyond one answer: of anybody else that is a
    /// hang.
    pub(crate) fn step_aggregator(&self) -> Result<()> {
        let deadline = Deadline::after(STEP_WITHIN);
        loop {
            match self.aggregator.step(self.now_ms) {
                Err(proc::Error::Step {
                    status: 503, text, ..
                }) if text.trim_end().ends_with("at the new time: expiry")
                    && deadline.left().is_some() => {}
                stepped => return Ok(stepped?),
            }
        }
    }

    /// Tells the agents what to do.
    pub(crate) fn order(&self, order: &Order) -> Result<()> {
        let answer = self
            .fleet
            .post("admin", "/debug/fault", &serde_json::to_string(order)?)?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    }

    /// What the fleet has done so far.
    pub(crate) fn state(&self) -> Result<State> {
        state(&self.fleet)
    }

    /// A figure of the aggregator's own, summed over its labels that contain `labels`.
    pub(crate) fn figure(&self, name: &str, labels: &str) -> Result<u64> {
        System::of_aggregator(&self.aggregator, name, labels)
    }

    /// How many nodes are served with CPU time at this tick. The page is not asked: its sums over all
    /// pods of a large fleet would take the time that is measured.
    pub(crate) fn nodes_at(&self, tick_ms: u64) -> Result<usize> {
        let metric = table::field(table::CPU).context("no field")?.name;
        let at = rfc3339::format(tick_ms);
        let path = format!("/api/cairn/v1/range?metric={metric}&kind=node&start={at}&end={at}");
        let answer = self.aggregator.get("http", &path)?;
        ensure!(answer.status == 200, "{path}: {}", answer.text());
        let range: Value = serde_json::from_slice(&answer.body)?;
        let series = range["series"].as_array().context("no series")?;
        let is_there = |one: &&Value| {
            one["values"]
                .as_array()
                .is_some_and(|v| v.iter().any(Value::is_u64))
        };
        Ok(series.iter().filter(is_there).count())
    }

    /// The nodes, as the page shows them first.
    pub(crate) fn nodes(&self) -> Result<Vec<Value>> {
        let answer = self.aggregator.get("http", "/api/cairn/v1/overview")?;
        ensure!(answer.status == 200, "{}", answer.text());
        let mut overview: Value = serde_json::from_slice(&answer.body)?;
        match overview["nodes"].take() {
            Value::Array(nodes) => Ok(nodes),
            other => anyhow::bail!("no list of nodes but {other}"),
        }
    }

    /// Where agents connect to.
    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    /// What the processes said, for the report of a failure.
    pub(crate) fn stderr(&self) -> String {
        let tail = |name: &str, process: &Proc| {
            let said = process.stderr();
            let lines: Vec<&str> = said.lines().rev().take(20).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("--- {name}\n{}\n", lines.join("\n"))
        };
        let state = format!("{:?}", self.state());
        let of = tail("fleet", &self.fleet) + &tail("aggregator", &self.aggregator);
        format!("{state}\n{of}")
    }
}

/// What a fleet has done so far.
pub(crate) fn state(fleet: &Proc) -> Result<State> {
    let answer = fleet.get("admin", "/state")?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Looks until `look` gives something, and gives the processes a rest between two looks that is
/// longer than a look takes.
pub(crate) fn wait<T>(
    within: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let deadline = Deadline::after(within);
    while let Some(left) = deadline.left() {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        let took = left.saturating_sub(deadline.left().unwrap_or_default());
        let rest = (took * 4).clamp(Duration::from_millis(10), Duration::from_millis(500));
        Deadline::after(rest).poll(|| None::<()>);
    }
    Ok(None)
}

/// The server's certificate and its CA, and the tokens.
pub(super) fn write_files(setup: &Setup, dir: &Path) -> Result<()> {
    Pki::new(dir)?
        .ca("ingest-ca")?
        .leaf("server")
        .dns(&["localhost"])
        .ips(&[ANY.ip()])
        .write()?;
    write_tokens(setup, &dir.join("tokens"))
}

/// The fleet's tokens, and those of the guests.
fn write_tokens(setup: &Setup, path: &Path) -> Result<()> {
    fleet::write_token_file(&setup.fleet, path)?;
    let guests = setup.guests.iter();
    let guests = guests.map(|(name, token)| format!("{name} {}\n", sha256_hex(token.as_bytes())));
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(guests.collect::<String>().as_bytes())?;
    Ok(())
}

pub(super) fn start_aggregator(
    dir: &tempfile::TempDir,
    grpc: SocketAddr,
    setup: &Setup,
    now_ms: u64,
) -> Result<Proc> {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (grpc, clock) = (grpc.to_string(), format!("driven={now_ms}"));
    let (tokens, cert, key) = (path("tokens"), path("server.pem"), path("server.key"));
    let mut args = vec!["--grpc-listen", &grpc, "--clock", &clock, "--log", "error"];
    args.extend([
        "--http-listen",
        "127.0.0.1:0",
        "--https-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    match &setup.cluster {
        Some(cluster) => args.extend(cluster.args.iter().map(String::as_str)),
        None => args.extend([
            "--ingest-auth",
            "token-file",
            "--ingest-token-file",
            &tokens,
        ]),
    }
    args.extend(["--tls-cert", &cert, "--tls-key", &key]);
    args.extend(setup.aggregator_args.iter().map(String::as_str));
    let start = || match &setup.memory {
        Some(group) => Ok(Proc::start_within("cairn-aggregator", &args, group)?),
        None => Ok(Proc::start("cairn-aggregator", &args, &[])?),
    };
    if setup.has_own_core {
        return cores::on_theirs(start);
    }
    start()
}

pub(super) fn start_fleet(
    dir: &tempfile::TempDir,
    to: &[SocketAddr],
    setup: &Setup,
    now_ms: u64,
) -> Result<Proc> {
    let (of, mix) = (&setup.fleet, &setup.fleet.mix);
    let ca = dir.path().join("ingest-ca.pem").display().to_string();
    let pairs = [
        ("aggregator-ca", ca),
        ("clock", format!("driven={now_ms}")),
        ("agents", mix.nodes.to_string()),
        ("templates", of.templates.to_string()),
        ("kind", mix.kind.letter().to_string()),
        ("fields", mix.fields.as_str().to_owned()),
        ("containers", mix.containers_per_pod.to_string()),
        ("churn-per-minute", mix.churn_per_minute.to_string()),
        ("seed", mix.seed.to_string()),
        ("interval", format!("{}s", mix.interval_ms / 1000)),
        ("window", format!("{}s", of.window_ms / 1000)),
        ("history", of.history.to_string()),
    ];
    let pods = mix.pods_per_node.map(|pods| ("pods", pods.to_string()));
    let namespaces = mix
        .namespaces
        .map(|count| ("namespaces", count.to_string()));
    let to = to.iter().map(|grpc| ("aggregator", grpc.to_string()));
    let cluster = setup.cluster.iter();
    let tokens = cluster.map(|of| ("token-file", of.tokens.display().to_string()));
    let args = pairs.into_iter().chain(pods).chain(namespaces);
    let args = args.chain(tokens).chain(to);
    let args: Vec<String> = args
        .map(|(name, value)| format!("--{name}={value}"))
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(Proc::start("fleet-sim", &args, &[])?)
}

//! An aggregator and a fleet as processes, on one driven clock.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Options;
use crate::deadline::Deadline;
use crate::fleet::{self, Order, State, sockets};
use crate::pki::Pki;
use crate::proc::Proc;
use crate::proxy::Proxy;
use crate::system::System;

/// Processes; they end when this is dropped.
pub(super) struct Bed {
    dir: tempfile::TempDir,
    grpc: SocketAddr,
    /// What is between the two; `None` when nothing is.
    pub(super) proxy: Option<Proxy>,
    aggregator_args: Vec<String>,
    pub(super) aggregator: Proc,
    pub(super) fleet: Proc,
    pub(super) now_ms: u64,
}

impl Bed {
    /// Starts both; the fleet's rows of the past are made, nobody is connected yet. With a network
    /// between them that can be cut, if so wanted.
    pub(super) fn start(options: &Options, with_proxy: bool) -> Result<Self> {
        let of = &options.fleet;
        sockets::make_room(of.mix.nodes)?;
        let dir = tempfile::tempdir()?;
        let pki = Pki::new(dir.path())?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        pki.ca("ingest-ca")?
            .leaf("server")
            .dns(&["localhost"])
            .ips(&[loopback])
            .write()?;
        fleet::write_token_file(of, &dir.path().join("tokens"))?;
        let now_ms = options.start_unix_ms;
        let (any, extra) = (SocketAddr::from((loopback, 0)), &options.aggregator_args);
        let aggregator = start_aggregator(&dir, any, extra, now_ms)?;
        let grpc = aggregator.addr("grpc")?;
        let proxy = with_proxy.then(|| Proxy::start(grpc)).transpose()?;
        let met_at = proxy.as_ref().map_or(grpc, |proxy| proxy.addr);
        let fleet = start_fleet(&dir, met_at, of, now_ms)?;
        Ok(Self {
            dir,
            grpc,
            proxy,
            aggregator_args: extra.clone(),
            aggregator,
            fleet,
            now_ms,
        })
    }

    /// Starts the aggregator again where the last one listened, with nothing in it.
    pub(super) fn restart_aggregator(&mut self) -> Result<()> {
        let extra = &self.aggregator_args;
        self.aggregator = start_aggregator(&self.dir, self.grpc, extra, self.now_ms)?;
        Ok(())
    }

    /// Sets both clocks; returns when every session has taken the rows that were due.
    pub(super) fn step(&mut self, now_ms: u64) -> Result<()> {
        self.now_ms = now_ms;
        // First, so that no row seems to come from the future.
        self.aggregator.step(now_ms)?;
        Ok(self.fleet.step(now_ms)?)
    }

    /// Tells the agents what to do.
    pub(super) fn order(&self, order: &Order) -> Result<()> {
        let answer = self
            .fleet
            .post("admin", "/debug/fault", &serde_json::to_string(order)?)?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    }

    /// What the fleet has done so far.
    pub(super) fn state(&self) -> Result<State> {
        state(&self.fleet)
    }

    /// A figure of the aggregator's own, summed over its labels that contain `labels`.
    pub(super) fn figure(&self, name: &str, labels: &str) -> Result<u64> {
        let name = format!("cairn_aggregator_{name}");
        let value = System::metric(&self.aggregator, &name, labels)?;
        // Far below what a float holds exactly; a sum of nothing is -0.
        format!("{:.0}", value.abs()).parse().context(name)
    }

    /// How many nodes have a tick of at least this in what the page shows first.
    pub(super) fn nodes_at(&self, tick_ms: u64) -> Result<usize> {
        let answer = self.aggregator.get("http", "/api/cairn/v1/overview")?;
        ensure!(answer.status == 200, "{}", answer.text());
        let overview: Value = serde_json::from_slice(&answer.body)?;
        let nodes = overview["nodes"].as_array().context("no list of nodes")?;
        let newest = nodes.iter().map(|node| node["newest_tick_ms"].as_u64());
        Ok(newest.filter(|newest| *newest >= Some(tick_ms)).count())
    }

    /// What the processes said, for the report of a failure.
    pub(super) fn stderr(&self) -> String {
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
pub(super) fn state(fleet: &Proc) -> Result<State> {
    let answer = fleet.get("admin", "/state")?;
    ensure!(answer.status == 200, "{}", answer.text());
    Ok(serde_json::from_slice(&answer.body)?)
}

/// Looks until `look` gives something, and gives the processes a rest between two looks that is
/// longer than a look takes.
pub(super) fn wait<T>(
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

/// The most memory that a process has held, KiB.
pub(super) fn peak_kib(process: &Proc) -> Result<u64> {
    let path = format!("/proc/{}/status", process.id());
    let status = std::fs::read_to_string(path)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let word = line.and_then(|rest| rest.split_whitespace().next());
    Ok(word.context("the kernel does not tell VmHWM")?.parse()?)
}

/// CPU time that a process has taken.
pub(super) fn cpu(process: &Proc) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    // The name in parentheses may hold blanks; the times are the 14th and 15th word, in hundredths
    // of a second on every Linux.
    let words = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = words.split_whitespace().skip(11).take(2);
    let ticks = times.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn start_aggregator(
    dir: &tempfile::TempDir,
    grpc: SocketAddr,
    extra: &[String],
    now_ms: u64,
) -> Result<Proc> {
    let path = |name: &str| dir.path().join(name).display().to_string();
    let (grpc, clock) = (grpc.to_string(), format!("driven={now_ms}"));
    let (tokens, cert, key) = (path("tokens"), path("server.pem"), path("server.key"));
    let mut args = vec!["--grpc-listen", &grpc, "--clock", &clock, "--log", "error"];
    args.extend([
        "--http-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ]);
    args.extend([
        "--ingest-auth",
        "token-file",
        "--ingest-token-file",
        &tokens,
    ]);
    args.extend(["--tls-cert", &cert, "--tls-key", &key]);
    args.extend(extra.iter().map(String::as_str));
    Ok(Proc::start("cairn-aggregator", &args, &[])?)
}

fn start_fleet(
    dir: &tempfile::TempDir,
    grpc: SocketAddr,
    of: &fleet::Options,
    now_ms: u64,
) -> Result<Proc> {
    let mix = &of.mix;
    let ca = dir.path().join("ingest-ca.pem").display().to_string();
    let pairs = [
        ("aggregator", grpc.to_string()),
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
    let args = pairs.into_iter().chain(pods);
    let args: Vec<String> = args
        .map(|(name, value)| format!("--{name}={value}"))
        .collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Ok(Proc::start("fleet-sim", &args, &[])?)
}

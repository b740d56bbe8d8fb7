//! An aggregator is killed under a fleet and started again with nothing in it.
//!
//! Both are the built binaries. While rows are on their way the aggregator is killed, in some runs
//! agents are restarted too, and then the new aggregator is asked: are all rows there that a living
//! process holds, and each once; and are all values of some nodes, and the CPU time of every node, what
//! was sampled, at every tick of the window?

pub mod agents;
mod built;
pub mod cut;
pub mod limited;
mod report;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;

use super::bed::{Bed, Setup, state, wait};
use super::cluster::Access;
use super::{Order, Totals, Truth, compare};
use crate::deadline::Deadline;
use crate::proc::Proc;
use crate::proc::used::{Memory, cpu_seconds};
use crate::system::Recording;

use built::Built;
pub use report::Report;

/// What is promised: how soon the latest values, and how soon the whole window are there again.
pub const LIMITS: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// How far past a tick the clocks are stepped: later than any node's phase.
const PAST_PHASE_MS: u64 = 500;

/// How long anything else may take; also a large fleet fills a window within it.
const PATIENCE: Duration = Duration::from_secs(240);

/// How long the aggregator keeps rows: its window, and what rates and held values at its border need.
const KEPT_MS: u64 = 900_000 + 100_000;

/// Ticks that are under way when the aggregator is killed.
pub const TICKS_AT_KILL: u64 = 4;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The fleet, with the rows that it has behind it at the start.
    pub fleet: super::Options,
    /// When it starts, Unix ms.
    pub start_unix_ms: u64,
    /// Ticks before the aggregator is killed.
    pub live_ticks: u64,
    /// Agents, from the first on, that are restarted while there is no aggregator.
    pub restarted: usize,
    /// Ticks after the new aggregator's window is whole.
    pub ticks_after: u64,
    /// Nodes whose values are compared one by one; restarted ones first, then spread over the rest.
    pub compared_nodes: usize,
    /// Further arguments of the aggregator.
    pub aggregator_args: Vec<String>,
    /// The cluster that both aggregators watch, and ask who the agents are; without it they know them by a file.
    pub cluster: Option<Access>,
    /// A recording whose nodes have agents beside the fleet that are the built binary, with kubelets that replay
    /// it. By [`run`] alone.
    pub built: Option<Recording>,
}

impl Options {
    fn setup(&self) -> Setup {
        Setup {
            aggregator_args: self.aggregator_args.clone(),
            cluster: self.cluster.clone(),
            guests: self.built.iter().flat_map(built::identities).collect(),
            ..Setup::of(self.fleet.clone(), self.start_unix_ms)
        }
    }

    /// The nodes that are compared: half of them restarted ones, if there are so many.
    fn compared(&self) -> impl Iterator<Item = usize> {
        let restarted = self.restarted.min(self.compared_nodes / 2);
        let rest = self.fleet.mix.nodes.saturating_sub(self.restarted);
        let others = (self.compared_nodes - restarted).min(rest);
        let first = self.restarted;
        let spread = (0..others).map(move |at| first + at * rest / others.max(1));
        (0..restarted).chain(spread)
    }
}

/// Runs it.
///
/// # Errors
///
/// When a process does not come up, or what is waited for does not come about in minutes. What is
/// missing or wrong afterwards is no error but stands in the report.
pub fn run(options: &Options) -> Result<Report> {
    let grid = options.fleet.grid(options.start_unix_ms);
    let mut truth = Truth::new(&options.fleet, grid)?;
    truth.grow(options.fleet.history)?;
    let began = Instant::now();
    let bed = Bed::start(options.setup())?;
    let built = Built::start(options.built.as_ref(), &bed)?;
    let mut all = All { bed, truth, built };
    let nodes = options.fleet.mix.nodes;
    let mut expected = Expected::anything(nodes);
    all.whole(&expected)?;
    let filled_in = began.elapsed();
    for _ in 0..options.live_ticks {
        all.step()?;
    }
    all.whole(&expected)?;
    let first_peak_kib = peak_kib(&all.bed.aggregator)?;
    let sent_before_kill = all.kill_under_way()?;
    let before = Expected::of_rings(&all.truth, nodes);
    if options.restarted > 0 {
        all.bed.order(&Order {
            restart: options.restarted,
            ..Order::default()
        })?;
        all.truth.restart(options.restarted);
    }
    expected = Expected::of_rings(&all.truth, nodes);
    let gone = all
        .truth
        .sum(|node| before.first(node)..expected.first(node));
    let (restarted_at, fleet_cpu) = (Instant::now(), cpu(&all.bed.fleet)?);
    all.bed.restart_aggregator()?;
    if options.restarted > 0 {
        // What began anew has a latest value from its next tick on.
        all.step()?;
    }
    latest(&all.bed, &all.truth, nodes + all.built.count())?;
    let latest_in = restarted_at.elapsed();
    all.whole(&expected)?;
    let whole_in = restarted_at.elapsed();
    let listed_in = listed(&all.bed, options.cluster.as_ref(), restarted_at)?;
    let aggregator_cpu = cpu(&all.bed.aggregator)?;
    let fleet_cpu = cpu(&all.bed.fleet)?.saturating_sub(fleet_cpu);
    for _ in 0..options.ticks_after {
        all.step()?;
    }
    all.whole(&expected)?;
    let All { bed, truth, built } = &all;
    let first = |node| expected.first(node);
    let mut found = compare::nodes(&bed.aggregator, truth, options.compared(), first)?;
    compare::cpu_of_all(&bed.aggregator, truth, nodes, first, &mut found)?;
    Ok(Report {
        agents: nodes,
        samples_per_tick: bed.state()?.samples_per_tick,
        filled_in,
        sent_before_kill,
        rows_at_kill: TICKS_AT_KILL * nodes as u64,
        latest_in,
        whole_in,
        listed_in,
        aggregator_cpu,
        fleet_cpu,
        gone,
        expected: expected.totals(truth, bed.now_ms) + built.totals()?,
        held: Totals {
            rows: bed.figure("store_rows", "")?,
            samples: bed.figure("store_samples", "")?,
        },
        duplicates: bed.figure("ingest_rows_total", "duplicate")?,
        found,
        found_of_built: built.compare(&bed.aggregator)?,
        first_peak_kib,
        second_peak_kib: peak_kib(&bed.aggregator)?,
        fleet_peak_kib: peak_kib(&bed.fleet)?,
    })
}

/// Everybody, and what the fleet samples.
struct All {
    bed: Bed,
    truth: Truth,
    built: Built,
}

impl All {
    /// Lets a tick pass for everybody.
    fn step(&mut self) -> Result<()> {
        step(&mut self.bed, &mut self.truth, 1)?;
        self.built.step(self.truth.tick_ms(self.truth.rows() - 1))
    }

    /// Waits until the aggregator holds as many rows as it must.
    fn whole(&self, expected: &Expected) -> Result<()> {
        let rows = expected.totals(&self.truth, self.bed.now_ms).rows;
        holds(&self.bed, rows + self.built.rows())
    }

    /// Lets ticks begin and kills the aggregator while their rows are being sent. Gives how many of the
    /// fleet's were.
    fn kill_under_way(&mut self) -> Result<u64> {
        let Self { bed, truth, built } = self;
        truth.grow(truth.rows() + TICKS_AT_KILL)?;
        let now_ms = truth.tick_ms(truth.rows() - 1) + PAST_PHASE_MS;
        bed.now_ms = now_ms;
        bed.step_aggregator()?;
        let before = bed.state()?;
        let (fleet, aggregator) = (&bed.fleet, &mut bed.aggregator);
        let sent = || Ok::<_, anyhow::Error>(state(fleet)?.rows_sent - before.rows_sent);
        std::thread::scope(|scope| {
            let stepping = scope.spawn(|| fleet.step(now_ms));
            let ticks = truth.rows() - TICKS_AT_KILL..truth.rows();
            let ticks: Vec<u64> = ticks.map(|row| truth.tick_ms(row)).collect();
            let sampling = scope.spawn(move || ticks.iter().try_for_each(|tick| built.step(*tick)));
            // Without a rest: all rows may be sent within milliseconds.
            let patience = Deadline::after(PATIENCE);
            let mut under_way = 0;
            while under_way < before.streams / 2 && patience.left().is_some() {
                under_way = sent()?;
            }
            aggregator.kill9()?;
            joined(stepping.join())?;
            joined(sampling.join())?;
            ensure!(under_way > 0, "no row was sent");
            Ok(under_way)
        })
    }
}

/// What a thread gave; its panic is ours.
fn joined<T>(ended: std::thread::Result<T>) -> T {
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What an aggregator must hold: by node, the first row that there was to be had.
struct Expected {
    first_rows: Vec<u64>,
}

impl Expected {
    /// Everything from the beginning on.
    fn anything(nodes: usize) -> Self {
        let first_rows = vec![0; nodes];
        Self { first_rows }
    }

    /// What the rings hold now, and what comes after it.
    fn of_rings(truth: &Truth, nodes: usize) -> Self {
        let first_rows = (0..nodes).map(|node| truth.ring(node).start).collect();
        Self { first_rows }
    }

    fn first(&self, node: usize) -> u64 {
        self.first_rows.get(node).copied().unwrap_or(0)
    }

    /// All of it that is not too old at this time.
    fn totals(&self, truth: &Truth, now_ms: u64) -> Totals {
        let kept = truth.row_at(now_ms.saturating_sub(KEPT_MS));
        truth.sum(|node| self.first(node).max(kept)..truth.rows())
    }
}

/// Lets so many ticks pass for everybody; the rows are on their way when this returns.
fn step(bed: &mut Bed, truth: &mut Truth, ticks: u64) -> Result<()> {
    truth.grow(truth.rows() + ticks)?;
    bed.step(truth.tick_ms(truth.rows() - 1) + PAST_PHASE_MS)
}

/// Waits until every node's newest tick is served.
fn latest(bed: &Bed, truth: &Truth, nodes: usize) -> Result<()> {
    let tick_ms = truth.tick_ms(truth.rows().saturating_sub(1));
    let all = || {
        // Each session begins with its newest row. Before there are as many, asking for the values of
        // a large fleet would only take the aggregator's time.
        let rows = bed.figure("ingest_rows_total", "")?;
        let is_served = rows >= nodes as u64 && bed.nodes_at(tick_ms)? == nodes;
        Ok(is_served.then_some(()))
    };
    let found = wait(PATIENCE, all)?;
    found.with_context(|| format!("not every latest value is served:\n{}", bed.stderr()))
}

/// Waits until the aggregator holds as many rows as it must, of agents that are all connected.
fn whole(bed: &Bed, truth: &Truth, expected: &Expected) -> Result<()> {
    holds(bed, expected.totals(truth, bed.now_ms).rows)
}

/// Waits until the aggregator holds so many rows.
fn holds(bed: &Bed, expected: u64) -> Result<()> {
    let mut rows = 0;
    let found = wait(PATIENCE, || {
        rows = bed.figure("store_rows", "")?;
        Ok((rows >= expected && bed.state()?.is_connected()).then_some(()))
    })?;
    found.with_context(|| format!("{rows} of {expected} rows are there:\n{}", bed.stderr()))
}

/// Waits until the aggregator knows every pod of the cluster, if there is one, and gives how long that was since
/// a moment. What an agent named before is taken at its next row.
fn listed(bed: &Bed, cluster: Option<&Access>, since: Instant) -> Result<Option<Duration>> {
    let Some(cluster) = cluster else {
        return Ok(None);
    };
    let found = wait(PATIENCE, || {
        let known = bed.figure("cluster_objects", "resource=\"pods\"")?;
        Ok((known >= cluster.pods as u64).then_some(()))
    })?;
    found.with_context(|| format!("not all pods are listed:\n{}", bed.stderr()))?;
    Ok(Some(since.elapsed()))
}

/// Waits until every agent knows that its newest row is there.
fn acknowledged(bed: &Bed, nodes: usize) -> Result<()> {
    let all = || Ok((bed.state()?.acked_newest == nodes as u64).then_some(()));
    let found = wait(PATIENCE, all)?;
    found.with_context(|| format!("not every row is acknowledged:\n{}", bed.stderr()))
}

/// The most memory that a process has held, KiB.
fn peak_kib(process: &Proc) -> Result<u64> {
    Ok(Memory::of(process.id())?.peak >> 10)
}

/// CPU time that a process has taken.
fn cpu(process: &Proc) -> Result<Duration> {
    Ok(Duration::from_secs_f64(cpu_seconds(process.id())?))
}

//! A fleet whose windows do not fit into the memory that its aggregator may have.
//!
//! Its latest values are waited for at every tick. In the end the aggregator holds of every node the
//! newest rows alone: which, it says itself, and all values of these are held against what was
//! sampled. Then it is killed and started again with the same limit.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;

use super::{Options, PATIENCE, step};
use crate::deadline::Deadline;
use crate::exact::Found;
use crate::fleet::bed::{Bed, wait};
use crate::fleet::{Totals, Truth, compare};
use crate::proc::used::{AnonymousPeak, Memory};

/// For so long nothing must come or go before what is held is looked at: history is asked for as soon
/// as there is memory for it.
const STILL: Duration = Duration::from_secs(2);

/// The level of memory on which large requests are sent away.
const REFUSE: u64 = 3;

/// What one life of the aggregator was seen to do.
#[derive(Debug)]
pub struct Life {
    /// The longest that the latest values of a tick were waited for.
    pub latest_in: Duration,
    /// Rows and samples from each node's oldest row that it tells of to the newest.
    pub expected: Totals,
    /// Rows and samples that it holds.
    pub held: Totals,
    /// Rows that it has taken, live and on request.
    pub taken_rows: u64,
    /// Rows that it let go because memory was short, and for another reason before their time.
    pub shortened_rows: (u64, u64),
    /// Rows that came a second time and were counted as such.
    pub duplicates: u64,
    /// The fewest and the most rows of a node.
    pub rows_of_node: (u64, u64),
    /// How often memory became short, in steps of the ladder.
    pub steps: u64,
    /// Every value of the nodes that are compared, and the CPU time of every node, one by one.
    pub found: Found,
    /// The most memory that the process can have had of what counts below its limit, before it was asked for every
    /// value, bytes.
    pub peak_bytes: u64,
}

impl Life {
    /// True when each node's newest rows are there without a hole, each once and with the values that
    /// were sampled, and when what is missing of those that came was counted.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.held == self.expected
            && self.taken_rows == self.held.rows + self.shortened_rows.0
            && self.shortened_rows.1 == 0
            && self.rows_of_node.0 > 1
            && self.found.is_right()
            && self.found.compared() > 0
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = self.rows_of_node;
        writeln!(
            f,
            "held {} of {} rows, {} of {} samples; {least} to {most} rows of a node; {} duplicates",
            self.held.rows,
            self.expected.rows,
            self.held.samples,
            self.expected.samples,
            self.duplicates
        )?;
        writeln!(
            f,
            "of {} rows taken, {} went for memory in {} steps, {} for another reason",
            self.taken_rows, self.shortened_rows.0, self.steps, self.shortened_rows.1
        )?;
        writeln!(
            f,
            "latest values in {:.2?} at most; peak {} KiB at most",
            self.latest_in,
            self.peak_bytes / 1024
        )?;
        write!(f, "values: {}", self.found)
    }
}

/// Runs it: ticks pass as `options` let them before and after a kill; nobody but the aggregator is
/// killed. Gives its two lives.
///
/// # Errors
///
/// As [`run`](super::run).
pub fn run(options: &Options) -> Result<[Life; 2]> {
    let mut truth = Truth::new(&options.fleet, options.fleet.grid(options.start_unix_ms))?;
    truth.grow(options.fleet.history)?;
    let mut bed = Bed::start(options.setup())?;
    let before = live(&mut bed, &mut truth, options, options.live_ticks)?;
    bed.aggregator.kill9()?;
    bed.restart_aggregator()?;
    let after = live(&mut bed, &mut truth, options, options.ticks_after)?;
    Ok([before, after])
}

/// Lets so many ticks pass, each when the latest values of the one before are there.
fn live(bed: &mut Bed, truth: &mut Truth, options: &Options, ticks: u64) -> Result<Life> {
    let mut peak = AnonymousPeak::begin(used(bed)?);
    let nodes = options.fleet.mix.nodes;
    let connected = wait(PATIENCE, || {
        peak.look(used(bed)?);
        Ok(bed.state()?.is_connected().then_some(()))
    })?;
    connected.with_context(|| format!("not all are connected:\n{}", bed.stderr()))?;
    // No tick passes while history comes in: at each of them memory is looked at once more.
    still(bed, &mut peak)?;
    let mut latest_in = Duration::ZERO;
    for _ in 0..ticks {
        step(bed, truth, 1)?;
        let began = Instant::now();
        served(bed, truth, nodes, &mut peak)?;
        latest_in = latest_in.max(began.elapsed());
    }
    still(bed, &mut peak)?;
    // What a write over the limit let go is told at the next tick.
    step(bed, truth, 1)?;
    served(bed, truth, nodes, &mut peak)?;
    still(bed, &mut peak)?;
    // And what went at that one, when there was room for history for a moment: now without any new row.
    bed.aggregator
        .step(bed.now_ms + options.fleet.mix.interval_ms)?;
    still(bed, &mut peak)?;
    let first = compare::first_rows(&bed.aggregator, truth, nodes)?;
    let of = |node: usize| first.get(node).copied().unwrap_or(0);
    let rows_of = || (0..nodes).map(|node| truth.rows() - of(node));
    let mut found = compare::nodes(&bed.aggregator, truth, options.compared(), of)
        .with_context(|| format!("{:?}", memory(bed)))?;
    compare::cpu_of_all(&bed.aggregator, truth, nodes, of, &mut found)?;
    let shortened = bed.figure("store_shortened_rows_total", "why=\"limit\"")?;
    Ok(Life {
        latest_in,
        expected: truth.sum(|node| of(node)..truth.rows()),
        held: Totals {
            rows: bed.figure("store_rows", "")?,
            samples: bed.figure("store_samples", "")?,
        },
        taken_rows: bed.figure("ingest_rows_total", "applied")?
            + bed.figure("ingest_history_rows_total", "")?,
        shortened_rows: (
            shortened,
            bed.figure("store_shortened_rows_total", "")? - shortened,
        ),
        duplicates: bed.figure("ingest_rows_total", "duplicate")?,
        rows_of_node: (rows_of().min().unwrap_or(0), rows_of().max().unwrap_or(0)),
        steps: bed.figure("memory_steps_total", "")?,
        found,
        peak_bytes: peak.bytes(),
    })
}

/// Waits until every node's newest tick is served. For a moment the question may be sent away, as every
/// large one is while memory is very short: then it is asked again.
fn served(bed: &Bed, truth: &Truth, nodes: usize, peak: &mut AnonymousPeak) -> Result<()> {
    let tick_ms = truth.tick_ms(truth.rows().saturating_sub(1));
    let mut found = Ok(0);
    let all = wait(PATIENCE, || {
        peak.look(used(bed)?);
        found = bed.nodes_at(tick_ms);
        Ok(matches!(found, Ok(there) if there == nodes).then_some(()))
    })?;
    all.with_context(|| {
        format!(
            "not every latest value is served but {found:?}:\n{}",
            bed.stderr()
        )
    })
}

/// What the aggregator says of its memory, bytes: used, real, and of the window.
fn memory(bed: &Bed) -> Result<[u64; 3]> {
    let names = ["memory_used_bytes", "memory_real_bytes", "store_bytes"];
    let [used, real, window] = names.map(|name| bed.figure(name, ""));
    Ok([used?, real?, window?])
}

fn used(bed: &Bed) -> Result<Memory> {
    Memory::of(bed.aggregator.id())
}

/// Waits until what is held stays as it is, and questions are answered.
fn still(bed: &Bed, peak: &mut AnonymousPeak) -> Result<()> {
    let patience = Deadline::after(PATIENCE);
    let mut rows = bed.figure("store_rows", "")?;
    while patience.left().is_some() {
        let changed = wait(STILL, || {
            peak.look(used(bed)?);
            let now = bed.figure("store_rows", "")?;
            Ok((now != rows).then_some(now))
        })?;
        match changed {
            Some(now) => rows = now,
            None if bed.figure("memory_level", "")? < REFUSE => return Ok(()),
            None => {}
        }
    }
    ensure!(false, "rows come and go for ever:\n{}", bed.stderr());
    Ok(())
}

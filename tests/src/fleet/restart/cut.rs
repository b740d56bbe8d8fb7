//! The network between a fleet and its aggregator is cut, both live on, and it is mended.
//!
//! The aggregator keeps what it had, the agents keep what their rings hold. Afterwards it is asked
//! what [`run`](super::run) asks of one that was killed: is everything there, each row once, with
//! the values that were sampled; and is what is not there counted?

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use super::{Expected, Options, acknowledged, latest, step, whole};
use crate::exact::Found;
use crate::fleet::bed::{Bed, Setup};
use crate::fleet::{Totals, Truth, compare};
use crate::proxy::Flow;

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// From the moment at which the network was mended until every row was there that is to be had.
    pub whole_in: Duration,
    /// Rows and samples that fell out of the rings while nobody could be told.
    pub dropped: Totals,
    /// Rows that the aggregator counts as a gap.
    pub gap_rows: u64,
    /// Rows and samples that are to be had at the end.
    pub expected: Totals,
    /// Rows and samples that the aggregator holds at the end.
    pub held: Totals,
    /// Rows that came a second time and were counted as such.
    pub duplicates: u64,
    /// The values of some nodes and the CPU time of every node, compared one by one.
    pub found: Found,
}

impl Report {
    /// True when nothing is missing but what was dropped, nothing is there twice, every compared
    /// value is right, and what was dropped is counted.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.held == self.expected
            && self.gap_rows == self.dropped.rows
            && self.found.is_right()
            && self.found.compared() > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, expected) = (self.held, self.expected);
        writeln!(
            f,
            "whole {:.2?} after it was mended; held {} of {} rows, {} of {} samples; {} duplicates",
            self.whole_in,
            held.rows,
            expected.rows,
            held.samples,
            expected.samples,
            self.duplicates
        )?;
        writeln!(
            f,
            "dropped {} rows, {} samples; counted as a gap {} rows",
            self.dropped.rows, self.dropped.samples, self.gap_rows
        )?;
        write!(f, "values: {}", self.found)
    }
}

/// Runs it: the network is cut for so many ticks after those that `options` let pass before a kill.
/// Nobody is restarted, whatever they say of that.
///
/// # Errors
///
/// As [`run`](super::run).
pub fn run(options: &Options, cut_ticks: u64) -> Result<Report> {
    let mut truth = Truth::new(&options.fleet, options.fleet.grid(options.start_unix_ms))?;
    truth.grow(options.fleet.history)?;
    let mut bed = Bed::start(Setup {
        has_proxy: true,
        ..options.setup()
    })?;
    let nodes = options.fleet.mix.nodes;
    let all = Expected::anything(nodes);
    whole(&bed, &truth, &all)?;
    for _ in 0..options.live_ticks {
        step(&mut bed, &mut truth, 1)?;
    }
    whole(&bed, &truth, &all)?;
    acknowledged(&bed, nodes)?;
    let delivered = truth.rows();

    network(&bed, Flow::Cut)?;
    for _ in 0..cut_ticks {
        step(&mut bed, &mut truth, 1)?;
    }
    // What was delivered before is there or has expired; of the rest there is what the rings hold.
    let fell_out = |node: usize| delivered..truth.ring(node).start.max(delivered);
    let dropped = truth.sum(fell_out);
    let first_rows = (0..nodes).map(|node| match fell_out(node) {
        gap if gap.is_empty() => 0,
        gap => gap.end,
    });
    let expected = Expected {
        first_rows: first_rows.collect(),
    };
    let mended_at = Instant::now();
    network(&bed, Flow::Free)?;
    latest(&bed, &truth, nodes)?;
    whole(&bed, &truth, &expected)?;
    let whole_in = mended_at.elapsed();
    for _ in 0..options.ticks_after {
        step(&mut bed, &mut truth, 1)?;
    }
    whole(&bed, &truth, &expected)?;
    let first = |node| expected.first(node);
    let mut found = compare::nodes(&bed.aggregator, &truth, options.compared(), first)?;
    compare::cpu_of_all(&bed.aggregator, &truth, nodes, first, &mut found)?;
    Ok(Report {
        whole_in,
        dropped,
        gap_rows: bed.figure("ingest_gap_rows_total", "")?,
        expected: expected.totals(&truth, bed.now_ms),
        held: Totals {
            rows: bed.figure("store_rows", "")?,
            samples: bed.figure("store_samples", "")?,
        },
        duplicates: bed.figure("ingest_rows_total", "duplicate")?,
        found,
    })
}

fn network(bed: &Bed, flow: Flow) -> Result<()> {
    bed.proxy
        .as_ref()
        .context("no network between them")?
        .set(flow);
    Ok(())
}

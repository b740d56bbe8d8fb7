//! Agents are killed under an aggregator that lives, and others of their nodes begin.
//!
//! What they had sampled was acknowledged. Afterwards the aggregator is asked what [`run`](super::run)
//! asks of one that was killed, about every node: is every row of the former lives there, each once,
//! with the values that were sampled, and those of the new lives beside them?

use std::fmt;

use anyhow::{Context as _, Result};

use super::{Expected, Options, PATIENCE, acknowledged, latest, step, whole};
use crate::exact::Found;
use crate::fleet::bed::{Bed, wait};
use crate::fleet::{Order, Totals, Truth, compare};

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Rows and samples of all lives.
    pub expected: Totals,
    /// Rows and samples that the aggregator holds at the end.
    pub held: Totals,
    /// Rows that came a second time and were counted as such.
    pub duplicates: u64,
    /// Rows that the aggregator counts as a gap.
    pub gap_rows: u64,
    /// Every value of every node, compared one by one.
    pub found: Found,
}

impl Report {
    /// True when nothing is missing, nothing is there twice, and every value is right.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.held == self.expected
            && self.gap_rows == 0
            && self.found.is_right()
            && self.found.compared() > 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, expected) = (self.held, self.expected);
        writeln!(
            f,
            "held {} of {} rows, {} of {} samples; {} duplicates, a gap of {}",
            held.rows,
            expected.rows,
            held.samples,
            expected.samples,
            self.duplicates,
            self.gap_rows
        )?;
        write!(f, "values: {}", self.found)
    }
}

/// Runs it: the agents that `options` restart are killed after the ticks that they let pass before a
/// kill. Every node is compared, whatever they say of that.
///
/// # Errors
///
/// As [`run`](super::run).
pub fn run(options: &Options) -> Result<Report> {
    let mut truth = Truth::new(&options.fleet, options.fleet.grid(options.start_unix_ms))?;
    truth.grow(options.fleet.history)?;
    let mut bed = Bed::start(options.setup())?;
    let nodes = options.fleet.mix.nodes;
    let all = Expected::anything(nodes);
    whole(&bed, &truth, &all)?;
    for _ in 0..options.live_ticks {
        step(&mut bed, &mut truth, 1)?;
    }
    whole(&bed, &truth, &all)?;
    acknowledged(&bed, nodes)?;
    let before = bed.state()?.reconnects;
    bed.order(&Order {
        restart: options.restarted,
        ..Order::default()
    })?;
    truth.restart(options.restarted);
    reconnected(&bed, before + options.restarted as u64)?;
    for _ in 0..options.ticks_after {
        step(&mut bed, &mut truth, 1)?;
        latest(&bed, &truth, nodes)?;
    }
    whole(&bed, &truth, &all)?;
    Ok(Report {
        expected: all.totals(&truth, bed.now_ms),
        held: Totals {
            rows: bed.figure("store_rows", "")?,
            samples: bed.figure("store_samples", "")?,
        },
        duplicates: bed.figure("ingest_rows_total", "duplicate")?,
        gap_rows: bed.figure("ingest_gap_rows_total", "")?,
        found: compare::nodes(&bed.aggregator, &truth, 0..nodes, |_| 0)?,
    })
}

/// Waits until there were so many sessions beyond the first of each stream. An agent that says hello
/// while the clocks are stepped, the aggregator's first, seems to be a tick behind, and its oldest row
/// is kept for a tick longer.
fn reconnected(bed: &Bed, sessions: u64) -> Result<()> {
    let all = || {
        let state = bed.state()?;
        let is_there = state.reconnects >= sessions && state.is_connected();
        Ok(is_there.then_some(()))
    };
    let found = wait(PATIENCE, all)?;
    found.with_context(|| format!("not every new life is connected:\n{}", bed.stderr()))
}

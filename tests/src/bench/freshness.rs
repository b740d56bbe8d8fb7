//! Goal 10: from the moment a kubelet answers to the moment the aggregator shows it.
//!
//! A marker in the node's memory is looked for from a thread of its own while another one steps
//! the agents' clocks, so that the call that steps hides nothing. What the simulator takes to make
//! its answer is not in it; what it takes to send the answer is.

use std::time::Duration;

use anyhow::Result;

use super::bed::Bed;
use super::look::{FIRST_MARKER, MARKER_STEP, Question, between, served_us};
use super::{Goal, Line, percentile};
use crate::deadline::Deadline;
use crate::trace::Trace;

/// So many ticks at least, so that a 99th percentile means something.
const TICKS: usize = 300;

/// Ticks until everything is connected and warm.
const WARM_TICKS: usize = 10;

/// From one question to the next.
const REST: Duration = Duration::from_micros(200);

/// For the 99th percentile.
pub(super) const GOAL: Goal = Goal::AtMost(100.0);

/// What is looked at.
#[derive(Clone, Copy, Debug)]
enum What {
    /// One node's memory.
    Node,
    /// The memory of a namespace with pods on every node.
    Sum,
}

pub(super) fn run(duration: Duration) -> Result<Vec<Line>> {
    let mut bed = Bed::start(&Trace::carried()?, &["node1", "node2"], None, &[])?;
    let mut marker = FIRST_MARKER;
    for _ in 0..WARM_TICKS {
        one(&mut bed, What::Node, marker)?;
        marker += MARKER_STEP;
    }
    let mut lines = Vec::new();
    for (what, names) in [
        (
            What::Node,
            ["freshness_p50", "freshness_p99", "freshness_max"],
        ),
        (
            What::Sum,
            [
                "freshness_sum_p50",
                "freshness_sum_p99",
                "freshness_sum_max",
            ],
        ),
    ] {
        let deadline = Deadline::after(duration / 2);
        let mut taken_us = Vec::new();
        while taken_us.len() < TICKS || (deadline.left().is_some() && taken_us.len() < 10 * TICKS) {
            taken_us.push(one(&mut bed, what, marker)?);
            marker += MARKER_STEP;
        }
        let of = match what {
            What::Node => "a node's value",
            What::Sum => "a namespace's sum, published by its watermark",
        };
        let count = taken_us.len();
        let data = format!("K, 2 recorded nodes and not W10, loopback, TLS, {count} ticks: {of}");
        lines.extend(percentile::lines(
            ("10", names),
            taken_us,
            Some(GOAL),
            &data,
        )?);
    }
    Ok(lines)
}

/// Measures one tick, microseconds.
fn one(bed: &mut Bed, what: What, marker: u64) -> Result<u64> {
    let tick_ms = bed.begin()?;
    for node in &bed.nodes {
        drop(node.kubelet.take_served());
        node.kubelet.set_marker(Some(marker));
    }
    let (series, marked) = match what {
        What::Node => ("nodes/node1/metrics/memory/working_set", Some(marker)),
        What::Sum => ("namespaces/shop/metrics/memory/usage", None),
    };
    let question = Question {
        series,
        http: bed.http()?,
        tick_ms,
        marker: marked,
        rest: REST,
    };
    let seen_us = std::thread::scope(|scope| {
        let looking = scope.spawn(move || question.ask());
        bed.sample(tick_ms)?;
        match looking.join() {
            Ok(seen) => seen,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    let mut last_us = 0;
    let relevant = match what {
        What::Node => 1,
        What::Sum => bed.nodes.len(),
    };
    for node in bed.nodes.iter().take(relevant) {
        last_us = last_us.max(served_us(node, marker)?);
    }
    between(last_us, seen_us)
}

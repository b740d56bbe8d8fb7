//! Goal 10: from the moment a kubelet answers to the moment the aggregator shows it.
//!
//! A marker in the node's memory is looked for from a thread of its own while another one steps
//! the agents' clocks, so that the call that steps hides nothing. What the simulator takes to make
//! its answer is not in it; what it takes to send the answer is.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::Line;
use super::bed::Bed;
use super::moment::{breathe, unix_us};
use crate::deadline::Deadline;
use crate::oracle::heapster::{self, Point};
use crate::rfc3339;

/// So many ticks at least, so that a 99th percentile means something.
const TICKS: usize = 300;

/// Ticks until everything is connected and warm.
const WARM_TICKS: usize = 10;

/// A value that is not there by then never comes.
const SOON: Duration = Duration::from_secs(10);

/// For the 99th percentile.
const GOAL_MS: f64 = 100.0;

/// The first marker, bytes; no recorded node has as much.
const FIRST_MARKER: u64 = 1 << 50;

/// What is looked at.
#[derive(Clone, Copy, Debug)]
enum What {
    /// One node's memory.
    Node,
    /// The memory of a namespace with pods on every node.
    Sum,
}

/// A question that is asked until it has its answer.
#[derive(Clone, Copy, Debug)]
struct Question {
    what: What,
    http: SocketAddr,
    tick_ms: u64,
    marker: u64,
}

pub(super) fn run(duration: Duration) -> Result<Vec<Line>> {
    let mut bed = Bed::start(&["node1", "node2"], None)?;
    let mut marker = FIRST_MARKER;
    for _ in 0..WARM_TICKS {
        one(&mut bed, What::Node, marker)?;
        marker += 4096;
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
            marker += 4096;
        }
        taken_us.sort_unstable();
        let of = match what {
            What::Node => "a node's value",
            What::Sum => "a namespace's sum, published by its watermark",
        };
        let count = taken_us.len();
        let data = format!("K, 2 recorded nodes and not W10, loopback, TLS, {count} ticks: {of}");
        for (name, share) in names.into_iter().zip([50, 99, 100]) {
            let at = (count * share).div_ceil(100).saturating_sub(1);
            let us = taken_us.get(at).copied().context("no tick was measured")?;
            // The goal is worded for the 99th percentile.
            let goal = (share == 99).then_some(GOAL_MS);
            let (number, value, data) = ("10", us as f64 / 1000.0, data.clone());
            lines.push(Line {
                number,
                name,
                value,
                unit: "ms",
                goal,
                data,
            });
        }
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
    let question = Question {
        what,
        http: bed.http()?,
        tick_ms,
        marker,
    };
    let seen_us = std::thread::scope(|scope| {
        let looking = scope.spawn(move || look(question));
        bed.sample(tick_ms)?;
        match looking.join() {
            Ok(seen) => seen,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    let mut served_us = 0;
    let relevant = match what {
        What::Node => 1,
        What::Sum => bed.nodes.len(),
    };
    for node in bed.nodes.iter().take(relevant) {
        let served = node.kubelet.take_served();
        let last = served.iter().rfind(|served| served.marker == marker);
        served_us = served_us.max(last.context("a kubelet was not asked")?.unix_us);
    }
    // Seen before it was served would mean that something else was seen.
    seen_us
        .checked_sub(served_us)
        .context("a tick was shown before the kubelets answered it")
}

/// Asks until the tick is there; gives the moment at which the answer was read.
fn look(question: Question) -> Result<u64> {
    let start = rfc3339::format(question.tick_ms);
    let path = match question.what {
        What::Node => "nodes/node1/metrics/memory/working_set",
        What::Sum => "namespaces/shop/metrics/memory/usage",
    };
    let series = format!("{path}?start={start}");
    let deadline = Deadline::after(SOON);
    let mut asked_without = Vec::new();
    while deadline.left().is_some() {
        let points = heapster::read(question.http, &series)?;
        if points.iter().any(|point| is_it(question, *point)) {
            return Ok(unix_us());
        }
        asked_without = points;
        breathe();
    }
    bail!("{series} did not come within {SOON:?}; the last answer was {asked_without:?}")
}

fn is_it(question: Question, point: Point) -> bool {
    let is_marked = match question.what {
        What::Node => point.value == question.marker,
        What::Sum => true,
    };
    point.tick_ms == question.tick_ms && is_marked
}

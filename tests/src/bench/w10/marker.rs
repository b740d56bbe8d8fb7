//! Goal 10 in a large cluster: one more node, whose value is looked for while the rows of all
//! others come in.
//!
//! Twice: once with the rows of a tick spread over a quarter of a second by the phases of their nodes,
//! as agents do it; and once with all of them at the same time, which shows how long the aggregator is
//! busy with a tick. The ticks follow each other faster than they would, so that what is measured is
//! the bad moment alone.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

use super::super::bed::{Node, Place};
use super::super::fill::{Filled, Ticking};
use super::super::freshness::GOAL;
use super::super::look::{FIRST_MARKER, MARKER_STEP, Question, between, served_us};
use super::super::sheet::Sheet;
use super::super::{Options, percentile};
use crate::deadline::Deadline;
use crate::fleet::Order;
use crate::trace::Trace;

/// The node's name, and what its agent proves it with.
pub(in super::super) const GUEST: (&str, &str) = ("marked", "token-of-the-marked-node");

/// From one tick to the next, at least: time for the aggregator to be done with one. So many ticks fit
/// in the time then that a 99th percentile is not the longest of them.
const PACE: Duration = Duration::from_millis(500);

/// So many ticks at least, for as long as they take.
const TICKS: usize = 5;

/// So many of the longest times are told one by one.
const LONGEST: usize = 5;

/// Ticks until the node is connected and warm.
const WARM_TICKS: usize = 5;

/// From one question to the next: with less of it the questions would take much of the core that
/// the rows of the tick need.
const REST: Duration = Duration::from_millis(2);

/// No agent samples later than this after its tick.
const MOST_PHASE_MS: u64 = 250;

/// Consecutive multiples of it spread well over a phase.
const PHASE_STEP_MS: u64 = 61;

/// With the rows of a tick spread by the phases of their nodes, and with all of them at once.
const SPREAD: [&str; 3] = [
    "freshness_w10_p50",
    "freshness_w10_p99",
    "freshness_w10_max",
];
const AT_ONCE: [&str; 3] = [
    "freshness_w10_at_once_p50",
    "freshness_w10_at_once_p99",
    "freshness_w10_at_once_max",
];

/// The marked node.
pub(in super::super) struct Marked {
    node: Node,
    runtime: Runtime,
    marker: u64,
    phase_ms: u64,
}

pub(super) fn measure(filled: &mut Filled, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let ticking = &mut filled.ticking;
    let token = filled.first_token.as_deref().unwrap_or(GUEST.1);
    let mut marked = Marked::start(ticking, token)?;
    let words = filled.fill.words();
    let ticking = &mut filled.ticking;
    for is_spread in [true, false] {
        ticking.bed.order(&Order {
            spread: Some(is_spread),
            ..Order::default()
        })?;
        let taken_us = marked.series(ticking, (PACE, options.duration * 4), |_| ())?;
        sheet.note(&longest(&taken_us))?;
        let (names, how, goal) = if is_spread {
            let goal = options.goal(GOAL);
            (SPREAD, "rows spread by their phases", goal)
        } else {
            (AT_ONCE, "all rows of a tick at once", None)
        };
        let data = format!(
            "{words}, and a K node: its value; loopback, TLS, {} ticks, {PACE:?} apart, {how}",
            taken_us.len(),
        );
        for line in percentile::lines(("10", names), taken_us, goal, &data)? {
            sheet.line(&line)?;
        }
    }
    Ok(())
}

/// The longest times, and which ticks they were of: whether a percentile is one accident or many.
fn longest(taken_us: &[u64]) -> String {
    let mut all: Vec<(u64, usize)> = taken_us.iter().copied().zip(1..).collect();
    all.sort_unstable_by(|one, other| other.cmp(one));
    let each = all.iter().take(LONGEST);
    let told: Vec<String> = each
        .map(|(us, tick)| format!("{:.1} ms (tick {tick})", *us as f64 / 1000.0))
        .collect();
    format!("freshness  the longest: {}", told.join(", "))
}

/// Lets time pass: there is nothing to look for but the time.
fn wait_for(deadline: Deadline) {
    let _: Option<()> = deadline.poll(|| None);
}

impl Marked {
    /// Starts it beside the fleet, with this token, and waits until it is warm.
    pub(in super::super) fn start(ticking: &mut Ticking, token: &str) -> Result<Self> {
        let node = Node::start(&Place {
            trace: &Trace::carried()?,
            recorded: "node1",
            name: GUEST.0,
            pods: None,
            aggregator: ticking.bed.aggregator.addr("grpc")?,
            token: Some(token),
            start_unix_ms: ticking.bed.now_ms,
            dir: ticking.bed.dir(),
            agent_args: &[],
        })?;
        let mut marked = Self {
            node,
            runtime: Builder::new_current_thread().enable_all().build()?,
            marker: FIRST_MARKER,
            phase_ms: 0,
        };
        for _ in 0..WARM_TICKS {
            marked.one(ticking)?;
        }
        Ok(marked)
    }

    /// Measures ticks that lie so far apart, for so long, microseconds each; `each` is told the time that
    /// the clocks were stepped to.
    pub(in super::super) fn series(
        &mut self,
        ticking: &mut Ticking,
        (pace, duration): (Duration, Duration),
        each: impl Fn(u64),
    ) -> Result<Vec<u64>> {
        let deadline = Deadline::after(duration);
        let mut taken_us = Vec::new();
        while taken_us.len() < TICKS || deadline.left().is_some() {
            let pace = Deadline::after(pace);
            taken_us.push(self.one(ticking)?);
            each(ticking.bed.now_ms);
            wait_for(pace);
        }
        Ok(taken_us)
    }

    /// Measures one tick, microseconds: the rows of the fleet are under way when the node samples.
    fn one(&mut self, ticking: &mut Ticking) -> Result<u64> {
        self.marker += MARKER_STEP;
        self.phase_ms = (self.phase_ms + PHASE_STEP_MS) % MOST_PHASE_MS;
        let (tick_ms, now_ms) = ticking.begin();
        let bed = &mut ticking.bed;
        bed.now_ms = now_ms;
        bed.step_aggregator()?;
        let kubelet = &self.node.kubelet;
        self.runtime.block_on(kubelet.step(now_ms))?;
        drop(kubelet.take_served());
        kubelet.set_marker(Some(self.marker));
        let question = Question {
            series: "nodes/marked/metrics/memory/working_set",
            http: bed.aggregator.addr("http")?,
            tick_ms,
            marker: Some(self.marker),
            rest: REST,
        };
        let (fleet, agent, phase_ms) = (&bed.fleet, &self.node.agent, self.phase_ms);
        let seen_us = std::thread::scope(|scope| {
            let looking = scope.spawn(move || question.ask());
            let sending = scope.spawn(move || fleet.step(now_ms));
            wait_for(Deadline::after(Duration::from_millis(phase_ms)));
            agent.step(now_ms)?;
            let joined = (looking.join().ok(), sending.join().ok());
            joined
                .1
                .context("the thread that steps the fleet ended")??;
            joined.0.context("the thread that looks ended")?
        })?;
        between(served_us(&self.node, self.marker)?, seen_us)
    }
}

//! Goals 1, 2 and 7: what the processes use, on one node of 110 pods.
//!
//! The ticks follow each other as fast as they can be stepped; what is divided by is the number of
//! ticks, so idle time between real ticks is not in the CPU figures.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::bed::Bed;
use super::{Goal, Line};
use crate::deadline::Deadline;
use crate::oracle::heapster;
use crate::proc::Proc;
use crate::proc::used::Memory;
use crate::rfc3339;
use crate::sim::Endpoint;
use crate::system::System;
use crate::trace::Trace;

/// More than the window has, so that the ring and the window are full.
const LEAST_TICKS: u32 = 120;

/// As many scrapes as the goal is worded for.
const MOST_TICKS: u32 = 1000;

/// Ticks until everything is connected and warm.
const WARM_TICKS: u32 = 10;

/// Of the recording in which none comes or goes: the pods of the other one double.
const PODS: usize = 110;

/// A row that was sent is in the window by then.
const SOON: Duration = Duration::from_secs(10);

/// What makes an agent ask for the summary as seldom as it can: at every sixth tick.
const SELDOM: [&str; 2] = ["--summary-interval", "60s"];

pub(super) fn run(duration: Duration) -> Result<Vec<Line>> {
    let (mut bed, began) = warm(&[])?;
    let deadline = Deadline::after(duration);
    let mut ticks = 0;
    while ticks < LEAST_TICKS || (ticks < MOST_TICKS && deadline.left().is_some()) {
        tick(&mut bed)?;
        ticks += 1;
    }
    arrived(&bed)?;
    let used = Used::of(&bed)?.since(began);
    ensure!(
        used.scrapes == u64::from(ticks),
        "{} scrapes in {ticks} ticks",
        used.scrapes
    );
    let mut lines = lines(&bed, ticks, used)?;
    drop(bed);
    lines.insert(1, of_summary(ticks, used)?);
    Ok(lines)
}

/// What a scrape of the summary costs with all that is done for its values: as many ticks once more, of
/// an agent that asks for it at a sixth of them and does everything else as often.
fn of_summary(ticks: u32, often: Used) -> Result<Line> {
    let (mut bed, began) = warm(&SELDOM)?;
    for _ in 0..ticks {
        tick(&mut bed)?;
    }
    arrived(&bed)?;
    let seldom = Used::of(&bed)?.since(began);
    let scrapes = often.scrapes.saturating_sub(seldom.scrapes);
    ensure!(
        seldom.scrapes > 0 && scrapes >= u64::from(ticks) / 2,
        "{} scrapes in {ticks} ticks of an agent that is told {SELDOM:?}",
        seldom.scrapes
    );
    let more = often.agent_seconds - seldom.agent_seconds;
    Ok(Line {
        number: "1",
        name: "agent_cpu_per_summary",
        value: more * 1000.0 / scrapes as f64,
        unit: "ms",
        goal: Some(Goal::AtMost(1.5)),
        data: format!(
            "{}; a scrape of the summary and its way to the aggregator: of the {:.3} ms of CPU time of a \
             tick with one, what is not spent at one without, by {scrapes} scrapes",
            data(ticks),
            often.agent_seconds * 1000.0 / f64::from(ticks)
        ),
    })
}

/// A node whose agent is told more, once everything is connected and warm, and what it used until then.
fn warm(agent_args: &[&str]) -> Result<(Bed, Used)> {
    let mut bed = Bed::start(&Trace::of_51_pods()?, &["node1"], Some(PODS), agent_args)?;
    for _ in 0..WARM_TICKS {
        tick(&mut bed)?;
    }
    let used = Used::of(&bed)?;
    Ok((bed, used))
}

fn data(ticks: u32) -> String {
    format!("K, 51 recorded pods scaled to {PODS}, 1 node, every 10 s, {ticks} ticks, TLS")
}

fn lines(bed: &Bed, ticks: u32, used: Used) -> Result<Vec<Line>> {
    let agent = &bed.nodes.first().context("no node")?.agent;
    let data = data(ticks);
    let line = |number, name, (value, unit), goal, more: &str| {
        let data = format!("{data}; {more}");
        Line {
            number,
            name,
            value,
            unit,
            goal,
            data,
        }
    };
    let per_tick = |seconds: f64| (seconds * 1000.0 / f64::from(ticks), "ms");
    let peak_mib = |process: &Proc| {
        let peak = Memory::of(process.id())?.peak;
        Ok::<_, anyhow::Error>((peak as f64 / f64::from(1 << 20), "MiB"))
    };
    let whole = "all of the agent: summary, resource, /proc, encoding, sending";
    let peak = "peak, with its ring of 15 min";
    let one = "peak, one node; the goal is for 5,000";
    Ok(vec![
        line(
            "1",
            "agent_cpu_per_tick",
            per_tick(used.agent_seconds),
            Some(Goal::AtMost(1.5)),
            whole,
        ),
        line(
            "2",
            "agent_rss",
            peak_mib(agent)?,
            Some(Goal::AtMost(10.0)),
            peak,
        ),
        line(
            "7",
            "aggregator_cpu_per_row",
            per_tick(used.aggregator_seconds),
            None,
            "one row a tick",
        ),
        line("7", "aggregator_rss", peak_mib(&bed.aggregator)?, None, one),
    ])
}

fn tick(bed: &mut Bed) -> Result<()> {
    let tick_ms = bed.begin()?;
    bed.sample(tick_ms)
}

/// Waits for the last tick, so that no row of the run is still under way.
fn arrived(bed: &Bed) -> Result<()> {
    let tick_ms = bed.last_tick_ms();
    let http = bed.http()?;
    let series = format!(
        "nodes/node1/metrics/memory/usage?start={}",
        rfc3339::format(tick_ms)
    );
    let is_there = || {
        heapster::read(http, &series)
            .ok()
            .filter(|points| !points.is_empty())
    };
    Deadline::after(SOON).poll(is_there).with_context(|| {
        format!(
            "the tick {tick_ms} did not arrive:\n{}",
            bed.aggregator.stderr()
        )
    })?;
    Ok(())
}

/// What has been used since the start of the processes.
#[derive(Clone, Copy, Debug)]
struct Used {
    agent_seconds: f64,
    aggregator_seconds: f64,
    scrapes: u64,
}

impl Used {
    fn of(bed: &Bed) -> Result<Self> {
        let node = bed.nodes.first().context("no node")?;
        let name = "cairn_aggregator_process_cpu_seconds_total";
        let aggregator_seconds = System::metric(&bed.aggregator, name, "")?;
        ensure!(aggregator_seconds > 0.0, "{name} is not in the metrics");
        Ok(Self {
            agent_seconds: node.agent_seconds()?,
            aggregator_seconds,
            scrapes: node.kubelet.requests(Endpoint::Summary),
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            agent_seconds: self.agent_seconds - before.agent_seconds,
            aggregator_seconds: self.aggregator_seconds - before.aggregator_seconds,
            scrapes: self.scrapes - before.scrapes,
        }
    }
}

//! A fleet beside hostile agents, on the driven clock: does each honest node keep every row, and is
//! each hostile one answered with what is due to it?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::bed::{Bed, Setup, wait};
use super::{Truth, compare};
use crate::deadline::Deadline;
use crate::exact::Found;
use crate::hostile::{Crowd, Due, Kind, Member, Told};
use crate::proc::{MemoryGroup, MemoryTold};

/// How far past a tick the clocks are stepped: later than any node's phase.
const PAST_PHASE_MS: u64 = 500;

/// Distance of the ticks while the hostile agents are waited for.
const PACE: Duration = Duration::from_secs(10);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The honest agents.
    pub fleet: super::Options,
    /// When it starts, Unix ms.
    pub start_unix_ms: u64,
    /// The hostile ones.
    pub kinds: Vec<Kind>,
    /// Ticks before the hostile ones come.
    pub ticks_before: u64,
    /// Ticks after each of them was answered.
    pub ticks_after: u64,
    /// How long one of these is apart from the next at least.
    pub pace: Duration,
    /// Further arguments of the aggregator.
    pub aggregator_args: Vec<String>,
    /// The memory that the kernel lets the aggregator have, bytes; `None` sets no limit.
    pub memory_max: Option<u64>,
    /// One in so many of the honest nodes is compared in every value, all in their CPU time.
    pub compared_in: usize,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Every value of every honest node at every tick.
    pub found: Found,
    /// Honest nodes that the page says something is wrong with, and what.
    pub blamed: Vec<(String, String)>,
    /// Rows that honest agents passed over, and how often they had to come back.
    pub held_up: (u64, u64),
    /// Rows of any node that went early because memory was short.
    pub shortened_rows: u64,
    /// What became of each hostile agent.
    pub told: Vec<(Kind, Told)>,
    /// Streams that were ended for a fault, as the aggregator counts them.
    pub ended: u64,
    /// Large requests that were sent away because memory was short, and steps of its ladder.
    pub short: (u64, u64),
    /// The most anonymous memory that the aggregator had at a tick, bytes.
    pub real_bytes: u64,
    /// What the kernel says of the aggregator's memory, where that was limited.
    pub memory: Option<MemoryTold>,
}

impl Report {
    /// True when the honest nodes have noticed nothing.
    #[must_use]
    pub fn is_unnoticed(&self) -> bool {
        self.is_whole() && self.held_up == (0, 0)
    }

    /// True when the honest nodes have lost nothing, also where one of them had to wait: every value of
    /// theirs is there at its tick, and nothing is said to be wrong with them.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.found.is_right()
            && self.found.compared() > 0
            && self.blamed.is_empty()
            && self.shortened_rows == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "values of honest nodes: {}", self.found)?;
        writeln!(f, "blamed: {:?}", self.blamed)?;
        let (skipped, back) = self.held_up;
        writeln!(f, "passed over {skipped} rows, came back {back} times")?;
        writeln!(
            f,
            "shortened {} rows, ended {}",
            self.shortened_rows, self.ended
        )?;
        let (refused, steps) = self.short;
        let real_mib = self.real_bytes >> 20;
        writeln!(
            f,
            "{real_mib} MiB; short of memory: {steps} steps, {refused} requests refused"
        )?;
        if let Some(memory) = &self.memory {
            writeln!(f, "memory: {memory:?}")?;
        }
        for (kind, told) in &self.told {
            writeln!(f, "{kind:?}: {told:?}")?;
        }
        Ok(())
    }
}

/// Runs it.
///
/// # Errors
///
/// When a process does not come up, an honest row does not arrive, or a hostile agent is not answered
/// with what is due to it; in minutes.
pub fn run(options: &Options) -> Result<Report> {
    let members = options.kinds.iter().enumerate();
    let members: Vec<Member> = members.map(|(at, kind)| Member::new(*kind, at)).collect();
    let guests = members.iter();
    let guests = guests.map(|member| (member.node.clone(), member.token.clone()));
    let mut truth = Truth::new(&options.fleet, options.fleet.grid(options.start_unix_ms))?;
    truth.grow(options.fleet.history)?;
    let memory = options.memory_max.map(MemoryGroup::new).transpose()?;
    let memory = memory.map(Arc::new);
    let mut bed = Bed::start(Setup {
        aggregator_args: options.aggregator_args.clone(),
        guests: guests.collect(),
        memory: memory.clone(),
        ..Setup::of(options.fleet.clone(), options.start_unix_ms)
    })?;
    whole(&bed, &truth)?;
    for _ in 0..options.ticks_before {
        tick(&mut bed, &mut truth, options)?;
    }
    let ca = bed.dir().join("ingest-ca.pem");
    let crowd = Crowd::start(
        members,
        (bed.grpc(), &ca),
        &truth.name(0),
        bed.now_ms,
        false,
    )?;
    tick(&mut bed, &mut truth, options)?;
    crowd.set_clock(bed.now_ms);
    // Steps of the clock pay for what was sent too much, so time passes no faster than it does.
    for patience in (0..PATIENCE.as_secs()).step_by(usize::try_from(PACE.as_secs())?) {
        let open = open(&bed, &crowd)?;
        if open.is_empty() {
            break;
        }
        let is_last = patience + PACE.as_secs() >= PATIENCE.as_secs();
        ensure!(!is_last, "not answered: {open:?}\n{}", bed.stderr());
        tick(&mut bed, &mut truth, options)?;
        crowd.set_clock(bed.now_ms);
    }
    let mut real_bytes = 0;
    for _ in 0..options.ticks_after {
        let next = Deadline::after(options.pace);
        tick(&mut bed, &mut truth, options)?;
        crowd.set_clock(bed.now_ms);
        real_bytes = bed.figure("memory_real_bytes", "")?.max(real_bytes);
        next.poll(|| None::<()>);
    }
    let state = bed.state()?;
    let nodes = options.fleet.mix.nodes;
    let some = (0..nodes).step_by(options.compared_in.max(1));
    let mut found = compare::nodes(&bed.aggregator, &truth, some, |_| 0)?;
    compare::cpu_of_all(&bed.aggregator, &truth, nodes, |_| 0, &mut found)?;
    Ok(Report {
        found,
        blamed: blamed(&bed, &truth, nodes)?,
        held_up: (state.rows_skipped, state.reconnects),
        shortened_rows: bed.figure("store_shortened_rows_total", "why=\"limit\"")?,
        told: crowd.told(),
        ended: bed.figure("ingest_ended_streams_total", "")?,
        short: (
            bed.figure("api_short_of_memory_total", "")?,
            bed.figure("memory_steps_total", "")?,
        ),
        real_bytes,
        memory: memory.map(|group| group.told()).transpose()?,
    })
}

/// Waits until everybody is connected and everything that they have behind them is held.
fn whole(bed: &Bed, truth: &Truth) -> Result<()> {
    let rows = truth.sum(|_| 0..truth.rows()).rows;
    let found = wait(PATIENCE, || {
        let is_whole = bed.state()?.is_connected() && bed.figure("store_rows", "")? >= rows;
        Ok(is_whole.then_some(()))
    })?;
    found.with_context(|| format!("not all of {rows} rows are held:\n{}", bed.stderr()))
}

/// Lets a tick pass and waits until each honest node's row of it is served.
fn tick(bed: &mut Bed, truth: &mut Truth, options: &Options) -> Result<()> {
    truth.grow(truth.rows() + 1)?;
    let tick_ms = truth.tick_ms(truth.rows() - 1);
    bed.step(tick_ms + PAST_PHASE_MS)?;
    let arrived = wait(PATIENCE, || {
        let nodes = bed.nodes()?;
        let has = |index| newest(&nodes, &truth.name(index)) == Some(tick_ms);
        Ok((0..options.fleet.mix.nodes).all(has).then_some(()))
    })?;
    arrived.with_context(|| format!("tick {tick_ms} did not arrive:\n{}", bed.stderr()))
}

fn newest(nodes: &[Value], name: &str) -> Option<u64> {
    let node = nodes.iter().find(|node| node["name"] == name);
    node?["newest_tick_ms"].as_u64()
}

/// Waits for a tick's time until each of them was answered with what is due to it; gives those that were
/// not.
fn open(bed: &Bed, crowd: &Crowd) -> Result<Vec<(Kind, Told)>> {
    let is_answered = |kind: Kind, told: &Told| match kind.due() {
        Due::Ended(code, part) => {
            let is_it = |end: &String| end.starts_with(code) && end.contains(part);
            Ok(told.ends.keys().any(is_it))
        }
        Due::Slowed(what) => {
            let label = format!("what=\"{what}\"");
            Ok::<_, anyhow::Error>(bed.figure("ingest_slowed_total", &label)? > 0)
        }
    };
    let mut open = Vec::new();
    wait(PACE, || {
        open.clear();
        for (kind, told) in crowd.told() {
            if !is_answered(kind, &told)? {
                open.push((kind, told));
            }
        }
        Ok(open.is_empty().then_some(()))
    })?;
    Ok(open)
}

/// Honest nodes that something is said to be wrong with.
fn blamed(bed: &Bed, truth: &Truth, nodes: usize) -> Result<Vec<(String, String)>> {
    let shown = bed.nodes()?;
    let names = (0..nodes).map(|index| truth.name(index));
    let blamed = names.filter_map(|name| {
        let node = shown.iter().find(|node| node["name"] == *name);
        let reason = node.map_or("it is not there".to_owned(), |node| {
            node["reason"].as_str().unwrap_or_default().to_owned()
        });
        (!reason.is_empty()).then_some((name, reason))
    });
    Ok(blamed.collect())
}

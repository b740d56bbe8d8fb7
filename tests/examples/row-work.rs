//! What becomes of the kubelet's answers until they are an encoded row, for whoever counts its
//! instructions (scripts/check-instructions.sh).
//!
//! `row-work WORK [PODS] [TICKS]` takes the recorded kubelet with 51 pods, scaled to so many, does the work
//! within `measured` at each tick after the first ones, and prints how many ticks these were.

use std::hint::black_box;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use cairn_agent::sampler::merge::{self, Chosen, Inputs, Merged};
use cairn_agent::sampler::registry::Registry;
use cairn_agent::sources::summary::Summary;
use cairn_agent::sources::{Reading, resource, summary};
use cairn_proto::catalogue::Source;
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::Snapshot;
use testkit::trace::{Frame, Options, Replay, Trace};

const INTERVAL_MS: u64 = 10_000;

/// The names of all entities are new at first.
const FIRST_TICKS: u64 = 4;

/// Bytes of a large piece of memory.
const LARGE: usize = 64 * 1024;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// The summary's text becomes values.
    Parse,
    /// The same of the resource endpoint's.
    Resource,
    /// Values become a row.
    Merge,
    /// A row becomes bytes.
    Encode,
    /// All of a row that has no more than the summary.
    Row,
}

/// What is counted: nothing else runs below this name.
#[inline(never)]
fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map(String::as_str);
    let work = match argument(0) {
        Some("parse") => Work::Parse,
        Some("resource") => Work::Resource,
        Some("merge") => Work::Merge,
        Some("encode") => Work::Encode,
        Some("row") => Work::Row,
        _ => {
            let usage = "usage: row-work parse|resource|merge|encode|row [PODS] [TICKS]\n";
            std::io::stderr().write_all(usage.as_bytes())?;
            return Ok(ExitCode::from(64));
        }
    };
    let pods = argument(1).unwrap_or("110").parse().context("PODS")?;
    let ticks = argument(2).unwrap_or("10").parse().context("TICKS")?;
    run(work, pods, ticks)?;
    Ok(ExitCode::SUCCESS)
}

fn run(work: Work, pods: usize, ticks: u64) -> Result<()> {
    let trace = Trace::of_51_pods()?;
    let begin_ms = trace.base_ms().next_multiple_of(INTERVAL_MS);
    let options = Options {
        pods: Some(pods),
        ..Options::starting(begin_ms)
    };
    let replay = Replay::new(&trace, "node1", options)?;
    let mut node = Node::default();
    for n in 0..FIRST_TICKS + ticks {
        let tick = begin_ms + n * INTERVAL_MS;
        let frame = replay.at(tick);
        let counted = (n >= FIRST_TICKS).then_some(work);
        // The allocator puts together what was freed when a large piece is asked for: what the making of
        // the answers left is not the agent's.
        drop(black_box(Vec::<u8>::with_capacity(LARGE)));
        match counted {
            Some(Work::Row) => measured(|| node.tick(tick, &frame, counted))?,
            counted => node.tick(tick, &frame, counted)?,
        }
    }
    writeln!(std::io::stdout(), "{ticks}")?;
    Ok(())
}

#[derive(Default)]
struct Node {
    registry: Registry,
    last: Option<(u64, Snapshot)>,
    newest: Option<Reading<Summary>>,
    before: Option<Summary>,
}

impl Node {
    fn tick(&mut self, tick: u64, frame: &Frame, counted: Option<Work>) -> Result<()> {
        // As the source does it: in the room of the answer before the last one.
        let spare = self.before.take();
        let summary = step(counted, Work::Parse, || {
            summary::parse_into(&frame.summary, spare)
        })?;
        let summary = reading(tick, summary);
        let resource = match counted {
            Some(Work::Row) => None,
            counted => Some(step(counted, Work::Resource, || {
                resource::parse(&frame.resource)
            })?),
        };
        let resource = resource.map(|resource| reading(tick, resource));
        let inputs = Inputs {
            tick,
            made_ms: tick,
            node: "node1",
            summary: Some(&summary),
            summary_is_fresh: true,
            resource: resource.as_ref(),
            cadvisor: None,
            cgroups: None,
            host: None,
            host_is_fresh: false,
            chosen: Chosen {
                cpu: resource
                    .as_ref()
                    .map_or(Source::Summary, |_| Source::Resource),
                memory: Source::Summary,
            },
        };
        let Merged { snapshot, .. } = step(counted, Work::Merge, || {
            merge::merge(&inputs, &mut self.registry)
        });
        let base = self.last.as_ref().map(|(tick_ms, snapshot)| Timed {
            tick_ms: *tick_ms,
            snapshot,
        });
        let row = Timed {
            tick_ms: tick,
            snapshot: &snapshot,
        };
        let bytes = step(counted, Work::Encode, || row::encode(DENSE, base, row));
        black_box(bytes);
        self.last = Some((tick, snapshot));
        let before = self.newest.replace(summary);
        self.before = before.and_then(|reading| Arc::into_inner(reading.values));
        Ok(())
    }
}

fn step<T>(counted: Option<Work>, this: Work, work: impl FnOnce() -> T) -> T {
    if counted == Some(this) {
        measured(work)
    } else {
        work()
    }
}

fn reading<T>(taken_ms: u64, values: T) -> Reading<T> {
    Reading {
        values: Arc::new(values),
        taken_ms,
    }
}

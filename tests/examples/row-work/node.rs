//! An agent's work at a tick, without its network and its clock.

use std::sync::Arc;

use anyhow::Result;
use cairn_agent::sampler::merge::{self, Chosen, Inputs, Merged};
use cairn_agent::sampler::registry::Registry;
use cairn_agent::sources::resource::Resource;
use cairn_agent::sources::summary::Summary;
use cairn_agent::sources::{Reading, resource, summary};
use cairn_proto::catalogue::Source;
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::Snapshot;
use testkit::trace::{Frame, Options, Replay, Trace};

/// Distance of the ticks.
pub(super) const INTERVAL_MS: u64 = 10_000;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
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

/// What is counted under callgrind: nothing else runs below this name.
#[inline(never)]
pub(super) fn measured<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// The first tick, Unix ms, and the recorded kubelet with 51 pods, scaled to so many.
pub(super) fn replay(pods: usize) -> Result<(u64, Replay)> {
    let trace = Trace::of_51_pods()?;
    let begin_ms = trace.base_ms().next_multiple_of(INTERVAL_MS);
    let options = Options {
        pods: Some(pods),
        ..Options::starting(begin_ms)
    };
    Ok((begin_ms, Replay::new(&trace, "node1", options)?))
}

/// What a row is made of, when there is nothing but the summary, just read.
pub(super) fn of_summary(tick: u64, summary: &Reading<Summary>) -> Inputs<'_> {
    Inputs {
        tick,
        made_ms: tick,
        node: "node1",
        summary: Some(summary),
        summary_is_fresh: true,
        resource: None,
        cadvisor: None,
        alone: None,
        cgroups: None,
        host: None,
        host_is_fresh: false,
        chosen: Chosen::SUMMARY,
    }
}

/// What an agent keeps from tick to tick.
#[derive(Default)]
pub(super) struct Node {
    registry: Registry,
    last: Option<(u64, Snapshot)>,
    summaries: Given<Summary>,
    resources: Given<Resource>,
}

/// The newest answer, and the one before, in whose room the next is read.
struct Given<T> {
    newest: Option<Reading<T>>,
    before: Option<T>,
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self {
            newest: None,
            before: None,
        }
    }
}

impl<T> Given<T> {
    fn keep(&mut self, reading: Reading<T>) {
        let before = self.newest.replace(reading);
        self.before = before.and_then(|reading| Arc::into_inner(reading.values));
    }
}

impl Node {
    /// What the agent's sources, sampler and session do with the answers of a tick; how many bytes the row
    /// is, and values it has. Of [`Work::Row`] the caller counts the whole.
    pub(super) fn tick(
        &mut self,
        tick: u64,
        frame: &Frame,
        counted: Option<Work>,
    ) -> Result<(usize, usize)> {
        // As the source does it: in the room of the answer before the last one.
        let spare = self.summaries.before.take();
        let summary = step(counted, Work::Parse, || {
            summary::parse_into(&frame.summary, spare)
        })?;
        let summary = reading(tick, summary);
        let resource = match counted {
            Some(Work::Row) => None,
            counted => {
                let spare = self.resources.before.take();
                Some(step(counted, Work::Resource, || {
                    resource::parse_into(&frame.resource, spare)
                })?)
            }
        };
        let resource = resource.map(|resource| reading(tick, resource));
        let of_cpu = resource.as_ref().map(|_| Source::Resource);
        let inputs = Inputs {
            resource: resource.as_ref(),
            chosen: Chosen {
                cpu: of_cpu.unwrap_or(Source::Summary),
                memory: Source::Summary,
            },
            ..of_summary(tick, &summary)
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
        let values = snapshot.sample_count();
        self.last = Some((tick, snapshot));
        self.summaries.keep(summary);
        resource
            .into_iter()
            .for_each(|reading| self.resources.keep(reading));
        Ok((bytes.len(), values))
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

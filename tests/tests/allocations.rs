//! What a tick of the agent allocates, counted by an allocator.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use allocation_counter::measure;
use cairn_agent::sampler::merge::{self, Chosen, Inputs, Merged};
use cairn_agent::sampler::registry::Registry;
use cairn_agent::sources::Reading;
use cairn_agent::sources::summary::{self, Summary};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::Snapshot;
use testkit::trace::{Options, Replay, Trace};

const INTERVAL_MS: u64 = 10_000;

/// Ticks until nearly all room is made.
const FIRST_TICKS: u64 = 40;

/// Ticks that are counted.
const TICKS: u64 = 6;

/// More allocations that 110 more pods may cost: about one a pod is a text that finds too little room.
const MORE: u64 = 150;

/// What an agent keeps from tick to tick.
#[derive(Default)]
struct Node {
    registry: Registry,
    last: Option<(u64, Snapshot)>,
    newest: Option<Arc<Summary>>,
    before: Option<Summary>,
}

impl Node {
    /// What the agent's source, sampler and session do with an answer.
    fn tick(&mut self, tick: u64, body: &[u8]) {
        let summary = summary::parse_into(body, self.before.take()).unwrap();
        let summary = Reading {
            values: Arc::new(summary),
            taken_ms: tick,
        };
        let inputs = Inputs {
            tick,
            made_ms: tick,
            node: "node1",
            summary: Some(&summary),
            summary_is_fresh: true,
            resource: None,
            cadvisor: None,
            cgroups: None,
            host: None,
            host_is_fresh: false,
            chosen: Chosen::SUMMARY,
        };
        let Merged { snapshot, .. } = merge::merge(&inputs, &mut self.registry);
        let base = self.last.as_ref().map(|(tick_ms, snapshot)| Timed {
            tick_ms: *tick_ms,
            snapshot,
        });
        let next = Timed {
            tick_ms: tick,
            snapshot: &snapshot,
        };
        assert!(!row::encode(DENSE, base, next).is_empty());
        self.last = Some((tick, snapshot));
        let before = self.newest.replace(summary.values);
        self.before = before.and_then(Arc::into_inner);
    }
}

/// The most allocations of one tick, and the values in a row, of so many pods.
fn allocations(pods: usize) -> (u64, usize) {
    let trace = Trace::of_51_pods().unwrap();
    let begin_ms = trace.base_ms().next_multiple_of(INTERVAL_MS);
    let options = Options {
        pods: Some(pods),
        ..Options::starting(begin_ms)
    };
    let replay = Replay::new(&trace, "node1", options).unwrap();
    let mut node = Node::default();
    let mut most = 0;
    for n in 0..FIRST_TICKS + TICKS {
        let tick = begin_ms + n * INTERVAL_MS;
        let body = replay.at(tick).summary;
        let counted = measure(|| node.tick(tick, &body));
        if n >= FIRST_TICKS {
            most = most.max(counted.count_total);
        }
    }
    let values = node.last.map(|(_, snapshot)| snapshot.sample_count());
    (most, values.unwrap_or_default())
}

/// Scenario: the recorded kubelet with 110 pods, and with 220, none of which comes or goes; from the bytes
/// of the summary to the encoded row.
/// Guarantees: nothing is allocated for a sample: 6,500 more cost no more than some allocation a pod.
#[test]
fn a_tick_allocates_nothing_for_a_sample() {
    let (few, few_values) = allocations(110);
    let (many, many_values) = allocations(220);
    println!("{few} allocations for {few_values} values, {many} for {many_values}");
    assert!(
        many_values > few_values * 3 / 2,
        "{few_values} and {many_values}"
    );
    assert!(
        many <= few + MORE,
        "{few} allocations, {many} with twice the pods"
    );
}

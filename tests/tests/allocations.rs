//! What a tick of the agent allocates, counted by an allocator.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "../examples/row-work/node.rs"]
mod node;
#[path = "allocations/sealing.rs"]
mod sealing;
#[path = "allocations/sources.rs"]
mod sources;
#[path = "allocations/texts.rs"]
mod texts;

use std::sync::Arc;

use allocation_counter::measure;
use cairn_agent::marker::{Keeper, Marker};
use cairn_agent::metrics::Metrics;
use cairn_agent::sampler::merge::{self, Grouped, Inputs};
use cairn_agent::sampler::registry::Registry;
use cairn_agent::sampler::roster::Roster;
use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Tree};
use cairn_agent::sources::{Reading, summary};
use cairn_proto::codec::DENSE;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::Run;
use cairn_runtime::clock::Clock;
use cairn_runtime::readiness::Readiness;
use prometheus_client::registry::Registry as Metered;
use testkit::busy::BusyNode;

use self::node::{INTERVAL_MS, Node, Work};

/// Ticks until nearly all room is made.
const FIRST_TICKS: u64 = 40;

/// Ticks that are counted.
const TICKS: u64 = 6;

/// More allocations that 110 more pods may cost: about one a pod is a text that finds too little room.
const MORE: u64 = 150;

/// The most allocations of one tick, and the values in a row, of so many pods.
fn allocations(pods: usize) -> (u64, usize) {
    let (begin_ms, replay) = node::replay(pods).unwrap();
    let mut node = Node::default();
    let (mut most, mut values) = (0, 0);
    for n in 0..FIRST_TICKS + TICKS {
        let tick = begin_ms + n * INTERVAL_MS;
        let frame = replay.at(tick);
        let counted = measure(|| {
            let (bytes, of_row) = node.tick(tick, &frame, Some(Work::Row)).unwrap();
            assert_ne!(bytes, 0);
            values = of_row;
        });
        if n >= FIRST_TICKS {
            most = most.max(counted.count_total);
        }
    }
    (most, values)
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

/// So many may reading all cgroups cost: the listings of their parents, however many values are read.
const OF_A_READING: u64 = 10;

/// A row of cgroups may cost so many allocations: lists of it that grow, and texts of the odd pod. It has
/// thousands of values.
const OF_A_ROW: u64 = 400;

/// What the cgroups' thread and the sampler keep from tick to tick.
struct Watcher {
    tree: Tree,
    rooms: [Arc<Cgroups>; 2],
    roster: Roster,
    registry: Registry,
    summary: Reading<summary::Summary>,
    last: Option<(u64, cairn_proto::model::Snapshot)>,
}

/// What a tick of it allocated: reading cgroups, and all from there to an encoded row.
#[derive(Default)]
struct Counted {
    reading: u64,
    row: u64,
    values: usize,
}

impl Watcher {
    fn new(node: &BusyNode, begin_ms: u64) -> Self {
        let root = node.root();
        let no_proc = root.join("no-proc");
        let body = node.summary(begin_ms);
        Self {
            tree: Tree::open(root, &no_proc, INTERVAL_MS, Sandboxes::default()).unwrap(),
            rooms: [Arc::default(), Arc::default()],
            roster: Roster::default(),
            registry: Registry::default(),
            summary: Reading {
                values: Arc::new(summary::parse_into(body.as_bytes(), None).unwrap()),
                taken_ms: begin_ms,
            },
            last: None,
        }
    }

    fn tick(&mut self, tick: u64) -> Counted {
        let line = Clock::driven(tick).line();
        self.rooms.swap(0, 1);
        let [room, _] = &mut self.rooms;
        let reading = measure(|| {
            let room = Arc::get_mut(room).unwrap();
            self.tree.read(tick, &line, room).unwrap();
        });
        let mut values = 0;
        let row = measure(|| values = self.row(tick));
        Counted {
            reading: reading.count_total,
            row: row.count_total,
            values,
        }
    }

    /// As the sampler does it; gives the number of values.
    fn row(&mut self, tick: u64) -> usize {
        let reading = Reading {
            values: Arc::clone(&self.rooms[0]),
            taken_ms: tick,
        };
        self.roster.see(tick, &reading.values);
        if self.last.is_none() {
            self.roster.learn_pods(tick, &self.summary.values);
        }
        self.roster.settle(&reading.values, Some(&self.summary));
        let inputs = Inputs {
            summary_is_fresh: self.last.is_none(),
            cgroups: Some(Grouped {
                reading: &reading,
                roster: &self.roster,
            }),
            ..node::of_summary(tick, &self.summary)
        };
        let snapshot = merge::merge(&inputs, &mut self.registry).snapshot;
        let base = self.last.as_ref().map(|(tick_ms, snapshot)| Timed {
            tick_ms: *tick_ms,
            snapshot,
        });
        let bytes = row::encode(
            DENSE,
            base,
            Timed {
                tick_ms: tick,
                snapshot: &snapshot,
            },
        );
        assert_ne!(bytes.len(), 0);
        let values = snapshot.sample_count();
        self.last = Some((tick, snapshot));
        values
    }
}

/// The most that a tick of so many pods allocates.
fn of_cgroups(pods: usize) -> Counted {
    let (begin_ms, _) = node::replay(51).unwrap();
    let mut node = BusyNode::with_pods(pods, begin_ms, 0).unwrap();
    // All guests are gone by then: who is there stays.
    let settled_ms = begin_ms + 600_000;
    node.show(settled_ms - INTERVAL_MS).unwrap();
    let mut watcher = Watcher::new(&node, settled_ms - INTERVAL_MS);
    let mut most = Counted::default();
    for n in 0..FIRST_TICKS + TICKS {
        let tick = settled_ms + n * INTERVAL_MS;
        node.show(tick).unwrap();
        let counted = watcher.tick(tick);
        if n >= FIRST_TICKS {
            most.reading = most.reading.max(counted.reading);
            most.row = most.row.max(counted.row);
            most.values = counted.values;
        }
    }
    most
}

/// Scenario: a node of 51 pods, and one of 102, whose cgroups are files, read at each tick of a minute in which
/// nobody comes or goes, with the summary of before: from the files to the encoded row.
/// Guarantees: reading them allocates no more than listing their parents does, the slow values too, and a
/// row less than one allocation for nine values; twice the pods cost no more than some allocation a pod.
#[test]
fn a_tick_of_cgroups_allocates_nothing_for_a_sample() {
    let [few, many] = [51, 102].map(of_cgroups);
    for of in [&few, &many] {
        println!(
            "{} allocations for reading, {} for a row of {} values",
            of.reading, of.row, of.values
        );
    }
    assert!(few.values > 2_000, "{} values", few.values);
    assert!(many.values > few.values * 19 / 10, "{} values", many.values);
    assert!(few.row <= OF_A_ROW, "{} for a row", few.row);
    for reading in [few.reading, many.reading] {
        assert!(reading <= OF_A_READING, "{reading} for reading");
    }
    assert!(
        many.row <= few.row + MORE / 2,
        "{} for a row, {} with twice the pods",
        few.row,
        many.row
    );
}

/// Scenario: a minute of rows in a directory of the machine's memory, or of its disk.
/// Guarantees: to write down which rows there were allocates nothing.
#[test]
fn writing_down_which_rows_there_were_allocates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::new(&mut Metered::default()).marker;
    let keeper = Keeper::new(dir.path(), "node1", Readiness::new(), metrics.clone());
    let run = |epoch_ms| Run {
        epoch_ms,
        boot_id: [7; 16],
        clock_stepped: false,
    };
    let mut marker = Marker::new(INTERVAL_MS, 900_000).kept(keeper, run(1), 0);
    // As many runs as there may be.
    for n in 0..20 {
        marker.row(run(n), n * INTERVAL_MS);
    }
    for n in 20..26 {
        let counted = measure(|| marker.row(run(19), n * INTERVAL_MS));
        assert_eq!(counted.count_total, 0, "row {n}");
    }
    assert_eq!(metrics.write_failures.get(), 0);
    assert!(dir.path().join("runs").exists());
}

//! The oracle sees what it is there to see.

use std::convert::Infallible;

use cairn_proto::catalogue::{FieldId, field};
use cairn_proto::model::{EntityDef, EntityKind, Snapshot};

use super::heapster::{self, Error, Point};
use super::{Oracle, Verdict};
use crate::mix::{Kind, Mix, Node, Options};
use crate::system::{self, FIRST_TICK_MS, System, TRACE_START_MS, ticks};
use crate::trace::{self, Replay, Trace};

const SERIES: &str = "nodes/node1/metrics/memory/usage";

/// Max-age of memory.
const HELD_MS: u64 = 90_000;

fn point(tick_ms: u64, value: u64) -> Point {
    Point {
        tick_ms,
        value,
        float: None,
    }
}

fn compare(points: &[Point]) -> Verdict {
    let mut oracle = Oracle::new();
    for (tick_ms, value) in [(10_000, 1), (20_000, 2), (40_000, 4)] {
        oracle.record(SERIES, HELD_MS, tick_ms, value);
    }
    let read = |_: &str| Ok::<_, Infallible>(points.to_vec());
    oracle.compare(&(10_000..=200_000), read).unwrap()
}

#[test]
fn what_is_there_once_is_right_and_a_held_value_too() {
    let held = [
        point(10_000, 1),
        point(20_000, 2),
        point(30_000, 2),
        point(40_000, 4),
    ];
    let verdict = compare(&held);
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!(verdict.right, 3);
}

#[test]
fn missing_doubled_and_wrong_are_told_apart() {
    let verdict = compare(&[point(10_000, 1), point(10_000, 1), point(40_000, 5)]);
    let counts = (
        verdict.missing.count,
        verdict.doubled.count,
        verdict.wrong.count,
    );
    assert_eq!((verdict.right, counts), (0, (1, 1, 1)), "{verdict}");
    assert_eq!(verdict.missing.examples[0].tick_ms, 20_000);
    assert!(
        verdict.to_string().contains("Some(4) became Some(5)"),
        "{verdict}"
    );
}

#[test]
fn a_point_that_nobody_sampled_is_wrong() {
    let all = [point(10_000, 1), point(20_000, 2), point(40_000, 4)];
    let invented = compare(&[&all[..], &[point(30_000, 3)]].concat());
    assert_eq!(invented.wrong.count, 1, "{invented}");
    let held_too_long = compare(&[&all[..], &[point(140_000, 4)]].concat());
    assert_eq!(held_too_long.wrong.count, 1, "{held_too_long}");
}

#[test]
fn examples_are_bounded_and_counts_are_not() {
    let mut oracle = Oracle::new();
    for tick in 0..100 {
        oracle.record(SERIES, HELD_MS, tick, tick);
    }
    let nothing = |_: &str| Ok::<_, Infallible>(Vec::new());
    let verdict = oracle.compare(&(0..=99), nothing).unwrap();
    assert_eq!(
        (verdict.missing.count, verdict.missing.examples.len()),
        (100, 20)
    );
    oracle.forget_before(90);
    let verdict = oracle.compare(&(0..=99), nothing).unwrap();
    assert_eq!((verdict.missing.count, oracle.sample_count()), (10, 10));
}

#[test]
fn rows_of_every_kind_become_series_of_every_level() {
    for kind in [Kind::K, Kind::C] {
        let mut node = Mix::new(Options::of(kind)).unwrap().node(0).unwrap();
        let mut oracle = Oracle::new();
        let mut samples = 0;
        for _ in 0..3 {
            let row = node.next_row().unwrap();
            oracle.record_row(node.name(), &row);
            samples += shown_count(&node.defs(), &row.snapshot);
        }
        let of = |part: &str| oracle.series().filter(|path| path.contains(part)).count();
        for part in [
            "nodes/node1/metrics/memory/",
            "nodes/node1/metrics/filesystem/usage?labels=resource_id:/",
            "/freecontainers/pods/metrics/memory/page_faults",
            "/metrics/ephemeral_storage/usage",
            "/metrics/filesystem/usage?labels=resource_id:Volume:",
            "/containers/",
            "/metrics/filesystem/inodes_free?labels=resource_id:logs",
        ] {
            assert!(of(part) > 0, "{kind:?}: no {part}");
        }
        assert_eq!(oracle.sample_count(), samples, "{kind:?}");
    }
}

/// Samples that this API has: neither of interfaces and disks, nor of file systems that no label
/// tells apart, nor of fields without a name there.
fn shown_count(defs: &[EntityDef], snapshot: &Snapshot) -> usize {
    let is_shown = |place: u32| {
        let id = snapshot.entities()[place as usize];
        let def = defs.iter().find(|def| def.id == id).unwrap();
        match def.kind {
            EntityKind::Interface | EntityKind::BlockDevice => false,
            kind => !kind.is_labeled() || !def.labels.is_empty(),
        }
    };
    let named = snapshot.columns().iter().filter(|column| {
        field(FieldId(column.id().0)).is_some_and(|field| field.heapster.is_some())
    });
    named
        .map(|column| column.cells().filter(|(place, _)| is_shown(*place)).count())
        .sum()
}

#[test]
fn answers_of_the_model_api_are_read() {
    let body = br#"{"metrics":[{"timestamp":"2018-05-04T10:01:00Z","value":173},
        {"timestamp":"2018-05-04T10:02:00Z","value":1,"floatValue":1.5}],
        "latestTimestamp":"2018-05-04T10:02:00Z"}"#;
    let points = heapster::points(body).unwrap();
    assert_eq!(points[0], point(1_525_428_060_000, 173));
    assert_eq!(points[1].float, Some(1.5));
    let empty = br#"{"metrics":[],"latestTimestamp":"0001-01-01T00:00:00Z"}"#;
    assert!(heapster::points(empty).unwrap().is_empty());
    assert!(matches!(heapster::points(b"[]"), Err(Error::Json { .. })));
    let odd = br#"{"metrics":[{"timestamp":"now","value":1}]}"#;
    assert!(matches!(
        heapster::points(odd),
        Err(Error::Timestamp { .. })
    ));
}

/// The real binaries over the whole recording, against rows that share no code with the agent.
#[test]
fn the_real_system_says_what_was_sampled() {
    let system = System::start(system::Options::default()).unwrap();
    let trace = Trace::carried().unwrap();
    let node = |name: &str| {
        let options = trace::Options::starting(TRACE_START_MS);
        let replay = Replay::new(&trace, name, options).unwrap();
        Node::of_replay(name, replay, FIRST_TICK_MS, 10_000, 500)
    };
    let mut nodes = [node("node1"), node("node2")];
    let mut oracle = Oracle::new();
    for tick_ms in ticks() {
        system.tick(tick_ms).unwrap();
        for node in &mut nodes {
            let row = node.next_row().unwrap();
            oracle.record_row(node.name(), &row);
        }
    }
    let http = system.aggregator().unwrap().addr("http").unwrap();
    let all = FIRST_TICK_MS..=ticks().last().unwrap();
    let verdict = oracle.check(http, &all).unwrap();
    assert!(verdict.is_whole(), "{verdict}");
    assert_eq!(verdict.right, oracle.sample_count() as u64);
    assert!(verdict.right > 10_000, "{verdict}");
    // And it would have seen a sample that nobody has.
    oracle.record(SERIES, HELD_MS, FIRST_TICK_MS, 1);
    assert_eq!(oracle.check(http, &all).unwrap().wrong.count, 1);
}

//! A range over nodes whose clocks differ.

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityDef, EntityId, Run, Stamp};

use crate::query::{Bounds, Choice, Range, View, is_skewed};
use crate::store::{Applied, Door, Opening, PackedStore, Session, WireRow};

const NOW: u64 = 1_795_332_330_000;
const INTERVAL_MS: u64 = 10_000;
const WINDOW_MS: u64 = 900_000;
const HOUR_MS: u64 = 3_600_000;

/// Rows that each node tells, the last one of them now.
const ROWS: u64 = 10;

/// A session of a node whose clock is ahead, at its first row.
fn open(store: &dyn Door, node: &str, ahead_ms: u64) -> Session {
    let now_ms = NOW - (ROWS - 1) * INTERVAL_MS;
    let run = Run {
        epoch_ms: 1,
        boot_id: [1; 16],
        clock_stepped: false,
    };
    let opening = Opening {
        run,
        interval_ms: INTERVAL_MS,
        sent_ms: now_ms + ahead_ms,
        now_ms,
    };
    let session = store.open(node, opening);
    for (id, kind, name) in [(0, EntityKind::Node, node), (1, EntityKind::Pod, "web")] {
        let is_pod = kind == EntityKind::Pod;
        let def = EntityDef {
            id: EntityId(id),
            kind,
            parent: is_pod.then_some(EntityId(0)),
            name: name.to_owned(),
            namespace: if is_pod { "shop".into() } else { String::new() },
            uid: if is_pod {
                format!("uid-{node}")
            } else {
                String::new()
            },
            runtime_id: String::new(),
            labels: Vec::new(),
        };
        store.define(&session, def).unwrap();
    }
    session
}

/// One row with a value of the pod.
fn tell(store: &dyn Door, session: &Session, seq: u64, tick_ms: u64, sent_ms: u64) -> Applied {
    let mut builder = Builder::default();
    builder.entity(EntityId(0));
    builder.value(EntityId(1), table::MEMORY_USAGE, 1);
    let stamp = Stamp {
        time_ms: tick_ms,
        start_ms: None,
        source: Source::Summary,
    };
    builder.stamp(EntityId(1), Group::Memory, stamp);
    let payload = row::keyframe(DENSE, tick_ms, &builder.build());
    let wire = WireRow {
        seq,
        base_seq: None,
        tick_ms,
        payload: &payload,
        sent_ms,
        now_ms: NOW - (ROWS - 1).saturating_sub(seq) * INTERVAL_MS,
    };
    store.append(session, wire).unwrap()
}

/// A node whose clock is ahead by so much tells all of its rows.
fn tells(store: &dyn Door, node: &str, ahead_ms: u64) -> Session {
    let session = open(store, node, ahead_ms);
    for seq in 0..ROWS {
        let own_ms = NOW + ahead_ms - (ROWS - 1 - seq) * INTERVAL_MS;
        let applied = tell(store, &session, seq, own_ms, own_ms);
        assert_eq!(applied, Applied::Applied);
    }
    session
}

/// The last tick of a range over all pods, and each node with how many values its pod has in it.
fn over(store: &Arc<dyn Door>, node: &str, bounds: Bounds) -> (Option<u64>, Vec<(String, usize)>) {
    let view = View::new(store, INTERVAL_MS, WINDOW_MS, NOW);
    let choice = Choice {
        node: node.to_owned(),
        ..Choice::default()
    };
    let field = table::field(table::MEMORY_USAGE).unwrap().name;
    let range = Range::new(view, &choice, field, bounds).unwrap();
    let mut values = Vec::new();
    for piece in range.pieces() {
        piece.read(|series| {
            let count = series.samples.iter().flatten().count();
            values.push((series.entity.node.to_string(), count));
        });
    }
    (range.ticks_ms().last().copied(), values)
}

fn values(count: usize) -> Vec<(String, usize)> {
    vec![("right".to_owned(), count)]
}

const LAST_MINUTE: Bounds = Bounds {
    start_ms: NOW - 60_000,
    end_ms: NOW,
};

#[test]
fn a_node_whose_clock_is_ahead_takes_no_other_nodes_values_away() {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(WINDOW_MS, 0));
    tells(&*store, "right", 0);
    tells(&*store, "ahead", HOUR_MS);
    assert_eq!(over(&store, "", Bounds::ALL), (Some(NOW), values(10)));
    assert_eq!(over(&store, "", LAST_MINUTE), (Some(NOW), values(7)));
    // By itself it is shown by its own clock.
    let (last, shown) = over(&store, "ahead", Bounds::ALL);
    assert_eq!(last, Some(NOW + HOUR_MS));
    assert_eq!(shown, [("ahead".to_owned(), 10)]);
}

#[test]
fn rows_of_a_clock_that_was_ahead_take_no_other_nodes_values_away_either() {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(WINDOW_MS, 0));
    tells(&*store, "right", 0);
    let session = tells(&*store, "was-ahead", HOUR_MS);
    // Ticks cannot go back in a run: its rows are not kept, but its clock is heard.
    for seq in ROWS..2 * ROWS + 10 {
        let tick_ms = NOW + HOUR_MS + (seq - ROWS + 2) * INTERVAL_MS;
        assert_eq!(tell(&*store, &session, seq, tick_ms, NOW), Applied::TooNew);
    }
    let nodes = store.nodes();
    assert!(!nodes.iter().any(is_skewed), "{nodes:?}");
    assert_eq!(over(&store, "", Bounds::ALL), (Some(NOW), values(10)));
}

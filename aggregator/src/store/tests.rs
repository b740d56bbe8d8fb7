//! The rules of the door, on the plain store.

mod both;
mod clocks;
mod earlier;
mod floor;
mod names;
mod restore;
mod share;
mod sides;
mod states;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::codec::{DENSE, PLAIN};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Run, Snapshot, Stamp};

use super::*;

const WINDOW: u64 = 900_000;
const T0: u64 = 1_795_332_330_000;

fn run(epoch_ms: u64) -> Run {
    Run {
        epoch_ms,
        boot_id: [1; 16],
        clock_stepped: false,
    }
}

fn open(store: &dyn Door, epoch_ms: u64) -> Session {
    let opening = Opening {
        run: run(epoch_ms),
        interval_ms: 10_000,
        sent_ms: T0,
        now_ms: T0,
    };
    let session = store.open("node1", opening);
    store
        .define(&session, def(1, EntityKind::Node, None, "node1"))
        .unwrap();
    session
}

fn open_node(store: &PlainStore, node: &str, sent_ms: u64) -> Session {
    let opening = Opening {
        run: run(1),
        interval_ms: 10_000,
        sent_ms,
        now_ms: T0,
    };
    let session = store.open(node, opening);
    store
        .define(&session, def(1, EntityKind::Node, None, node))
        .unwrap();
    session
}

fn def(id: u32, kind: EntityKind, parent: Option<u32>, name: &str) -> EntityDef {
    EntityDef {
        id: EntityId(id),
        kind,
        parent: parent.map(EntityId),
        name: name.into(),
        namespace: if kind == EntityKind::Pod {
            "shop".into()
        } else {
            String::new()
        },
        uid: if kind == EntityKind::Pod {
            format!("uid-{id}")
        } else {
            String::new()
        },
        runtime_id: String::new(),
        labels: Vec::new(),
    }
}

fn snapshot(entities: &[(u32, u64)], time_ms: u64) -> Snapshot {
    let mut builder = Builder::default();
    for (id, value) in entities {
        let stamp = Stamp {
            time_ms,
            start_ms: None,
            source: Source::Summary,
        };
        builder.value(EntityId(*id), table::MEMORY_USAGE, *value);
        builder.stamp(EntityId(*id), Group::Memory, stamp);
    }
    builder.build()
}

fn row_of(offset: u64, tick: u64, snapshot: &Snapshot) -> RowOf<'_> {
    RowOf {
        offset,
        tick,
        snapshot,
    }
}

/// Appends a keyframe in which each entity has a value.
fn append(
    store: &dyn Door,
    session: &Session,
    seq: u64,
    tick_ms: u64,
    entities: &[(u32, u64)],
) -> Result<Applied, Error> {
    let payload = row::keyframe(DENSE, tick_ms, &snapshot(entities, tick_ms));
    let row = WireRow {
        seq,
        base_seq: None,
        tick_ms,
        payload: &payload,
        sent_ms: tick_ms,
        now_ms: tick_ms,
    };
    store.append(session, row)
}

fn values(store: &PlainStore) -> Vec<(u64, u64)> {
    let nodes = store.entities(&Selector::Nodes);
    let rows = store.read(&nodes[0], table::MEMORY_USAGE, (0, u64::MAX));
    rows.iter()
        .filter_map(|r| r.point.map(|p| (r.tick_ms, p.value)))
        .collect()
}

#[test]
fn a_newer_session_fences_the_older() {
    let store = PlainStore::new(WINDOW, 0);
    let first = open(&store, 1);
    assert_eq!(
        append(&store, &first, 0, T0, &[(1, 5)]),
        Ok(Applied::Applied)
    );
    let second = open(&store, 1);
    assert_eq!(
        append(&store, &first, 1, T0 + 10_000, &[(1, 6)]),
        Err(Error::Fenced)
    );
    store.close(&first, T0);
    assert!(
        store.nodes()[0].live,
        "the older one's end does not end the newer"
    );
    assert_eq!(
        append(&store, &second, 1, T0 + 10_000, &[(1, 7)]),
        Ok(Applied::Applied)
    );
    assert_eq!(values(&store), [(T0, 5), (T0 + 10_000, 7)]);
}

#[test]
fn a_row_is_held_once_whatever_session_or_run_brings_it() {
    let store = PlainStore::new(WINDOW, 0);
    let first = open(&store, 1);
    append(&store, &first, 0, T0, &[(1, 5)]).unwrap();
    let again = open(&store, 1);
    assert_eq!(
        append(&store, &again, 0, T0, &[(1, 6)]),
        Ok(Applied::Duplicate)
    );
    let other_run = open(&store, 2);
    assert_eq!(
        append(&store, &other_run, 0, T0, &[(1, 7)]),
        Ok(Applied::Duplicate)
    );
    assert_eq!(values(&store), [(T0, 5)]);
}

#[test]
fn deltas_refer_to_the_last_row_of_the_session() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    let (a, b) = (snapshot(&[(1, 5)], T0), snapshot(&[(1, 9)], T0 + 10_000));
    append(&store, &session, 0, T0, &[(1, 5)]).unwrap();
    let at = |tick_ms, snapshot| Timed { tick_ms, snapshot };
    let payload = row::encode(DENSE, Some(at(T0, &a)), at(T0 + 10_000, &b));
    let row = WireRow {
        seq: 1,
        base_seq: Some(0),
        tick_ms: T0 + 10_000,
        payload: &payload,
        sent_ms: T0,
        now_ms: T0,
    };
    assert_eq!(store.append(&session, row), Ok(Applied::Applied));
    assert_eq!(values(&store), [(T0, 5), (T0 + 10_000, 9)]);
    let wrong = WireRow {
        seq: 2,
        base_seq: Some(0),
        tick_ms: T0 + 20_000,
        ..row
    };
    assert_eq!(
        store.append(&session, wrong),
        Err(Error::Base {
            seq: 2,
            base: 0,
            last: Some(1)
        })
    );
}

#[test]
fn a_refused_frame_leaves_the_window_as_it_was() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    append(&store, &session, 0, T0, &[(1, 5)]).unwrap();
    let (before, size) = (values(&store), store.size());
    assert!(matches!(
        append(&store, &session, 1, T0 + 10_000, &[(9, 1)]),
        Err(Error::Undefined { seq: 1, entity: 9 })
    ));
    assert_eq!(
        append(&store, &session, 1, T0 + 1, &[(1, 1)]),
        Err(Error::Tick { seq: 1 })
    );
    assert_eq!(
        append(&store, &session, 1, T0, &[(1, 1)]),
        Err(Error::Tick { seq: 1 })
    );
    let garbage = WireRow {
        seq: 1,
        base_seq: None,
        tick_ms: T0 + 10_000,
        payload: &[1, 255],
        sent_ms: T0,
        now_ms: T0,
    };
    assert!(matches!(
        store.append(&session, garbage),
        Err(Error::Decode { seq: 1, .. })
    ));
    assert_eq!((values(&store), store.size()), (before, size));
}

#[test]
fn an_absurd_tick_is_not_kept() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    let send = |seq, tick_ms, now_ms| {
        let payload = row::keyframe(DENSE, tick_ms, &snapshot(&[(1, 5)], tick_ms));
        let row = WireRow {
            seq,
            base_seq: None,
            tick_ms,
            payload: &payload,
            sent_ms: now_ms,
            now_ms,
        };
        store.append(&session, row)
    };
    assert_eq!(send(0, T0 + 20_000, T0), Ok(Applied::TooNew));
    assert_eq!(send(1, T0 + 30_000, T0 + 20_000), Ok(Applied::Applied));
    assert_eq!(send(2, T0 + 40_000, T0 + 2 * WINDOW), Ok(Applied::TooOld));
}

#[test]
fn a_node_with_another_clock_keeps_its_ticks() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    let hour = 3_600_000;
    for n in 0..3 {
        let tick_ms = T0 + hour + n * 10_000;
        let payload = row::keyframe(DENSE, tick_ms, &snapshot(&[(1, n)], tick_ms));
        let now_ms = T0 + n * 10_000;
        let row = WireRow {
            seq: n,
            base_seq: None,
            tick_ms,
            payload: &payload,
            sent_ms: tick_ms,
            now_ms,
        };
        assert_eq!(store.append(&session, row), Ok(Applied::Applied));
    }
    assert_eq!(store.nodes()[0].offset_ms, 3_600_000);
    store.evict(T0 + 30_000);
    assert_eq!(values(&store).len(), 3);
}

#[test]
fn a_chunk_fills_what_is_missing_and_doubles_nothing() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    append(&store, &session, 20, T0 + 200_000, &[(1, 20)]).unwrap();
    assert_eq!(store.missing(&session, 0..2), [1, 0]);
    let rows: Vec<Snapshot> = (16..32).map(|n| snapshot(&[(1, n)], T0)).collect();
    let tick = |n: u64| T0 + (16 + n) * 10_000;
    let all = (0u64..)
        .zip(&rows)
        .map(|(n, s)| row_of(n, tick(n), s))
        .collect::<Vec<_>>();
    let payload = chunk::encode(DENSE, &all);
    assert_eq!(store.take(&session, 1, &payload, T0 + 320_000), Ok(15));
    assert_eq!(store.take(&session, 1, &payload, T0 + 320_000), Ok(0));
    assert_eq!(store.missing(&session, 0..2), [0]);
    assert_eq!(values(&store).len(), 16);
    assert!(values(&store).contains(&(T0 + 200_000, 20)));
}

#[test]
fn old_rows_expire_and_their_names_with_them() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    store
        .define(&session, def(2, EntityKind::Pod, Some(1), "web"))
        .unwrap();
    store
        .define(&session, def(3, EntityKind::Container, Some(2), "app"))
        .unwrap();
    append(&store, &session, 0, T0, &[(1, 1), (2, 2), (3, 3)]).unwrap();
    append(&store, &session, 1, T0 + 10_000, &[(1, 1)]).unwrap();
    let containers = Selector::Containers {
        namespace: "shop",
        pod: "web",
    };
    assert_eq!(store.entities(&containers).len(), 1);
    let evicted = store.evict(T0 + WINDOW + 5_000);
    assert_eq!(evicted.expired_rows, 1);
    assert!(store.entities(&Selector::Pods).is_empty());
    assert!(store.entities(&containers).is_empty());
    assert_eq!(values(&store).len(), 1);
    store.close(&session, T0);
    assert_eq!(store.evict(T0 + 2 * WINDOW).nodes, 1);
    assert!(store.nodes().is_empty());
}

#[test]
fn every_window_is_shortened_evenly_and_keeps_its_newest_row() {
    let store = PlainStore::new(WINDOW, 0);
    let sessions: Vec<Session> = (1..=3)
        .map(|n| open_node(&store, &format!("n{n}"), T0))
        .collect();
    for n in 0..20 {
        for session in &sessions {
            append(&store, session, n, T0 + n * 10_000, &[(1, n)]).unwrap();
        }
    }
    let shortened = store.shorten(30_000);
    assert!(store.size().bytes <= 30_000, "{:?}", store.size());
    let rows = |node: &str| {
        let node = store.entities(&Selector::Node(node)).remove(0);
        let rows = store.read(&node, table::MEMORY_USAGE, (0, u64::MAX));
        (rows.len(), rows.last().map(|r| r.tick_ms))
    };
    let (first, newest) = rows("n1");
    assert!((8..20).contains(&first), "{first} rows, {shortened}");
    assert_eq!(newest, Some(T0 + 190_000));
    for node in ["n2", "n3"] {
        assert!(
            rows(node).0.abs_diff(first) <= 1,
            "{node}: {:?}",
            rows(node)
        );
    }
}

#[test]
fn a_chunk_with_an_absurd_tick_is_not_kept() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    let snapshot = snapshot(&[(1, 1)], T0);
    let tick = u64::MAX / 10_000 * 10_000;
    let payload = chunk::encode(PLAIN, &[row_of(0, tick, &snapshot)]);
    assert_eq!(store.take(&session, 0, &payload, T0), Ok(0));
    assert_eq!(store.size().rows, 0);
}

#[test]
fn rows_of_a_clock_that_was_ahead_go_when_it_is_corrected() {
    let store = PlainStore::new(WINDOW, 0);
    let ahead = open_node(&store, "node1", T0 + 7_200_000);
    let tick_ms = T0 + 7_200_000;
    let payload = row::keyframe(DENSE, tick_ms, &snapshot(&[(1, 1)], T0));
    let row = WireRow {
        seq: 0,
        base_seq: None,
        tick_ms,
        payload: &payload,
        sent_ms: tick_ms,
        now_ms: T0,
    };
    assert_eq!(store.append(&ahead, row), Ok(Applied::Applied));
    let corrected = open(&store, 2);
    assert_eq!(
        append(&store, &corrected, 0, T0, &[(1, 5)]),
        Ok(Applied::Applied)
    );
    assert_eq!(values(&store), [(T0, 5)]);
}

#[test]
fn a_node_far_behind_keeps_its_window_when_it_reconnects() {
    let store = PlainStore::new(WINDOW, 0);
    let behind = |now: u64| now - 3_600_000;
    let opening = |now_ms| Opening {
        run: run(1),
        interval_ms: 10_000,
        sent_ms: behind(now_ms),
        now_ms,
    };
    let session = store.open("node1", opening(T0));
    store
        .define(&session, def(1, EntityKind::Node, None, "node1"))
        .unwrap();
    let payload = row::keyframe(DENSE, behind(T0), &snapshot(&[(1, 1)], T0));
    let row = WireRow {
        seq: 0,
        base_seq: None,
        tick_ms: behind(T0),
        payload: &payload,
        sent_ms: behind(T0),
        now_ms: T0,
    };
    assert_eq!(store.append(&session, row), Ok(Applied::Applied));
    store.open("node1", opening(T0 + 1_000));
    store.evict(T0 + 2_000);
    assert_eq!(values(&store).len(), 1);
}

#[test]
fn streams_that_only_define_leave_nothing_behind() {
    let store = PlainStore::new(WINDOW, 0);
    let held = open(&store, 1);
    append(&store, &held, 0, T0, &[(1, 1)]).unwrap();
    let before = store.size().bytes;
    for epoch in 2..20 {
        let session = open(&store, epoch);
        for id in 2..500 {
            store
                .define(&session, def(id, EntityKind::Pod, Some(1), "web"))
                .unwrap();
        }
        store.close(&session, T0);
    }
    open(&store, 99);
    assert!(store.size().bytes < before + 5_000, "{:?}", store.size());
}

#[test]
fn a_name_that_comes_back_is_still_known() {
    let store = PlainStore::new(20_000, 0);
    let session = open(&store, 1);
    store
        .define(&session, def(2, EntityKind::Pod, Some(1), "web"))
        .unwrap();
    append(&store, &session, 0, T0, &[(1, 1), (2, 1)]).unwrap();
    for n in 1..10 {
        append(&store, &session, n, T0 + n * 10_000, &[(1, 1)]).unwrap();
        store.evict(T0 + n * 10_000);
    }
    let back = append(&store, &session, 10, T0 + 100_000, &[(1, 1), (2, 1)]);
    assert_eq!(back, Ok(Applied::Applied));
}

#[test]
fn refused_entities_are_skipped_and_a_redefined_one_is_a_fault() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    store.refuse(&session, EntityId(7)).unwrap();
    assert_eq!(
        append(&store, &session, 0, T0, &[(1, 1), (7, 1)]),
        Ok(Applied::Applied)
    );
    let other = def(1, EntityKind::Node, None, "node2");
    assert_eq!(
        store.define(&session, other),
        Err(Error::Redefined { entity: 1 })
    );
    let named = EntityDef {
        runtime_id: "abc".into(),
        ..def(1, EntityKind::Node, None, "node1")
    };
    assert_eq!(store.define(&session, named), Ok(Defined::Known));
}

#[test]
fn changes_are_told_by_their_lowest_tick() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, 1);
    let version = *store.subscribe().borrow();
    assert_eq!(store.changed_since(version), Some(None));
    append(&store, &session, 5, T0 + 50_000, &[(1, 1)]).unwrap();
    append(&store, &session, 6, T0 + 60_000, &[(1, 1)]).unwrap();
    assert_eq!(store.changed_since(version), Some(Some(T0 + 50_000)));
}

//! What a node may hold, and what it takes to be judged, in both stores.

use super::*;

/// Both kinds of store. Of four nodes each may hold an eighth of the limit, which is 150 KB where rows
/// are decoded and 50 KB where they are packed.
fn stores() -> [Box<dyn Door>; 2] {
    [
        Box::new(PlainStore::new(WINDOW, 1_200_000).with_node_budget(20_000)),
        Box::new(PackedStore::new(WINDOW, 400_000).with_node_budget(20_000)),
    ]
}

fn open_at(store: &dyn Door, node: &str, epoch_ms: u64) -> Session {
    let opening = Opening {
        run: run(epoch_ms),
        interval_ms: 10_000,
        sent_ms: T0,
        now_ms: T0,
    };
    let session = store.open(node, opening);
    name(store, &session, def(1, EntityKind::Node, None, node)).unwrap();
    session
}

fn name(store: &dyn Door, session: &Session, def: EntityDef) -> Result<Defined, Error> {
    store.define(session, def)
}

fn pod(store: &dyn Door, session: &Session, id: u32) -> Result<Defined, Error> {
    name(store, session, def(id, EntityKind::Pod, Some(1), "web"))
}

/// A keyframe of so many entities, whose values nothing predicts.
fn send(store: &dyn Door, session: &Session, seq: u64, ids: u32) -> Result<Applied, Error> {
    let noise = |id: u32| (u64::from(id) + seq * 7_919).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let entities: Vec<(u32, u64)> = (1..=ids).map(|id| (id, noise(id))).collect();
    let tick_ms = T0 + seq * 10_000;
    let payload = row::keyframe(DENSE, tick_ms, &snapshot(&entities, tick_ms));
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

fn state(store: &dyn Door, node: &str) -> NodeState {
    let mut nodes = store.nodes().into_iter();
    nodes.find(|state| *state.name == *node).unwrap()
}

fn rows(store: &dyn Door, node: &str) -> usize {
    let found = store.entities(&Selector::Node(node));
    let rows = store.read(&found[0], table::MEMORY_USAGE, (0, u64::MAX));
    rows.len()
}

/// Scenario: three small nodes and a wide one.
/// Guarantees: the wide one loses its own oldest rows and nothing else does; its newest row lands at
/// every tick; its state says so, until a window has come without a loss.
#[test]
fn a_node_over_its_share_shortens_its_own_window() {
    for store in stores() {
        let store = &*store;
        let small: Vec<Session> = ["a", "b", "c"].map(|n| open_at(store, n, 1)).into();
        let wide = open_at(store, "wide", 1);
        for id in 2..=120 {
            pod(store, &wide, id).unwrap();
        }
        let mut gone = 0;
        for seq in 0..60 {
            for session in &small {
                assert_eq!(send(store, session, seq, 1), Ok(Applied::Applied));
            }
            assert_eq!(send(store, &wide, seq, 120), Ok(Applied::Applied));
            let evicted = store.evict(T0 + seq * 10_000);
            assert_eq!((evicted.limit_rows, evicted.expired_rows), (0, 0));
            gone += evicted.share_rows;
            assert_eq!(state(store, "wide").newest_tick_ms, Some(T0 + seq * 10_000));
        }
        assert!(gone > 0 && rows(store, "wide") < 60, "{gone}");
        assert_eq!(state(store, "wide").limited, Limited::Shortened);
        for node in ["a", "b", "c"] {
            assert_eq!(rows(store, node), 60);
            assert_eq!(state(store, node).limited, Limited::No);
        }
        for seq in 60..300 {
            send(store, &wide, seq, 1).unwrap();
            store.evict(T0 + seq * 10_000);
        }
        assert_eq!(state(store, "wide").limited, Limited::No);
    }
}

/// Scenario: a node names things without end, beside three that do not.
/// Guarantees: once it is over its share with nothing but its newest row, what is new on it is refused
/// and counted; what is known is not, and its rows are taken; the others name what they like.
#[test]
fn what_is_new_on_a_node_that_cannot_be_shortened_is_refused() {
    for store in stores() {
        let store = &*store;
        let small = ["a", "b", "c"].map(|n| open_at(store, n, 1));
        for session in &small {
            send(store, session, 0, 1).unwrap();
        }
        let greedy = open_at(store, "greedy", 1);
        send(store, &greedy, 0, 1).unwrap();
        store.evict(T0);
        let named: Vec<Defined> = (2..=2_000)
            .map(|id| pod(store, &greedy, id).unwrap())
            .collect();
        let first = named.iter().position(|named| *named == Defined::Refused);
        let first = first.expect("some are refused");
        assert!(named[..first].iter().all(|named| *named == Defined::New));
        assert!(
            named[first..]
                .iter()
                .all(|named| *named == Defined::Refused)
        );
        let greedy_state = state(store, "greedy");
        assert_eq!(greedy_state.limited, Limited::Full);
        assert_eq!(greedy_state.refused_entities, (named.len() - first) as u64);
        assert_eq!(pod(store, &greedy, 2), Ok(Defined::Known));
        assert_eq!(pod(store, &small[0], 2), Ok(Defined::New));
        // Refused ones in a row are passed over.
        assert_eq!(send(store, &greedy, 1, 2_000), Ok(Applied::Applied));
        let evicted = store.evict(T0 + 10_000);
        assert_eq!(evicted.refused_entities, (named.len() - first) as u64);
        assert_eq!(store.evict(T0 + 10_000).refused_entities, 0, "told once");
        let found = store.entities(&Selector::PodsOfNode("greedy")).len();
        assert_eq!(found, first);
    }
}

/// Scenario: a node names a million different things, in each of its runs as many as a node may have.
/// Guarantees: the store stays within its limit, nothing of anybody is shortened for it, and the others name what
/// they like.
#[test]
fn a_million_names_of_one_node_cost_the_others_nothing() {
    const NAMES: u32 = 1_000_000;
    const LIMIT: u64 = 16 << 20;
    let store = PackedStore::new(WINDOW, LIMIT);
    let small = ["a", "b", "c"].map(|n| open_at(&store, n, 1));
    for session in &small {
        send(&store, session, 0, 1).unwrap();
    }
    let (mut runs, mut named) = (1, 0);
    let mut greedy = open_at(&store, "greedy", runs);
    // Which cannot go, however much is named.
    send(&store, &greedy, 0, 1).unwrap();
    let (mut id, mut most) = (1, 0);
    while named < NAMES {
        id += 1;
        let thing = EntityDef {
            uid: format!("uid-of-{named}"),
            ..def(id, EntityKind::Pod, Some(1), &format!("web-{named}"))
        };
        match name(&store, &greedy, thing) {
            Ok(Defined::New | Defined::Refused) => named += 1,
            Err(Error::TooManyEntities { .. }) => {
                runs += 1;
                (greedy, id) = (open_at(&store, "greedy", runs), 1);
            }
            other => panic!("{other:?} of {named}"),
        }
        if named % 5_000 == 0 {
            most = most.max(store.bytes());
            let evicted = store.evict(T0);
            assert_eq!((evicted.limit_rows, evicted.expired_rows), (0, 0));
        }
    }
    assert_eq!(runs, 16);
    assert!(most < LIMIT, "{most}");
    assert!(state(&store, "greedy").refused_entities > 0);
    for (node, session) in ["a", "b", "c"].iter().zip(&small) {
        assert_eq!(pod(&store, session, 2), Ok(Defined::New));
        assert_eq!(
            (rows(&store, node), state(&store, node).limited),
            (1, Limited::No)
        );
    }
}

#[test]
fn what_another_run_knew_is_not_new() {
    for store in stores() {
        let store = &*store;
        let session = open_at(store, "node1", 1);
        assert_eq!(pod(store, &session, 2), Ok(Defined::New));
        assert_eq!(pod(store, &session, 2), Ok(Defined::Known));
        let app = |id, parent| def(id, EntityKind::Container, Some(parent), "app");
        assert_eq!(name(store, &session, app(3, 2)), Ok(Defined::New));
        send(store, &session, 0, 3).unwrap();
        // The agent starts again: other ids, the same things.
        let session = open_at(store, "node1", 2);
        let same = EntityDef {
            uid: "uid-2".to_owned(),
            ..def(40, EntityKind::Pod, Some(1), "web")
        };
        assert_eq!(name(store, &session, same), Ok(Defined::Known));
        assert_eq!(name(store, &session, app(41, 40)), Ok(Defined::Known));
        assert_eq!(pod(store, &session, 50), Ok(Defined::New));
        // What is part of nothing, and what has a bad name.
        assert_eq!(name(store, &session, app(60, 59)), Ok(Defined::New));
        assert_eq!(store.refuse(&session, EntityId(70)), Ok(Defined::New));
        assert_eq!(store.refuse(&session, EntityId(70)), Ok(Defined::Known));
    }
}

/// Scenario: rows of an hour ahead, the payload of which is no row at all.
/// Guarantees: they are judged by their ticks and not read; who refers to one is told; a row that
/// refers to none goes on.
#[test]
fn a_row_outside_of_the_window_is_not_read() {
    for store in stores() {
        let store = &*store;
        let session = open_at(store, "node1", 1);
        let wire = |seq, base_seq, tick_ms, payload| WireRow {
            seq,
            base_seq,
            tick_ms,
            payload,
            sent_ms: T0,
            now_ms: T0,
        };
        let ahead = wire(0, None, T0 + 3_600_000, b"no row");
        assert_eq!(store.append(&session, ahead), Ok(Applied::TooNew));
        let next = wire(1, Some(0), T0 + 10_000, b"no row");
        let refused = Err(Error::PassedOver { seq: 1, base: 0 });
        assert_eq!(store.append(&session, next), refused);
        let again = wire(0, None, T0, b"no row");
        assert_eq!(store.append(&session, again), Err(Error::Tick { seq: 0 }));
        let old = wire(1, None, T0 - 2 * WINDOW, b"no row");
        assert_eq!(store.append(&session, old), Ok(Applied::TooOld));
        assert_eq!(store.row_bytes(&session), 0);
        let payload = row::keyframe(DENSE, T0, &snapshot(&[(1, 5)], T0));
        let good = wire(2, None, T0, &payload);
        assert_eq!(store.append(&session, good), Ok(Applied::Applied));
        assert!(store.row_bytes(&session) > 0);
    }
}

/// Scenario: a row of a million cells in a few hundred KB.
/// Guarantees: it is refused with what it has and what it may have, and the node is as it was.
#[test]
fn a_row_that_is_more_than_a_node_may_hold_is_refused() {
    let store = PackedStore::new(WINDOW, 60_000).with_node_budget(20_000);
    let session = open_at(&store, "node1", 1);
    send(&store, &session, 0, 1).unwrap();
    let mut builder = Builder::default();
    for id in 1..60_000 {
        for field in cairn_proto::catalogue::FIELDS.iter().take(17) {
            builder.value(EntityId(id), field.id, 7);
        }
    }
    let tick_ms = T0 + 10_000;
    let payload = row::keyframe(DENSE, tick_ms, &builder.build());
    let row = WireRow {
        seq: 1,
        base_seq: None,
        tick_ms,
        payload: &payload,
        sent_ms: tick_ms,
        now_ms: tick_ms,
    };
    let before = store.bytes();
    let refused = store.append(&session, row);
    assert!(
        matches!(refused, Err(Error::TooLarge { seq: 1, bytes, share }) if bytes > share),
        "{refused:?}"
    );
    assert_eq!(store.bytes(), before);
}

/// Scenario: a row of more cells than a sixteenth of a block, by itself and in a chunk, where the share
/// allows it.
/// Guarantees: it is refused with its number of cells, in the chunk as one that is over the limit; one
/// with as many as may be is taken.
#[test]
fn a_row_of_which_a_block_could_not_be_sealed_is_refused() {
    let wide = |fields| {
        let mut builder = Builder::default();
        for id in 1..=50_000 {
            for field in cairn_proto::catalogue::FIELDS.iter().take(fields) {
                builder.value(EntityId(id), field.id, 7);
            }
        }
        builder
    };
    for store in [
        &PlainStore::new(WINDOW, 0) as &dyn Door,
        &PackedStore::new(WINDOW, 0),
    ] {
        let session = open_at(store, "node1", 1);
        for id in 2..=50_000 {
            store.refuse(&session, EntityId(id)).unwrap();
        }
        let send = |seq, row: &Snapshot| {
            let tick_ms = T0 + seq * 10_000;
            let payload = row::keyframe(DENSE, tick_ms, row);
            let row = WireRow {
                seq,
                base_seq: None,
                tick_ms,
                payload: &payload,
                sent_ms: tick_ms,
                now_ms: tick_ms,
            };
            store.append(&session, row)
        };
        assert_eq!(send(16, &wide(10).build()), Ok(Applied::Applied));
        let mut one_more = wide(10);
        one_more.value(EntityId(1), cairn_proto::catalogue::FIELDS[10].id, 7);
        let one_more = one_more.build();
        let refused = Err(Error::TooManyCells {
            seq: 17,
            cells: 500_001,
        });
        assert_eq!(send(17, &one_more), refused);
        let payload = chunk::encode(DENSE, &[row_of(0, T0, &one_more)]);
        let taken = store.take(&session, 0, &payload, T0 + 160_000);
        assert!(
            matches!(taken, Err(Error::Decode { seq: 0, .. })),
            "{taken:?}"
        );
        assert_eq!(store.size().rows, 1);
    }
}

/// Scenario: a window of a whole quarter of an hour beside one that has just begun.
/// Guarantees: the long one goes first, the newest rows stay, and nobody is emptied in vain.
#[test]
fn long_windows_are_shortened_before_young_ones() {
    for store in [
        &PlainStore::new(WINDOW, 0) as &dyn Door,
        &PackedStore::new(WINDOW, 0),
    ] {
        let (long, young) = (open_at(store, "long", 1), open_at(store, "young", 1));
        for seq in 0..80 {
            send(store, &long, seq, 1).unwrap();
            if seq >= 70 {
                send(store, &young, seq, 1).unwrap();
            }
        }
        while rows(store, "long") > 20 {
            assert!(store.shorten(store.bytes() - 1) > 0);
            assert_eq!(rows(store, "young"), 10);
        }
        store.shorten(0);
        assert_eq!((rows(store, "young"), rows(store, "long")), (1, 1));
        assert_eq!(store.shorten(0), 0);
        assert_eq!(store.bytes(), store.size().bytes);
    }
}

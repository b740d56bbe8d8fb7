//! Blocks that come from another aggregator.

use super::sides::Whole;
use super::*;

const FORMER: u64 = 7;

/// A block of a former run in which the node has this value at each of some ticks.
fn block(first_offset: u64, ticks: &[u64], value: u64) -> Vec<u8> {
    let snapshots: Vec<Snapshot> = ticks
        .iter()
        .map(|tick| snapshot(&[(1, value)], *tick))
        .collect();
    let rows: Vec<RowOf<'_>> = (first_offset..)
        .zip(ticks)
        .zip(&snapshots)
        .map(|((offset, tick), snapshot)| row_of(offset, *tick, snapshot))
        .collect();
    chunk::encode(DENSE, &rows)
}

fn names() -> Vec<Named> {
    vec![Named::Def(def(1, EntityKind::Node, None, "node1"))]
}

fn piece<'a>(names: &'a [Named], payload: &'a [u8]) -> Piece<'a> {
    Piece {
        run: run(FORMER),
        interval_ms: 10_000,
        block: 3,
        names,
        payload,
        known: Known {
            offset_ms: 0,
            arrived_ms: T0 - 5,
        },
        now_ms: T0,
    }
}

#[test]
fn rows_of_a_former_run_join_what_the_living_agent_says() {
    let store = PlainStore::new(WINDOW, 0);
    let session = open(&store, T0);
    append(&store, &session, 0, T0, &[(1, 5)]).unwrap();
    let names = names();
    // The last one is of the tick that the living agent told.
    let payload = block(2, &[T0 - 20_000, T0 - 10_000, T0], 4);
    assert_eq!(store.restore("node1", &piece(&names, &payload)), Ok(2));
    assert_eq!(store.restore("node1", &piece(&names, &payload)), Ok(0));
    let told = [(T0 - 20_000, 4), (T0 - 10_000, 4), (T0, 5)];
    assert_eq!(values(&store), told);
    // The session goes on.
    append(&store, &session, 1, T0 + 10_000, &[(1, 6)]).unwrap();
    assert_eq!(values(&store).len(), 4);
    let held = store.held_of("node1");
    assert_eq!(held[0].run, run(T0));
    assert_eq!(held[1].blocks, [(3, 0b1100)]);
}

#[test]
fn a_node_that_no_agent_reports_is_there_with_what_the_other_knows() {
    for store in [
        &PlainStore::new(WINDOW, 0) as &dyn Whole,
        &PackedStore::new(WINDOW, 0),
    ] {
        let names = names();
        let late = block(0, &[T0 - WINDOW - 10_000], 4);
        assert_eq!(store.restore("node1", &piece(&names, &late)), Ok(0));
        assert!(store.nodes().is_empty(), "nothing of it is in the window");
        let payload = block(0, &[T0 - 10_000], 4);
        assert_eq!(store.restore("node1", &piece(&names, &payload)), Ok(1));
        let node = &store.nodes()[0];
        assert!(!node.live && node.arrived_ms == T0 - 5 && node.interval_ms == 10_000);
        assert_eq!(store.held_nodes(), [("node1".to_owned(), false)]);
        let nodes = store.entities(&Selector::Nodes);
        assert_eq!(nodes.len(), 1);
        store.evict(T0 + WINDOW);
        assert!(store.nodes().is_empty(), "it goes with its last row");
    }
}

/// A node whose clock is an hour behind keeps its window here too.
#[test]
fn the_window_is_that_of_the_nodes_own_clock() {
    let store = PackedStore::new(WINDOW, 0);
    let (names, hour) = (names(), 3_600_000);
    let payload = block(0, &[T0 - hour], 4);
    assert_eq!(store.restore("node1", &piece(&names, &payload)), Ok(0));
    let mut skewed = piece(&names, &payload);
    skewed.known.offset_ms = -3_600_000;
    assert_eq!(store.restore("node1", &skewed), Ok(1));
    assert_eq!(store.nodes()[0].offset_ms, -3_600_000);
    store.evict(T0);
    assert_eq!(store.size().rows, 1);
}

#[test]
fn what_is_wrong_with_a_block_leaves_the_window_as_it_was() {
    for store in [
        &PlainStore::new(WINDOW, 0) as &dyn Whole,
        &PackedStore::new(WINDOW, 0),
    ] {
        let names = names();
        let good = block(0, &[T0 - 10_000], 4);
        let refused = |piece: &Piece<'_>| {
            let refused = store.restore("node1", piece).unwrap_err();
            assert!(store.nodes().is_empty(), "{refused}");
            refused
        };
        let garbage = refused(&piece(&names, &[2, 255, 255]));
        assert!(matches!(garbage, Error::Decode { .. }), "{garbage}");
        let undefined = refused(&piece(&[], &good));
        assert_eq!(undefined, Error::Undefined { seq: 48, entity: 1 });
        let off_grid = block(0, &[T0 - 9_000], 4);
        let off_grid = refused(&piece(&names, &off_grid));
        assert_eq!(off_grid, Error::Tick { seq: 48 });
        let long = block(16, &[T0], 4);
        let long = refused(&piece(&names, &long));
        assert!(matches!(long, Error::Decode { seq: 48, .. }), "{long}");

        assert_eq!(store.restore("node1", &piece(&names, &good)), Ok(1));
        let falls = block(1, &[T0 - 20_000], 4);
        let falls = store.restore("node1", &piece(&names, &falls));
        assert_eq!(falls, Err(Error::Tick { seq: 49 }));
        let other = [Named::Def(def(1, EntityKind::System, None, "kubelet"))];
        let later = block(1, &[T0], 4);
        let redefined = store.restore("node1", &piece(&other, &later));
        assert_eq!(redefined, Err(Error::Redefined { entity: 1 }));
        assert_eq!(store.size().rows, 1);
    }
}

/// Scenario: blocks whose rows would have numbers that do not exist, or just do.
/// Guarantees: the former are refused, from an agent and from another aggregator; the latter are held.
#[test]
fn blocks_beyond_the_last_are_refused() {
    for store in [
        &PlainStore::new(WINDOW, 0) as &dyn Whole,
        &PackedStore::new(WINDOW, 0),
    ] {
        let names = names();
        let payload = block(0, &[T0 - 10_000, T0], 4);
        let mut given = piece(&names, &payload);
        given.block = 1 << 60;
        let refused = Err(Error::Block { block: 1 << 60 });
        assert_eq!(store.restore("node1", &given), refused);
        given.block -= 1;
        assert_eq!(store.restore("node1", &given), Ok(2));
        assert_eq!(store.held_of("node1")[0].blocks, [((1 << 60) - 1, 0b11)]);
        let opening = Opening {
            run: run(FORMER),
            interval_ms: 10_000,
            sent_ms: T0,
            now_ms: T0,
        };
        let session = store.open("node1", opening);
        let refused = Err(Error::Block { block: u64::MAX });
        assert_eq!(store.take(&session, u64::MAX, &payload, T0), refused);
        assert_eq!(store.take(&session, given.block, &payload, T0), Ok(0));
    }
}

#[test]
fn names_that_were_refused_are_handed_on_as_such() {
    let one = PackedStore::new(WINDOW, 0);
    let opening = Opening {
        run: run(FORMER),
        interval_ms: 10_000,
        sent_ms: T0,
        now_ms: T0,
    };
    let session = one.open("node1", opening);
    let node = def(1, EntityKind::Node, None, "node1");
    one.define(&session, node).unwrap();
    let pod = def(2, EntityKind::Pod, Some(1), "pod");
    one.define(&session, pod.clone()).unwrap();
    one.refuse(&session, EntityId(3)).unwrap();
    let row = snapshot(&[(1, 1), (2, 2), (3, 3)], T0);
    let payload = row::keyframe(DENSE, T0, &row);
    let wire = WireRow {
        seq: 0,
        base_seq: None,
        tick_ms: T0,
        payload: &payload,
        sent_ms: T0,
        now_ms: T0,
    };
    one.append(&session, wire).unwrap();
    let copy = one.chunk("node1", run(FORMER), 0).unwrap();
    assert!(copy.names.contains(&Named::Refused(EntityId(3))));
    assert!(copy.names.contains(&Named::Def(pod)));

    let two = PackedStore::new(WINDOW, 0);
    let mut given = piece(&copy.names, &copy.payload);
    given.block = 0;
    assert_eq!(two.restore("node1", &given), Ok(1));
    let all = Selector::Namespace("shop");
    assert_eq!(one.entities(&all), two.entities(&all));
    assert_eq!(two.entities(&all).len(), 1);
    assert_eq!(one.held_of("node1"), two.held_of("node1"));
}

#[test]
fn history_gives_way_to_the_newest_rows_when_there_is_no_room() {
    let store = PackedStore::new(WINDOW, 1);
    let session = store.open(
        "node1",
        Opening {
            run: run(T0),
            interval_ms: 10_000,
            sent_ms: T0,
            now_ms: T0,
        },
    );
    let node = def(1, EntityKind::Node, None, "node1");
    store.define(&session, node).unwrap();
    let payload = row::keyframe(DENSE, T0, &snapshot(&[(1, 5)], T0));
    let wire = WireRow {
        seq: 0,
        base_seq: None,
        tick_ms: T0,
        payload: &payload,
        sent_ms: T0,
        now_ms: T0,
    };
    store.append(&session, wire).unwrap();
    let (names, payload) = (names(), block(0, &[T0 - 20_000, T0 - 10_000], 4));
    assert!(store.restore("node1", &piece(&names, &payload)).is_ok());
    assert_eq!(store.nodes()[0].newest_tick_ms, Some(T0));
    assert_eq!(store.size().rows, 1, "the rows of the living agent stay");
}

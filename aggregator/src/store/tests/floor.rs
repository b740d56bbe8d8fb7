//! What a node let go for want of room, in both stores: it does not come back, and nothing else is refused for it.

use super::sides::{STEP, at, stores};
use super::*;

/// A session of a run whose seqs count the ticks, at the present of row 63.
fn begins(store: &dyn Door, node: &str, epoch_ms: u64, now_ms: u64) -> Session {
    let opening = Opening {
        run: run(epoch_ms),
        interval_ms: STEP,
        sent_ms: now_ms,
        now_ms,
    };
    let session = store.open(node, opening);
    store
        .define(&session, def(1, EntityKind::Node, None, node))
        .unwrap();
    session
}

fn sends(store: &dyn Door, session: &Session, seqs: std::ops::Range<u64>) {
    for seq in seqs {
        let applied = append(store, session, seq, at(seq), &[(1, seq)]);
        assert_eq!(applied, Ok(Applied::Applied), "{seq}");
    }
}

/// The chunk of a block whose first row has this tick.
fn chunk_of(first_ms: u64) -> Vec<u8> {
    let ticks = (0..16).map(|n| first_ms + n * STEP);
    let rows = ticks.map(|tick| (tick, snapshot(&[(1, tick / STEP)], tick)));
    let rows: Vec<(u64, Snapshot)> = rows.collect();
    let rows = (0..).zip(&rows);
    let rows = rows.map(|(offset, (tick, snapshot))| row_of(offset, *tick, snapshot));
    chunk::encode(DENSE, &rows.collect::<Vec<RowOf<'_>>>())
}

fn takes(store: &dyn Door, session: &Session, block: u64) -> u64 {
    let taken = store.take(session, block, &chunk_of(at(16 * block)), at(63));
    taken.unwrap()
}

fn restores(store: &dyn Exchange, epoch_ms: u64, (block, first_ms): (u64, u64)) -> u64 {
    let names = [Named::Def(def(1, EntityKind::Node, None, "n1"))];
    let piece = Piece {
        run: run(epoch_ms),
        interval_ms: STEP,
        block,
        names: &names,
        payload: &chunk_of(first_ms),
        known: Known::default(),
        now_ms: at(63),
    };
    store.restore("n1", &piece).unwrap()
}

/// Two nodes that were cut off; the window of the first, which is longer, is shortened by what goes at once: a row
/// of the plain store, a block of the packed one.
fn cut_off(store: &dyn Door) -> [Session; 2] {
    let first = begins(store, "n1", 1, at(0));
    sends(store, &first, 0..16);
    let second = begins(store, "n2", 1, at(0));
    sends(store, &second, 16..32);
    let sessions = ["n1", "n2"].map(|node| begins(store, node, 1, at(48)));
    for session in &sessions {
        sends(store, session, 48..64);
    }
    let gone = store.shorten(store.bytes() - 1);
    assert!((1..=16).contains(&gone), "{gone}");
    sessions
}

/// Scenario: two nodes were cut off; the window of one of them is shortened when they are back.
/// Guarantees: the other one lacks and gets all that it did not have; the one that was shortened gets what lies behind
/// the rows that went, also where nothing was held, and neither lacks nor takes these.
#[test]
fn a_node_lacks_and_takes_what_its_own_look_did_not_let_go() {
    for store in stores() {
        let store = &*store;
        let [first, second] = cut_off(store);
        assert_eq!(store.missing(&second, 0..4), [2, 0], "{store:?}");
        assert_eq!([2, 0].map(|block| takes(store, &second, block)), [16, 16]);
        assert_eq!(store.missing(&first, 0..4), [2, 1], "{store:?}");
        let before = store.size().rows;
        assert_eq!([2, 1].map(|block| takes(store, &first, block)), [16, 16]);
        assert_eq!(takes(store, &first, 0), 0, "{store:?}");
        assert_eq!(store.size().rows, before + 32);
        assert_eq!(store.missing(&first, 0..4), [0_u64; 0]);
    }
}

/// Scenario: another aggregator gives blocks of the run that was shortened, of the one before, and of one that has a
/// row on each side of what went.
/// Guarantees: the same.
#[test]
fn what_a_node_let_go_does_not_come_back_from_another_aggregator() {
    for store in stores() {
        let store = &*store;
        cut_off(store);
        assert_eq!(restores(store, 1, (0, at(0))), 0, "{store:?}");
        assert_eq!(restores(store, 1, (1, at(16))), 16, "{store:?}");
        assert_eq!(restores(store, 0, (0, at(0) - 16 * STEP)), 0, "{store:?}");
        let between = restores(store, 0, (9, at(24)));
        assert_eq!(between, 8, "ticks 32 to 39, which none has: {store:?}");
    }
}

/// Scenario: the window of a node is shortened, and then its clock is set back behind what is left.
/// Guarantees: what its next run has is taken: none of that went.
#[test]
fn of_a_clock_that_is_set_back_nothing_was_let_go() {
    for store in stores() {
        let store = &*store;
        cut_off(store);
        let present_ms = T0 - 2 * WINDOW;
        let session = begins(store, "n1", 2, present_ms);
        assert_eq!(store.missing(&session, 0..1), [0]);
        let payload = chunk_of(present_ms - 15 * STEP);
        let taken = store.take(&session, 0, &payload, present_ms);
        assert_eq!(taken, Ok(16), "{store:?}");
    }
}

/// Scenario: the same, but the clock is set back to before what went while nobody hears of it, and its run is heard of
/// when its present is behind that again.
/// Guarantees: what it has is wanted and taken.
#[test]
fn of_a_run_that_began_before_what_went_nothing_was_let_go() {
    for store in stores() {
        let store = &*store;
        cut_off(store);
        let opening = Opening {
            run: Run {
                clock_stepped: true,
                ..run(T0 - 20 * STEP)
            },
            interval_ms: STEP,
            sent_ms: at(63),
            now_ms: at(63),
        };
        let session = store.open("n1", opening);
        store
            .define(&session, def(1, EntityKind::Node, None, "n1"))
            .unwrap();
        assert_eq!(store.missing(&session, 0..1), [0]);
        let payload = chunk_of(T0 - 15 * STEP);
        let taken = store.take(&session, 0, &payload, at(63));
        assert_eq!(taken, Ok(16), "{store:?}");
    }
}

//! Nodes whose clock is set back, in both stores.

use super::*;

const HOUR_MS: u64 = 3_600_000;

/// A run that begins now tells one row; what is known of the node after an eviction.
fn tells(store: &dyn Door, epoch_ms: u64, own_ms: u64, now_ms: u64) -> Option<u64> {
    let opening = Opening {
        run: run(epoch_ms),
        interval_ms: 10_000,
        sent_ms: own_ms,
        now_ms,
    };
    let session = store.open("node1", opening);
    let node = def(1, EntityKind::Node, None, "node1");
    store.define(&session, node).unwrap();
    let payload = row::keyframe(DENSE, own_ms, &snapshot(&[(1, 1)], own_ms));
    let row = WireRow {
        seq: 0,
        base_seq: None,
        tick_ms: own_ms,
        payload: &payload,
        sent_ms: own_ms,
        now_ms,
    };
    assert_eq!(store.append(&session, row), Ok(Applied::Applied));
    store.evict(now_ms + 1_000);
    store.nodes().first().and_then(|node| node.newest_tick_ms)
}

/// Scenario: a node's clock is set back by more than the window, from right to behind and from ahead to
/// right.
/// Guarantees: what it tells from then on is there: it has not expired because its clock was later once.
#[test]
fn a_clock_that_is_set_back_by_more_than_the_window_hides_nothing() {
    let stores: [Box<dyn Door>; 2] = [
        Box::new(PlainStore::new(WINDOW, 0)),
        Box::new(PackedStore::new(WINDOW, 0)),
    ];
    for store in &stores {
        let clocks = [T0 + HOUR_MS, T0 + 10_000, T0 - HOUR_MS];
        for (epoch_ms, own_ms) in (1..).zip(clocks) {
            let newest = tells(&**store, epoch_ms, own_ms, T0 + 10_000 * epoch_ms);
            assert_eq!(newest, Some(own_ms), "{store:?}");
        }
    }
}

/// Scenario: a row expires beside others of its block; then the node's clock is set back by a tick.
/// Guarantees: what has expired does not come back.
#[test]
fn what_has_expired_stays_so_when_the_clock_is_set_back() {
    let stores: [Box<dyn Door>; 2] = [
        Box::new(PlainStore::new(20_000, 0)),
        Box::new(PackedStore::new(20_000, 0)),
    ];
    for store in &stores {
        let opening = |epoch_ms, now_ms| Opening {
            run: run(epoch_ms),
            interval_ms: 10_000,
            sent_ms: now_ms,
            now_ms,
        };
        let session = store.open("node1", opening(1, T0));
        let node = def(1, EntityKind::Node, None, "node1");
        store.define(&session, node).unwrap();
        for seq in 0..4 {
            let tick_ms = T0 + seq * 10_000;
            let payload = row::keyframe(DENSE, tick_ms, &snapshot(&[(1, 1)], tick_ms));
            let row = WireRow {
                seq,
                base_seq: None,
                tick_ms,
                payload: &payload,
                sent_ms: tick_ms,
                now_ms: tick_ms,
            };
            assert_eq!(store.append(&session, row), Ok(Applied::Applied));
        }
        let ticks = || -> Vec<u64> {
            let node = &store.entities(&Selector::Nodes)[0];
            let rows = store.read(node, table::MEMORY_USAGE, (0, u64::MAX));
            rows.iter().map(|row| row.tick_ms).collect()
        };
        store.evict(T0 + 30_000);
        let left = [T0 + 10_000, T0 + 20_000, T0 + 30_000];
        assert_eq!(ticks(), left);
        store.open("node1", opening(2, T0 + 20_000));
        assert_eq!(ticks(), left, "{store:?}");
    }
}

/// Scenario: a node's clock is set back by an hour between two sessions.
/// Guarantees: the rows that its clock told ahead of its present go, and are counted once.
#[test]
fn rows_that_go_because_a_clock_was_set_back_are_counted() {
    let stores: [Box<dyn Door>; 2] = [
        Box::new(PlainStore::new(WINDOW, 0)),
        Box::new(PackedStore::new(WINDOW, 0)),
    ];
    for store in &stores {
        let now_ms = T0 + 20_000;
        assert!(tells(&**store, 1, T0 + HOUR_MS, T0).is_some());
        let opening = Opening {
            run: run(2),
            interval_ms: 10_000,
            sent_ms: now_ms,
            now_ms,
        };
        store.open("node1", opening);
        assert_eq!(store.evict(now_ms).clock_rows, 1, "{store:?}");
        assert_eq!(store.evict(now_ms).clock_rows, 0, "{store:?}");
    }
}

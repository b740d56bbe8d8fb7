//! Runs that ended and of which an agent tells, in both stores.

use cairn_proto::limits::MAX_EARLIER_RUNS;

use super::sides::{STEP, at, stores};
use super::*;

fn ended(epoch_ms: u64, first: u64, last: u64) -> EarlierRun {
    EarlierRun {
        run: run(epoch_ms),
        interval_ms: STEP,
        first_tick_ms: at(first),
        last_tick_ms: at(last),
    }
}

/// A session that begins at a tick, by the node's own clock and by ours.
fn begins(store: &dyn Door, epoch_ms: u64, now_ms: u64) -> Session {
    let opening = Opening {
        run: run(epoch_ms),
        interval_ms: STEP,
        sent_ms: now_ms,
        now_ms,
    };
    let session = store.open("node1", opening);
    store
        .define(&session, def(1, EntityKind::Node, None, "node1"))
        .unwrap();
    session
}

fn gap(store: &dyn Door) -> u64 {
    store.node_state("node1").unwrap().gap_ticks
}

fn sends(store: &dyn Door, session: &Session, ticks: std::ops::Range<u64>) {
    let first = ticks.start;
    for k in ticks {
        let applied = append(store, session, k - first, at(k), &[(1, k)]);
        assert_eq!(applied, Ok(Applied::Applied), "{k}");
    }
}

/// Rows of a run that ended, as another aggregator hands them over; their seqs count from the first tick.
fn restores(store: &dyn Exchange, epoch_ms: u64, ticks: std::ops::Range<u64>) {
    let of = |k: u64| (k, snapshot(&[(1, k)], at(k)));
    let snapshots: Vec<(u64, Snapshot)> = ticks.map(of).collect();
    let rows = snapshots.iter();
    let rows = rows.map(|(k, snapshot)| row_of(*k, at(*k), snapshot));
    let payload = chunk::encode(DENSE, &rows.collect::<Vec<RowOf<'_>>>());
    let names = [Named::Def(def(1, EntityKind::Node, None, "node1"))];
    let piece = Piece {
        run: run(epoch_ms),
        interval_ms: STEP,
        block: 0,
        names: &names,
        payload: &payload,
        known: Known::default(),
        now_ms: at(12),
    };
    assert_eq!(store.restore("node1", &piece), Ok(snapshots.len() as u64));
}

/// Scenario: a run of six ticks that nobody has; the next one begins four ticks later; then rows of the
/// first come from elsewhere, a part and then all.
/// Guarantees: what is missing since the first tick is counted, no row is made of it, and the count goes
/// down with what comes.
#[test]
fn ticks_of_a_run_that_ended_are_missing_until_somebody_brings_them() {
    for store in stores() {
        let store = &*store;
        let session = begins(store, 2, at(9) + 500);
        assert_eq!(store.earlier(&session, &[ended(1, 0, 5)], at(9) + 500), 0);
        assert_eq!(gap(store), 6, "before the first row");
        sends(store, &session, 10..13);
        assert_eq!((gap(store), store.size().rows), (10, 3));
        restores(store, 1, 0..4);
        assert_eq!(gap(store), 6);
        restores(store, 1, 4..6);
        assert_eq!(
            (gap(store), store.size().rows),
            (4, 9),
            "nobody sampled then"
        );
        // Once more, in a stream that was broken and begins anew.
        let session = begins(store, 2, at(12) + 500);
        assert_eq!(store.earlier(&session, &[ended(1, 0, 5)], at(12) + 500), 0);
        assert_eq!(gap(store), 4, "{store:?}");
    }
}

/// Scenario: the aggregator was there all the time, but for the last two ticks of a run.
/// Guarantees: these alone are missing.
#[test]
fn of_a_run_that_is_held_what_came_no_more_is_missing() {
    for store in stores() {
        let store = &*store;
        let first = begins(store, 1, at(0));
        sends(store, &first, 0..4);
        let second = begins(store, 2, at(5) + 500);
        store.earlier(&second, &[ended(1, 0, 5)], at(5) + 500);
        assert_eq!(gap(store), 2);
        sends(store, &second, 6..9);
        assert_eq!(gap(store), 2, "{store:?}");
    }
}

/// Scenario: ticks that are told of leave the window.
/// Guarantees: they are missing no more, and the node goes when nothing else is left of it.
#[test]
fn what_is_missing_leaves_with_the_window() {
    let rows = WINDOW / STEP;
    for store in stores() {
        let store = &*store;
        let session = begins(store, 2, at(9) + 500);
        store.earlier(&session, &[ended(1, 0, 5)], at(9) + 500);
        store.evict(at(rows + 3));
        assert_eq!(gap(store), 3);
        store.close(&session, at(rows + 3));
        store.evict(at(rows + 6));
        assert_eq!(store.node_state("node1"), None, "{store:?}");
    }
}

/// Scenario: an agent tells of a century, of the future, of its own run, of thousands of runs.
/// Guarantees: it makes its own node a gap of one window at most, and what cannot be is counted.
#[test]
fn a_hostile_agent_makes_no_more_than_its_own_node_a_gap_of_a_window() {
    let rows = WINDOW / STEP;
    for store in stores() {
        let store = &*store;
        let opening = Opening {
            run: run(9),
            interval_ms: STEP,
            sent_ms: T0,
            now_ms: T0,
        };
        store.open("node2", opening);
        let session = begins(store, 2, T0);
        let century = EarlierRun {
            first_tick_ms: 0,
            ..ended(1, 0, 0)
        };
        assert_eq!(store.earlier(&session, &[century], T0), 0);
        // Both ends of the window are in it.
        assert_eq!(gap(store), rows + 1);
        let never = [ended(3, 1, 1), ended(2, 0, 0)];
        assert_eq!(store.earlier(&session, &never, T0), 2);
        assert_eq!(gap(store), rows + 1);
        let early = EarlierRun {
            first_tick_ms: 0,
            last_tick_ms: T0 - WINDOW - STEP,
            ..ended(4, 0, 0)
        };
        let many: Vec<EarlierRun> = (0..5_000)
            .map(|n| EarlierRun {
                run: run(100 + n),
                ..century
            })
            .chain([early])
            .collect();
        assert_eq!(store.earlier(&session, &many, T0), 0);
        assert_eq!(gap(store), rows + 1);
        let dense = EarlierRun {
            interval_ms: 1_000,
            ..century
        };
        store.earlier(&session, &[dense], T0);
        assert!(gap(store) <= WINDOW / 1_000 + 1, "{}", gap(store));
        assert_eq!(store.node_state("node2").unwrap().gap_ticks, 0);
        // Nobody tells anything by a session that was ended.
        drop(begins(store, 5, T0));
        let before = gap(store);
        let later = [ended(6, 0, 3)];
        assert_eq!(store.earlier(&session, &later, at(3)), 0);
        assert_eq!(gap(store), before);
    }
    assert_eq!(MAX_EARLIER_RUNS, 8);
}

/// Scenario: a clock is set back between two runs, and by more than the window.
/// Guarantees: what lies ahead of the new present is not missing.
#[test]
fn of_a_clock_that_is_set_back_nothing_is_missing_ahead() {
    for store in stores() {
        let store = &*store;
        let session = begins(store, 2, at(9) + 500);
        store.earlier(&session, &[ended(1, 0, 5)], at(9) + 500);
        begins(store, 3, at(3) + 500);
        assert_eq!(gap(store), 4);
        let session = begins(store, 4, T0 - 10 * WINDOW);
        assert_eq!(gap(store), 0, "{store:?}");
        let earlier = EarlierRun {
            first_tick_ms: T0 - 10 * WINDOW - 3 * STEP,
            last_tick_ms: T0 - 10 * WINDOW - 2 * STEP,
            ..ended(5, 0, 0)
        };
        assert_eq!(store.earlier(&session, &[earlier], T0 - 10 * WINDOW), 0);
        assert_eq!(gap(store), 2, "{store:?}");
    }
}

/// Scenario: a node whose window was shortened is told of a run that it held.
/// Guarantees: rows that went for want of room are not missing.
#[test]
fn rows_that_went_for_want_of_room_are_not_missing() {
    for store in stores() {
        let store = &*store;
        let first = begins(store, 1, at(0));
        sends(store, &first, 0..40);
        assert!(store.shorten(0) > 0);
        let left = store.size().rows;
        let second = begins(store, 2, at(39) + 500);
        store.earlier(&second, &[ended(1, 0, 39)], at(39) + 500);
        assert_eq!(gap(store), 0, "{store:?}");
        sends(store, &second, 40..42);
        assert_eq!((gap(store), store.size().rows), (0, left + 2));
    }
}

//! The watermark against the text of the rule, and what follows from it.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::query::{NODE_MAX_AGE_MS, is_skewed, newest_here, nodes_missing, published_tick};
use crate::store::{Limited, NodeState};

/// Some grid time of all intervals.
const T0: u64 = 1_795_332_300_000;

const INTERVALS_MS: [u64; 8] = [1_000, 2_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000];

fn intervals() -> impl Strategy<Value = u64> {
    prop::sample::select(INTERVALS_MS.to_vec())
}

fn node(live: bool, since_ms: u64, interval_ms: u64) -> NodeState {
    NodeState {
        name: "n".into(),
        live,
        since_ms,
        newest_tick_ms: None,
        arrived_ms: 0,
        interval_ms,
        offset_ms: 0,
        sources: Arc::default(),
        gap_rows: 0,
        gap_ticks: 0,
        limited: Limited::No,
        refused_entities: 0,
    }
}

/// A node around `T0`: its newest tick is on its own grid, by its own clock.
fn nodes() -> impl Strategy<Value = NodeState> {
    let offset = prop_oneof![
        6 => Just(0_i64),
        3 => -1_100_i64..1_100,
        2 => -31_000_i64..31_000,
        1 => Just(-T0.cast_signed()),
        1 => Just(3_600_000_i64),
    ];
    let newest = prop_oneof![1 => Just(None), 8 => (0_u64..5).prop_map(Some), 1 => (0_u64..200).prop_map(Some)];
    // Some connect in the very millisecond of a tick.
    let since = prop_oneof![3 => -70_000_i64..70_000, 1 => (-7_i64..7).prop_map(|n| n * 10_000)];
    (any::<bool>(), since, intervals(), offset, newest).prop_map(
        |(live, since, interval_ms, offset_ms, back)| {
            let now_there = T0.saturating_add_signed(offset_ms) + interval_ms;
            let tick = |back: u64| (now_there / interval_ms).saturating_sub(back) * interval_ms;
            NodeState {
                offset_ms,
                newest_tick_ms: back.map(tick),
                ..node(live, T0.saturating_add_signed(since), interval_ms)
            }
        },
    )
}

/// True when the node's clock cannot be told from ours by what it sends.
fn clock_is_right(node: &NodeState) -> bool {
    let off = node.offset_ms.abs();
    off <= 1_000 || 2 * off <= node.interval_ms.cast_signed()
}

/// True when the node has delivered the tick or a later one: between its newest tick and this one
/// lies no other of its own.
fn delivered(node: &NodeState, tick_ms: u64) -> bool {
    node.newest_tick_ms
        .is_some_and(|newest| newest + node.interval_ms > tick_ms)
}

/// True when the tick is published: every node with a live session has delivered it or later, or
/// the wait for those that have not is over.
fn is_published(nodes: &[NodeState], interval_ms: u64, tick_ms: u64, now_ms: u64) -> bool {
    let wait_over = now_ms >= tick_ms + interval_ms / 2 || now_ms >= tick_ms + 3_000;
    let late = |node: &NodeState| {
        let owes = node.live && node.since_ms <= tick_ms && clock_is_right(node);
        owes && !delivered(node, tick_ms)
    };
    wait_over || !nodes.iter().any(late)
}

/// What happens to a node while time goes on.
#[derive(Clone, Copy, Debug)]
enum Change {
    Row,
    Opens,
    Closes,
    Nothing,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_tick_that_is_published_is_the_one_of_the_rule(
        nodes in vec(nodes(), 0..5), interval_ms in intervals(), later_ms in 0_u64..130_000
    ) {
        let now_ms = T0 + later_ms;
        let newest = (T0 / 1_000 - 120..=now_ms / 1_000)
            .map(|second| second * 1_000)
            .filter(|tick| tick % interval_ms == 0)
            .rfind(|tick| is_published(&nodes, interval_ms, *tick, now_ms));
        prop_assert_eq!(published_tick(&nodes, interval_ms, now_ms), newest);
    }

    #[test]
    fn a_node_is_missing_when_it_was_heard_of_and_has_not_delivered(
        nodes in vec(nodes(), 0..6), interval_ms in intervals(), later in 0_u64..4
    ) {
        let tick_ms = T0 / interval_ms * interval_ms + later * interval_ms;
        let missing = nodes.iter().filter(|node| {
            // By our clock, if its own is off.
            let off_ms = if clock_is_right(node) { 0 } else { node.offset_ms };
            let Some(newest) = node.newest_tick_ms else {
                return false;
            };
            let age_ms = i128::from(tick_ms) - (i128::from(newest) - i128::from(off_ms));
            age_ms <= i128::from(NODE_MAX_AGE_MS)
                && !(clock_is_right(node) && delivered(node, tick_ms))
        });
        prop_assert_eq!(nodes_missing(&nodes, tick_ms), missing.count());
    }

    #[test]
    fn a_tick_is_published_at_the_latest_when_its_wait_is_over_and_never_before_its_time(
        nodes in vec(nodes(), 0..5), interval_ms in intervals(), ticks in 0_u64..4
    ) {
        let tick_ms = T0 + ticks * interval_ms;
        let over_ms = tick_ms + (interval_ms / 2).min(3_000);
        prop_assert_eq!(published_tick(&nodes, interval_ms, over_ms), Some(tick_ms));
        prop_assert!(published_tick(&nodes, interval_ms, tick_ms - 1) < Some(tick_ms));
        prop_assert!(published_tick(&nodes, interval_ms, tick_ms) >= Some(tick_ms - interval_ms));
    }

    #[test]
    fn who_has_no_session_or_another_time_keeps_nobody_waiting(
        nodes in vec(nodes(), 0..5), interval_ms in intervals(), later_ms in 0_u64..60_000
    ) {
        let mut counted = nodes.clone();
        counted.retain(|node| node.live && !is_skewed(node));
        let now_ms = T0 + later_ms;
        prop_assert_eq!(
            published_tick(&nodes, interval_ms, now_ms),
            published_tick(&counted, interval_ms, now_ms)
        );
    }

    #[test]
    fn a_node_without_a_row_was_never_heard_of(node in nodes()) {
        prop_assert_eq!(newest_here(&NodeState { newest_tick_ms: None, ..node }), 0);
    }

    /// Scenario: nodes connect, deliver and leave while time goes on; none connects in the very
    /// millisecond of a tick, which nobody could know to be before or after it.
    #[test]
    fn what_was_published_stays_so(
        interval_ms in intervals(),
        own in vec(intervals(), 1..4),
        changes in vec((1_u64..4_000, 0_usize..3, prop_oneof![
            4 => Just(Change::Row), 1 => Just(Change::Opens), 1 => Just(Change::Closes),
            2 => Just(Change::Nothing),
        ]), 1..60)
    ) {
        let mut nodes: Vec<NodeState> = own.iter().map(|own| node(true, T0 - 1, *own)).collect();
        let mut now_ms = T0;
        let mut published = published_tick(&nodes, interval_ms, now_ms);
        for (later_ms, which, change) in changes {
            now_ms += later_ms;
            let at = which % nodes.len();
            let (node, on_tick) = (&mut nodes[at], now_ms.is_multiple_of(1_000));
            match change {
                Change::Row => {
                    let tick = now_ms / node.interval_ms * node.interval_ms;
                    node.newest_tick_ms = node.newest_tick_ms.max(Some(tick));
                }
                Change::Opens if !on_tick => (node.live, node.since_ms) = (true, now_ms),
                Change::Closes => (node.live, node.since_ms) = (false, now_ms),
                Change::Opens | Change::Nothing => {}
            }
            let next = published_tick(&nodes, interval_ms, now_ms);
            prop_assert!(next >= published, "{:?} after {:?} at {}", next, published, now_ms);
            published = next;
        }
    }
}

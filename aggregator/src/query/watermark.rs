//! From when on a value over more than one node may be shown.
//!
//! A sum at tick T is complete when every node with a live session has delivered T, and it is
//! shown anyhow a moment later: a node that is late then counts with its held value.

use crate::store::{NodeState, Ticks};

/// How long a silent node goes on being listed and counted with its held values, ms: the max-age
/// of what it measures most.
pub const NODE_MAX_AGE_MS: u64 = 90_000;

/// The longest that a tick waits for late nodes, ms.
const MAX_WAIT_MS: u64 = 3_000;

/// Clock differences below this are those of a connection, ms.
const SKEW_MS: u64 = 1_000;

/// How long after a tick's own time late nodes are waited for, ms.
#[must_use]
pub fn wait_ms(interval_ms: u64) -> u64 {
    (interval_ms / 2).min(MAX_WAIT_MS)
}

/// The newest tick of the grid at which values over several nodes are shown; `None` before the
/// first tick of the clock.
///
/// A node that connected after the tick owes nothing for it, so that a sum which was shown stays;
/// a node whose clock is off is not awaited, so that no other node's data moves.
#[must_use]
pub fn published_tick(nodes: &[NodeState], interval_ms: u64, now_ms: u64) -> Option<u64> {
    published_tick_by(interval_ms, now_ms, |lacks| nodes.iter().any(lacks))
}

/// The same, of nodes that are looked at one after the other: `any` says whether one of them is as
/// asked, and is called only where that decides.
pub(super) fn published_tick_by(
    interval_ms: u64,
    now_ms: u64,
    any: impl FnOnce(&mut dyn FnMut(&NodeState) -> bool) -> bool,
) -> Option<u64> {
    let interval_ms = interval_ms.max(1);
    let newest = now_ms / interval_ms * interval_ms;
    let is_owing = |n: &NodeState| n.live && n.since_ms <= newest && !is_skewed(n);
    let mut lacks = |n: &NodeState| is_owing(n) && !has_delivered(n, newest);
    if now_ms >= newest.saturating_add(wait_ms(interval_ms)) || !any(&mut lacks) {
        Some(newest)
    } else {
        newest.checked_sub(interval_ms)
    }
}

/// How many nodes lack at this tick: they were heard of within max-age, and count with a held
/// value, or with none because their clock is off and their rows lie elsewhere.
#[must_use]
pub fn nodes_missing(nodes: &[NodeState], tick_ms: u64) -> usize {
    let heard_of = |n: &&NodeState| tick_ms.saturating_sub(newest_here(n)) <= NODE_MAX_AGE_MS;
    let lacks = |n: &&NodeState| is_skewed(n) || !has_delivered(n, tick_ms);
    nodes.iter().filter(heard_of).filter(lacks).count()
}

/// True when a node's clock is so far off that its ticks are not ours: beyond half an interval,
/// and beyond what a slow connection can make of a right clock.
#[must_use]
pub fn is_skewed(node: &NodeState) -> bool {
    is_off(node.ticks())
}

/// The same of a node of which its ticks are known.
pub(super) fn is_off(ticks: Ticks) -> bool {
    ticks.offset_ms.unsigned_abs() > (ticks.interval_ms / 2).max(SKEW_MS)
}

/// A node's newest tick by our clock, Unix ms; 0 before its first row.
#[must_use]
pub fn newest_here(node: &NodeState) -> u64 {
    let offset_ms = if is_skewed(node) { node.offset_ms } else { 0 };
    node.newest_tick_ms.map_or(0, |newest| {
        newest.saturating_add_signed(offset_ms.saturating_neg())
    })
}

/// True of a node that has told rows, the newest of which is older at the tick than rows are on their way.
#[must_use]
pub fn is_late(node: &NodeState, tick_ms: u64) -> bool {
    let age_ms = tick_ms.saturating_sub(newest_here(node));
    node.newest_tick_ms.is_some() && age_ms > 2 * node.interval_ms.max(1)
}

/// True when the node's rows reach the tick, on its own grid if that is wider.
fn has_delivered(node: &NodeState, tick_ms: u64) -> bool {
    let own = node.interval_ms.max(1);
    node.newest_tick_ms
        .is_some_and(|newest| newest >= tick_ms / own * own)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::Limited;

    fn node(live: bool, newest: Option<u64>, interval_ms: u64) -> NodeState {
        NodeState {
            name: "n".into(),
            live,
            since_ms: 0,
            newest_tick_ms: newest,
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

    #[test]
    fn a_tick_is_published_when_every_live_node_has_delivered_it() {
        let both = [
            node(true, Some(20_000), 10_000),
            node(true, Some(20_000), 10_000),
        ];
        assert_eq!(published_tick(&both, 10_000, 20_100), Some(20_000));
        let one = [
            node(true, Some(20_000), 10_000),
            node(true, Some(10_000), 10_000),
        ];
        assert_eq!(published_tick(&one, 10_000, 20_100), Some(10_000));
        assert_eq!(nodes_missing(&one, 20_000), 1);
    }

    #[test]
    fn a_late_node_is_waited_for_half_an_interval_and_at_most_three_seconds() {
        let one = [node(true, Some(10_000), 10_000)];
        assert_eq!(published_tick(&one, 10_000, 22_999), Some(10_000));
        assert_eq!(published_tick(&one, 10_000, 23_000), Some(20_000));
        let fast = [node(true, Some(19_000), 1_000)];
        assert_eq!(published_tick(&fast, 1_000, 20_499), Some(19_000));
        assert_eq!(published_tick(&fast, 1_000, 20_500), Some(20_000));
    }

    #[test]
    fn a_node_without_a_session_is_not_waited_for() {
        let nodes = [
            node(true, Some(20_000), 10_000),
            node(false, Some(10_000), 10_000),
        ];
        assert_eq!(published_tick(&nodes, 10_000, 20_001), Some(20_000));
    }

    #[test]
    fn a_node_with_a_wider_grid_owes_only_its_own_ticks() {
        let nodes = [node(true, Some(60_000), 60_000)];
        assert_eq!(published_tick(&nodes, 10_000, 90_100), Some(90_000));
    }

    #[test]
    fn a_sum_that_was_shown_stays_when_a_node_connects() {
        let old = node(true, Some(20_000), 10_000);
        let new = NodeState {
            since_ms: 20_050,
            ..node(true, None, 10_000)
        };
        assert_eq!(published_tick(&[old, new], 10_000, 20_100), Some(20_000));
    }

    #[test]
    fn a_node_whose_clock_is_off_is_not_awaited_and_counts_as_missing() {
        let hour = 3_600_000;
        let fine = node(true, Some(hour + 20_000), 10_000);
        let behind = NodeState {
            offset_ms: -3_600_000,
            ..node(true, Some(20_000), 10_000)
        };
        let ahead = NodeState {
            offset_ms: 3_600_000,
            ..node(true, Some(2 * hour + 20_000), 10_000)
        };
        let nodes = [fine, behind, ahead];
        assert_eq!(
            published_tick(&nodes, 10_000, hour + 20_100),
            Some(hour + 20_000)
        );
        assert_eq!(nodes_missing(&nodes, hour + 20_000), 2);
        assert_eq!(nodes.each_ref().map(newest_here), [hour + 20_000; 3]);
    }

    #[test]
    fn a_node_without_a_row_is_not_heard_of_however_far_its_clock_is_behind() {
        let behind = NodeState {
            offset_ms: -3_600_000,
            ..node(true, None, 10_000)
        };
        assert_eq!(newest_here(&behind), 0);
        assert_eq!(nodes_missing(&[behind], 3_600_000), 0);
    }

    #[test]
    fn a_node_silent_for_longer_than_max_age_is_no_longer_missing() {
        assert_eq!(
            nodes_missing(&[node(false, Some(10_000), 10_000)], 100_000),
            1
        );
        assert_eq!(
            nodes_missing(&[node(false, Some(10_000), 10_000)], 110_000),
            0
        );
    }
}

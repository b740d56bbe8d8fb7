//! From when on a value over more than one node may be shown.
//!
//! A sum at tick T is complete when every node with a live session has delivered T, and it is
//! shown anyhow a moment later: a node that is late then counts with its held value.

use crate::store::NodeState;

/// How long a silent node goes on being listed and counted with its held values, ms: the max-age
/// of what it measures most.
pub const NODE_MAX_AGE_MS: u64 = 90_000;

/// The longest that a tick waits for late nodes, ms.
const MAX_WAIT_MS: u64 = 3_000;

/// How long after a tick's own time late nodes are waited for, ms.
#[must_use]
pub fn wait_ms(interval_ms: u64) -> u64 {
    (interval_ms / 2).min(MAX_WAIT_MS)
}

/// The newest tick of the grid at which values over several nodes are shown; `None` before the
/// first tick of the clock.
#[must_use]
pub fn published_tick(nodes: &[NodeState], interval_ms: u64, now_ms: u64) -> Option<u64> {
    let interval_ms = interval_ms.max(1);
    let newest = now_ms / interval_ms * interval_ms;
    let complete = now_ms >= newest.saturating_add(wait_ms(interval_ms))
        || nodes
            .iter()
            .filter(|n| n.live)
            .all(|n| has_delivered(n, newest));
    // With no live node nothing can still come for the newest tick, and nothing is awaited.
    if complete {
        Some(newest)
    } else {
        newest.checked_sub(interval_ms)
    }
}

/// How many nodes count at this tick with a held value: they were heard of within max-age, and
/// have not delivered it.
#[must_use]
pub fn nodes_missing(nodes: &[NodeState], tick_ms: u64) -> usize {
    nodes
        .iter()
        .filter(|n| {
            let newest = n.newest_tick_ms.unwrap_or(0);
            !has_delivered(n, tick_ms) && tick_ms.saturating_sub(newest) <= NODE_MAX_AGE_MS
        })
        .count()
}

/// True when the node's rows reach the tick, on its own grid if that is wider.
fn has_delivered(node: &NodeState, tick_ms: u64) -> bool {
    let own = node.interval_ms.max(1);
    node.newest_tick_ms
        .is_some_and(|newest| newest >= tick_ms / own * own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(live: bool, newest: Option<u64>, interval_ms: u64) -> NodeState {
        NodeState {
            name: "n".into(),
            live,
            since_ms: 0,
            newest_tick_ms: newest,
            arrived_ms: 0,
            interval_ms,
            offset_ms: 0,
            sources: Vec::new(),
            gap_rows: 0,
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

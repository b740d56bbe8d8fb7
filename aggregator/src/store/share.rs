//! How much of the memory one node may have, so that no node takes it from the others.
//!
//! A share is four times what the fleet's median node holds: the largest nodes of a real cluster are
//! within it, and a node that makes things up is not. Two rules keep it from being unjust to a large
//! node beside small ones. It is never below a floor, which is the larger of `--node-budget` and of
//! half the memory limit divided evenly: nodes that only use their floors cannot, all together, reach
//! the first rung of the memory ladder. And a window that is still filling counts as what it will be.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Size;

/// How far a node may be from the median one.
const SPREAD: u64 = 4;

/// What a node may hold in any case, unless `--node-budget` says otherwise: 15 minutes of 10 s rows
/// of 110 pods with all their parts.
pub const NODE_BUDGET: u64 = 2 << 20;

/// Stands for the memory limit where there is none: what an aggregator of a cluster of a few hundred
/// nodes is given.
const PRESUMED_LIMIT: u64 = 1 << 30;

/// The largest factor by which a window that is still filling counts as more than it is. The decoded
/// row of a session weighs as much as ten packed ones, so few rows say little about many.
const MOST_FILLING: u64 = 8;

/// Bytes of a row that are taken in any case, decoded: a node of 1,000 pods with every field of the
/// catalogue has 6 MiB. Above it one row, which is held for the next to refer to, would be more than
/// a small fleet.
pub(super) const ROW_BYTES: u64 = 8 << 20;

/// The share of every node.
#[derive(Debug)]
pub(super) struct Shares {
    limit: u64,
    least: u64,
    bytes: AtomicU64,
}

impl Shares {
    /// Shares of a store of so many bytes; 0 means no limit.
    pub(super) fn new(limit: u64) -> Self {
        let limit = if limit == 0 { PRESUMED_LIMIT } else { limit };
        let mut shares = Self {
            limit,
            least: NODE_BUDGET,
            bytes: AtomicU64::new(0),
        };
        // As if there were one node, until the first eviction knows better.
        *shares.bytes.get_mut() = shares.floor(1);
        shares
    }

    /// The same with another `--node-budget`.
    pub(super) fn with_least(self, least: u64) -> Self {
        let mut shares = Self { least, ..self };
        *shares.bytes.get_mut() = shares.floor(1);
        shares
    }

    /// What a node may hold.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What a decoded row may be.
    pub(super) fn row_bytes(&self) -> u64 {
        self.bytes().max(ROW_BYTES)
    }

    /// Sets it anew, for a fleet whose nodes hold so much in full windows.
    pub(super) fn settle(&self, full: &mut [u64]) {
        let floor = self.floor(full.len() as u64);
        let median = median(full).unwrap_or(0);
        let bytes = median.saturating_mul(SPREAD).max(floor);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    fn floor(&self, nodes: u64) -> u64 {
        self.least.max(self.limit / 2 / nodes.max(1))
    }
}

/// What a node will hold once its window is full; `None` of one without rows, which says nothing
/// about how large nodes are.
pub(super) fn full_bytes(size: Size, window_rows: u64) -> Option<u64> {
    let most = size.bytes.saturating_mul(MOST_FILLING);
    let rows = window_rows.max(size.rows);
    let filled = size.bytes.saturating_mul(rows).checked_div(size.rows)?;
    Some(filled.min(most))
}

/// The median; of two in the middle the lower, so that of two nodes the larger does not decide what
/// it may have itself.
fn median(of: &mut [u64]) -> Option<u64> {
    let middle = of.len().checked_sub(1)? / 2;
    Some(*of.select_nth_unstable(middle).1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn share(limit: u64, full: &[u64]) -> u64 {
        let shares = Shares::new(limit);
        shares.settle(&mut full.to_vec());
        shares.bytes()
    }

    #[test]
    fn a_node_may_have_four_times_the_median_and_never_less_than_the_floor() {
        let fleet = |median: u64| vec![median; 1_000];
        assert_eq!(share(1024 * MIB, &fleet(3 * MIB)), 12 * MIB);
        assert_eq!(share(1024 * MIB, &fleet(MIB / 10)), 2 * MIB);
        let mut mixed = fleet(MIB);
        mixed.extend(vec![u64::MAX; 400]);
        assert_eq!(share(1024 * MIB, &mixed), 4 * MIB);
    }

    #[test]
    fn few_nodes_share_half_of_the_limit() {
        assert_eq!(share(1024 * MIB, &[]), 512 * MIB);
        assert_eq!(share(1024 * MIB, &[MIB]), 512 * MIB);
        assert_eq!(share(1024 * MIB, &[MIB, 900 * MIB]), 256 * MIB);
        assert_eq!(share(1024 * MIB, &[200 * MIB]), 800 * MIB);
        assert_eq!(share(0, &[MIB, MIB]), 256 * MIB);
        assert_eq!(Shares::new(1024 * MIB).bytes(), 512 * MIB);
        let strict = Shares::new(4 * MIB).with_least(64 * MIB);
        assert_eq!(strict.bytes(), 64 * MIB);
    }

    #[test]
    fn a_filling_window_counts_as_what_it_will_be() {
        let size = |rows, bytes| Size {
            rows,
            bytes,
            ..Size::default()
        };
        assert_eq!(full_bytes(size(0, 500), 90), None);
        assert_eq!(full_bytes(size(90, 500), 90), Some(500));
        assert_eq!(full_bytes(size(100, 500), 90), Some(500));
        assert_eq!(full_bytes(size(45, 500), 90), Some(1_000));
        assert_eq!(full_bytes(size(1, 500), 90), Some(4_000));
    }

    proptest! {
        /// Whatever fewer than half of the nodes claim, the share is that of the honest ones.
        #[test]
        fn a_minority_does_not_move_the_share_beyond_what_the_honest_hold(
            honest in prop::collection::vec(MIB..64 * MIB, 3..200),
            hostile in prop::collection::vec(any::<u64>(), 0..100),
        ) {
            let largest = honest.iter().max().copied().unwrap_or(0);
            let smallest = honest.iter().min().copied().unwrap_or(0);
            let mut all = honest.clone();
            all.extend(hostile.iter().take((honest.len() - 1) / 2));
            let share = share(2 * MIB, &all);
            prop_assert!(share <= 4 * largest && share >= 4 * smallest.min(share / 4));
            prop_assert!(share >= NODE_BUDGET);
        }

        /// Nodes that use no more than their floors stay below the first rung of the ladder.
        #[test]
        fn floors_add_up_to_half_of_the_limit(limit in 64 * MIB..4096 * MIB, nodes in 1..30_usize) {
            let floor = share(limit, &vec![0; nodes]);
            prop_assert!(floor == NODE_BUDGET || floor * nodes as u64 <= limit / 2);
        }
    }
}

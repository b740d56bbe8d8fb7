//! What an aggregator still wants of the past of one run.
//!
//! Pure. A request is split when it comes: what the ring does not hold is answered as a gap, the rest
//! is answered block by block, newest first. Bounded by the blocks that a ring holds, and by
//! [`MAX_GAPS`].

use std::collections::{BTreeSet, VecDeque};

use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::v1::GapReason;

/// Gaps that wait at a time, as many as a real agent lets ranges wait.
const MAX_GAPS: usize = 64;

/// The next thing to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Block(u64),
    Gap(Gap),
}

/// Rows that will not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
    pub(super) reason: GapReason,
}

impl Gap {
    /// Of whole blocks.
    pub(super) fn of(first_block: u64, last_block: u64, reason: GapReason) -> Self {
        Self {
            first_seq: first_block.saturating_mul(BLOCK_ROWS),
            last_seq: last_block
                .saturating_mul(BLOCK_ROWS)
                .saturating_add(BLOCK_ROWS - 1),
            reason,
        }
    }
}

/// What was asked for and not answered.
#[derive(Debug, Default)]
pub(super) struct Wants {
    blocks: BTreeSet<u64>,
    gaps: VecDeque<Gap>,
}

impl Wants {
    /// Takes a request, when the ring holds blocks from `oldest` on and `end` has not begun.
    pub(super) fn push(&mut self, (first, last): (u64, u64), (oldest, end): (u64, u64)) {
        if first > last {
            return;
        }
        if last >= end {
            self.gap(Gap::of(first.max(end), last, GapReason::Open));
        }
        if first < oldest {
            let last = last.min(oldest.saturating_sub(1));
            self.gap(Gap::of(first, last, GapReason::Evicted));
        }
        self.blocks
            .extend(first.max(oldest)..end.min(last.saturating_add(1)));
    }

    fn gap(&mut self, gap: Gap) {
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push_back(gap);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty() && self.gaps.is_empty()
    }

    /// Takes the next answer off the list.
    pub(super) fn next(&mut self) -> Option<Next> {
        match self.gaps.pop_front() {
            Some(gap) => Some(Next::Gap(gap)),
            None => self.blocks.pop_last().map(Next::Block),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wants: &mut Wants) -> Vec<Next> {
        std::iter::from_fn(|| wants.next()).collect()
    }

    #[test]
    fn blocks_come_newest_first_and_what_is_not_there_is_a_gap() {
        let mut wants = Wants::default();
        wants.push((0, u64::MAX), (5, 7));
        wants.push((6, 6), (5, 7));
        let gap = |first_seq, last_seq, reason| {
            Next::Gap(Gap {
                first_seq,
                last_seq,
                reason,
            })
        };
        let expected = [
            gap(112, u64::MAX, GapReason::Open),
            gap(0, 79, GapReason::Evicted),
            Next::Block(6),
            Next::Block(5),
        ];
        assert_eq!(drain(&mut wants), expected);
        assert!(wants.is_empty());
    }

    #[test]
    fn requests_that_are_none_or_all_gone_leave_no_block() {
        let mut wants = Wants::default();
        wants.push((3, 2), (0, 9));
        assert!(wants.is_empty());
        wants.push((1, 2), (5, 7));
        wants.push((8, 9), (5, 7));
        let reasons = drain(&mut wants).into_iter().map(|next| match next {
            Next::Gap(gap) => Some((gap.first_seq, gap.reason)),
            Next::Block(_) => None,
        });
        let expected = [Some((16, GapReason::Evicted)), Some((128, GapReason::Open))];
        assert_eq!(reasons.collect::<Vec<_>>(), expected);
        for _ in 0..100 {
            wants.push((8, 9), (5, 7));
        }
        assert_eq!(drain(&mut wants).len(), MAX_GAPS);
    }
}

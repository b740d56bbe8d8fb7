//! What an aggregator still wants of the past.
//!
//! Pure. A few ranges of blocks, answered newest block first; and a budget that bounds how much of
//! the past one address may ask for.

use std::collections::VecDeque;
use std::time::Duration;

use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::v1::GapReason;
use tokio::time::Instant;

use super::pace::Pace;

/// Ranges that wait at a time. An aggregator asks for a few holes; more is a peer gone wrong.
pub const MAX_RANGES: usize = 64;

/// Within this time at most two windows are replayed: an aggregator can make an agent repeat
/// itself, but not for ever.
const BUDGET_SPAN: Duration = Duration::from_secs(600);

/// The next thing to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this block.
    Block(u64),
    /// Say that these rows will not come.
    Gap {
        /// The first of them.
        first_seq: u64,
        /// The last of them.
        last_seq: u64,
        /// Why.
        reason: GapReason,
    },
}

/// Ranges that were asked for and not answered.
#[derive(Clone, Debug, Default)]
pub struct Wants {
    // First and last block of each range; never empty ones, and no block in two of them.
    ranges: Vec<(u64, u64)>,
}

impl Wants {
    /// Takes a range of blocks; false when it is none or there are too many. What waits already is
    /// not taken twice: who gets no answer for a while asks again.
    pub fn push(&mut self, first: u64, last: u64) -> bool {
        if first > last {
            return false;
        }
        let (mut first, mut last) = (first, last);
        // One pass is enough: ranges that wait do not overlap each other.
        self.ranges.retain(|(from, to)| {
            let apart = *to < first || last < *from;
            if !apart {
                (first, last) = (first.min(*from), last.max(*to));
            }
            apart
        });
        let fits = self.ranges.len() < MAX_RANGES;
        if fits {
            self.ranges.push((first, last));
        }
        fits
    }

    /// Puts back a block that [`Wants::next`] has just taken off.
    pub fn put_back(&mut self, block: u64) {
        let before = self
            .ranges
            .iter_mut()
            .find(|(_, last)| last.checked_add(1) == Some(block));
        match before {
            Some((_, last)) => *last = block,
            None => self.ranges.push((block, block)),
        }
    }

    /// True when nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Takes the newest thing to answer off the list, when the ring holds blocks from `oldest` on
    /// and `end` is the first that has not begun. Each call shortens the list by a block at least.
    pub fn next(&mut self, oldest: u64, end: u64) -> Option<Next> {
        let at = (0..self.ranges.len()).max_by_key(|at| self.ranges.get(*at).map(|r| r.1))?;
        let (first, last) = self.ranges.swap_remove(at);
        let gap = |first: u64, last: u64, reason| Next::Gap {
            first_seq: first.saturating_mul(BLOCK_ROWS),
            last_seq: last
                .saturating_mul(BLOCK_ROWS)
                .saturating_add(BLOCK_ROWS - 1),
            reason,
        };
        if last >= end {
            let from = first.max(end);
            self.keep(first, from);
            return Some(gap(from, last, GapReason::Open));
        }
        if last < oldest {
            return Some(gap(first, last, GapReason::Evicted));
        }
        self.keep(first, last);
        Some(Next::Block(last))
    }

    /// Puts back what lies before `end`.
    fn keep(&mut self, first: u64, end: u64) {
        if first < end {
            self.ranges.push((first, end - 1));
        }
    }
}

/// What one address may still ask for, over all of its sessions: how many blocks are replayed to it,
/// and how fast it is read.
#[derive(Clone, Debug)]
pub struct Budget {
    /// How fast its frames are read.
    pub pace: Pace,
    sent: VecDeque<Instant>,
    blocks: usize,
}

impl Budget {
    /// Makes a budget of two windows in ten minutes.
    #[must_use]
    pub fn new(window_ms: u64, interval_ms: u64) -> Self {
        let rows = window_ms.div_ceil(interval_ms.max(1));
        // The window's border lies within a block, so one more than fit is held.
        let window = rows.div_ceil(BLOCK_ROWS) + 1;
        let blocks = usize::try_from(window.saturating_mul(2)).unwrap_or(usize::MAX);
        Self {
            pace: Pace::default(),
            sent: VecDeque::new(),
            blocks,
        }
    }

    /// Takes one block from the budget.
    ///
    /// # Errors
    ///
    /// It is used up; from this time on there is one again, always after `now`.
    pub fn take(&mut self, now: Instant) -> Result<(), Instant> {
        while let Some(sent) = self.sent.front() {
            let again = *sent + BUDGET_SPAN;
            if again > now {
                if self.sent.len() >= self.blocks {
                    return Err(again);
                }
                break;
            }
            self.sent.pop_front();
        }
        self.sent.push_back(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wants: &mut Wants, oldest: u64, end: u64) -> Vec<Next> {
        std::iter::from_fn(|| wants.next(oldest, end)).collect()
    }

    #[test]
    fn the_newest_block_comes_first_over_all_ranges() {
        let mut wants = Wants::default();
        assert!(wants.push(2, 3) && wants.push(5, 6));
        let blocks = drain(&mut wants, 0, 100);
        assert_eq!(blocks, [6, 5, 3, 2].map(Next::Block));
        assert!(wants.is_empty());
    }

    #[test]
    fn what_is_not_there_is_one_gap_a_side() {
        let mut wants = Wants::default();
        assert!(wants.push(0, u64::MAX));
        let gap = |first_seq, last_seq, reason| Next::Gap {
            first_seq,
            last_seq,
            reason,
        };
        let expected = [
            gap(112, u64::MAX, GapReason::Open),
            Next::Block(6),
            Next::Block(5),
            gap(0, 79, GapReason::Evicted),
        ];
        assert_eq!(drain(&mut wants, 5, 7), expected);
    }

    #[test]
    fn too_many_ranges_and_empty_ones_are_refused() {
        let mut wants = Wants::default();
        assert!(!wants.push(2, 1));
        for n in 0..MAX_RANGES as u64 {
            assert!(wants.push(n, n));
        }
        assert!(!wants.push(99, 99));
        assert_eq!(drain(&mut wants, 0, 100).len(), MAX_RANGES);
    }

    #[test]
    fn what_waits_already_is_answered_once() {
        let mut wants = Wants::default();
        for (first, last) in [(2, 3), (6, 7), (2, 3), (3, 6), (7, 8)] {
            assert!(wants.push(first, last));
        }
        assert_eq!(wants.ranges, [(2, 8)]);
        assert_eq!(wants.next(0, 100), Some(Next::Block(8)));
        wants.put_back(8);
        assert_eq!(wants.ranges, [(2, 8)]);
        let blocks: Vec<Next> = (2..=8).rev().map(Next::Block).collect();
        assert_eq!(drain(&mut wants, 0, 100), blocks);
        wants.put_back(8);
        assert_eq!(wants.next(0, 100), Some(Next::Block(8)));
    }

    #[tokio::test(start_paused = true)]
    async fn two_windows_in_ten_minutes_and_no_more() {
        let mut budget = Budget::new(900_000, 10_000);
        let began = Instant::now();
        let taken = (0..100).filter(|_| budget.take(Instant::now()).is_ok());
        assert_eq!(taken.count(), 14);
        tokio::time::advance(Duration::from_secs(599)).await;
        let again = budget.take(Instant::now());
        assert_eq!(again, Err(began + Duration::from_secs(600)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(budget.take(Instant::now()), Ok(()));
    }
}

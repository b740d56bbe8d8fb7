//! What is wanted of an agent's history, a little at a time.
//!
//! At `Hello` the store says which blocks it lacks. They are asked for in ranges, newest first,
//! and the next range only when the one before is answered: live rows are never behind a queue
//! of chunks.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use cairn_proto::model::Run;
use cairn_proto::v1;
use tokio::time::Instant;

/// Blocks asked for at once: few, so that the newest are there soon.
const BLOCKS_AT_ONCE: usize = 2;

/// Blocks wanted at most: a day of 10 s rows has 540 of them.
const MAX_WANTED: usize = 1_024;

/// How long an answer may take. An agent that was asked for too much keeps silent for a while.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Blocks that are still wanted, newest first.
#[derive(Debug)]
pub(super) struct History {
    run: Run,
    wanted: VecDeque<u64>,
    // Blocks asked for last and not answered yet; at most BLOCKS_AT_ONCE.
    open: Vec<u64>,
    // Every block asked for and not answered yet: an answer may come late, and is welcome then.
    asked: BTreeSet<u64>,
    asked_at: Option<Instant>,
}

impl History {
    pub(super) fn new(run: Run, mut missing: Vec<u64>) -> Self {
        missing.truncate(MAX_WANTED);
        Self {
            run,
            wanted: missing.into(),
            open: Vec::new(),
            asked: BTreeSet::new(),
            asked_at: None,
        }
    }

    /// Wants these blocks too, before what is wanted already: they are newer.
    pub(super) fn add(&mut self, missing: Vec<u64>) {
        for block in missing.into_iter().rev() {
            let known = self.wanted.contains(&block) || self.open.contains(&block);
            if !known && self.wanted.len() < MAX_WANTED {
                self.wanted.push_front(block);
            }
        }
    }

    /// The next request, when the last one is answered in full or will not be.
    pub(super) fn next(&mut self, now: Instant) -> Option<v1::Want> {
        if !self.open.is_empty() {
            if self.asked_at.is_some_and(|at| now < at + ANSWER_WITHIN) {
                return None;
            }
            // Asked again later, after what else is wanted.
            self.wanted.extend(self.open.drain(..));
        }
        let last_block = self.wanted.pop_front()?;
        let mut first_block = last_block;
        self.open.push(last_block);
        while self.open.len() < BLOCKS_AT_ONCE {
            match self.wanted.front() {
                Some(block) if block + 1 == first_block => {
                    first_block = *block;
                    self.open.push(*block);
                    self.wanted.pop_front();
                }
                _ => break,
            }
        }
        self.asked.extend(&self.open);
        self.asked_at = Some(now);
        Some(v1::Want {
            run: Some(v1::Run::from(&self.run)),
            first_block,
            last_block,
        })
    }

    /// When the next request may go out although the last one is not answered.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.asked_at
            .filter(|_| !self.open.is_empty())
            .map(|at| at + ANSWER_WITHIN)
    }

    /// Takes an answer about these blocks; how many of them were asked for and not answered.
    pub(super) fn answered(&mut self, run: Run, blocks: RangeInclusive<u64>) -> u64 {
        if run != self.run {
            return 0;
        }
        let answered: Vec<u64> = self.asked.range(blocks).copied().collect();
        for block in &answered {
            self.asked.remove(block);
            self.open.retain(|open| open != block);
            self.wanted.retain(|wanted| wanted != block);
        }
        answered.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run {
            epoch_ms: 1,
            boot_id: [0; 16],
            clock_stepped: false,
        }
    }

    fn range(want: Option<v1::Want>) -> Option<(u64, u64)> {
        want.map(|w| (w.first_block, w.last_block))
    }

    #[test]
    fn blocks_are_asked_for_newest_first_and_one_request_at_a_time() {
        let mut history = History::new(run(), vec![9, 8, 5, 4, 3]);
        let now = Instant::now();
        assert_eq!(range(history.next(now)), Some((8, 9)));
        assert_eq!(range(history.next(now)), None);
        assert_eq!(history.answered(run(), 9..=9), 1);
        assert_eq!(history.answered(run(), 9..=9), 0, "twice");
        assert_eq!(range(history.next(now)), None);
        assert_eq!(history.answered(run(), 0..=u64::MAX), 1);
        assert_eq!(range(history.next(now)), Some((4, 5)));
        assert_eq!(history.answered(run(), 4..=5), 2);
        assert_eq!(range(history.next(now)), Some((3, 3)));
        assert_eq!(history.answered(run(), 3..=3), 1);
        assert_eq!(range(history.next(now)), None);
        assert_eq!(history.retry_at(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_is_asked_again_after_the_rest() {
        let mut history = History::new(run(), vec![9, 5]);
        assert_eq!(range(history.next(Instant::now())), Some((9, 9)));
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(history.retry_at(), Some(Instant::now()));
        assert_eq!(range(history.next(Instant::now())), Some((5, 5)));
        assert_eq!(history.answered(run(), 5..=5), 1);
        assert_eq!(range(history.next(Instant::now())), Some((9, 9)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_late_is_welcome_and_is_not_asked_for_again() {
        let mut history = History::new(run(), vec![9, 5]);
        history.next(Instant::now());
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(range(history.next(Instant::now())), Some((5, 5)));
        assert_eq!(history.answered(run(), 9..=9), 1);
        assert_eq!(history.answered(run(), 5..=5), 1);
        assert_eq!(range(history.next(Instant::now())), None);
        assert_eq!(history.answered(run(), 7..=7), 0, "never asked for");
    }

    #[test]
    fn a_peer_cannot_make_the_list_long() {
        let mut history = History::new(run(), (0..5_000).rev().collect());
        history.add((10_000..12_000).rev().collect());
        assert_eq!(history.wanted.len(), MAX_WANTED);
    }
}

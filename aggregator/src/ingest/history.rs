//! What is wanted of an agent's history, a little at a time.
//!
//! At `Hello` the store says which blocks it lacks. They are asked for in ranges, newest first, and
//! the next range only when the one before is answered: live rows are never behind a queue of chunks.
//! A range has as many blocks as fit into what `quota` has reserved for it, judged by what the blocks
//! of the session weighed so far.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use cairn_proto::limits;
use cairn_proto::model::Run;
use cairn_proto::v1;
use tokio::time::Instant;

use super::quota::{Claim, SESSION_BYTES};

/// Blocks wanted at most: those of the longest window with a row a second, the one that its border
/// cuts, and the one after the newest. With fewer the oldest would never be asked for.
const MAX_WANTED: u64 = limits::MAX_WINDOW_S / limits::BLOCK_ROWS + 2;

/// What a block is taken to weigh before the first has come, bytes: that of a node of 100 pods. It is
/// asked for alone, so an agent that answers nothing holds no more than this.
const FIRST_GUESS: u64 = 32 << 10;

/// How long the bytes of a request are reserved. An answer that comes later is still welcome; but
/// agents that never answer must not keep others from asking.
const HELD_FOR: Duration = Duration::from_secs(10);

/// Answers that must come in time after one that was overdue before what blocks weigh is reserved
/// again. Until then one block is asked for and no more than the first guess reserved, so that who
/// answers once with a large block holds no more of the others' room by keeping silent.
const MADE_GOOD_BY: u32 = 8;

/// How long an answer may take. An agent that was asked for too much keeps silent for a while.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Blocks that are still wanted, newest first.
#[derive(Debug)]
pub(super) struct History {
    run: Run,
    wanted: VecDeque<u64>,
    // Blocks asked for last and not answered yet.
    open: Vec<u64>,
    // Every block asked for and not answered yet: an answer may come late, and is welcome then.
    asked: BTreeSet<u64>,
    // Blocks before this one are of no use any more, also those that were asked for.
    forgotten: u64,
    asked_at: Option<Instant>,
    // What is reserved for the open blocks.
    claim: Option<Claim>,
    // Of a block, as the last ones were; nothing before the first.
    weight: Option<u64>,
    // Answers that must come in time before that is reserved again.
    owed: u32,
}

impl History {
    pub(super) fn new(run: Run, mut missing: Vec<u64>) -> Self {
        missing.truncate(usize::try_from(MAX_WANTED).unwrap_or(usize::MAX));
        Self {
            run,
            wanted: missing.into(),
            open: Vec::new(),
            asked: BTreeSet::new(),
            forgotten: 0,
            asked_at: None,
            claim: None,
            weight: None,
            owed: 0,
        }
    }

    /// Wants these blocks too, before what is wanted already: they are newer.
    pub(super) fn add(&mut self, missing: Vec<u64>) {
        for block in missing.into_iter().rev() {
            let known = self.wanted.contains(&block) || self.open.contains(&block);
            if !known && (self.wanted.len() as u64) < MAX_WANTED {
                self.wanted.push_front(block);
            }
        }
    }

    /// Wants nothing of the blocks before this one any more: its node has let go of them.
    pub(super) fn forget_before(&mut self, first: u64) {
        self.wanted.retain(|block| *block >= first);
        self.forgotten = self.forgotten.max(first);
    }

    /// Bytes to reserve for the next request; `None` while the last one is not answered, or when
    /// nothing is wanted. Gives back what is reserved for an answer that is overdue.
    pub(super) fn need(&mut self, now: Instant) -> Option<u64> {
        let waited = self.asked_at.map(|at| now.saturating_duration_since(at));
        let overdue = waited.is_none_or(|waited| waited >= HELD_FOR);
        if overdue && self.claim.take().is_some() {
            self.owed = MADE_GOOD_BY;
        }
        if !self.open.is_empty() {
            if waited.is_some_and(|waited| waited < ANSWER_WITHIN) {
                return None;
            }
            // Asked again later, after what else is wanted.
            let forgotten = self.forgotten;
            let open = self.open.drain(..);
            self.wanted.extend(open.filter(|block| *block >= forgotten));
        }
        let blocks = self.next_blocks(usize::MAX);
        let Some(weight) = self.reserved_weight() else {
            return (blocks > 0).then_some(FIRST_GUESS);
        };
        let bytes = weight.saturating_mul(blocks as u64);
        (blocks > 0).then_some(bytes.min(SESSION_BYTES.into()).max(weight))
    }

    /// The next request, within what is reserved for it, but always for one block.
    pub(super) fn ask(&mut self, claim: Claim, now: Instant) -> Option<v1::Want> {
        let fit = self
            .reserved_weight()
            .map_or(1, |weight| claim.bytes() / weight.max(1));
        let blocks = self.next_blocks(usize::try_from(fit).unwrap_or(1).max(1));
        self.open.extend(self.wanted.drain(..blocks));
        let (last_block, first_block) = (*self.open.first()?, *self.open.last()?);
        self.asked.extend(&self.open);
        self.asked_at = Some(now);
        self.claim = Some(claim);
        Some(v1::Want {
            run: Some(v1::Run::from(&self.run)),
            first_block,
            last_block,
        })
    }

    /// What is reserved for a block; `None` while it is the first guess.
    fn reserved_weight(&self) -> Option<u64> {
        self.weight.filter(|_| self.owed == 0)
    }

    /// How many of the newest wanted blocks follow each other, at most so many.
    fn next_blocks(&self, most: usize) -> usize {
        let pairs = self.wanted.iter().zip(self.wanted.iter().skip(1));
        let following = pairs.take_while(|(block, older)| **older + 1 == **block);
        let blocks = following.take(most.saturating_sub(1)).count() + 1;
        blocks.min(self.wanted.len())
    }

    /// When to look again although nothing has come: an answer is overdue.
    pub(super) fn due(&self) -> Option<Instant> {
        let asked_at = self.asked_at.filter(|_| !self.open.is_empty())?;
        Some(match self.claim {
            Some(_) => asked_at + HELD_FOR,
            None => asked_at + ANSWER_WITHIN,
        })
    }

    /// Takes note of what a block weighed. Blocks that get lighter are followed slowly.
    pub(super) fn weighed(&mut self, bytes: usize) {
        let before = self.weight.unwrap_or(0);
        self.weight = Some((bytes as u64).max(before / 4 * 3).max(1));
    }

    /// Takes an answer about these blocks; how many of them were asked for and not answered.
    pub(super) fn answered(&mut self, run: Run, blocks: RangeInclusive<u64>) -> u64 {
        if run != self.run {
            return 0;
        }
        let answered: Vec<u64> = self.asked.range(blocks).copied().collect();
        for block in &answered {
            self.asked.remove(block);
        }
        // In rising order, and all at once: one answer may be about the whole list.
        let is_answered = |block: &u64| answered.binary_search(block).is_ok();
        self.open.retain(|open| !is_answered(open));
        self.wanted.retain(|wanted| !is_answered(wanted));
        if self.claim.is_some() && !answered.is_empty() {
            self.owed = self.owed.saturating_sub(1);
        }
        if self.open.is_empty() {
            self.claim = None;
        }
        answered.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::super::quota::Quota;
    use super::*;
    use crate::pressure::Pressure;

    fn run() -> Run {
        Run {
            epoch_ms: 1,
            boot_id: [0; 16],
            clock_stepped: false,
        }
    }

    /// What is asked for with so many bytes reserved, if anything is.
    fn ask(history: &mut History, bytes: u64) -> Option<(u64, u64)> {
        let now = Instant::now();
        history.need(now)?;
        let quota = Quota::without_rush(64 << 20, Pressure::default());
        let claim = quota.claim(bytes).now_or_never().unwrap().unwrap();
        let want = history.ask(claim, now).unwrap();
        Some((want.first_block, want.last_block))
    }

    fn answered(history: &mut History, block: u64, bytes: usize) {
        assert_eq!(history.answered(run(), block..=block), 1);
        history.weighed(bytes);
    }

    #[test]
    fn blocks_are_asked_for_newest_first_and_one_request_at_a_time() {
        let mut history = History::new(run(), vec![9, 8, 5, 4, 3]);
        assert_eq!(ask(&mut history, 100), Some((9, 9)), "nothing is known yet");
        assert_eq!(ask(&mut history, 100), None);
        answered(&mut history, 9, 40);
        assert_eq!(history.answered(run(), 9..=9), 0, "twice");
        assert_eq!(ask(&mut history, 100), Some((8, 8)));
        assert_eq!(history.answered(run(), 0..=u64::MAX), 1);
        assert_eq!(ask(&mut history, 100), Some((4, 5)));
        assert_eq!(history.answered(run(), 4..=4), 1);
        assert_eq!(ask(&mut history, 100), None);
        answered(&mut history, 5, 10_000);
        assert_eq!(ask(&mut history, 100), Some((3, 3)), "one in any case");
        assert_eq!(history.answered(run(), 3..=3), 1);
        assert_eq!(ask(&mut history, 100), None);
        assert_eq!(history.due(), None);
    }

    #[test]
    fn a_session_needs_what_its_blocks_weigh_and_no_more_than_its_part() {
        let now = Instant::now();
        let mut history = History::new(run(), (0..100).rev().collect());
        assert_eq!(history.need(now), Some(FIRST_GUESS));
        ask(&mut history, FIRST_GUESS);
        answered(&mut history, 99, 1_000);
        assert_eq!(history.need(now), Some(99_000));
        history.weighed(10_000);
        assert_eq!(history.need(now), Some(SESSION_BYTES.into()));
        assert_eq!(ask(&mut history, SESSION_BYTES.into()), Some((73, 98)));
        history.answered(run(), 0..=u64::MAX);
        history.weighed(1_000_000);
        assert_eq!(history.need(now), Some(1_000_000));
        for _ in 0..100 {
            history.weighed(0);
        }
        assert_eq!(history.need(now), Some(73));
    }

    #[tokio::test(start_paused = true)]
    async fn what_its_node_has_let_go_is_not_wanted_any_more() {
        let mut history = History::new(run(), (0..9).rev().collect());
        ask(&mut history, FIRST_GUESS);
        answered(&mut history, 8, 10);
        assert_eq!(ask(&mut history, 20), Some((6, 7)));
        history.forget_before(5);
        history.add(vec![9]);
        assert_eq!(history.answered(run(), 6..=7), 2);
        assert_eq!(ask(&mut history, 100), Some((9, 9)));
        answered(&mut history, 9, 10);
        assert_eq!(ask(&mut history, 100), Some((5, 5)));
        // It never comes, and is not asked for again once it is let go.
        history.forget_before(6);
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(ask(&mut history, 20), None);
        assert_eq!(
            history.answered(run(), 5..=5),
            1,
            "it is welcome all the same"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_reserved_comes_back_with_the_answer_or_when_it_is_overdue() {
        let mut history = History::new(run(), vec![9, 5]);
        ask(&mut history, 10);
        assert!(history.claim.is_some());
        assert_eq!(history.due(), Some(Instant::now() + HELD_FOR));
        tokio::time::advance(HELD_FOR).await;
        assert_eq!(history.need(Instant::now()), None);
        assert!(history.claim.is_none());
        assert_eq!(
            history.due(),
            Some(Instant::now() + ANSWER_WITHIN - HELD_FOR)
        );
        answered(&mut history, 9, 10);
        ask(&mut history, 10);
        answered(&mut history, 5, 10);
        assert!(history.claim.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn after_an_overdue_answer_no_more_than_the_first_guess_is_reserved_for_a_while() {
        const LARGE: u64 = 4 << 20;
        let mut history = History::new(run(), (0..100).rev().collect());
        ask(&mut history, FIRST_GUESS);
        answered(&mut history, 99, 4 << 20);
        assert_eq!(history.need(Instant::now()), Some(LARGE));
        assert_eq!(ask(&mut history, LARGE), Some((98, 98)));
        tokio::time::advance(ANSWER_WITHIN).await;
        for n in 1..=u64::from(MADE_GOOD_BY) {
            assert_eq!(history.need(Instant::now()), Some(FIRST_GUESS), "{n}");
            assert_eq!(ask(&mut history, LARGE), Some((98 - n, 98 - n)));
            answered(&mut history, 98 - n, 4 << 20);
        }
        assert_eq!(history.need(Instant::now()), Some(LARGE));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_answered_is_asked_again_after_the_rest() {
        let mut history = History::new(run(), vec![9, 5]);
        assert_eq!(ask(&mut history, 10), Some((9, 9)));
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(ask(&mut history, 10), Some((5, 5)));
        assert_eq!(history.answered(run(), 5..=5), 1);
        assert_eq!(ask(&mut history, 10), Some((9, 9)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_late_is_welcome_and_is_not_asked_for_again() {
        let mut history = History::new(run(), vec![9, 5]);
        ask(&mut history, 10);
        tokio::time::advance(ANSWER_WITHIN).await;
        assert_eq!(ask(&mut history, 10), Some((5, 5)));
        assert_eq!(history.answered(run(), 9..=9), 1);
        assert_eq!(history.answered(run(), 5..=5), 1);
        assert_eq!(ask(&mut history, 10), None);
        assert_eq!(history.answered(run(), 7..=7), 0, "never asked for");
    }

    #[test]
    fn a_peer_cannot_make_the_list_long() {
        let mut history = History::new(run(), (0..10_000).rev().collect());
        history.add((20_000..22_000).rev().collect());
        assert_eq!(history.wanted.len() as u64, MAX_WANTED);
    }

    #[test]
    fn all_of_the_longest_window_is_asked_for() {
        let blocks = 24 * 3_600 / 16 + 1;
        let mut history = History::new(run(), (0..blocks).rev().collect());
        assert_eq!(ask(&mut history, 100), Some((blocks - 1, blocks - 1)));
        answered(&mut history, blocks - 1, 1);
        assert_eq!(ask(&mut history, blocks), Some((0, blocks - 2)));
        assert_eq!(history.answered(run(), 0..=u64::MAX), blocks - 1);
        assert_eq!((ask(&mut history, blocks), history.due()), (None, None));
    }
}

//! What is wanted of an agent's history, a little at a time.
//!
//! At `Hello` the store says which blocks it lacks. They are asked for in ranges, newest first,
//! and the next range only when the one before is answered: live rows are never behind a queue
//! of chunks.

use std::collections::VecDeque;

use cairn_proto::model::Run;
use cairn_proto::v1;

/// Blocks asked for at once: a quarter of a window of 10 s rows, so that the newest are there soon.
const BLOCKS_AT_ONCE: u64 = 2;

/// Blocks that are still wanted, newest first.
#[derive(Debug)]
pub(super) struct History {
    run: Run,
    wanted: VecDeque<u64>,
    // Blocks asked for and not answered yet.
    open: Vec<u64>,
}

impl History {
    pub(super) fn new(run: Run, missing: Vec<u64>) -> Self {
        Self {
            run,
            wanted: missing.into(),
            open: Vec::new(),
        }
    }

    /// Wants these blocks too, before what is wanted already: they are newer.
    pub(super) fn add(&mut self, missing: Vec<u64>) {
        for block in missing {
            if !self.wanted.contains(&block) && !self.open.contains(&block) {
                self.wanted.push_front(block);
            }
        }
    }

    /// The next request, when the last one is answered in full.
    pub(super) fn next(&mut self) -> Option<v1::Want> {
        if !self.open.is_empty() {
            return None;
        }
        let last_block = self.wanted.pop_front()?;
        let mut first_block = last_block;
        self.open.push(last_block);
        while self.open.len() < usize::try_from(BLOCKS_AT_ONCE).unwrap_or(1) {
            match self.wanted.front() {
                Some(block) if block + 1 == first_block => {
                    first_block = *block;
                    self.open.push(*block);
                    self.wanted.pop_front();
                }
                _ => break,
            }
        }
        Some(v1::Want {
            run: Some(v1::Run::from(&self.run)),
            first_block,
            last_block,
        })
    }

    /// True when the block was asked for and not answered before.
    pub(super) fn answered(&mut self, run: Run, block: u64) -> bool {
        if run != self.run {
            return false;
        }
        let before = self.open.len();
        self.open.retain(|open| *open != block);
        self.open.len() < before
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

    #[test]
    fn blocks_are_asked_for_newest_first_and_one_request_at_a_time() {
        let mut history = History::new(run(), vec![9, 8, 5, 4, 3]);
        let range = |want: Option<v1::Want>| want.map(|w| (w.first_block, w.last_block));
        assert_eq!(range(history.next()), Some((8, 9)));
        assert_eq!(range(history.next()), None);
        assert!(history.answered(run(), 9));
        assert!(!history.answered(run(), 9), "twice");
        assert_eq!(range(history.next()), None);
        assert!(history.answered(run(), 8));
        assert_eq!(range(history.next()), Some((4, 5)));
        assert!(history.answered(run(), 5) && history.answered(run(), 4));
        assert_eq!(range(history.next()), Some((3, 3)));
        assert!(history.answered(run(), 3));
        assert_eq!(range(history.next()), None);
    }
}

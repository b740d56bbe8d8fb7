//! Which rows of the run aggregators have, as far as an agent can know it.
//!
//! An acknowledgement is of the rows that were sent, and a stream begins with the newest row and may
//! pass rows over: a later row that is acknowledged says nothing of one that was never sent. So each
//! row has two bits, by block: it was sent, and somebody has it. What was sent and not acknowledged may
//! or may not have come; a later acknowledgement counts it as had, for an aggregator that goes on after it
//! asks for what it lacks, and is sent it. So the count of dropped rows may be too low, never too high: by a row
//! that was lost with its connection and that nobody asked for again.

use std::collections::VecDeque;

use cairn_proto::limits::BLOCK_ROWS;

/// One bit a row of a block; `limits::BLOCK_ROWS` of them.
type Rows = u16;

const _: () = assert!(BLOCK_ROWS == Rows::BITS as u64);

/// The rows from the oldest one that is held to the newest.
#[derive(Debug, Default)]
pub(super) struct Heard {
    // The block of the first of `blocks`; no row before it is held.
    first: u64,
    blocks: VecDeque<Marks>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    sent: Rows,
    had: Rows,
}

impl Heard {
    /// Makes room for a row; called for each one in turn.
    pub(super) fn push(&mut self, seq: u64) {
        let block = seq / BLOCK_ROWS;
        if self.blocks.is_empty() {
            self.first = block;
        }
        while self.first + (self.blocks.len() as u64) <= block {
            self.blocks.push_back(Marks::default());
        }
    }

    /// A row went out in a stream.
    pub(super) fn sent(&mut self, seq: u64) {
        self.each(seq, seq + 1, |marks, rows| marks.sent |= rows);
    }

    /// Rows went out because somebody asked for them.
    pub(super) fn given(&mut self, first_seq: u64, end: u64) {
        self.each(first_seq, end, |marks, rows| marks.had |= rows);
    }

    /// Whatever was sent up to this row has come.
    pub(super) fn acknowledged(&mut self, seq: u64) {
        let first_seq = self.first * BLOCK_ROWS;
        self.each(first_seq, seq.saturating_add(1), |marks, rows| {
            marks.had |= marks.sent & rows;
        });
    }

    /// These rows are not held any more; returns how many of them nobody has.
    pub(super) fn go(&mut self, first_seq: u64, end: u64) -> u64 {
        let mut unheard = 0;
        self.each(first_seq, end, |marks, rows| {
            unheard += u64::from((rows & !marks.had).count_ones());
        });
        while self.first < end / BLOCK_ROWS && self.blocks.pop_front().is_some() {
            self.first += 1;
        }
        unheard
    }

    /// Calls `mark` with each block that has rows in this range, and with the bits of those.
    fn each(&mut self, first_seq: u64, end: u64, mut mark: impl FnMut(&mut Marks, Rows)) {
        let mut block_seq = self.first * BLOCK_ROWS;
        for marks in &mut self.blocks {
            let until = |seq: u64| seq.saturating_sub(block_seq).min(BLOCK_ROWS);
            let (from, to) = (until(first_seq), until(end));
            if from < to {
                mark(marks, rows_before(to) & !rows_before(from));
            }
            block_seq += BLOCK_ROWS;
        }
    }
}

/// The bits of so many rows of a block, from its first one on.
fn rows_before(count: u64) -> Rows {
    let past = u32::try_from(count).unwrap_or(u32::MAX);
    1u16.checked_shl(past).map_or(Rows::MAX, |bit| bit - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: u64) -> Heard {
        let mut heard = Heard::default();
        (0..rows).for_each(|seq| heard.push(seq));
        heard
    }

    #[test]
    fn a_range_of_rows_is_the_bits_of_its_blocks() {
        assert_eq!((rows_before(0), rows_before(3)), (0, 0b111));
        assert_eq!((rows_before(15), rows_before(16)), (0x7fff, 0xffff));
    }

    #[test]
    fn an_acknowledgement_says_nothing_of_what_was_never_sent() {
        let mut heard = of(40);
        [3, 17, 18].into_iter().for_each(|seq| heard.sent(seq));
        heard.acknowledged(17);
        // Of block 0 row 3 came; of block 1 row 17 did, and row 18 was sent.
        assert_eq!((heard.go(0, 16), heard.go(16, 32)), (15, 15));
        heard.acknowledged(u64::MAX);
        assert_eq!(heard.go(32, 40), 8);
    }

    #[test]
    fn what_was_asked_for_counts_from_then_on_and_the_first_row_may_be_any() {
        let mut heard = Heard::default();
        (100..120).for_each(|seq| heard.push(seq));
        heard.given(104, 112);
        heard.sent(119);
        assert_eq!((heard.go(100, 103), heard.go(103, 112)), (3, 1));
        heard.acknowledged(119);
        assert_eq!((heard.go(112, 120), heard.go(112, 120)), (7, 7));
        assert_eq!(heard.go(0, 96), 0);
    }
}

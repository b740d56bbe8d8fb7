//! How rows of a run go: for their age, for a clock that was set back, and for want of room.

use super::{BLOCK_ROWS, Block, Rows, RunRows, made};
use crate::store::frame::Went;

impl RunRows {
    /// Lets rows before this tick expire; their blocks go when nothing else is in them, and are cut
    /// when most of them is gone.
    pub(in crate::store::packed) fn expire(&mut self, oldest_ms: u64) -> u64 {
        if oldest_ms <= self.oldest_ms {
            return 0;
        }
        let rows = |run: &Self| -> u64 {
            let early = run
                .blocks
                .iter()
                .take_while(|block| block.times.first_tick_ms() < oldest_ms);
            early.map(|block| run.visible(block).count() as u64).sum()
        };
        let before = rows(self);
        self.oldest_ms = oldest_ms;
        let gone = before - rows(self);
        while self
            .blocks
            .front()
            .is_some_and(|block| block.times.last_tick_ms() < oldest_ms)
        {
            self.blocks.pop_front();
        }
        self.names.gone(gone);
        self.cut();
        self.recount();
        gone
    }

    /// Cuts off what has expired of the oldest block, when that is a block of rows.
    fn cut(&mut self) {
        let Some(block) = self.blocks.front() else {
            return;
        };
        let left = self.visible(block).count() as u64;
        let is_sealed = matches!(block.rows, Rows::Sealed(_));
        if is_sealed && left + BLOCK_ROWS <= block.times.count() {
            // It stays sealed, whatever follows.
            let cut = Block::splice(std::iter::once(block), self.oldest_ms);
            if let (Some(cut), Some(slot)) = (cut, self.blocks.front_mut()) {
                *slot = cut;
            }
        }
    }

    /// The clock was set back: rows from this tick on have not expired, and those that have are dropped
    /// from the block that they share with others, so that they do not come back.
    pub(in crate::store::packed) fn set_back(&mut self, oldest_ms: u64) {
        if oldest_ms >= self.oldest_ms {
            return;
        }
        let front = self.blocks.front();
        if let Some(front) = front.filter(|front| front.times.first_tick_ms() < self.oldest_ms) {
            let is_last = self.blocks.len() == 1;
            let cut = Block::splice(std::iter::once(front), self.oldest_ms).or_else(|| {
                let mut rows = front.decode();
                rows.retain(|row| row.tick >= self.oldest_ms);
                made(front.first_seq, &rows, is_last)
            });
            self.blocks.pop_front();
            cut.into_iter().for_each(|cut| self.blocks.push_front(cut));
        }
        self.oldest_ms = oldest_ms;
        self.recount();
    }

    /// Drops rows with later ticks than this.
    pub(in crate::store::packed) fn drop_after(&mut self, newest_ms: u64) {
        while let Some(block) = self.blocks.back()
            && block.times.last_tick_ms() > newest_ms
        {
            let (first_seq, mut rows) = (block.first_seq, block.decode());
            let before = rows.len();
            rows.retain(|row| row.tick <= newest_ms);
            self.names.gone((before - rows.len()) as u64);
            if rows.is_empty() || !self.replace(self.blocks.len() - 1, first_seq, &rows) {
                self.blocks.pop_back();
            }
        }
        self.recount();
    }

    /// Drops the oldest block, or of the only one all rows but the newest.
    pub(in crate::store::packed) fn shorten(&mut self, is_only: bool) -> Went {
        let gone = self.drop_oldest(is_only);
        self.names.gone(gone.rows);
        self.recount();
        gone
    }

    fn drop_oldest(&mut self, is_only: bool) -> Went {
        let Some(front) = self.blocks.front() else {
            return Went::default();
        };
        let ticks = self.visible(front).map(|row| row.tick_ms);
        let ticks: Vec<u64> = ticks.collect();
        let rows = ticks.len() as u64;
        if self.blocks.len() > 1 || !is_only {
            let front_ms = front.times.last_tick_ms();
            self.blocks.pop_front();
            return Went {
                rows,
                before_ms: front_ms.saturating_add(1),
            };
        }
        // The one before the newest. Of a single one nothing can go, and nothing is decoded to find that out: who
        // cannot be shortened any more is asked to at every write.
        let Some(last_ms) = ticks.iter().nth_back(1) else {
            return Went::default();
        };
        let (first_seq, mut left) = (front.first_seq, front.decode());
        left.drain(..left.len().saturating_sub(1));
        if self.replace(0, first_seq, &left) {
            Went {
                rows: rows - 1,
                before_ms: last_ms.saturating_add(1),
            }
        } else {
            Went::default()
        }
    }
}

//! One run of a node: its names and its blocks.

mod leaving;
mod merge;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use cairn_proto::codec::chunk::ChunkRow;
use cairn_proto::limits::{self, BLOCK_ROWS};
use cairn_proto::model::{EntityId, Run};

use super::block::{Block, Incoming, Rows};
use super::names::Names;
use super::times::Moment;
use crate::store::gap::Span;
use crate::store::{Error, Size};

pub(super) use merge::check_known;

/// A window of so many rows or more keeps its old blocks in twos, and one of so many in fours: the first
/// value of a series, which is the dearest of a block, is told once for all of them. In fours a window of
/// a hundred rows would be counted as 2 % less, but its pieces would be of many sizes, and the holes that
/// they leave when they go take more than that.
const LONG_ROWS: u64 = 64;
const VERY_LONG_ROWS: u64 = 256;

/// How many blocks are put together in a window of so many rows.
fn joined(window_rows: u64) -> usize {
    match window_rows {
        VERY_LONG_ROWS.. => 4,
        LONG_ROWS.. => 2,
        _ => 1,
    }
}

#[derive(Debug)]
pub(super) struct RunRows {
    pub(super) run: Run,
    /// Distance of its ticks, ms.
    pub(super) interval_ms: u64,
    pub(super) names: Names,
    // Invariant: rising and apart. Only the last may be open, and blocks that were put together
    // begin at a multiple of their number.
    pub(super) blocks: VecDeque<Block>,
    // Rows with earlier ticks have expired, though their block may be there.
    oldest_ms: u64,
    // Of the rows, without names.
    size: Size,
}

impl RunRows {
    pub(super) fn new(run: Run, interval_ms: u64, oldest_ms: u64) -> Self {
        Self {
            run,
            interval_ms,
            names: Names::default(),
            blocks: VecDeque::new(),
            oldest_ms,
            size: Size::default(),
        }
    }

    /// Rows with earlier ticks have expired.
    pub(super) fn oldest_ms(&self) -> u64 {
        self.oldest_ms
    }

    /// Where the block with a row of this seq is, or would be.
    pub(super) fn position(&self, seq: u64) -> Result<usize, usize> {
        let at = self.blocks.partition_point(|block| block.last_seq() < seq);
        match self.blocks.get(at) {
            Some(block) if block.first_seq / BLOCK_ROWS <= seq / BLOCK_ROWS => Ok(at),
            _ => match at.checked_sub(1) {
                // Behind the last row of a block that has room for it.
                Some(before) if self.covers(before, seq) => Ok(before),
                _ => Err(at),
            },
        }
    }

    fn covers(&self, at: usize, seq: u64) -> bool {
        let block = self.blocks.get(at);
        block.is_some_and(|block| block.last_seq() / BLOCK_ROWS == seq / BLOCK_ROWS)
    }

    /// The rows that have not expired.
    pub(super) fn visible<'a>(&self, block: &'a Block) -> impl Iterator<Item = Moment> + 'a {
        let oldest_ms = self.oldest_ms;
        let rows = block.times.iter();
        rows.filter(move |moment| moment.tick_ms >= oldest_ms)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.newest_tick().is_none()
    }

    pub(super) fn newest_tick(&self) -> Option<u64> {
        let newest = self.blocks.back()?.times.last_tick_ms();
        (newest >= self.oldest_ms).then_some(newest)
    }

    pub(super) fn oldest_tick(&self) -> Option<u64> {
        self.oldest_row().map(|(_, tick_ms)| tick_ms)
    }

    /// The seq and the tick of its oldest row.
    pub(super) fn oldest_row(&self) -> Option<(u64, u64)> {
        let front = self.blocks.front()?;
        let oldest = self.visible(front).next()?;
        Some((front.first_seq + oldest.offset, oldest.tick_ms))
    }

    /// From its oldest row to its newest; `None` when there is none.
    pub(super) fn span(&self) -> Option<Span> {
        Some(Span {
            first_ms: self.oldest_tick()?,
            last_ms: self.newest_tick()?,
            rows: self.size.rows,
            interval_ms: self.interval_ms,
        })
    }

    /// How many rows of a block are held.
    pub(super) fn held(&self, block: u64) -> u64 {
        let first = block.saturating_mul(BLOCK_ROWS);
        let Ok(at) = self.position(first.saturating_add(BLOCK_ROWS - 1)) else {
            return 0;
        };
        self.blocks.get(at).map_or(0, |block| {
            let shift = first.saturating_sub(block.first_seq);
            let mask = block
                .times
                .mask()
                .checked_shr(u32::try_from(shift).unwrap_or(64));
            u64::from((mask.unwrap_or(0) & 0xffff).count_ones())
        })
    }

    pub(super) fn holds_seq(&self, seq: u64) -> bool {
        let block = self.position(seq).ok().and_then(|at| self.blocks.get(at));
        block.is_some_and(|block| block.times.mask() >> (seq - block.first_seq) & 1 == 1)
    }

    /// True when a row of this tick is held and has not expired.
    pub(super) fn holds_tick(&self, tick_ms: u64) -> bool {
        let at = self
            .blocks
            .partition_point(|block| block.times.last_tick_ms() < tick_ms);
        let block = self.blocks.get(at);
        block.is_some_and(|block| self.visible(block).any(|moment| moment.tick_ms == tick_ms))
    }

    /// Every id of a row must have been defined, or refused, before it.
    pub(super) fn check_defined(&self, seq: u64, entities: &[EntityId]) -> Result<(), Error> {
        match entities.iter().find(|id| !self.names.knows(**id)) {
            Some(id) => Err(Error::Undefined { seq, entity: id.0 }),
            None => Ok(()),
        }
    }

    /// Within a run, ticks rise with seqs.
    pub(super) fn check_rises(&self, seq: u64, tick_ms: u64) -> Result<(), Error> {
        let newest = self.blocks.back();
        // Nearly always it is the newest.
        if newest
            .is_some_and(|block| block.last_seq() < seq && block.times.last_tick_ms() < tick_ms)
        {
            return Ok(());
        }
        let of = |block: &'_ Block| -> Vec<(u64, u64)> {
            let rows = self.visible(block);
            rows.map(|row| (block.first_seq + row.offset, row.tick_ms))
                .collect()
        };
        let falls = self.blocks.iter().flat_map(of).any(|(other, tick)| {
            (other < seq && tick >= tick_ms) || (other > seq && tick <= tick_ms)
        });
        if falls {
            Err(Error::Tick { seq })
        } else {
            Ok(())
        }
    }

    /// Puts a row in; false when its seq is held, or when its block could not be sealed with it.
    pub(super) fn insert(&mut self, row: Incoming) -> bool {
        if self.holds_seq(row.seq) {
            return false;
        }
        self.names.used(row.slim.entities());
        let is_in = match self.position(row.seq) {
            Ok(at) => self.insert_into(at, row),
            Err(at) => self.insert_block(at, row),
        };
        self.recount();
        is_in
    }

    fn insert_into(&mut self, at: usize, row: Incoming) -> bool {
        let Some(block) = self.blocks.get_mut(at) else {
            return false;
        };
        let row = if block.last_seq() < row.seq {
            match block.push(row) {
                Ok(()) => return true,
                Err(row) => row,
            }
        } else {
            row
        };
        let first_seq = block.first_seq;
        let rows = with_row(block.decode(), first_seq, &row);
        self.replace(at, first_seq, &rows)
    }

    fn insert_block(&mut self, at: usize, row: Incoming) -> bool {
        let first_seq = row.seq / BLOCK_ROWS * BLOCK_ROWS;
        let block = if at == self.blocks.len() {
            // The one before waits to be sealed: a row must not wait for that.
            self.seal_open(1);
            Block::begin(first_seq, row)
        } else {
            Block::seal(first_seq, &with_row(Vec::new(), first_seq, &row))
        };
        let is_in = block.is_some();
        if let Some(block) = block {
            self.blocks.insert(at, block);
        }
        is_in
    }

    /// Puts these rows in the place of a block. False when they cannot be one: then it stays as it was.
    fn replace(&mut self, at: usize, first_seq: u64, rows: &[ChunkRow]) -> bool {
        let is_last = at + 1 == self.blocks.len();
        match (made(first_seq, rows, is_last), self.blocks.get_mut(at)) {
            (Some(block), Some(slot)) => {
                *slot = block;
                true
            }
            _ => false,
        }
    }

    /// Seals the last block, which no row will follow any more.
    pub(super) fn seal_last(&mut self) {
        self.seal_open(0);
    }

    /// Seals every open block but so many of the last ones.
    pub(super) fn seal_open(&mut self, but: usize) {
        let is_open = |block: &&mut Block| matches!(block.rows, Rows::Open(_));
        let mut sealed_any = false;
        for block in self.blocks.iter_mut().rev().skip(but).take_while(is_open) {
            if let Some(sealed) = block.sealed() {
                *block = sealed;
                sealed_any = true;
            }
        }
        if sealed_any {
            self.recount();
        }
    }

    /// Takes over a block of which nothing is held.
    pub(super) fn adopt(&mut self, block: Block) {
        self.names.used(&block.entities());
        if let Err(at) = self.position(block.first_seq) {
            if at == self.blocks.len() {
                self.seal_last();
            }
            self.blocks.insert(at, block);
        }
        self.recount();
    }

    /// Puts one group of old blocks together, if there is one.
    pub(super) fn join(&mut self, window_rows: u64) {
        let count = joined(window_rows);
        if count < 2 {
            return;
        }
        let Some(at) = self.group(count) else {
            return;
        };
        let joined = Block::splice(self.blocks.range(at..at + count), 0);
        let Some(slot) = self.blocks.get_mut(at) else {
            return;
        };
        match joined {
            Some(joined) => {
                *slot = joined;
                self.blocks.drain(at + 1..at + count);
                self.recount();
            }
            None => slot.is_apart = true,
        }
    }

    /// Where a group of so many blocks begins that can be put together.
    fn group(&self, joined: usize) -> Option<usize> {
        let span = joined as u64 * BLOCK_ROWS;
        let is_group = |at: &usize| {
            let group = self.blocks.range(*at..*at + joined);
            let mut firsts = group.clone().map(|block| block.first_seq);
            let first = firsts.next().unwrap_or(1);
            let even = firsts
                .zip(1..)
                .all(|(next, n)| next == first + n * BLOCK_ROWS);
            // A block that was put together already is longer than one.
            let single = |block: &Block| block.last_seq() - block.first_seq < BLOCK_ROWS;
            // Large blocks have too many cells together. To find that out by trying would cost as much
            // as the largest chunk, at each eviction.
            let cells = || group.clone().map(Block::cell_count).sum::<Option<usize>>();
            let fit = |cells: usize| cells <= limits::MAX_CHUNK_CELLS;
            first.is_multiple_of(span)
                && even
                && group.clone().all(single)
                && !group.clone().any(|block| block.is_apart)
                && cells().is_some_and(fit)
        };
        // The open block and the one before it are still being written.
        let settled = self.blocks.len().saturating_sub(1);
        (0..(settled + 1).saturating_sub(joined)).find(is_group)
    }

    /// Every id that a row uses, block by block.
    pub(super) fn used(blocks: &VecDeque<Block>) -> Vec<EntityId> {
        blocks.iter().flat_map(Block::entities).collect()
    }

    /// What is held, names included.
    pub(super) fn size(&self) -> Size {
        Size {
            bytes: self.size.bytes + self.names.bytes() as u64,
            ..self.size
        }
    }

    fn recount(&mut self) {
        let mut size = Size::default();
        // The tail of the last block is counted with the session's last row, which it nearly always is.
        let settled = self.blocks.len().saturating_sub(1);
        let tails = self.blocks.range(..settled).filter_map(Block::tail);
        size.bytes += tails.map(|tail| tail.bytes() as u64).sum::<u64>();
        for block in &self.blocks {
            size.bytes += block.bytes();
            for moment in self.visible(block) {
                size.rows += 1;
                size.samples += u64::from(moment.samples);
            }
        }
        self.size = size;
    }
}

/// A block of these rows: in wire form if it is the last one, so that the next row can go on from them.
fn made(first_seq: u64, rows: &[ChunkRow], is_last: bool) -> Option<Block> {
    if is_last && (rows.len() as u64) < BLOCK_ROWS {
        reopen(first_seq, rows)
    } else {
        Block::seal(first_seq, rows)
    }
}

/// An open block of these rows.
fn reopen(first_seq: u64, rows: &[ChunkRow]) -> Option<Block> {
    let mut rows = rows
        .iter()
        .map(|row| Incoming::of(first_seq + row.offset, row.tick, &row.snapshot));
    let mut block = Block::begin(first_seq, rows.next()?)?;
    for row in rows {
        block.push(row).ok()?;
    }
    Some(block)
}

/// These rows and one more.
fn with_row(mut rows: Vec<ChunkRow>, first_seq: u64, row: &Incoming) -> Vec<ChunkRow> {
    let offset = row.seq - first_seq;
    let at = rows.partition_point(|other| other.offset < offset);
    let row = ChunkRow {
        offset,
        tick: row.tick_ms,
        snapshot: row.slim.row(),
    };
    rows.insert(at, row);
    rows
}

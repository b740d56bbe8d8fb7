//! What the ring holds: sealed blocks, and the rows behind them.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, Run, Snapshot};

use super::heard::Heard;
use super::sealed::{Full, are_same};
use super::{Block, Defs, OfBlock, RECENT_ROWS, Row, Sealed, Stock, Wire};

/// ```text
///   blocks                      rows
/// [  4  ][  5  ][  6  ]    [ 111 ][ 112 ][ 113 ]
///                             |      `- open_seq: from here on, rows are nowhere else
///                             `-------- recent: in a chunk too
/// ```
#[derive(Debug)]
pub(super) struct Held {
    // The run that all of it is of.
    run: Run,
    // Invariant: they follow each other, and the last one ends before `open_seq`.
    blocks: VecDeque<Kept>,
    // Invariant: consecutive seqs up to the newest; those before `open_seq` are recent.
    rows: VecDeque<Entry>,
    // The first row that is neither in a chunk nor gone. It begins a block, unless memory forced
    // the rows before it out of the open one.
    open_seq: u64,
    // Which of all these aggregators have.
    heard: Heard,
    window_ms: u64,
    max_bytes: usize,
    stock: Stock,
}

#[derive(Debug)]
struct Entry {
    row: OfBlock,
    // Its cells at hand, of the newest rows.
    snapshot: Option<Arc<Snapshot>>,
}

#[derive(Debug)]
struct Kept {
    block: u64,
    first_tick: u64,
    last_tick: u64,
    sealed: Sealed,
}

impl Held {
    pub(super) fn new(run: Run, window_ms: u64, max_bytes: usize) -> Self {
        Self {
            run,
            blocks: VecDeque::new(),
            rows: VecDeque::new(),
            open_seq: 0,
            heard: Heard::default(),
            window_ms,
            max_bytes,
            stock: Stock::default(),
        }
    }

    pub(super) fn begin(&mut self, run: Run) {
        let end = self.rows.back().map_or(0, |entry| entry.row.seq + 1);
        self.stock.stepped_rows += self.stock.rows as u64;
        let unsealed = self.open_seq;
        for kept in std::mem::take(&mut self.blocks) {
            self.let_go(&kept);
        }
        self.drop_unheard(unsealed, end);
        self.stock.evicted_before = self.stock.aged_rows + self.stock.crowded_rows;
        self.stock.dropped_before = self.stock.dropped_rows;
        self.run = run;
        self.heard = Heard::default();
        self.rows.clear();
        self.open_seq = 0;
        self.account();
    }

    pub(super) fn push(
        &mut self,
        seq: u64,
        tick: u64,
        (snapshot, wire): (Arc<Snapshot>, Wire),
        defs: Vec<Arc<EntityDef>>,
    ) {
        let before = self.rows.back().map(|entry| &entry.row.defs);
        let same = before.filter(|before| are_same(before, defs.iter()));
        let defs = same.map_or_else(|| defs.into(), Arc::clone);
        let row = OfBlock {
            seq,
            tick,
            wire,
            defs,
        };
        self.rows.push_back(Entry {
            row,
            snapshot: Some(snapshot),
        });
        self.heard.push(seq);
        self.forget_recent();
        self.evict_old(tick);
        self.evict_torn();
        // The row that begins a block comes on top of a whole one, which takes up next to nothing
        // once it is sealed: other blocks need not go for it.
        if self.full_end() != Some(seq) {
            self.evict_much();
        }
        self.account();
    }

    /// The block that waits to be sealed.
    pub(super) fn full(&self) -> Option<Full> {
        let end = self.full_end()?;
        let count = usize::try_from(end - self.open_seq).ok()?;
        let rows = self.rows.iter().skip(self.position(self.open_seq)?);
        Some(Full {
            run: self.run,
            block: self.open_seq / BLOCK_ROWS,
            rows: rows.take(count).map(|entry| entry.row.clone()).collect(),
            before: self.blocks.back().map(|kept| Arc::clone(&kept.sealed.defs)),
        })
    }

    /// Puts a chunk in the place of the rows that it was made of; false when they are not there any
    /// more.
    pub(super) fn swap(&mut self, full: &Full, sealed: Sealed) -> bool {
        let first_seq = full.block * BLOCK_ROWS;
        let still_there = full.run == self.run && self.open_seq == first_seq;
        let ends = full.rows.first().zip(full.rows.last());
        let Some((first, last)) = ends.filter(|_| still_there) else {
            return false;
        };
        self.blocks.push_back(Kept {
            block: full.block,
            first_tick: first.tick,
            last_tick: last.tick,
            sealed,
        });
        self.open_seq = first_seq + BLOCK_ROWS;
        self.forget_recent();
        self.evict_much();
        self.account();
        true
    }

    /// Counts a block as gone that no chunk can be made of.
    pub(super) fn give_up(&mut self, full: &Full) {
        let first_seq = full.block * BLOCK_ROWS;
        if full.run == self.run && self.open_seq == first_seq {
            self.stock.crowded_rows += self.pass(first_seq + BLOCK_ROWS);
            self.account();
        }
    }

    pub(super) fn row(&self, run: &Run, seq: u64) -> Option<Row> {
        let at = self.position(seq).filter(|_| self.run == *run)?;
        let Entry { row, snapshot } = self.rows.get(at)?;
        Some(Row {
            seq,
            tick: row.tick,
            snapshot: Arc::clone(snapshot.as_ref()?),
            wire: row.wire.clone(),
            defs: Arc::clone(&row.defs),
        })
    }

    /// A block that has begun.
    pub(super) fn block(&self, run: &Run, block: u64) -> Block {
        if self.run != *run {
            return Block::Evicted;
        }
        let first = self.blocks.front().map_or(u64::MAX, |kept| kept.block);
        let at = block
            .checked_sub(first)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(kept) = at.and_then(|at| self.blocks.get(at)) {
            return Block::Sealed(kept.sealed.clone());
        }
        let first_seq = block * BLOCK_ROWS;
        match self.position(first_seq) {
            Some(at) if first_seq >= self.open_seq => {
                let count = usize::try_from(BLOCK_ROWS).unwrap_or(usize::MAX);
                let rows = self.rows.iter().skip(at).take(count);
                Block::Rows(rows.map(|entry| entry.row.clone()).collect())
            }
            _ => Block::Evicted,
        }
    }

    /// See [`super::Ring::acknowledged`].
    pub(super) fn acknowledged(&mut self, run: &Run, seq: u64) {
        if self.run == *run {
            self.heard.acknowledged(seq);
        }
    }

    /// See [`super::Ring::sent`].
    pub(super) fn sent(&mut self, run: &Run, seq: u64) {
        if self.run == *run {
            self.heard.sent(seq);
        }
    }

    /// See [`super::Ring::given`].
    pub(super) fn given(&mut self, run: &Run, rows: Range<u64>) {
        if self.run == *run {
            self.heard.given(rows.start, rows.end);
        }
    }

    pub(super) fn stock(&self) -> Stock {
        self.stock
    }

    fn position(&self, seq: u64) -> Option<usize> {
        let first = self.rows.front()?.row.seq;
        let at = usize::try_from(seq.checked_sub(first)?).ok()?;
        (at < self.rows.len()).then_some(at)
    }

    fn newest_seq(&self) -> u64 {
        self.rows.back().map_or(0, |entry| entry.row.seq)
    }

    /// Where the block of `open_seq` ends, when the next one has begun.
    fn full_end(&self) -> Option<u64> {
        let end = (self.open_seq / BLOCK_ROWS + 1) * BLOCK_ROWS;
        (end <= self.newest_seq()).then_some(end)
    }

    fn tick_of(&self, seq: u64) -> Option<u64> {
        self.rows
            .get(self.position(seq)?)
            .map(|entry| entry.row.tick)
    }

    /// Lets go of rows that are in a chunk, or counted as gone, and that no session waits for.
    fn forget_recent(&mut self) {
        let recent = (self.newest_seq() + 1).saturating_sub(RECENT_ROWS);
        let end = recent.min(self.open_seq);
        while self.rows.front().is_some_and(|entry| entry.row.seq < end) {
            self.rows.pop_front();
        }
        let first = self.rows.front().map_or(recent, |entry| entry.row.seq);
        let old = usize::try_from(recent.saturating_sub(first)).unwrap_or(usize::MAX);
        // From the newest one that still has its cells: the others lost them before.
        let entries = self.rows.iter_mut().take(old).rev();
        let with_cells = entries.map_while(|entry| entry.snapshot.take());
        with_cells.for_each(drop);
    }

    /// Drops whole blocks that are older than the window.
    fn evict_old(&mut self, now_tick: u64) {
        let window_ms = self.window_ms;
        let is_old = |tick: u64| tick.saturating_add(window_ms) < now_tick;
        while let Some(kept) = self.blocks.pop_front_if(|kept| is_old(kept.last_tick)) {
            self.stock.aged_rows += self.let_go(&kept);
        }
        // One that is not sealed yet.
        while self.blocks.is_empty()
            && let Some(end) = self.full_end()
            && self.tick_of(end - 1).is_some_and(is_old)
        {
            self.stock.aged_rows += self.pass(end);
        }
    }

    /// Drops the rest of a block whose first rows went for memory, once the next one has begun: it
    /// is never offered, so nobody can ask for it.
    fn evict_torn(&mut self) {
        let torn = !self.open_seq.is_multiple_of(BLOCK_ROWS);
        if let Some(end) = self.full_end().filter(|_| torn) {
            self.stock.crowded_rows += self.pass(end);
        }
    }

    /// Drops what is too much, oldest first.
    fn evict_much(&mut self) {
        while self.bytes() > self.max_bytes {
            let front = self.rows.front();
            if front.is_some_and(|entry| entry.row.seq < self.open_seq) {
                self.rows.pop_front();
            } else if let Some(kept) = self.blocks.pop_front() {
                self.stock.crowded_rows += self.let_go(&kept);
            } else if self.open_seq < self.newest_seq() {
                let end = self.full_end().unwrap_or(self.open_seq + 1);
                self.stock.crowded_rows += self.pass(end);
            } else {
                // The newest row always stays: it has to be sent once.
                return;
            }
        }
    }

    /// Counts the rows of a block that has gone; returns how many they are.
    fn let_go(&mut self, kept: &Kept) -> u64 {
        let first_seq = kept.block * BLOCK_ROWS;
        self.drop_unheard(first_seq, first_seq + BLOCK_ROWS);
        BLOCK_ROWS
    }

    /// Of rows that go, counts those that no aggregator has.
    fn drop_unheard(&mut self, first_seq: u64, end: u64) {
        self.stock.dropped_rows += self.heard.go(first_seq, end);
    }

    /// Counts rows before `end` as gone; returns how many.
    fn pass(&mut self, end: u64) -> u64 {
        let count = end - self.open_seq;
        self.drop_unheard(self.open_seq, end);
        self.open_seq = end;
        self.forget_recent();
        count
    }

    /// Bytes of chunks and rows, and of the lists of definitions, each once. The definitions
    /// themselves are shared with the sampler's registry, which remembers them for as long.
    fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|kept| {
            let Sealed { chunk, defs } = &kept.sealed;
            (chunk.len(), defs)
        });
        let rows = self.rows.iter().map(|Entry { row, snapshot }| {
            let at_hand = snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes());
            (row.wire.payload.len() + at_hand, &row.defs)
        });
        let mut before: Option<&Defs> = None;
        let mut bytes = 0;
        for (values, defs) in blocks.chain(rows) {
            bytes += values;
            if !before.is_some_and(|before| Arc::ptr_eq(before, defs)) {
                bytes += size_of_val(&**defs);
            }
            before = Some(defs);
        }
        bytes
    }

    fn account(&mut self) {
        let next_seq = self.rows.back().map_or(0, |entry| entry.row.seq + 1);
        let open = next_seq - self.open_seq;
        let oldest = self.blocks.front();
        let first_seq = oldest.map_or(self.open_seq, |kept| kept.block * BLOCK_ROWS);
        let first_tick = oldest.map(|kept| kept.first_tick);
        let first_tick = first_tick.or_else(|| self.tick_of(self.open_seq));
        let last_tick = self.rows.back().map_or(0, |entry| entry.row.tick);
        let blocks = self.blocks.len() as u64;
        self.stock.rows = usize::try_from(blocks * BLOCK_ROWS + open).unwrap_or(usize::MAX);
        self.stock.bytes = self.bytes();
        self.stock.span_ms = last_tick.saturating_sub(first_tick.unwrap_or(last_tick));
        self.stock.oldest_block = first_seq.div_ceil(BLOCK_ROWS).min(next_seq / BLOCK_ROWS);
    }
}

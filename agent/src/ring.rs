//! The last rows, kept for whoever was away.
//!
//! Written by the sampler alone and read by every session. Rows go by age and, when there are too
//! many bytes, oldest first; always by whole blocks, so that a block is there whole or not at all.
//! A row holds its snapshot as it is; its definitions travel with it, so a session can define every
//! entity of any row without a dictionary. The lock is held for a few instructions.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, Run, Snapshot};
use tokio::sync::watch;

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number in the run.
    pub seq: u64,
    /// Its tick, Unix ms.
    pub tick: u64,
    /// Its values.
    pub snapshot: Arc<Snapshot>,
    /// The definitions of its entities, in its order. An `Arc` is the same from row to row as long
    /// as the definition is.
    pub defs: Arc<[Arc<EntityDef>]>,
}

/// Where the ring's writing end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The run that is written.
    pub run: Run,
    /// The seq that the next row will have.
    pub next_seq: u64,
    /// True when no further row will come.
    pub closed: bool,
}

/// What the ring holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Rows.
    pub rows: usize,
    /// Estimated bytes of them.
    pub bytes: usize,
    /// From the oldest row to the newest, ms.
    pub span_ms: u64,
    /// The oldest block held; the block of the next row when none is.
    pub oldest_block: u64,
    /// Rows that fell out by age since the process began.
    pub aged_rows: u64,
    /// Rows that fell out for memory.
    pub crowded_rows: u64,
    /// Rows that fell out because their run ended with a clock step.
    pub stepped_rows: u64,
    // Rows that fell out before this run began.
    evicted_before: u64,
}

impl Stock {
    /// Rows that fell out since this run began.
    #[must_use]
    pub fn evicted_of_run(&self) -> u64 {
        self.aged_rows + self.crowded_rows - self.evicted_before
    }
}

/// What was asked of a block.
#[derive(Clone, Debug)]
pub enum Block {
    /// Its rows from the first one on, in order; never empty, and all of them when it is sealed.
    Rows(Vec<Row>),
    /// It is still to come.
    Ahead,
    /// It is not held any more.
    Evicted,
}

/// The ring. A clone is the same ring.
#[derive(Clone, Debug)]
pub struct Ring {
    rows: Arc<Mutex<Rows>>,
    head: watch::Sender<Head>,
}

#[derive(Debug)]
struct Rows {
    // The run that all rows are of.
    run: Run,
    // Invariant: consecutive seqs; the first one begins a block, unless memory forced it out of the
    // open block.
    rows: VecDeque<Held>,
    stock: Stock,
    window_ms: u64,
    max_bytes: usize,
}

#[derive(Debug)]
struct Held {
    row: Row,
    bytes: usize,
}

impl Ring {
    /// Makes an empty ring that keeps rows for `window_ms` and in at most `max_bytes`.
    #[must_use]
    pub fn new(run: Run, window_ms: u64, max_bytes: usize) -> Self {
        let (rows, stock) = (VecDeque::new(), Stock::default());
        let rows = Rows {
            run,
            rows,
            stock,
            window_ms,
            max_bytes,
        };
        let head = Head {
            run,
            next_seq: 0,
            closed: false,
        };
        Self {
            rows: Arc::new(Mutex::new(rows)),
            head: watch::Sender::new(head),
        }
    }

    /// Begins a new run: what is held belongs to the old one and goes.
    pub fn begin(&self, run: Run) {
        let mut rows = self.lock();
        rows.stock.stepped_rows += rows.rows.len() as u64;
        rows.stock.evicted_before = rows.stock.aged_rows + rows.stock.crowded_rows;
        rows.run = run;
        rows.rows.clear();
        rows.account(0);
        drop(rows);
        self.head.send_modify(|head| {
            *head = Head {
                run,
                next_seq: 0,
                closed: head.closed,
            }
        });
    }

    /// Appends the next row and tells everybody who watches; returns its seq.
    pub fn push(&self, tick: u64, snapshot: Snapshot, defs: Vec<Arc<EntityDef>>) -> u64 {
        let seq = self.head.borrow().next_seq;
        let bytes = estimate(&snapshot);
        let row = Row {
            seq,
            tick,
            snapshot: Arc::new(snapshot),
            defs: defs.into(),
        };
        let mut rows = self.lock();
        rows.rows.push_back(Held { row, bytes });
        rows.stock.bytes += bytes;
        rows.evict(tick);
        rows.account(seq + 1);
        drop(rows);
        self.head.send_modify(|head| head.next_seq = seq + 1);
        seq
    }

    /// Says that no further row will come.
    pub fn close(&self) {
        self.head.send_modify(|head| head.closed = true);
    }

    /// Watches the writing end. The receiver is woken by each row; rows are read by their seq, so
    /// one that is slow skips nothing it does not choose to.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// One row of a run; `None` when it is not held (any more, or yet).
    #[must_use]
    pub fn row(&self, run: &Run, seq: u64) -> Option<Row> {
        let rows = self.lock();
        rows.position(run, seq)
            .and_then(|at| rows.rows.get(at))
            .map(|held| held.row.clone())
    }

    /// The rows of a run's block.
    #[must_use]
    pub fn block(&self, run: &Run, block: u64) -> Block {
        let first = block.saturating_mul(BLOCK_ROWS);
        if first >= self.head.borrow().next_seq {
            return Block::Ahead;
        }
        let rows = self.lock();
        let Some(at) = rows.position(run, first) else {
            return Block::Evicted;
        };
        let count = usize::try_from(BLOCK_ROWS).unwrap_or(usize::MAX);
        let found = rows.rows.iter().skip(at).take(count);
        Block::Rows(found.map(|held| held.row.clone()).collect())
    }

    /// What is held now.
    #[must_use]
    pub fn stock(&self) -> Stock {
        self.lock().stock
    }

    /// Nothing panics while the lock is held, so a poisoned one is taken as it is.
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows {
    fn position(&self, run: &Run, seq: u64) -> Option<usize> {
        let first = self.rows.front().filter(|_| self.run == *run)?.row.seq;
        let at = usize::try_from(seq.checked_sub(first)?).ok()?;
        (at < self.rows.len()).then_some(at)
    }

    /// Drops whole blocks that are older than the window or too much.
    fn evict(&mut self, now_tick: u64) {
        while let Some(rows) = self.sealed_front() {
            let newest = self.rows.get(rows - 1).map_or(0, |held| held.row.tick);
            let too_old = newest.saturating_add(self.window_ms) < now_tick;
            let too_much = self.stock.bytes > self.max_bytes;
            if !too_old && !too_much {
                return;
            }
            self.drop_front(rows);
            let count = rows as u64;
            match too_old {
                true => self.stock.aged_rows += count,
                false => self.stock.crowded_rows += count,
            }
        }
        // Only the open block is left. Its newest row always stays: it has to be sent once.
        while self.stock.bytes > self.max_bytes && self.rows.len() > 1 {
            self.drop_front(1);
            self.stock.crowded_rows += 1;
        }
    }

    /// How many rows at the front belong to one sealed block; `None` when the open one is in front.
    fn sealed_front(&self) -> Option<usize> {
        let (first, last) = (self.rows.front()?.row.seq, self.rows.back()?.row.seq);
        let end = (first / BLOCK_ROWS + 1) * BLOCK_ROWS;
        (end <= last).then(|| usize::try_from(end - first).unwrap_or(usize::MAX))
    }

    fn drop_front(&mut self, count: usize) {
        let bytes: usize = self
            .rows
            .drain(..count.min(self.rows.len()))
            .map(|h| h.bytes)
            .sum();
        self.stock.bytes = self.stock.bytes.saturating_sub(bytes);
    }

    fn account(&mut self, next_seq: u64) {
        self.stock.rows = self.rows.len();
        if self.rows.is_empty() {
            self.stock.bytes = 0;
        }
        let tick = |held: Option<&Held>| held.map_or(0, |held| held.row.tick);
        let newest_tick = tick(self.rows.back());
        self.stock.span_ms = newest_tick.saturating_sub(tick(self.rows.front()));
        let oldest = self.rows.front().map_or(next_seq, |held| held.row.seq);
        self.stock.oldest_block = oldest.div_ceil(BLOCK_ROWS).min(next_seq / BLOCK_ROWS);
    }
}

/// Bytes that a row takes up: its values, and for each entity a reference to its definition, which
/// all rows share.
fn estimate(snapshot: &Snapshot) -> usize {
    snapshot.bytes() + snapshot.entities().len() * size_of::<Arc<EntityDef>>()
}

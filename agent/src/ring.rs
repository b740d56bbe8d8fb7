//! The last minutes of rows, kept for whoever was away.
//!
//! Written by the sampler alone and read by every session. The newest rows are held as they are:
//! a session that lives takes them one by one. Those before them are held as they travel. Once a block is full and the next one has begun, it
//! is sealed into one chunk, a part of what its rows take up even so, and a session that is asked
//! for it sends those bytes. Beside them stand the definitions of its entities, so that every entity of
//! any block can be named without a dictionary.
//!
//! Blocks go by age and, when there are too many bytes, oldest first; a block is there whole or not
//! at all. The lock is held while references are moved, never while a chunk is made.

mod heard;

mod held;

mod sealed;

mod wire;

#[cfg(test)]
pub(crate) mod tests;

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, Run, Snapshot};
use tokio::sync::watch;

use self::held::Held;
pub use self::sealed::Sealed;
use self::wire::timed;
pub use self::wire::{OfBlock, Wire, chunk, decode};

/// The newest rows that can be had one by one, whether their block is sealed or not: as many as may
/// wait before a session's encoder.
pub const RECENT_ROWS: u64 = 2;

/// Definitions of entities, in rising order of their ids. Rows and blocks that follow each other
/// share them while nobody comes, goes or changes.
pub type Defs = Arc<[Arc<EntityDef>]>;

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its number in the run.
    pub seq: u64,
    /// Its tick, Unix ms.
    pub tick: u64,
    /// Its values.
    pub snapshot: Arc<Snapshot>,
    /// Its values as they travel: by themselves, or against the row before it.
    pub wire: Wire,
    /// The definitions of its entities. An `Arc` is the same from row to row as long as the
    /// definition is.
    pub defs: Defs,
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
    /// Rows, sealed ones included.
    pub rows: usize,
    /// Bytes of them: chunks, decoded rows, and references to definitions.
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
    /// Of all these, rows that no aggregator had acknowledged or been sent on request: nobody has them
    /// any more.
    pub dropped_rows: u64,
    // Rows that fell out, and were dropped, before this run began.
    evicted_before: u64,
    dropped_before: u64,
}

impl Stock {
    /// Rows that fell out since this run began.
    #[must_use]
    pub fn evicted_of_run(&self) -> u64 {
        self.aged_rows + self.crowded_rows - self.evicted_before
    }

    /// Rows of them that fell out since this run began.
    #[must_use]
    pub fn dropped_of_run(&self) -> u64 {
        self.dropped_rows - self.dropped_before
    }
}

/// What was asked of a block.
#[derive(Clone, Debug)]
pub enum Block {
    /// All of its rows as a chunk.
    Sealed(Sealed),
    /// Its rows from the first one on, in order, never empty: it is not full, or not sealed yet.
    Rows(Vec<OfBlock>),
    /// It is still to come.
    Ahead,
    /// It is not held any more.
    Evicted,
}

/// The ring. A clone is the same ring.
#[derive(Clone, Debug)]
pub struct Ring {
    held: Arc<Mutex<Held>>,
    head: watch::Sender<Head>,
}

impl Ring {
    /// Makes an empty ring that keeps rows for `window_ms` and in at most `max_bytes`.
    #[must_use]
    pub fn new(run: Run, window_ms: u64, max_bytes: usize) -> Self {
        let head = Head {
            run,
            next_seq: 0,
            closed: false,
        };
        Self {
            held: Arc::new(Mutex::new(Held::new(run, window_ms, max_bytes))),
            head: watch::Sender::new(head),
        }
    }

    /// Begins a new run: what is held belongs to the old one and goes.
    pub fn begin(&self, run: Run) {
        self.lock().begin(run);
        self.head.send_modify(|head| {
            *head = Head {
                run,
                next_seq: 0,
                closed: head.closed,
            }
        });
    }

    /// Appends the next row and tells everybody who watches; returns its seq. Its tick is later than
    /// that of the row before, and its definitions are those of its entities, in their order.
    ///
    /// A block that it leaves full waits for [`Ring::seal`].
    pub fn push(&self, tick: u64, snapshot: Snapshot, defs: Vec<Arc<EntityDef>>) -> u64 {
        let Head {
            run, next_seq: seq, ..
        } = self.head();
        let before = seq
            .checked_sub(1)
            .filter(|_| !seq.is_multiple_of(BLOCK_ROWS));
        let before = before.and_then(|before| self.row(&run, before));
        let base = before.as_ref().map(|row| timed(row.tick, &row.snapshot));
        let wire = Wire::of(base, timed(tick, &snapshot));
        drop(before);
        let row = (Arc::new(snapshot), wire);
        self.lock().push(seq, tick, row, defs);
        self.head.send_modify(|head| head.next_seq = seq + 1);
        seq
    }

    /// Seals what is full; to be called after each push, once the sessions had their turn: making a
    /// chunk takes longer than handing a row on. Until then, and if it is not called at all, a full
    /// block is held as its rows.
    pub fn seal(&self) {
        loop {
            let full = self.lock().full();
            let Some(full) = full else { return };
            let Some(sealed) = full.seal() else {
                self.lock().give_up(&full);
                continue;
            };
            if !self.lock().swap(&full, sealed) {
                return;
            }
            // The last references to its rows go here, outside of the lock.
        }
    }

    /// Takes note that a stream was sent a row of a run.
    pub fn sent(&self, run: &Run, seq: u64) {
        self.lock().sent(run, seq);
    }

    /// Takes note that an aggregator has the rows of a run that were sent, up to this one.
    pub fn acknowledged(&self, run: &Run, seq: u64) {
        self.lock().acknowledged(run, seq);
    }

    /// Takes note that an aggregator was sent these rows of a run because it asked for them.
    pub fn given(&self, run: &Run, rows: Range<u64>) {
        self.lock().given(run, rows);
    }

    /// Says that no further row will come.
    pub fn close(&self) {
        self.head.send_modify(|head| head.closed = true);
    }

    /// Where the writing end is now. It is a copy: whoever looked holds no lock when the next
    /// question is asked, which would wait for ever behind a writer that waits for the first.
    #[must_use]
    pub fn head(&self) -> Head {
        *self.head.borrow()
    }

    /// Watches the writing end. The receiver is woken by each row; rows are read by their seq, so
    /// one that is slow skips nothing it does not choose to.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// One row of a run; `None` when it cannot be had by itself (any more, or yet). The newest
    /// [`RECENT_ROWS`] can, unless memory is so short that they are not held.
    #[must_use]
    pub fn row(&self, run: &Run, seq: u64) -> Option<Row> {
        self.lock().row(run, seq)
    }

    /// A run's block.
    #[must_use]
    pub fn block(&self, run: &Run, block: u64) -> Block {
        let first = block.saturating_mul(BLOCK_ROWS);
        if first >= self.head().next_seq {
            return Block::Ahead;
        }
        self.lock().block(run, block)
    }

    /// What is held now.
    #[must_use]
    pub fn stock(&self) -> Stock {
        self.lock().stock()
    }

    /// Nothing panics while the lock is held, so a poisoned one is taken as it is.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

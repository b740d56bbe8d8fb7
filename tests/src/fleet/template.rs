//! A template: the rows that many agents send, made and encoded once.
//!
//! [`Maker`] makes the rows one after the other, [`Template`] keeps as many as the agents' rings
//! hold. What is encoded is the same for every agent that sends it: a row as differences to the one
//! before it, as a keyframe, or (for a session that passed rows over) to an earlier one; and the rows
//! of a block. So it is kept beside the rows, as long as somebody may ask for it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use cairn_proto::codec::chunk::RowOf;
use cairn_proto::codec::row::Timed;
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, EntityId, Snapshot};

use super::encode;
use crate::mix;

/// Encoded forms of one row that are kept: the usual two, and some for sessions that are behind.
const FORMS: usize = 8;

/// How many of the newest rows keep their encoded forms: sessions pass over what is older.
const WARM_ROWS: usize = 4;

/// Blocks that are kept encoded: a window of them, for a few runs that began at different rows.
const CHUNKS: usize = 64;

/// One row.
#[derive(Debug)]
pub(super) struct Row {
    /// Its number since the fleet began, from 0.
    pub(super) index: u64,
    pub(super) tick_ms: u64,
    pub(super) snapshot: Snapshot,
    pub(super) samples: u64,
    /// By the number of the row that it refers to.
    forms: Mutex<Vec<(Option<u64>, Bytes)>>,
}

impl Row {
    fn timed(&self) -> Timed<'_> {
        Timed {
            tick_ms: self.tick_ms,
            snapshot: &self.snapshot,
        }
    }

    /// The row as differences to `base`, or as a keyframe.
    pub(super) fn encoded(&self, base: Option<&Row>) -> Bytes {
        let key = base.map(|base| base.index);
        // Held while it encodes, so that it is done once, however many sessions come for it.
        let mut forms = lock(&self.forms);
        if let Some((_, payload)) = forms.iter().find(|(of, _)| *of == key) {
            return payload.clone();
        }
        let payload = encode::row(base.map(Row::timed), self.timed());
        if forms.len() < FORMS {
            forms.push((key, payload.clone()));
        }
        payload
    }
}

/// Rows of one block, as they are sent.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) payload: Bytes,
    /// Every entity that a row of it has, sorted.
    pub(super) entities: Vec<EntityId>,
}

/// Which rows a chunk has: the first of them, and how many.
type Rows = (u64, usize);

/// The rows that are held.
#[derive(Debug)]
pub(super) struct Template {
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    rows: VecDeque<Arc<Row>>,
    defs: BTreeMap<EntityId, Arc<EntityDef>>,
    chunks: VecDeque<(Rows, Arc<OnceLock<Arc<Chunk>>>)>,
    most_rows: usize,
    gone: u64,
}

impl Template {
    /// One that keeps at most so many rows.
    pub(super) fn new(most_rows: usize) -> Self {
        Self {
            held: Mutex::new(Held {
                rows: VecDeque::new(),
                defs: BTreeMap::new(),
                chunks: VecDeque::new(),
                most_rows: most_rows.max(1),
                gone: 0,
            }),
        }
    }

    /// Takes the next row.
    pub(super) fn push(&self, made: Made) {
        let mut held = lock(&self.held);
        for def in made.new_defs {
            held.defs.insert(def.id, Arc::new(def));
        }
        held.rows.push_back(made.row);
        let cold = held.rows.len().checked_sub(WARM_ROWS + 1);
        if let Some(row) = cold.and_then(|at| held.rows.get(at)) {
            lock(&row.forms).clear();
        }
        while held.rows.len() > held.most_rows {
            held.rows.pop_front();
            held.gone += 1;
        }
        if held.gone >= BLOCK_ROWS {
            held.tidy();
        }
    }

    /// A row; `None` when it is not there any more, or not yet.
    pub(super) fn row(&self, index: u64) -> Option<Arc<Row>> {
        lock(&self.held).row(index)
    }

    /// The newest row.
    pub(super) fn newest(&self) -> Option<Arc<Row>> {
        lock(&self.held).rows.back().map(Arc::clone)
    }

    /// The definition of an entity that a held row has, as the template's own node has it.
    pub(super) fn def(&self, id: EntityId) -> Option<Arc<EntityDef>> {
        lock(&self.held).defs.get(&id).map(Arc::clone)
    }

    /// So many rows from this one on, as a block that begins with the first of them; `None` when one
    /// of them is not there.
    pub(super) fn chunk(&self, first: u64, count: usize) -> Option<Arc<Chunk>> {
        let mut held = lock(&self.held);
        let rows = (first..).take(count).map(|index| held.row(index));
        let rows: Vec<Arc<Row>> = rows.collect::<Option<_>>()?;
        let key = (first, count);
        let known = held.chunks.iter().find(|(of, _)| *of == key);
        let chunk = match known {
            Some((_, chunk)) => Arc::clone(chunk),
            None => {
                let chunk = Arc::default();
                if held.chunks.len() == CHUNKS {
                    held.chunks.pop_front();
                }
                held.chunks.push_back((key, Arc::clone(&chunk)));
                chunk
            }
        };
        drop(held);
        // Whoever comes for it while it is being encoded waits for that one.
        Some(Arc::clone(chunk.get_or_init(|| Arc::new(Chunk::of(&rows)))))
    }
}

impl Chunk {
    fn of(rows: &[Arc<Row>]) -> Self {
        let entities: BTreeSet<EntityId> = rows
            .iter()
            .flat_map(|row| row.snapshot.entities())
            .copied()
            .collect();
        let places = (0u64..).zip(rows);
        let places: Vec<RowOf<'_>> = places
            .map(|(offset, row)| RowOf {
                offset,
                tick: row.tick_ms,
                snapshot: &row.snapshot,
            })
            .collect();
        Self {
            payload: encode::chunk(&places),
            entities: entities.into_iter().collect(),
        }
    }
}

impl Held {
    fn row(&self, index: u64) -> Option<Arc<Row>> {
        let first = self.rows.front()?.index;
        let at = usize::try_from(index.checked_sub(first)?).ok()?;
        self.rows.get(at).map(Arc::clone)
    }

    /// Forgets definitions and blocks of rows that are gone.
    fn tidy(&mut self) {
        self.gone = 0;
        let mut used: BTreeSet<EntityId> = BTreeSet::new();
        for row in &self.rows {
            used.extend(row.snapshot.entities());
        }
        self.defs.retain(|id, _| used.contains(id));
        let first = self.rows.front().map_or(0, |row| row.index);
        self.chunks.retain(|((of, _), _)| *of >= first);
    }
}

/// A row that was made and is not shown yet.
#[derive(Debug)]
pub(super) struct Made {
    row: Arc<Row>,
    new_defs: Vec<EntityDef>,
}

/// Makes the rows of a template, one after the other.
#[derive(Debug)]
pub(super) struct Maker {
    node: mix::Node,
    last: Option<Arc<Row>>,
}

impl Maker {
    pub(super) fn new(node: mix::Node) -> Self {
        Self { node, last: None }
    }

    /// Makes the next row, and encodes it for those who sent the one before.
    pub(super) fn make(&mut self) -> Result<Made, mix::Error> {
        let made = self.node.next_row()?;
        let samples = made.snapshot.sample_count() as u64;
        let row = Arc::new(Row {
            index: made.seq,
            tick_ms: made.tick_ms,
            snapshot: made.snapshot,
            samples,
            forms: Mutex::default(),
        });
        if let Some(last) = self.last.replace(Arc::clone(&row)) {
            row.encoded(Some(&last));
        }
        Ok(Made {
            row,
            new_defs: made.new_defs,
        })
    }
}

/// Nothing here leaves a half-done change behind, so a poisoned lock is as good as a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

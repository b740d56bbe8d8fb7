//! A block of rows: open, as they came, or sealed into a chunk.

use std::sync::Arc;

use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::{self, ChunkRow, RowOf, Sealed, WireRow};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::codec::slim::Slim;
use cairn_proto::limits::MAX_ROW_BYTES;
use cairn_proto::model::{EntityId, Snapshot};

use super::times::{Moment, Times};

/// What a block is counted as beside its rows.
const BLOCK_BYTES: usize = 128;

/// What an open row is counted as beside its payload: its record and the counts of two references.
const ROW_BYTES: usize = 104;

/// Rows that follow each other: those of one block of the run, or of a few put together.
#[derive(Clone, Debug)]
pub(super) struct Block {
    /// The seq that offsets are counted from: a multiple of a block's rows.
    pub(super) first_seq: u64,
    /// When its rows are.
    pub(super) times: Times,
    /// The rows.
    pub(super) rows: Rows,
    /// Putting it together with those behind it failed, and would again.
    pub(super) is_apart: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// A chunk.
    Sealed(Sealed),
    /// Rows in wire form, each referring to the one before it.
    Open(Open),
}

#[derive(Clone, Debug)]
pub(super) struct Open {
    /// In rising order; never empty.
    pub(super) rows: Vec<OpenRow>,
    /// The last of them, its cells at hand.
    pub(super) tail: Arc<Slim>,
}

/// One row in wire form.
#[derive(Clone, Debug)]
pub(super) struct OpenRow {
    /// Grid time, Unix ms.
    pub(super) tick_ms: u64,
    /// A keyframe, or differences to the row before it.
    pub(super) payload: Arc<[u8]>,
    /// True when it refers to none.
    pub(super) is_keyframe: bool,
    /// Its entities; from row to row the same list as long as they are the same.
    pub(super) entities: Arc<[EntityId]>,
}

/// A row on its way into a block.
#[derive(Clone, Debug)]
pub(super) struct Incoming {
    pub(super) seq: u64,
    pub(super) tick_ms: u64,
    /// Cells of fields that it has.
    pub(super) samples: usize,
    pub(super) slim: Arc<Slim>,
    /// Its payload in the dense codec and the seq that this refers to, if that is how it came.
    pub(super) wire: Option<(Option<u64>, Arc<[u8]>)>,
}

impl Incoming {
    /// A row that did not come by itself.
    pub(super) fn of(seq: u64, tick_ms: u64, snapshot: &Snapshot) -> Self {
        Self {
            seq,
            tick_ms,
            samples: snapshot.sample_count(),
            slim: Slim::of(snapshot).into(),
            wire: None,
        }
    }

    fn moment(&self, first_seq: u64) -> Moment {
        Moment {
            offset: self.seq - first_seq,
            tick_ms: self.tick_ms,
            samples: u32::try_from(self.samples).unwrap_or(u32::MAX),
        }
    }
}

/// A row as one that refers to none. Copied as it is kept, unless that is more than a row may have: then
/// in the shortest way, as a row that came fits.
fn alone(row: &Incoming) -> Vec<u8> {
    let copied = row.slim.keyframe();
    if copied.len() <= MAX_ROW_BYTES {
        return copied;
    }
    row::keyframe(DENSE, row.tick_ms, &row.slim.row())
}

impl Block {
    /// An open block of one row.
    pub(super) fn begin(first_seq: u64, row: Incoming) -> Option<Self> {
        let times = Times::of(&[row.moment(first_seq)])?;
        // What it refers to is in another block, which may go before this one.
        let payload = match row.wire {
            Some((None, payload)) => payload,
            _ => alone(&row).into(),
        };
        let first = OpenRow {
            tick_ms: row.tick_ms,
            payload,
            is_keyframe: true,
            entities: Arc::clone(row.slim.entities()),
        };
        let rows = Rows::Open(Open {
            rows: vec![first],
            tail: row.slim,
        });
        Some(Self {
            first_seq,
            times,
            rows,
            is_apart: false,
        })
    }

    /// Adds a later row to an open block; gives it back when the block is sealed.
    pub(super) fn push(&mut self, row: Incoming) -> Result<(), Incoming> {
        let last_seq = self.last_seq();
        let Rows::Open(open) = &mut self.rows else {
            return Err(row);
        };
        let mut moments = Vec::with_capacity(open.rows.len() + 1);
        moments.extend(self.times.iter());
        moments.push(row.moment(self.first_seq));
        let Some(times) = Times::of(&moments) else {
            return Err(row);
        };
        let before = open.rows.last();
        let (is_keyframe, payload) = match row.wire {
            Some((None, payload)) => (true, payload),
            Some((Some(base), payload)) if base == last_seq => (false, payload),
            _ => {
                let tail = open.tail.row();
                let base = before.map(|before| Timed {
                    tick_ms: before.tick_ms,
                    snapshot: &tail,
                });
                let timed = Timed {
                    tick_ms: row.tick_ms,
                    snapshot: &row.slim.row(),
                };
                (base.is_none(), row::encode(DENSE, base, timed).into())
            }
        };
        let same = before.filter(|before| *before.entities == **row.slim.entities());
        let entities = match same {
            Some(before) => Arc::clone(&before.entities),
            None => Arc::clone(row.slim.entities()),
        };
        open.rows.push(OpenRow {
            tick_ms: row.tick_ms,
            payload,
            is_keyframe,
            entities,
        });
        open.tail = row.slim;
        self.times = times;
        Ok(())
    }

    /// A sealed block of a chunk whose rows are all kept; `None` of one without rows.
    pub(super) fn adopt(first_seq: u64, sealed: Sealed) -> Option<Self> {
        let head = sealed.head();
        let samples = sealed.samples_by_row();
        let moments = head.rows.iter().zip(samples);
        let moments: Vec<Moment> = moments
            .map(|((offset, tick_ms), samples)| Moment {
                offset: *offset,
                tick_ms: *tick_ms,
                samples,
            })
            .collect();
        let times = Times::of(&moments)?;
        Some(Self {
            first_seq,
            times,
            rows: Rows::Sealed(sealed),
            is_apart: false,
        })
    }

    /// A sealed block of these rows, in rising order; `None` of none.
    pub(super) fn seal(first_seq: u64, rows: &[ChunkRow]) -> Option<Self> {
        let moments = rows.iter().map(|row| Moment {
            offset: row.offset,
            tick_ms: row.tick,
            samples: u32::try_from(row.snapshot.sample_count()).unwrap_or(u32::MAX),
        });
        let times = Times::of(&moments.collect::<Vec<Moment>>())?;
        let rows = rows.iter().map(ChunkRow::borrowed);
        let sealed = Sealed::encode(&rows.collect::<Vec<RowOf<'_>>>())?;
        Some(Self {
            first_seq,
            times,
            rows: Rows::Sealed(sealed),
            is_apart: false,
        })
    }

    /// The same rows, sealed; `None` when they have too many cells for that.
    pub(super) fn sealed(&self) -> Option<Self> {
        let rows = match &self.rows {
            Rows::Sealed(sealed) => Some(sealed.clone()),
            Rows::Open(open) => open.seal(&self.times),
        };
        match rows {
            Some(sealed) => Some(Self {
                rows: Rows::Sealed(sealed),
                times: self.times.clone(),
                ..*self
            }),
            None => Self::seal(self.first_seq, &self.decode()),
        }
    }

    /// A sealed block of the rows of others that follow each other, from this tick on; `None` when one
    /// is open, or no row is left.
    pub(super) fn splice<'a>(
        blocks: impl Iterator<Item = &'a Block>,
        oldest_ms: u64,
    ) -> Option<Self> {
        let (mut parts, mut moments, mut first_seq) = (Vec::new(), Vec::new(), None);
        for block in blocks {
            let shift = block.first_seq - *first_seq.get_or_insert(block.first_seq);
            let Rows::Sealed(sealed) = &block.rows else {
                return None;
            };
            parts.push((shift, sealed));
            let kept = block.times.iter().filter(|row| row.tick_ms >= oldest_ms);
            moments.extend(kept.map(|row| Moment {
                offset: row.offset + shift,
                ..row
            }));
        }
        Some(Self {
            first_seq: first_seq?,
            times: Times::of(&moments)?,
            rows: Rows::Sealed(Sealed::splice(&parts, oldest_ms)?),
            is_apart: false,
        })
    }

    /// Its rows, decoded.
    pub(super) fn decode(&self) -> Vec<ChunkRow> {
        match &self.rows {
            Rows::Sealed(sealed) => sealed.rows(),
            Rows::Open(open) => open.decode(&self.times),
        }
    }

    /// How many cells it has, stamps too; `None` of an open one, where they are not counted.
    pub(super) fn cell_count(&self) -> Option<usize> {
        match &self.rows {
            Rows::Sealed(sealed) => Some(sealed.cell_count()),
            Rows::Open(_) => None,
        }
    }

    /// The last row of an open block.
    pub(super) fn tail(&self) -> Option<&Arc<Slim>> {
        match &self.rows {
            Rows::Sealed(_) => None,
            Rows::Open(open) => Some(&open.tail),
        }
    }

    pub(super) fn last_seq(&self) -> u64 {
        let last = u64::BITS - 1 - self.times.mask().leading_zeros();
        self.first_seq + u64::from(last)
    }

    /// The entities of all rows.
    pub(super) fn entities(&self) -> Vec<EntityId> {
        match &self.rows {
            Rows::Sealed(sealed) => sealed.head().entities,
            Rows::Open(open) => open
                .rows
                .iter()
                .flat_map(|row| row.entities.iter().copied())
                .collect(),
        }
    }

    /// Bytes that it is counted as.
    pub(super) fn bytes(&self) -> u64 {
        let rows = match &self.rows {
            Rows::Sealed(sealed) => sealed.bytes().len(),
            Rows::Open(open) => open.bytes(),
        };
        (BLOCK_BYTES + self.times.bytes() + rows) as u64
    }
}

impl Open {
    fn wire(&self, times: &Times) -> impl Iterator<Item = WireRow<'_>> {
        let rows = self.rows.iter().zip(times.iter());
        rows.map(|(row, moment)| WireRow {
            offset: moment.offset,
            tick: row.tick_ms,
            payload: &row.payload,
            is_keyframe: row.is_keyframe,
        })
    }

    /// A chunk of the rows as they came; `None` when they have to be decoded for it.
    fn seal(&self, times: &Times) -> Option<Sealed> {
        Sealed::of_wire(&self.wire(times).collect::<Vec<WireRow<'_>>>())
    }

    fn decode(&self, times: &Times) -> Vec<ChunkRow> {
        let mut rows = Vec::with_capacity(self.rows.len());
        // Each was decoded once already, when it came.
        chunk::decode_wire(self.wire(times), &mut rows).unwrap_or_default();
        rows
    }

    fn bytes(&self) -> usize {
        let rows: usize = self
            .rows
            .iter()
            .map(|row| ROW_BYTES + row.payload.len())
            .sum();
        let mut lists = 0;
        // The tail counts its own.
        let mut before = Some(self.tail.entities());
        for row in self.rows.iter().rev() {
            let is_same = before.is_some_and(|before| Arc::ptr_eq(before, &row.entities));
            lists += if is_same {
                0
            } else {
                size_of_val(&*row.entities)
            };
            before = Some(&row.entities);
        }
        rows + lists
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::limits::MAX_ROW_BYTES;
    use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot};

    use super::{Block, Incoming};

    /// Scenario: a row of 60,000 things whose fields are small but for one thing's, so that it is small on
    /// its way and large as it is kept.
    /// Guarantees: a block that begins with it has it.
    #[test]
    fn a_row_that_is_large_as_it_is_kept_begins_a_block_all_the_same() {
        let entities: Vec<EntityId> = (0..60_000).map(EntityId).collect();
        let column = |id: u16| {
            let values = (0..60_000).map(|nth| if nth == 0 { u64::MAX >> 1 } else { 7 });
            Column::from_parts(
                ColumnId(id),
                (0..60_000).collect::<Vec<u32>>(),
                values.collect(),
            )
        };
        let columns = (100..112).map(|id| column(id).unwrap()).collect();
        let row = Snapshot::from_parts(entities, columns).unwrap();
        let incoming = Incoming::of(0, 10_000, &row);
        assert!(incoming.slim.keyframe().len() > MAX_ROW_BYTES);
        let block = Block::begin(0, incoming).unwrap();
        let rows = block.decode();
        assert_eq!(rows.len(), 1);
        assert!(rows[0].snapshot == row);
    }
}

//! Rows of a block as they travel.
//!
//! A row that is kept for a block takes a few hundredths of what it takes with its cells at hand. The first
//! of a block refers to none, each other one to the row before it, so that a block can be read by itself.

use std::sync::Arc;

use cairn_proto::codec;
use cairn_proto::codec::chunk::{self, ChunkRow, RowOf, Sealed, WireRow};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::Snapshot;

use super::Defs;

/// The values of a row, in the newest codec.
#[derive(Clone, Debug)]
pub struct Wire {
    /// The bytes.
    pub payload: Arc<[u8]>,
    /// Whether it refers to the row before it; else to none.
    pub follows: bool,
}

impl Wire {
    /// Encodes a row, against the one before it when both are of one block.
    pub(super) fn of(before: Option<Timed<'_>>, row: Timed<'_>) -> Self {
        Self {
            follows: before.is_some(),
            payload: row::encode(codec::DENSE, before, row).into(),
        }
    }
}

/// A row of a block.
#[derive(Clone, Debug)]
pub struct OfBlock {
    /// Its number in the run.
    pub seq: u64,
    /// Its tick, Unix ms.
    pub tick: u64,
    /// Its values.
    pub wire: Wire,
    /// The definitions of its entities.
    pub defs: Defs,
}

impl OfBlock {
    fn wire(&self) -> WireRow<'_> {
        WireRow {
            offset: self.seq % BLOCK_ROWS,
            tick: self.tick,
            payload: &self.wire.payload,
            is_keyframe: !self.wire.follows,
        }
    }
}

/// The first rows of a block as a chunk of a codec; `None` when they cannot be read, which is a defect.
#[must_use]
pub fn chunk(codec: u32, rows: &[OfBlock]) -> Option<Arc<[u8]>> {
    let wire: Vec<WireRow<'_>> = rows.iter().map(OfBlock::wire).collect();
    // Without making the rows, where that can be.
    if codec == codec::DENSE
        && let Some(sealed) = Sealed::of_wire(&wire)
    {
        return Some(Arc::clone(sealed.bytes()));
    }
    let decoded = decode(rows)?;
    let decoded: Vec<RowOf<'_>> = decoded.iter().map(ChunkRow::borrowed).collect();
    Some(chunk::encode(codec, &decoded).into())
}

/// The first rows of a block, their cells at hand; `None` when they cannot be read, which is a defect.
#[must_use]
pub fn decode(rows: &[OfBlock]) -> Option<Vec<ChunkRow>> {
    let mut decoded = Vec::with_capacity(rows.len());
    let read = chunk::decode_wire(rows.iter().map(OfBlock::wire), &mut decoded);
    read.inspect_err(|error| {
        let first_seq = rows.first().map(|row| row.seq);
        tracing::error!(first_seq, %error, "rows of a block cannot be read");
    })
    .ok()?;
    Some(decoded)
}

pub(super) fn timed(tick_ms: u64, snapshot: &Snapshot) -> Timed<'_> {
    Timed { tick_ms, snapshot }
}

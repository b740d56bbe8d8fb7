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

/// The first rows of a block as a chunk of a codec; `None` when they cannot be read, which is a defect.
#[must_use]
pub fn chunk(codec: u32, rows: &[OfBlock]) -> Option<Arc<[u8]>> {
    if codec == codec::DENSE
        && let Some(sealed) = sealed(rows)
    {
        return Some(Arc::clone(sealed.bytes()));
    }
    let decoded = decode(rows)?;
    let decoded: Vec<RowOf<'_>> = decoded
        .iter()
        .map(|row| RowOf {
            offset: row.offset,
            tick: row.tick,
            snapshot: &row.snapshot,
        })
        .collect();
    Some(chunk::encode(codec, &decoded).into())
}

/// Without making the rows; `None` where that cannot be.
fn sealed(rows: &[OfBlock]) -> Option<Sealed> {
    let rows = rows.iter().map(|row| WireRow {
        offset: row.seq % BLOCK_ROWS,
        tick: row.tick,
        payload: &row.wire.payload,
        is_keyframe: !row.wire.follows,
    });
    Sealed::of_wire(&rows.collect::<Vec<WireRow<'_>>>())
}

/// The first rows of a block, their cells at hand; `None` when they cannot be read, which is a defect.
#[must_use]
pub fn decode(rows: &[OfBlock]) -> Option<Vec<ChunkRow>> {
    let mut decoded: Vec<ChunkRow> = Vec::with_capacity(rows.len());
    for row in rows {
        let before = decoded.last().filter(|_| row.wire.follows);
        let base = before.map(|before| timed(before.tick, &before.snapshot));
        let snapshot = row::decode(base, row.tick, &row.wire.payload);
        let snapshot = snapshot
            .inspect_err(|error| tracing::error!(seq = row.seq, %error, "row cannot be read"))
            .ok()?;
        decoded.push(ChunkRow {
            offset: row.seq % BLOCK_ROWS,
            tick: row.tick,
            snapshot,
        });
    }
    Some(decoded)
}

pub(super) fn timed(tick_ms: u64, snapshot: &Snapshot) -> Timed<'_> {
    Timed { tick_ms, snapshot }
}

//! One block: its rows, the first one a keyframe, each other one as differences to the one before.
//!
//! ```text
//! chunk := codec:varint  rows:varint  (offset:varint  tick:varint  length:varint  row)*
//! ```
//!
//! `offset` is the row's seq minus the block's first seq. Decodable alone, with the run's
//! dictionary of entities.

use super::row;
use crate::codec::chunk::{ChunkRow, RowOf};
use crate::codec::entities::Wanted;
use crate::codec::varint::{Reader, put};
use crate::codec::{Error, PLAIN};
use crate::limits;

/// Encodes the rows of one block, in rising order of their offset.
pub(in crate::codec) fn encode(rows: &[RowOf<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, u64::from(PLAIN));
    put(&mut out, rows.len() as u64);
    let mut base = None;
    for RowOf {
        offset,
        tick,
        snapshot,
    } in rows.iter().copied()
    {
        let payload = row::encode(base, snapshot);
        put(&mut out, offset);
        put(&mut out, tick);
        put(&mut out, payload.len() as u64);
        out.extend_from_slice(&payload);
        base = Some(snapshot);
    }
    out
}

/// Decodes a chunk.
pub(in crate::codec) fn decode(payload: &[u8]) -> Result<Vec<ChunkRow>, Error> {
    let mut reader = Reader::new(payload);
    let codec = reader.varint("the codec number")?;
    if codec != u64::from(PLAIN) {
        return Err(Error::Codec(codec));
    }
    let count = reader.varint("the number of rows")?;
    if count > limits::BLOCK_ROWS {
        return Err(Error::Limit("rows in a chunk"));
    }
    // Whoever holds no row of a block says Gap, and the dense codec cannot write it.
    if count == 0 {
        return Err(Error::Range("the number of rows"));
    }
    let mut rows: Vec<ChunkRow> = Vec::new();
    let mut cells_left = limits::MAX_CHUNK_CELLS;
    for _ in 0..count {
        let offset = reader.varint("a row's offset")?;
        let tick = reader.varint("a row's tick")?;
        let length = reader.size("a row's length")?;
        let body = reader.take(length, "a row")?;
        if offset >= limits::BLOCK_ROWS {
            return Err(Error::Range("a row's offset"));
        }
        let base = rows.last();
        if base.is_some_and(|b| b.offset >= offset || b.tick >= tick) {
            return Err(Error::Order("rows"));
        }
        let snapshot = row::decode(
            base.map(|b| &b.snapshot),
            body,
            &Wanted::of(None),
            &mut cells_left,
        )?;
        rows.push(ChunkRow {
            offset,
            tick,
            snapshot,
        });
    }
    reader.finish("a chunk")?;
    Ok(rows)
}

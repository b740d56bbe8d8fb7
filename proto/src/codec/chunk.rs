//! The rows of one block as the payload of a `Chunk` frame.

use super::row::{self, Timed};
use super::varint::Reader;
use super::{DENSE, Error, PLAIN, dense, plain};
use crate::limits;
use crate::model::Snapshot;

pub use super::dense::chunk::{
    Alone, Body, Column, Glance, Head, MOST_COLUMNS, ROWS as MAX_ROWS, Sealed, Series, WireRow,
    touch,
};

/// One row of a block, on its way in.
#[derive(Clone, Copy, Debug)]
pub struct RowOf<'a> {
    /// seq minus the first seq of the block: 0 to 15, of blocks put together up to 63.
    pub offset: u64,
    /// Grid time, Unix ms.
    pub tick: u64,
    /// The row.
    pub snapshot: &'a Snapshot,
}

/// One row of a block, on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// seq minus the first seq of the block: 0 to 15, of blocks put together up to 63.
    pub offset: u64,
    /// Grid time, Unix ms.
    pub tick: u64,
    /// The row.
    pub snapshot: Snapshot,
}

impl ChunkRow {
    /// The row on its way in again.
    #[must_use]
    pub fn borrowed(&self) -> RowOf<'_> {
        RowOf {
            offset: self.offset,
            tick: self.tick,
            snapshot: &self.snapshot,
        }
    }
}

/// Decodes rows that follow each other in wire form, as [`Sealed::of_wire`] takes them, and puts them to
/// `rows`.
///
/// # Errors
///
/// Says what is wrong with the first row that cannot be read; those before it are there.
pub fn decode_wire<'a>(
    wire: impl IntoIterator<Item = WireRow<'a>>,
    rows: &mut Vec<ChunkRow>,
) -> Result<(), Error> {
    for row in wire {
        let before = rows.last().filter(|_| !row.is_keyframe);
        let base = before.map(|before| Timed {
            tick_ms: before.tick,
            snapshot: &before.snapshot,
        });
        let snapshot = row::decode(base, row.tick, row.payload)?;
        rows.push(ChunkRow {
            offset: row.offset,
            tick: row.tick,
            snapshot,
        });
    }
    Ok(())
}

/// Encodes the rows of one block, at least one, in rising order of their offsets and ticks. A codec
/// that this version does not write gives the plain one.
#[must_use]
pub fn encode(codec: u32, rows: &[RowOf<'_>]) -> Vec<u8> {
    match codec {
        DENSE => dense::chunk::encode(rows),
        _ => plain::chunk::encode(rows),
    }
}

/// Decodes a chunk into its rows, in rising order.
///
/// Allocation is bounded by [`limits::MAX_CHUNK_CELLS`] and the payload's own length.
///
/// # Errors
///
/// Says what is wrong with the payload.
pub fn decode(payload: &[u8]) -> Result<Vec<ChunkRow>, Error> {
    match check_codec(payload)? {
        DENSE => Ok(check_block(payload)?.rows()),
        _ => plain::chunk::decode(payload),
    }
}

/// Takes a chunk as it is to be kept: in the newest codec, whatever it came in.
///
/// # Errors
///
/// Says what is wrong with the payload.
pub fn seal(payload: &[u8]) -> Result<Sealed, Error> {
    match check_codec(payload)? {
        DENSE => check_block(payload),
        _ => Sealed::check(recode(DENSE, payload)?.into()),
    }
}

/// The same rows in another codec, for a reader that knows no better one; as it is when it is in
/// that codec.
///
/// # Errors
///
/// Says what is wrong with the payload.
pub fn recode(codec: u32, payload: &[u8]) -> Result<Vec<u8>, Error> {
    if check_codec(payload)? == codec {
        return Ok(payload.to_vec());
    }
    let rows = decode(payload)?;
    let rows: Vec<RowOf<'_>> = rows.iter().map(ChunkRow::borrowed).collect();
    Ok(encode(codec, &rows))
}

/// A dense chunk as it travels. What is sealed may hold several blocks; a sender's rows of other
/// blocks than the one asked for are not taken.
fn check_block(payload: &[u8]) -> Result<Sealed, Error> {
    let sealed = Sealed::check(payload.into())?;
    let last = sealed.head().rows.last().map(|(offset, _)| *offset);
    if last.is_some_and(|offset| offset >= limits::BLOCK_ROWS) {
        return Err(Error::Range("a row's offset"));
    }
    Ok(sealed)
}

/// The codec of a chunk that this version reads.
fn check_codec(payload: &[u8]) -> Result<u32, Error> {
    if payload.len() > limits::MAX_ROW_BYTES {
        return Err(Error::Limit("bytes in a chunk"));
    }
    let codec = Reader::new(payload).varint("the codec number")?;
    match u32::try_from(codec) {
        Ok(known @ (DENSE | PLAIN)) => Ok(known),
        _ => Err(Error::Codec(codec)),
    }
}

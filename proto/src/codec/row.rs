//! One row as the payload of a `Row` frame.

use super::entities::Wanted;
use super::varint::Reader;
use super::{DENSE, Error, PLAIN, dense, plain};
use crate::limits;
use crate::model::{ColumnId, Snapshot};

pub use super::dense::track::{Followed, Track};

/// A row: when and what.
#[derive(Clone, Copy, Debug)]
pub struct Timed<'a> {
    /// Grid time, Unix ms.
    pub tick_ms: u64,
    /// The values.
    pub snapshot: &'a Snapshot,
}

/// Encodes a row as differences to `base`, or as a keyframe. A codec that this version does not
/// write gives the plain one; [`codec::SUPPORTED`](super::SUPPORTED) says which it does.
#[must_use]
pub fn encode(codec: u32, base: Option<Timed<'_>>, row: Timed<'_>) -> Vec<u8> {
    match codec {
        DENSE => dense::row::encode(base, row),
        _ => plain::row::encode(base.map(|base| base.snapshot), row.snapshot),
    }
}

/// The codec that a payload says it is in; `None` when it says none.
#[must_use]
pub fn codec_of(payload: &[u8]) -> Option<u32> {
    let codec = Reader::new(payload).varint("the codec number").ok()?;
    u32::try_from(codec).ok()
}

/// Encodes a row that refers to none.
#[must_use]
pub fn keyframe(codec: u32, tick_ms: u64, snapshot: &Snapshot) -> Vec<u8> {
    encode(codec, None, Timed { tick_ms, snapshot })
}

/// Decodes a row of a tick. `base` must be the row that it refers to; `None` for a keyframe.
/// Columns that this version does not know are skipped.
///
/// Allocation is bounded by [`limits::MAX_CELLS`] and the payload's own length.
///
/// # Errors
///
/// Says what is wrong with the payload; the base is not touched.
pub fn decode(base: Option<Timed<'_>>, tick_ms: u64, payload: &[u8]) -> Result<Snapshot, Error> {
    if payload.len() > limits::MAX_ROW_BYTES {
        return Err(Error::Limit("bytes in a row"));
    }
    read(base, tick_ms, payload, None)
}

/// Decodes no more of a row than some columns and the times: passes over the others by their
/// lengths. `base` holds what the same call gave for the row before, or more.
///
/// # Errors
///
/// See [`decode`]. Of what is passed over, nothing is checked.
pub fn decode_only(
    wanted: &[ColumnId],
    base: Option<Timed<'_>>,
    tick_ms: u64,
    payload: &[u8],
) -> Result<Snapshot, Error> {
    read(base, tick_ms, payload, Some(wanted))
}

fn read(
    base: Option<Timed<'_>>,
    tick_ms: u64,
    payload: &[u8],
    wanted: Option<&[ColumnId]>,
) -> Result<Snapshot, Error> {
    let cells = &mut { limits::MAX_CELLS };
    let wanted = &Wanted::of(wanted);
    let codec = Reader::new(payload).varint("the codec number")?;
    match u32::try_from(codec) {
        Ok(DENSE) => dense::row::decode(base, tick_ms, payload, wanted, cells),
        Ok(PLAIN) => plain::row::decode(base.map(|base| base.snapshot), payload, wanted, cells),
        _ => Err(Error::Codec(codec)),
    }
}

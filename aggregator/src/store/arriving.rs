//! Chunks as they arrive: what is checked of them before their node is locked.

use cairn_proto::codec;
use cairn_proto::codec::chunk::{self, Sealed};
use cairn_proto::limits::{self, BLOCK_ROWS};

use super::Error;

/// The last block of which every row has a number.
pub(super) const LAST_BLOCK: u64 = u64::MAX / BLOCK_ROWS;

/// Cells that a row may have, so that a block of such rows can be sealed. A row of a node of 1,000 pods
/// with every field of the catalogue has a quarter of a million.
pub(super) const ROW_CELLS: u64 = limits::MAX_CHUNK_CELLS as u64 / BLOCK_ROWS;

/// Takes the payload of a block as it is kept.
///
/// A row that would be refused by itself makes it one that is over the limit.
///
/// # Errors
///
/// [`Error::Block`] and [`Error::Decode`].
pub(super) fn seal(block: u64, payload: &[u8]) -> Result<Sealed, Error> {
    if block > LAST_BLOCK {
        return Err(Error::Block { block });
    }
    let seq = block * BLOCK_ROWS;
    let decode = |source| Error::Decode { seq, source };
    let sealed = chunk::seal(payload).map_err(decode)?;
    let is_large = |cells: &u32| u64::from(*cells) > ROW_CELLS;
    // What all rows have together none can exceed.
    if sealed.cell_count() as u64 > ROW_CELLS && sealed.cells_by_row().iter().any(is_large) {
        return Err(decode(codec::Error::Limit("cells in a row")));
    }
    Ok(sealed)
}

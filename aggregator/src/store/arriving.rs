//! Chunks as they arrive: what is checked of them before their node is locked.

use cairn_proto::codec::chunk::{self, Sealed};
use cairn_proto::limits::BLOCK_ROWS;

use super::Error;

/// The last block of which every row has a number.
pub(super) const LAST_BLOCK: u64 = u64::MAX / BLOCK_ROWS;

/// Takes the payload of a block as it is kept.
///
/// # Errors
///
/// [`Error::Block`] and [`Error::Decode`].
pub(super) fn seal(block: u64, payload: &[u8]) -> Result<Sealed, Error> {
    if block > LAST_BLOCK {
        return Err(Error::Block { block });
    }
    let seq = block * BLOCK_ROWS;
    chunk::seal(payload).map_err(|source| Error::Decode { seq, source })
}

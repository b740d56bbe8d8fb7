//! Every call of the codec that the fleet makes. It writes the dense one alone, so that what is encoded
//! can be shared by all who are sent it.

use bytes::Bytes;
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::codec::{self, DENSE};

/// Codecs of rows and chunks that the agents offer.
pub(super) fn offered() -> Vec<u32> {
    vec![DENSE]
}

/// Whether rows can be written by this codec.
pub(super) fn writes(codec: u32) -> bool {
    codec == DENSE
}

/// The codec that chunks are written by for somebody who reads these; `None` when there is none.
pub(super) fn of_chunks(read: &[u32]) -> Option<u32> {
    codec::choose(read).filter(|codec| writes(*codec))
}

/// A row as differences to `base`, or as a keyframe.
pub(super) fn row(base: Option<Timed<'_>>, row: Timed<'_>) -> Bytes {
    row::encode(DENSE, base, row).into()
}

/// Rows of one block.
pub(super) fn chunk(rows: &[RowOf<'_>]) -> Bytes {
    chunk::encode(DENSE, rows).into()
}

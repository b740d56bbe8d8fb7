//! Every call of the codec that the fleet makes, so that another codec is an edit of this file.

use bytes::Bytes;
use cairn_proto::codec;
use cairn_proto::model::Snapshot;

/// Codecs of rows and chunks that the agents offer, best first.
pub(super) fn offered() -> Vec<u32> {
    codec::SUPPORTED.to_vec()
}

/// Whether rows can be written by this codec.
pub(super) fn writes(codec: u32) -> bool {
    codec::SUPPORTED.contains(&codec)
}

/// The codec that chunks are written by for somebody who reads these; `None` when there is none.
pub(super) fn of_chunks(read: &[u32]) -> Option<u32> {
    codec::choose(read)
}

/// A row as differences to `base`, or as a keyframe.
pub(super) fn row(base: Option<&Snapshot>, snapshot: &Snapshot) -> Bytes {
    codec::row::encode(base, snapshot).into()
}

/// Rows of one block: each with its offset in the block and its tick.
pub(super) fn chunk<'a>(rows: impl ExactSizeIterator<Item = (u64, u64, &'a Snapshot)>) -> Bytes {
    codec::chunk::encode(rows).into()
}

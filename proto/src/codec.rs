//! Rows and chunks as bytes, without loss.
//!
//! [`row`] turns a [`Snapshot`](crate::model::Snapshot) into the payload of a `Row`, as
//! differences to an earlier row or as a keyframe; [`chunk`] does the same for a whole block. Both
//! are pure and hold no state: the caller keeps the row that the next one refers to, who takes many
//! rows in as a [`slim`] one.
//!
//! Each payload begins with the number of its codec. Each column is preceded by its number and its
//! length in bytes, so a reader skips the columns of fields that it does not know.
//! `proto/WIRE.md` writes down every byte.

mod bits;
pub mod chunk;
mod dense;
mod entities;
mod plain;
pub mod row;
pub mod slim;
mod varint;

/// The plain codec: every column as presence bits, changed bits and varints of differences.
pub const PLAIN: u32 = 1;

/// The dense codec: rows list only the columns in which something happened, chunks hold a series'
/// values together.
pub const DENSE: u32 = 2;

/// Codecs that this version reads and writes, best first.
pub const SUPPORTED: &[u32] = &[DENSE, PLAIN];

/// The best codec that both sides know; `None` when they have none in common.
#[must_use]
pub fn choose(offered: &[u32]) -> Option<u32> {
    SUPPORTED
        .iter()
        .copied()
        .find(|codec| offered.contains(codec))
}

/// Why bytes are not a row or a chunk. Every variant is the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The payload ends inside a value.
    #[error("payload ends inside {0}")]
    Truncated(&'static str),
    /// Bytes follow the last value.
    #[error("bytes follow the end of {0}")]
    Trailing(&'static str),
    /// A number does not fit its type.
    #[error("{0} is out of range")]
    Range(&'static str),
    /// Entities or columns are not in rising order.
    #[error("{0} are not in rising order")]
    Order(&'static str),
    /// More than `limits` allow.
    #[error("more {0} than the limit allows")]
    Limit(&'static str),
    /// A codec that this version does not read.
    #[error("codec {0} is not known")]
    Codec(u64),
    /// A column in which no entity has a value.
    #[error("a column holds no value")]
    Empty,
    /// A column's flags hold a bit that this version does not know.
    #[error("column flags {0} are not known")]
    Flags(u8),
}

#[cfg(test)]
mod tests;

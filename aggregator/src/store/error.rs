//! What is wrong with a frame.

use cairn_proto::codec;

use super::arriving;

/// Why a frame was refused. All but [`Error::Fenced`] are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A newer session of the node has been opened.
    #[error("a newer session of this node has taken over")]
    Fenced,
    /// The payload does not decode.
    #[error("row {seq} does not decode")]
    Decode {
        /// The row.
        seq: u64,
        /// What is wrong with it.
        #[source]
        source: codec::Error,
    },
    /// The row refers to one that is not the last of this session.
    #[error("row {seq} refers to row {base}, but the last row of this session is {last:?}")]
    Base {
        /// The row.
        seq: u64,
        /// What it refers to.
        base: u64,
        /// What it should refer to.
        last: Option<u64>,
    },
    /// The row uses an id that was not defined in this session.
    #[error("row {seq} uses entity {entity}, which was not defined in this session")]
    Undefined {
        /// The row.
        seq: u64,
        /// The id.
        entity: u32,
    },
    /// A run has more live ids than a node may have.
    #[error("entity {entity} is one more than a node may have")]
    TooManyEntities {
        /// The id.
        entity: u32,
    },
    /// An id was defined as something else before.
    #[error("entity {entity} was defined as something else before in this run")]
    Redefined {
        /// The id.
        entity: u32,
    },
    /// The row refers to one that was not read, because its tick was outside of the window.
    #[error(
        "row {seq} refers to row {base}, whose tick was outside of the window and which was not read: \
         begin again with a row that refers to none"
    )]
    PassedOver {
        /// The row.
        seq: u64,
        /// What it refers to.
        base: u64,
    },
    /// The row alone is more than its node may hold.
    #[error("row {seq} has {bytes} bytes decoded, and the share of its node is {share}")]
    TooLarge {
        /// The row.
        seq: u64,
        /// What it would be counted as.
        bytes: u64,
        /// What it may be.
        share: u64,
    },
    /// The row has more cells than one of a block may have.
    #[error(
        "row {seq} has {cells} cells, and {} are the most of which blocks can be kept: look at how many \
         pods, volumes and interfaces the node has",
        arriving::ROW_CELLS
    )]
    TooManyCells {
        /// The row.
        seq: u64,
        /// Its cells.
        cells: u64,
    },
    /// The rows of such a block would have no numbers.
    #[error(
        "block {block} is beyond the last one that a run can have, {}",
        arriving::LAST_BLOCK
    )]
    Block {
        /// The block.
        block: u64,
    },
    /// Ticks of a run must rise with its seqs and lie on its grid.
    #[error("row {seq}: its tick does not lie on the grid or does not rise with the seq")]
    Tick {
        /// The row.
        seq: u64,
    },
}

//! One node's rows, as chunks.
//!
//! The rows of the newest block stay as they came, in wire form; a block that is followed by
//! another is sealed into a chunk, and old chunks are put together where the window is long in
//! rows. Beside them one row is decoded: the one that the next refers to.

mod block;
mod exchange;
mod lately;
mod listing;
mod names;
mod node;
mod parts;
mod reading;
mod recent;
mod run;
mod times;

pub(super) use node::Node;
pub use parts::Parts;

//! One block, or several that follow each other: header, entities, directory of columns, columns.
//! Each column can be read without the others, each series without decoding the others.
//!
//! ```text
//! chunk := 2:varint  span:u8  rows:bits[span]  first_tick:varint  step:varint  late:zigzag*
//!          entities:varint  first:varint  gap:varint*  partial:bits[entities]  mask:bits[rows]*
//!          columns:varint  (number:varint  length:varint)*  body*
//! ```
//!
//! Bit n of `rows` says that the row n after the first of the block is there. Each further row's
//! tick is that of the one before and `step` x (distance of their seqs + `late`). An entity that is
//! not there in every row has its bit in `partial` set, and a mask of the rows (bit n the n-th of
//! those that are there).

mod alone;
mod among;
mod bodies;
mod body;
mod cells;
mod counts;
mod cut;
mod directory;
mod divisor;
mod draft;
mod glance;
mod moves;
mod pass;
mod read;
mod series;
mod splice;
mod stamps;
mod there;
mod walk;
mod wire;
mod write;

pub use alone::{Alone, Body, MOST_COLUMNS, touch};
pub use glance::Glance;
pub(in crate::codec::dense) use glance::place_of;
pub use read::{Head, Sealed};
pub use walk::{Column, Series};
pub use wire::WireRow;

use super::super::chunk::RowOf;

/// The two low bits of a column's flags are the code of the scale of its first values.
const SCALE: u8 = 0x03;

/// Every entity has the series: no bits that say which do.
const FULL: u8 = 0x04;

/// Every series has a cell in each row in which its entity is there: no masks.
const REGULAR: u8 = 0x08;

/// The column has the cells of an earlier one, whose number follows: groups that are measured in one
/// pass share their times.
const COPY: u8 = 0x10;

/// What a series is, in two bits.
mod form {
    /// The first value of the series before it, and no other.
    pub(super) const AS_BEFORE: u8 = 0;
    /// One value.
    pub(super) const CONSTANT: u8 = 1;
    /// A first value; the differences are those of the last moving series before it.
    pub(super) const ALIKE: u8 = 2;
    /// A first value and differences of its own.
    pub(super) const MOVING: u8 = 3;
}

/// In the first byte of differences, the six low bits are their width: 63 stands for 64, and 63 is
/// never needed.
const WIDTH: u8 = 0x3f;

/// Only the differences that are not zero are there, and bits say which they are.
const SPARSE: u8 = 0x40;

/// Another divisor than that of the series before follows.
const DIVISOR: u8 = 0x80;

/// Rows of a chunk at most: four blocks. A chunk that travels has one; longer ones save first values
/// where the window is long in rows.
pub const ROWS: usize = 64;

/// Encodes the rows of one block, in rising order of their offsets and ticks.
pub(in crate::codec) fn encode(rows: &[RowOf<'_>]) -> Vec<u8> {
    write::write(rows).bytes
}

/// A mask of so many rows.
fn all_rows(count: usize) -> u64 {
    let others = ROWS.saturating_sub(count);
    u64::MAX
        .checked_shr(u32::try_from(others).unwrap_or(0))
        .unwrap_or(0)
}

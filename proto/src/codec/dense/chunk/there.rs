//! In which rows of a chunk its entities are.

use super::all_rows;
use crate::codec::Error;
use crate::codec::bits::{bit, ones, take_bits};
use crate::codec::varint::Reader;

/// In which rows each entity is.
#[derive(Clone, Copy, Debug)]
pub(super) struct There<'a> {
    /// How many entities there are.
    pub(super) count: usize,
    /// All rows.
    pub(super) whole: u64,
    // Of each entity; empty when all are in every row.
    masks: &'a [u64],
}

impl<'a> There<'a> {
    /// Of so many entities in so many rows; no masks when all of them are in every row.
    pub(super) fn of(count: usize, rows: usize, masks: &'a [u64]) -> Self {
        let whole = all_rows(rows);
        Self {
            count,
            whole,
            masks,
        }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.whole.count_ones() as usize
    }

    /// True where it is known that every entity is in every row.
    pub(super) fn is_whole(&self) -> bool {
        self.masks.is_empty()
    }

    /// Of the entity at a place.
    #[inline]
    pub(super) fn at(&self, place: usize) -> u64 {
        if self.masks.is_empty() {
            self.whole
        } else {
            self.masks.get(place).copied().unwrap_or(0)
        }
    }
}

/// Reads masks of so many entities in so many rows. None when all of them are in every row.
pub(super) fn take_masks(
    reader: &mut Reader<'_>,
    count: usize,
    rows: usize,
) -> Result<Vec<u64>, Error> {
    let partial = take_bits(reader, count, "partial bits")?;
    if ones(partial) == 0 {
        return Ok(Vec::new());
    }
    let whole = all_rows(rows);
    let mut masks = vec![whole; count];
    for (mask, nth) in masks.iter_mut().zip(0..) {
        if bit(partial, nth) {
            *mask = take_mask(reader, rows, whole)?;
        }
    }
    Ok(masks)
}

/// A mask of rows, not empty, of those that can be.
pub(super) fn take_mask(reader: &mut Reader<'_>, count: usize, of: u64) -> Result<u64, Error> {
    let bits = take_bits(reader, count, "a mask of rows")?;
    let mask = bits
        .iter()
        .rev()
        .fold(0, |mask, byte| mask << 8 | u64::from(*byte));
    if mask == 0 || mask & !of != 0 {
        return Err(Error::Range("a mask of rows"));
    }
    Ok(mask)
}

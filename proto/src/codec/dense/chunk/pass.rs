//! Series of a column on the way to another one, passed over.
//!
//! A namespace has one pod on each of many nodes, and of a column with the series of a hundred entities its one
//! is wanted: nearly all that is read of the column is passed over. So each series costs a look at the word
//! that its first value begins with and one at the word behind it, and no step that depends on how long they
//! are. Where fewer bytes are left than two words, or a number is longer than one, it is read as everywhere.

use super::series::{Deltas, run_bits};
use super::{DIVISOR, form};
use crate::codec::Error;
use crate::codec::varint::{Reader, length_of, unzigzag, varint_of};

/// Where a walk stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a> {
    rest: &'a [u8],
    divisor: u64,
    // All first values that were passed, in the column's scale.
    steps: i64,
    moving: Option<Moving<'a>>,
}

/// The differences that were passed over last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moving<'a> {
    /// They begin here.
    pub(super) from: &'a [u8],
    /// How many cells their series has.
    pub(super) cells: usize,
    /// That of the series before.
    pub(super) divisor: u64,
}

impl<'a> Pass<'a> {
    pub(super) fn begin(reader: &Reader<'a>, divisor: u64) -> Self {
        Self {
            rest: reader.rest(),
            divisor,
            steps: 0,
            moving: None,
        }
    }

    /// What is left, the divisor, how far first values have come, and the last differences of those that
    /// were passed.
    pub(super) fn end(self) -> (Reader<'a>, u64, i64, Option<Moving<'a>>) {
        let Self {
            rest,
            divisor,
            steps,
            moving,
        } = self;
        (Reader::new(rest), divisor, steps, moving)
    }

    /// Passes over one series of so many cells, which is not as the one before.
    #[inline(always)]
    pub(super) fn series(&mut self, form: u8, cells: usize) -> Result<(), Error> {
        let (first, rest) = match self.rest.first_chunk().and_then(varint_of) {
            Some((first, length)) => (first, self.rest.get(length..).unwrap_or_default()),
            None => first_by_steps(self.rest)?,
        };
        self.steps = self.steps.wrapping_add(unzigzag(first));
        self.rest = rest;
        if form != form::MOVING {
            return Ok(());
        }
        self.moving = Some(Moving {
            from: rest,
            cells,
            divisor: self.divisor,
        });
        match self.differences(cells) {
            Some(length) => {
                let behind = rest.get(length..);
                self.rest = behind.ok_or(Error::Truncated("differences"))?;
                Ok(())
            }
            None => self.differences_by_steps(cells),
        }
    }

    /// How many bytes the differences take; takes their divisor. `None` where that cannot be told at a look.
    #[inline(always)]
    fn differences(&mut self, cells: usize) -> Option<usize> {
        let [head, ..] = *self.rest else { return None };
        let mut at = 1;
        if head & DIVISOR != 0 {
            let (divisor, length) = varint_of(self.rest.get(at..)?.first_chunk()?)?;
            at += length;
            self.divisor = divisor;
        }
        let behind = self.rest.get(at..)?;
        let least = length_of(behind.first_chunk()?)?;
        let bits = run_bits(head, cells, behind.get(least..)?);
        Some(at + least + bits.div_ceil(8))
    }

    #[cold]
    #[inline(never)]
    fn differences_by_steps(&mut self, cells: usize) -> Result<(), Error> {
        let mut reader = Reader::new(self.rest);
        Deltas::pass(&mut reader, cells, &mut self.divisor)?;
        self.rest = reader.rest();
        Ok(())
    }
}

/// A first value that is long, or near the end; and what is behind it.
#[cold]
#[inline(never)]
fn first_by_steps(bytes: &[u8]) -> Result<(u64, &[u8]), Error> {
    let mut reader = Reader::new(bytes);
    let first = reader.varint("a first value")?;
    Ok((first, reader.rest()))
}

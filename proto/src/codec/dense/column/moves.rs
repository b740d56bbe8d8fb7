//! What the body of a column says of the cells that differ from the base row, and nothing of the others.

use super::{EACH, PACKED, REPEATS, SAME, SCALE, STEADY, TICKED};
use crate::codec::Error;
use crate::codec::bits::{bit, ones, take_bits, word};
use crate::codec::dense::SCALES;
use crate::codec::dense::numbers::Numbers;
use crate::codec::varint::{Reader, unzigzag};

/// Reads bodies of columns of rows in which the same entities have a value as in the base row.
#[derive(Debug, Default)]
pub(in crate::codec::dense) struct Moves {
    // Differences of the body at hand, one for each cell that has changed.
    told: Vec<i64>,
    // The bits that occur in them, or in what is not in those that are negative.
    bits: u64,
}

impl Moves {
    /// Shows which of the so many cells of a column differ, the first of them being 0, and by how much,
    /// which may be nothing. Returns what divides all of these differences, 0 when there are none. The body
    /// has been decoded before.
    #[inline]
    pub(in crate::codec::dense) fn read(
        &mut self,
        body: &[u8],
        count: usize,
        passed: u64,
        mut see: impl FnMut(usize, i64),
    ) -> Result<u64, Error> {
        let mut reader = Reader::new(body);
        let flags = reader.byte("a column's flags")?;
        if flags & SAME == 0 {
            return Err(Error::Flags(flags));
        }
        let passed = if flags & TICKED == 0 { 0 } else { passed };
        let mut changed = None;
        let mut scale = 0;
        self.bits = 0;
        if flags & STEADY != 0 {
            self.told.clear();
        } else {
            scale = *SCALES
                .get(usize::from(flags & SCALE))
                .ok_or(Error::Flags(flags))?;
            changed = if flags & EACH == 0 {
                Some(take_bits(&mut reader, count, "changed bits")?)
            } else {
                None
            };
            let changed_count = changed.map_or(count, ones);
            self.numbers(&mut reader, flags, changed_count, scale)?;
        }
        reader.finish("a column")?;
        let mut told = self.told.iter();
        match changed {
            None if passed == 0 => told.enumerate().for_each(|(nth, delta)| see(nth, *delta)),
            Some(changed) if passed == 0 => {
                for (first, at) in (0..).step_by(64).zip((0..changed.len()).step_by(8)) {
                    let mut left = word(changed, at);
                    while left != 0 {
                        let delta = told.next().copied().unwrap_or(0);
                        see(first + left.trailing_zeros() as usize, delta);
                        left &= left - 1;
                    }
                }
            }
            // They all go on with the tick.
            changed => {
                for nth in 0..count {
                    let is_told = changed.is_none_or(|changed| bit(changed, nth));
                    let delta = if is_told { told.next() } else { None };
                    let delta = delta.copied().unwrap_or(0);
                    see(nth, delta.wrapping_add(passed.cast_signed()));
                }
            }
        }
        Ok(divisor(self.bits, scale.unsigned_abs(), passed))
    }

    /// Reads the differences of so many cells.
    fn numbers(
        &mut self,
        reader: &mut Reader<'_>,
        flags: u8,
        count: usize,
        scale: i64,
    ) -> Result<(), Error> {
        let repeated = if flags & REPEATS == 0 {
            &[]
        } else {
            take_bits(reader, count, "repeated bits")?
        };
        let mut numbers = if flags & PACKED == 0 {
            Numbers::Zigzags
        } else {
            Numbers::packed(reader, count - ones(repeated))?
        };
        // A loop of its own for each kind of numbers.
        match &mut numbers {
            Numbers::Zigzags => self.take(count, repeated, scale, || {
                Ok(unzigzag(reader.varint("a difference")?))
            })?,
            Numbers::Packed(least, unpacker) => self.take(count, repeated, scale, || {
                Ok(least.wrapping_add(unpacker.next().cast_signed()))
            })?,
            Numbers::Sized(sized) => self.take(count, repeated, scale, || sized.next())?,
        }
        numbers.finish(reader)
    }

    /// `repeated` says which differ by as much as the one before; empty for none.
    #[inline(always)]
    fn take(
        &mut self,
        count: usize,
        repeated: &[u8],
        scale: i64,
        mut next: impl FnMut() -> Result<i64, Error>,
    ) -> Result<(), Error> {
        let (mut delta, mut bits) = (0, 0);
        self.told.resize(count, 0);
        for (nth, told) in self.told.iter_mut().enumerate() {
            if !bit(repeated, nth) {
                let number = next()?;
                bits |= number ^ (number >> 63);
                delta = number.wrapping_mul(scale);
            }
            *told = delta;
        }
        self.bits = bits.cast_unsigned();
        Ok(())
    }
}

/// What divides `number x scale + passed` of numbers with no other bits than these: 1 where that may wrap.
fn divisor(bits: u64, scale: u64, passed: u64) -> u64 {
    let is_small = bits >> 48 == 0 && passed >> 62 == 0;
    match (is_small, scale, passed) {
        (false, ..) => 1,
        (true, scale, 0) => scale,
        (true, 0, passed) => passed,
        // Ticks are whole seconds.
        (true, scale, passed) if passed.is_multiple_of(scale) => scale,
        _ => 1,
    }
}

//! One series of a chunk: its differences, divided by what divides them all, in so many bits each.
//!
//! ```text
//! differences := head:u8  divisor:varint?  least:zigzag  moved:bits[n-1]?  above:bits[width]*
//! ```

use super::divisor::Divisor;
use super::{DIVISOR, ROWS, SPARSE, WIDTH};
use crate::codec::Error;
use crate::codec::bits::{self, Unpacker, Writer, take_bits, width};
use crate::codec::dense::difference;
use crate::codec::varint::{self, Reader, put, unzigzag, zigzag};

/// One series to be written: its cells in order.
pub(super) struct Series<'a> {
    values: &'a [u64],
    /// What divides all of its differences; 0 when there is none but zeros.
    pub(super) divisor: u64,
}

impl<'a> Series<'a> {
    pub(super) fn of(values: &'a [u64]) -> Self {
        let mut series = Series { values, divisor: 0 };
        // Most stand still, which is seen sooner than that no difference has a divisor.
        let first = series.first();
        if values.iter().fold(0, |bits, value| bits | (value ^ first)) == 0 {
            return series;
        }
        let mut common: Option<Divisor> = None;
        for delta in deltas(values).filter(|delta| *delta != 0) {
            let delta = delta.unsigned_abs();
            let both = common.map_or_else(|| Divisor::of(delta), |common| common.and(delta));
            common = Some(both);
            if both.whole() == 1 {
                break;
            }
        }
        series.divisor = common.map_or(0, |common| common.whole());
        series
    }

    pub(super) fn first(&self) -> u64 {
        self.values.first().copied().unwrap_or(0)
    }

    /// True when both have the same differences.
    pub(super) fn moves_like(&self, other: &Series<'_>) -> bool {
        self.values.len() == other.values.len() && deltas(self.values).eq(deltas(other.values))
    }

    /// Appends its differences. `common` divides those of the whole column, `divisor` is that of the
    /// series before.
    pub(super) fn put(&self, out: &mut Vec<u8>, common: u64, divisor: &mut u64) {
        let wanted = self.wanted(common);
        let goes_on = self.divisor.is_multiple_of(*divisor) && wanted / *divisor < 2;
        let mut head = if goes_on { 0 } else { DIVISOR };
        if !goes_on {
            *divisor = wanted;
        }
        let mut parts = [0; ROWS];
        let (parts, sparse) = divided(self.values, *divisor, &mut parts);
        let moved = || parts.iter().copied().filter(|part| *part != 0);
        let dense = sparse.with_zeros(parts.len());
        let is_sparse = sparse.bits() + parts.len() < dense.bits();
        let packed = if is_sparse { sparse } else { dense };
        let width = packed.width();
        head |= u8::try_from(width).unwrap_or(WIDTH).min(WIDTH);
        head |= if is_sparse { SPARSE } else { 0 };
        out.push(head);
        if !goes_on {
            put(out, *divisor);
        }
        put(out, zigzag(packed.least));
        let mut writer = Writer::new(out);
        if is_sparse {
            let bit = |part: &i64| u64::from(*part != 0);
            let bits = parts
                .iter()
                .rev()
                .fold(0, |bits, part| bits << 1 | bit(part));
            writer.put(bits, u32::try_from(parts.len()).unwrap_or(0));
            moved().for_each(|part| writer.put(packed.above(part), width));
        } else if width > 0 {
            parts
                .iter()
                .for_each(|part| writer.put(packed.above(*part), width));
        }
        writer.finish();
    }

    /// Its own divisor when that saves more than it costs to say it, and the column's again after
    /// it; the column's otherwise.
    fn wanted(&self, common: u64) -> u64 {
        let common = common.max(1);
        let steps = self.values.len().saturating_sub(1);
        let saved = width(self.divisor / common) as usize * steps / 8;
        let own = if saved > varint::length(self.divisor) + varint::length(common) {
            self.divisor
        } else {
            common
        };
        // Differences are signed, so a larger one divides nothing that can be told.
        if i64::try_from(own).is_ok() { own } else { 1 }
    }
}

/// From each value to the next.
fn deltas(values: &[u64]) -> impl Iterator<Item = i64> + Clone + '_ {
    values
        .iter()
        .zip(values.iter().skip(1))
        .map(|(a, b)| difference(*a, *b))
}

/// The differences of a series by what divides them, and those of them that are not zero.
fn divided<'a>(values: &[u64], divisor: u64, parts: &'a mut [i64; ROWS]) -> (&'a [i64], Packed) {
    let by = Divisor::of(divisor);
    let mut moved = Packed::NONE;
    for (part, delta) in parts.iter_mut().zip(deltas(values)) {
        // Most series stand still at times.
        if delta != 0 {
            *part = by.quotient(delta);
            moved.add(*part);
        }
    }
    let steps = values.len().saturating_sub(1);
    (parts.get(..steps).unwrap_or_default(), moved)
}

/// Numbers as what they have above the least of them.
#[derive(Clone, Copy)]
struct Packed {
    least: i64,
    most: i64,
    count: usize,
}

impl Packed {
    const NONE: Self = Self {
        least: i64::MAX,
        most: i64::MIN,
        count: 0,
    };

    fn add(&mut self, part: i64) {
        self.least = self.least.min(part);
        self.most = self.most.max(part);
        self.count += 1;
    }

    /// The same with zeros, so many in all.
    fn with_zeros(self, count: usize) -> Self {
        let mut all = self;
        if count > self.count {
            all.add(0);
        }
        Self { count, ..all }
    }

    fn above(self, part: i64) -> u64 {
        part.wrapping_sub(self.least).cast_unsigned()
    }

    /// 63 is no width: its code means 64.
    fn width(self) -> u32 {
        match width(self.above(self.most)) {
            63 => 64,
            width => width,
        }
    }

    fn bits(self) -> usize {
        self.count * self.width() as usize
    }
}

/// The differences of a moving series, found and not yet unpacked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deltas<'a> {
    /// How many cells it has.
    pub(super) count: usize,
    divisor: i64,
    least: i64,
    width: u32,
    is_sparse: bool,
    /// They begin here; what follows them is of others. With it a number can be read as a whole
    /// word nearly always.
    packed: &'a [u8],
}

impl<'a> Deltas<'a> {
    /// Finds the differences of a series of `count` cells. `divisor` is that of the series before.
    #[inline]
    pub(super) fn find(
        reader: &mut Reader<'a>,
        count: usize,
        divisor: &mut u64,
    ) -> Result<Self, Error> {
        let head = reader.byte("the head of differences")?;
        if head & DIVISOR != 0 {
            *divisor = reader.varint("a divisor")?;
        }
        let least = unzigzag(reader.varint("the least difference")?);
        let width = match head & WIDTH {
            WIDTH => u64::BITS,
            width => u32::from(width),
        };
        let packed = reader.rest();
        let deltas = Self {
            count,
            divisor: divisor.cast_signed(),
            least,
            width,
            is_sparse: head & SPARSE != 0,
            packed,
        };
        let steps = deltas.steps();
        // The bits that say which differences are there and the differences are one run.
        let bits = if deltas.is_sparse {
            steps + deltas.moved().count_ones() as usize * width as usize
        } else {
            steps * width as usize
        };
        take_bits(reader, bits, "differences")?;
        Ok(deltas)
    }

    /// Passes over the differences of such a series, which have been checked.
    #[inline]
    pub(super) fn pass(
        reader: &mut Reader<'_>,
        count: usize,
        divisor: &mut u64,
    ) -> Result<(), Error> {
        let head = reader.byte("the head of differences")?;
        if head & DIVISOR != 0 {
            *divisor = reader.varint("a divisor")?;
        }
        reader.varint("the least difference")?;
        let width = match head & WIDTH {
            WIDTH => u64::BITS as usize,
            width => usize::from(width),
        };
        let steps = count.saturating_sub(1);
        let bits = if head & SPARSE == 0 {
            steps * width
        } else {
            let moved = bits::word(reader.rest(), 0) & super::all_rows(steps);
            steps + moved.count_ones() as usize * width
        };
        reader.take(bits.div_ceil(8), "differences")?;
        Ok(())
    }

    fn steps(&self) -> usize {
        self.count.saturating_sub(1)
    }

    /// Of a sparse series, which differences are there.
    fn moved(&self) -> u64 {
        let steps = u32::try_from(self.steps()).unwrap_or(u64::BITS);
        Unpacker::new(self.packed, 0, steps.min(u64::BITS)).next()
    }

    /// What lies behind so many of them: how far the series has come, and what is left, if that moves.
    pub(super) fn behind(&self, gone: usize) -> (u64, Option<Left<'a>>) {
        let gone = gone.min(self.steps());
        let (mut moved, mut skipped, mut passed) = (0, 0, 0_i64);
        if self.is_sparse {
            let all = self.moved();
            let before = all & super::all_rows(gone);
            moved = all
                .checked_shr(u32::try_from(gone).unwrap_or(u64::BITS))
                .unwrap_or(0);
            let mut numbers = Unpacker::new(self.packed, self.steps(), self.width);
            for _ in 0..before.count_ones() {
                passed = passed.wrapping_add(self.least.wrapping_add(numbers.next().cast_signed()));
            }
            skipped = self.steps() + before.count_ones() as usize * self.width as usize;
        } else if self.width == 0 {
            passed = self.least.wrapping_mul(i64::try_from(gone).unwrap_or(0));
        } else {
            let mut numbers = Unpacker::new(self.packed, 0, self.width);
            for _ in 0..gone {
                passed = passed.wrapping_add(self.least.wrapping_add(numbers.next().cast_signed()));
            }
            skipped = gone * self.width as usize;
        }
        let left = Left {
            of: *self,
            steps: self.steps() - gone,
            moved,
            skipped,
        };
        let passed = passed.wrapping_mul(self.divisor).cast_unsigned();
        (passed, Some(left).filter(Left::moves))
    }

    /// Writes the values of the series that begins so.
    pub(super) fn fill(&self, first: u64, values: &mut [u64]) {
        let Some((slot, slots)) = values.split_first_mut() else {
            return;
        };
        *slot = first;
        let mut value = first;
        let mut add = |part: i64| {
            value = value.wrapping_add(part.wrapping_mul(self.divisor).cast_unsigned());
            value
        };
        if self.is_sparse {
            let mut moved = self.moved();
            let mut numbers = Unpacker::new(self.packed, self.steps(), self.width);
            for slot in slots {
                let part = match moved & 1 {
                    0 => 0,
                    _ => self.least.wrapping_add(numbers.next().cast_signed()),
                };
                *slot = add(part);
                moved >>= 1;
            }
        } else if self.width == 0 {
            slots.iter_mut().for_each(|slot| *slot = add(self.least));
        } else {
            let mut numbers = Unpacker::new(self.packed, 0, self.width);
            for slot in slots {
                *slot = add(self.least.wrapping_add(numbers.next().cast_signed()));
            }
        }
    }
}

/// The last differences of a series.
pub(super) struct Left<'a> {
    of: Deltas<'a>,
    steps: usize,
    // Of a sparse series, which of them are there.
    moved: u64,
    // Bits before theirs.
    skipped: usize,
}

impl Left<'_> {
    fn moves(&self) -> bool {
        let is_zero = self.of.width == 0 && self.of.least == 0;
        let is_still = if self.of.is_sparse {
            self.moved == 0
        } else {
            self.steps == 0
        };
        !is_still && !is_zero && self.of.divisor != 0
    }

    /// True when these are the same bits.
    pub(super) fn is(&self, other: &Left<'_>) -> bool {
        std::ptr::eq(self.of.packed, other.of.packed) && self.steps == other.steps
    }

    /// Appends them. `divisor` is that of the series before.
    pub(super) fn put(&self, out: &mut Vec<u8>, divisor: &mut u64) {
        let own = self.of.divisor.cast_unsigned();
        let width = self.of.width;
        let mut head = u8::try_from(width).unwrap_or(WIDTH).min(WIDTH);
        head |= if self.of.is_sparse { SPARSE } else { 0 };
        head |= if own == *divisor { 0 } else { DIVISOR };
        out.push(head);
        if own != *divisor {
            put(out, own);
            *divisor = own;
        }
        put(out, zigzag(self.of.least));
        let mut writer = Writer::new(out);
        let mut numbers = self.steps;
        if self.of.is_sparse {
            writer.put(self.moved, u32::try_from(self.steps).unwrap_or(0));
            numbers = self.moved.count_ones() as usize;
        }
        let bits = numbers * width as usize;
        let mut words = Unpacker::new(self.of.packed, self.skipped, u64::BITS);
        for _ in 0..bits / 64 {
            writer.put(words.next(), u64::BITS);
        }
        let rest = u32::try_from(bits % 64).unwrap_or(0);
        if rest > 0 {
            let last = words.next() & super::all_rows(rest as usize);
            writer.put(last, rest);
        }
        writer.finish();
    }
}

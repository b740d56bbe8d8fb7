//! One series of a chunk: its differences, divided by what divides them all, in so many bits each.
//!
//! ```text
//! differences := head:u8  divisor:varint?  least:zigzag  moved:bits[n-1]?  above:bits[width]*
//! ```

use super::{DIVISOR, ROWS, SPARSE, WIDTH};
use crate::codec::Error;
use crate::codec::bits::{self, Unpacker, Writer, bit, take_bits};
use crate::codec::dense::difference;
use crate::codec::varint::{Reader, put, unzigzag, zigzag};

/// Cells of one entity in one column, by row.
#[derive(Clone, Copy)]
pub(super) struct Cells {
    /// The rows in which it has a cell.
    pub(super) mask: u64,
    /// Of the others the values mean nothing.
    pub(super) values: [u64; ROWS],
}

impl Cells {
    pub(super) const NONE: Self = Self {
        mask: 0,
        values: [0; ROWS],
    };
}

/// One series to be written, its cells in order.
pub(super) struct Series {
    values: [u64; ROWS],
    count: usize,
    /// What divides all of its differences; 0 when there is none but zeros.
    pub(super) divisor: u64,
}

impl Series {
    pub(super) fn of(cells: &Cells) -> Self {
        let mut series = Series {
            values: [0; ROWS],
            count: 0,
            divisor: 0,
        };
        for (nth, value) in cells.values.iter().enumerate() {
            if cells.mask >> nth & 1 == 1
                && let Some(slot) = series.values.get_mut(series.count)
            {
                *slot = *value;
                series.count += 1;
            }
        }
        let common = |divisor, delta: i64| gcd(divisor, delta.unsigned_abs());
        series.divisor = series.deltas().fold(0, common);
        series
    }

    pub(super) fn first(&self) -> u64 {
        self.values.first().copied().unwrap_or(0)
    }

    fn deltas(&self) -> impl Iterator<Item = i64> + Clone + '_ {
        let values = self.values.get(..self.count).unwrap_or_default();
        values
            .iter()
            .zip(values.iter().skip(1))
            .map(|(a, b)| difference(*a, *b))
    }

    /// True when both have the same differences.
    pub(super) fn moves_like(&self, other: &Series) -> bool {
        self.count == other.count && self.deltas().eq(other.deltas())
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
        let by = i64::try_from(*divisor).unwrap_or(1);
        let parts = self.deltas().map(|delta| delta / by);
        let moved = parts.clone().filter(|part| *part != 0);
        let (dense, sparse) = (Packed::of(parts.clone()), Packed::of(moved.clone()));
        let is_sparse = sparse.bits() + parts.clone().count() < dense.bits();
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
            parts.for_each(|part| writer.put(u64::from(part != 0), 1));
            moved.for_each(|part| writer.put(packed.above(part), width));
        } else {
            parts.for_each(|part| writer.put(packed.above(part), width));
        }
        writer.finish();
    }

    /// Its own divisor when that saves more than it costs to say it, and the column's again after
    /// it; the column's otherwise.
    fn wanted(&self, common: u64) -> u64 {
        let common = common.max(1);
        let saved = bits::width(self.divisor / common) as usize * self.count.saturating_sub(1) / 8;
        let mut said = Vec::new();
        put(&mut said, self.divisor);
        put(&mut said, common);
        let own = if saved > said.len() {
            self.divisor
        } else {
            common
        };
        // Differences are signed, so a larger one divides nothing that can be told.
        if i64::try_from(own).is_ok() { own } else { 1 }
    }
}

/// Numbers as what they have above the least of them.
#[derive(Clone, Copy)]
struct Packed {
    least: i64,
    most: u64,
    count: usize,
}

impl Packed {
    fn of(parts: impl Iterator<Item = i64> + Clone) -> Self {
        let mut packed = Packed {
            least: parts.clone().min().unwrap_or(0),
            most: 0,
            count: 0,
        };
        for part in parts {
            packed.most = packed.most.max(packed.above(part));
            packed.count += 1;
        }
        packed
    }

    fn above(self, part: i64) -> u64 {
        part.wrapping_sub(self.least).cast_unsigned()
    }

    /// 63 is no width: its code means 64.
    fn width(self) -> u32 {
        match bits::width(self.most) {
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
    packed: &'a [u8],
}

impl<'a> Deltas<'a> {
    /// Finds the differences of a series of `count` cells. `divisor` is that of the series before.
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
        let steps = count.saturating_sub(1);
        // The bits that say which differences are there and the differences are one run.
        let moved = if head & SPARSE == 0 { 0 } else { steps };
        let bits = reader.peek(moved.div_ceil(8));
        let there = (0..moved).filter(|nth| bit(bits, *nth)).count();
        let there = if head & SPARSE == 0 { steps } else { there };
        let packed = take_bits(reader, moved + there * width as usize, "differences")?;
        Ok(Self {
            count,
            divisor: divisor.cast_signed(),
            least,
            width,
            is_sparse: head & SPARSE != 0,
            packed,
        })
    }

    /// The values of the series that begins so.
    pub(super) fn values(&self, first: u64) -> [u64; ROWS] {
        let mut values = [0; ROWS];
        let mut unpacker = Unpacker::new(self.packed);
        if self.is_sparse {
            unpacker.skip(self.count.saturating_sub(1));
        }
        let mut value = first;
        for (nth, slot) in values.iter_mut().take(self.count).enumerate() {
            let moves = nth > 0 && (!self.is_sparse || bit(self.packed, nth - 1));
            if moves {
                let part = self
                    .least
                    .wrapping_add(unpacker.next(self.width).cast_signed());
                value = value.wrapping_add(part.wrapping_mul(self.divisor).cast_unsigned());
            }
            *slot = value;
        }
        values
    }
}

/// Greatest common divisor; of 0 and a number that number.
pub(super) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

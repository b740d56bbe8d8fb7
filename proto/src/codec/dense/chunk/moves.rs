//! Where one series moves, on its way into a chunk: its differences, divided by what divides them all, in
//! so many bits each.
//!
//! ```text
//! differences := head:u8  divisor:varint?  least:zigzag  moved:bits[n-1]?  above:bits[width]*
//! ```

use super::divisor::{Divisor, gcd};
use super::{DIVISOR, SPARSE, WIDTH};
use crate::codec::bits::{Writer, width};
use crate::codec::varint::{self, put, zigzag};

/// The differences of one series, from each cell to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moves<'a> {
    /// Those that are not zero.
    pub(super) deltas: &'a [i64],
    /// Which these are.
    pub(super) moved: u64,
    /// How many there are with the zeros.
    pub(super) steps: usize,
    /// Divides them all; 1 when nothing is known.
    pub(super) known: u64,
}

impl Moves<'_> {
    /// Of a series that stands still.
    pub(super) const NONE: Self = Self {
        deltas: &[],
        moved: 0,
        steps: 0,
        known: 1,
    };

    /// True when both have the same differences.
    pub(super) fn is_like(&self, other: &Moves<'_>) -> bool {
        // Most that go on all the time differ in the first already.
        (self.moved, self.steps) == (other.moved, other.steps)
            && self.deltas.first() == other.deltas.first()
            && self.deltas == other.deltas
    }

    /// What divides all of them, 0 when there are none. More often than not that is told by the first few.
    pub(super) fn divisor(&self) -> u64 {
        let Some((first, others)) = self.deltas.split_first() else {
            return 0;
        };
        let mut common = first.unsigned_abs();
        for delta in others {
            if common == self.known {
                break;
            }
            common = gcd(common, delta.unsigned_abs());
        }
        common
    }

    /// Appends them. `own` divides them all, `common` those of the whole column; `by` is what those of the
    /// series before are divided by.
    pub(super) fn put(&self, out: &mut Vec<u8>, own: u64, common: u64, by: &mut Divisor) {
        let wanted = self.wanted(own, common);
        let before = by.whole();
        let goes_on = wanted == before || own.is_multiple_of(before) && wanted / before.max(1) < 2;
        if !goes_on {
            *by = Divisor::of(wanted);
        }
        let sparse = Packed::of(self.deltas, by);
        let steps = self.steps;
        let (mut packed, mut width, mut is_sparse) = (sparse, sparse.width(), false);
        if sparse.count < steps {
            // The zeros among them, or a bit for each that says which are none.
            let dense = sparse.with_zeros(steps);
            let dense_width = dense.width();
            is_sparse = sparse.count * width as usize + steps < steps * dense_width as usize;
            if !is_sparse {
                (packed, width) = (dense, dense_width);
            }
        }
        let mut head = u8::try_from(width).unwrap_or(WIDTH).min(WIDTH);
        head |= if goes_on { 0 } else { DIVISOR };
        head |= if is_sparse { SPARSE } else { 0 };
        out.push(head);
        if !goes_on {
            put(out, wanted);
        }
        put(out, zigzag(packed.least));
        let mut writer = Writer::new(out);
        let least = packed.least.wrapping_mul(by.whole().cast_signed());
        let above = |delta: i64| by.times(delta.wrapping_sub(least).cast_unsigned());
        if is_sparse {
            writer.put(self.moved, u32::try_from(steps).unwrap_or(0));
        }
        if width == 0 {
            // All are the least.
        } else if is_sparse || self.deltas.len() == steps {
            writer.put_each(self.deltas.iter().map(|delta| above(*delta)), width);
        } else {
            let (mut moved, mut nth) = (self.moved, 0);
            let all = (0..steps).map(|_| {
                let delta = self.deltas.get(nth).copied().unwrap_or(0);
                let is_moved = moved & 1;
                nth += usize::from(is_moved == 1);
                moved >>= 1;
                above(if is_moved == 1 { delta } else { 0 })
            });
            writer.put_each(all, width);
        }
        writer.finish();
    }

    /// Their own divisor when that saves more than it costs to say it, and the column's again after
    /// it; the column's otherwise.
    fn wanted(&self, own: u64, common: u64) -> u64 {
        let common = common.max(1);
        let is_worth_it = || {
            let saved = width(own / common) as usize * self.steps / 8;
            saved > varint::length(own) + varint::length(common)
        };
        let wanted = if own != common && is_worth_it() {
            own
        } else {
            common
        };
        // Differences are signed, so a larger one divides nothing that can be told.
        if i64::try_from(wanted).is_ok() {
            wanted
        } else {
            1
        }
    }
}

/// Numbers as what they have above the least of them.
#[derive(Clone, Copy)]
struct Packed {
    least: i64,
    most: i64,
    count: usize,
}

impl Packed {
    /// Of differences by what divides them all.
    fn of(deltas: &[i64], by: &Divisor) -> Self {
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for delta in deltas {
            least = least.min(*delta);
            most = most.max(*delta);
        }
        Self {
            least: by.quotient(least),
            most: by.quotient(most),
            count: deltas.len(),
        }
    }

    /// The same with zeros, so many in all.
    fn with_zeros(self, count: usize) -> Self {
        Self {
            least: self.least.min(0),
            most: self.most.max(0),
            count,
        }
    }

    /// 63 is no width: its code means 64.
    fn width(self) -> u32 {
        match width(self.most.wrapping_sub(self.least).cast_unsigned()) {
            63 => 64,
            width => width,
        }
    }
}

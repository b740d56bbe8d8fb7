//! Where one series of a chunk moves, as it is read; `moves` has what is written of it.

use super::{DIVISOR, SPARSE, WIDTH};
use crate::codec::Error;
use crate::codec::bits::{self, Unpacker, Writer, take_bits};
use crate::codec::varint::{Reader, put, unzigzag, zigzag};

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
        let packed = reader.rest();
        let deltas = Self {
            count,
            divisor: divisor.cast_signed(),
            least,
            width: width_of(head),
            is_sparse: head & SPARSE != 0,
            packed,
        };
        take_bits(reader, run_bits(head, count, packed), "differences")?;
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
        let bits = run_bits(head, count, reader.rest());
        reader.take(bits.div_ceil(8), "differences")?;
        Ok(())
    }

    fn steps(&self) -> usize {
        self.count.saturating_sub(1)
    }

    /// Of a sparse series, which differences are there.
    fn moved(&self) -> u64 {
        bits::word(self.packed, 0) & super::all_rows(self.steps())
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

    /// Divides all of them, unless they are so large that they wrap: then it is 1.
    fn divisor(&self) -> u64 {
        let above = u64::MAX.checked_shr(u64::BITS - self.width).unwrap_or(0);
        let most = self.least.unsigned_abs().saturating_add(above);
        let divisor = self.divisor.cast_unsigned();
        let most = most.checked_mul(divisor);
        if most.is_some_and(|most| i64::try_from(most).is_ok()) {
            divisor
        } else {
            1
        }
    }

    /// Writes those that are not zero.
    #[inline]
    pub(super) fn run(&self, slots: &mut [i64]) -> Run {
        let steps = self.steps();
        let delta = |number: u64| {
            let part = self.least.wrapping_add(number.cast_signed());
            part.wrapping_mul(self.divisor)
        };
        let mut run = Run {
            divisor: self.divisor(),
            ..Run::default()
        };
        if self.is_sparse {
            run.moved = self.moved();
            let mut left = run.moved;
            let mut numbers = Unpacker::new(self.packed, steps, self.width);
            for slot in slots.iter_mut() {
                if left == 0 {
                    break;
                }
                left &= left - 1;
                *slot = delta(numbers.next());
                run.add(*slot);
            }
        } else {
            run.moved = super::all_rows(steps);
            let slots = slots.iter_mut().take(steps);
            if self.width == 0 {
                let delta = delta(0);
                for slot in slots {
                    *slot = delta;
                    run.add(delta);
                }
            } else {
                let mut numbers = Unpacker::new(self.packed, 0, self.width);
                for slot in slots {
                    *slot = delta(numbers.next());
                    run.add(*slot);
                }
            }
        }
        if run.has_zeros {
            run.leave_zeros_out(slots);
        }
        run
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

/// Bits of a number of such differences.
#[inline(always)]
fn width_of(head: u8) -> u32 {
    match head & WIDTH {
        WIDTH => u64::BITS,
        width => u32::from(width),
    }
}

/// Bits of the differences of a series of so many cells: those that say which of them are there and they
/// themselves are one run, which `run` begins with.
#[inline(always)]
pub(super) fn run_bits(head: u8, cells: usize, run: &[u8]) -> usize {
    let (steps, width) = (cells.saturating_sub(1), width_of(head) as usize);
    if head & SPARSE == 0 {
        return steps * width;
    }
    let moved = bits::word(run, 0) & super::all_rows(steps);
    steps + moved.count_ones() as usize * width
}

/// Differences that follow each other.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Run {
    /// Which are not zero.
    pub(super) moved: u64,
    /// How many these are.
    pub(super) moves: u32,
    /// What all come to.
    pub(super) passed: i64,
    /// What divides them all.
    pub(super) divisor: u64,
    // There are some among those that were written.
    has_zeros: bool,
}

impl Run {
    #[inline]
    fn add(&mut self, delta: i64) {
        self.moves += 1;
        self.passed = self.passed.wrapping_add(delta);
        self.has_zeros |= delta == 0;
    }

    #[inline]
    fn leave_zeros_out(&mut self, slots: &mut [i64]) {
        let (mut left, mut from) = (self.moved, 0);
        self.moves = 0;
        while left != 0 {
            let bit = left & left.wrapping_neg();
            left ^= bit;
            let delta = slots.get(from).copied().unwrap_or(0);
            from += 1;
            if delta == 0 {
                self.moved ^= bit;
            } else if let Some(slot) = slots.get_mut(self.moves as usize) {
                *slot = delta;
                self.moves += 1;
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

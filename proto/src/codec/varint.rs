//! Variable-length integers (LEB128) and a reader that never reads past its end.

use super::Error;
use super::bits::width;

/// The high bit of each byte of a word.
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Appends a varint.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

/// How many bytes a varint takes.
pub(super) fn length(value: u64) -> usize {
    (width(value).max(1) as usize).div_ceil(7)
}

/// Maps small numbers of either sign to small unsigned ones.
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Reads from the front of a slice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn byte(&mut self, what: &'static str) -> Result<u8, Error> {
        let (first, rest) = self.rest.split_first().ok_or(Error::Truncated(what))?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline(always)]
    pub(super) fn varint(&mut self, what: &'static str) -> Result<u64, Error> {
        match *self.rest {
            // Nearly all of them.
            [first, ref rest @ ..] if first < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first))
            }
            [first, second, ref rest @ ..] if second < 0x80 => {
                self.rest = rest;
                Ok(u64::from(first & 0x7f) | u64::from(second) << 7)
            }
            _ => self.long_varint(what),
        }
    }

    #[cold]
    fn long_varint(&mut self, what: &'static str) -> Result<u64, Error> {
        if let Some((value, length)) = self.rest.first_chunk().and_then(varint_of) {
            self.take(length, what)?;
            return Ok(value);
        }
        self.longest_varint(what)
    }

    /// One of nine bytes and more, or at the end of what there is.
    #[cold]
    fn longest_varint(&mut self, what: &'static str) -> Result<u64, Error> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit only.
            if shift == 63 && bits > 1 {
                return Err(Error::Range(what));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error::Range(what))
    }

    /// Passes over so many, eight bytes at a time: each ends with a byte whose high bit is not set.
    pub(super) fn pass_varints(&mut self, count: usize) -> Result<(), Error> {
        let mut left = count;
        while let Some(eight) = self.rest.first_chunk() {
            let ends = (!u64::from_le_bytes(*eight) & HIGH).count_ones() as usize;
            // What the last one ends with may not be the end of the word.
            if ends >= left {
                break;
            }
            left -= ends;
            self.rest = self.rest.get(eight.len()..).unwrap_or_default();
        }
        while left > 0 {
            left -= usize::from(self.byte("a number that is passed over")? < 0x80);
        }
        Ok(())
    }

    pub(super) fn size(&mut self, what: &'static str) -> Result<usize, Error> {
        usize::try_from(self.varint(what)?).map_err(|_| Error::Range(what))
    }

    /// All that is left, without passing over it.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn take(&mut self, count: usize, what: &'static str) -> Result<&'a [u8], Error> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(Error::Truncated(what))?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn finish(self, what: &'static str) -> Result<(), Error> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Error::Trailing(what))
        }
    }
}

/// One of eight bytes at most, without a branch for its length, and how many bytes it has. `None` of longer
/// ones.
#[inline(always)]
pub(super) fn varint_of(bytes: &[u8; 8]) -> Option<(u64, usize)> {
    let word = u64::from_le_bytes(*bytes);
    let ends = !word & HIGH;
    if ends == 0 {
        return None;
    }
    // The bytes up to the first without its high bit; then sevens next to each other, fourteens,
    // twenty-eights.
    let own = word & (ends ^ ends.wrapping_sub(1)) & !HIGH;
    let own = own & 0x007f_007f_007f_007f | (own & 0x7f00_7f00_7f00_7f00) >> 1;
    let own = own & 0x0000_3fff_0000_3fff | (own & 0x3fff_0000_3fff_0000) >> 2;
    let own = own & 0x0fff_ffff | (own & 0x0fff_ffff_0000_0000) >> 4;
    Some((own, ends.trailing_zeros() as usize / 8 + 1))
}

/// How many bytes one of eight at most has; `None` of longer ones.
#[inline(always)]
pub(super) fn length_of(bytes: &[u8; 8]) -> Option<usize> {
    let ends = !u64::from_le_bytes(*bytes) & HIGH;
    (ends != 0).then(|| ends.trailing_zeros() as usize / 8 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Reader, put};

    proptest! {
        #[test]
        fn every_number_comes_back_wherever_it_stands(
            numbers in prop::collection::vec((any::<u64>(), 0_u32..64), 1..20),
        ) {
            let numbers: Vec<u64> = numbers.into_iter().map(|(n, by)| n >> by).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put(&mut bytes, *number));
            let mut reader = Reader::new(&bytes);
            for number in numbers {
                prop_assert_eq!(reader.varint("a number"), Ok(number));
            }
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn passing_over_some_leads_to_the_next(
            numbers in prop::collection::vec((any::<u64>(), 0_u32..64), 1..40),
            count in any::<prop::sample::Index>(),
        ) {
            let numbers: Vec<u64> = numbers.into_iter().map(|(n, by)| n >> by).collect();
            let mut bytes = Vec::new();
            numbers.iter().for_each(|number| put(&mut bytes, *number));
            let mut reader = Reader::new(&bytes);
            let count = count.index(numbers.len());
            prop_assert_eq!(reader.pass_varints(count), Ok(()));
            prop_assert_eq!(reader.varint("a number").ok(), numbers.get(count).copied());
            prop_assert!(Reader::new(&bytes).pass_varints(numbers.len()).is_ok());
            prop_assert!(Reader::new(&bytes).pass_varints(numbers.len() + 1).is_err());
        }
    }
}

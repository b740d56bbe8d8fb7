//! Bits in bytes, the lowest bit of a byte first; numbers of any width, their lowest bit first.

use super::Error;
use super::varint::Reader;

/// Appends bits and fills up the last byte with zeros.
pub(super) fn put_bits(out: &mut Vec<u8>, bits: impl Iterator<Item = bool>) {
    let (mut byte, mut used) = (0, 0);
    for bit in bits {
        byte |= u8::from(bit) << used;
        used += 1;
        if used == 8 {
            out.push(byte);
            (byte, used) = (0, 0);
        }
    }
    if used > 0 {
        out.push(byte);
    }
}

/// Appends so many bits, of which those at these places are set.
pub(super) fn put_places(out: &mut Vec<u8>, count: usize, places: &[u32]) {
    let start = out.len();
    out.resize(start + count.div_ceil(8), 0);
    for place in places {
        if let Some(byte) = out.get_mut(start + *place as usize / 8) {
            *byte |= 1 << (place % 8);
        }
    }
}

/// One bit of many; false beyond their end.
pub(super) fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// The first bit from this one on that is set; beyond their end when none is.
#[inline]
pub(super) fn next_one(bits: &[u8], from: usize) -> usize {
    let mut at = from / 8;
    let mut left = word(bits, at) >> (from % 8);
    let mut index = from;
    while left == 0 && at < bits.len() {
        at += 8;
        index = at * 8;
        left = word(bits, at);
    }
    index + left.trailing_zeros() as usize
}

/// How many bits are set.
pub(super) fn ones(bits: &[u8]) -> usize {
    let (words, rest) = bits.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    let words: u32 = words.map(u64::count_ones).sum();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    usize::try_from(words + rest).unwrap_or(usize::MAX)
}

/// How many bits before this one are set.
pub(super) fn ones_before(bits: &[u8], index: usize) -> usize {
    let whole = bits.get(..index / 8).unwrap_or(bits);
    let last = bits.get(index / 8).copied().unwrap_or(0) & ((1 << (index % 8)) - 1);
    ones(whole) + last.count_ones() as usize
}

/// Takes a list of so many bits, of which those behind the last must be zero.
pub(super) fn take_bits<'a>(
    reader: &mut Reader<'a>,
    count: usize,
    what: &'static str,
) -> Result<&'a [u8], Error> {
    let bits = reader.take(count.div_ceil(8), what)?;
    let used = count % 8;
    let spare = bits.last().filter(|_| used > 0);
    if spare.is_some_and(|last| last >> used != 0) {
        return Err(Error::Range(what));
    }
    Ok(bits)
}

/// Bits that a number needs.
pub(super) fn width(value: u64) -> u32 {
    u64::BITS - value.leading_zeros()
}

/// Appends numbers of any width.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    pending: u64,
    // Invariant: below 64.
    used: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self {
            out,
            pending: 0,
            used: 0,
        }
    }

    /// Appends the lowest `width` bits, at most 64; the others must be zero.
    pub(super) fn put(&mut self, value: u64, width: u32) {
        self.pending |= value << self.used;
        let used = self.used + width;
        if used < u64::BITS {
            self.used = used;
            return;
        }
        self.out.extend_from_slice(&self.pending.to_le_bytes());
        // What did not fit; nothing when all of it did.
        self.pending = value.checked_shr(u64::BITS - self.used).unwrap_or(0);
        self.used = used - u64::BITS;
    }

    /// Appends the lowest `width` bits of numbers that have no others.
    #[inline(always)]
    pub(super) fn put_each(&mut self, numbers: impl Iterator<Item = u64>, width: u32) {
        let (mut pending, mut used) = (self.pending, self.used);
        for number in numbers {
            pending |= number << used;
            used += width;
            if used >= u64::BITS {
                self.out.extend_from_slice(&pending.to_le_bytes());
                used -= u64::BITS;
                // What did not fit; nothing when all of it did.
                pending = number.checked_shr(width - used).unwrap_or(0);
            }
        }
        (self.pending, self.used) = (pending, used);
    }

    /// Fills up the last byte with zeros.
    pub(super) fn finish(self) {
        let end = self.out.len() + (self.used as usize).div_ceil(8);
        self.out.extend_from_slice(&self.pending.to_le_bytes());
        self.out.truncate(end);
    }
}

/// Reads numbers of one width; zeros beyond the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacker<'a> {
    rest: &'a [u8],
    // The next bits, of which so many are left; the others mean nothing.
    word: u64,
    left: u32,
    width: u32,
    mask: u64,
}

impl<'a> Unpacker<'a> {
    /// Numbers of `width` bits, at most 64, behind `skipped` bits.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], skipped: usize, width: u32) -> Self {
        let mut unpacker = Self {
            rest: bytes,
            word: 0,
            left: 0,
            width,
            mask: u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0),
        };
        unpacker.begin(skipped);
        unpacker
    }

    /// Goes on behind so many bits of the rest.
    #[inline]
    fn begin(&mut self, skipped: usize) {
        self.rest = self.rest.get(skipped / 8..).unwrap_or_default();
        self.left = 0;
        let shift = u32::try_from(skipped % 8).unwrap_or(0);
        if shift > 0 {
            self.word = self.load() >> shift;
            self.left = u64::BITS - shift;
        }
    }

    #[inline]
    fn load(&mut self) -> u64 {
        let word = word(self.rest, 0);
        self.rest = self.rest.get(8..).unwrap_or_default();
        word
    }

    /// Passes over so many numbers.
    pub(super) fn skip(&mut self, count: usize) {
        let bits = count * self.width as usize;
        match bits.checked_sub(self.left as usize) {
            Some(behind) => self.begin(behind),
            None => self.drop_bits(u32::try_from(bits).unwrap_or(0)),
        }
    }

    #[inline]
    fn drop_bits(&mut self, count: u32) {
        self.word = self.word.wrapping_shr(count);
        self.left -= count;
    }

    /// The next number.
    #[inline]
    pub(super) fn next(&mut self) -> u64 {
        if self.width <= self.left {
            let number = self.word & self.mask;
            self.drop_bits(self.width);
            return number;
        }
        let (before, left) = (self.word, self.left);
        let word = self.load();
        let low = if left == 0 { 0 } else { before };
        let used = self.width - left;
        self.word = word.checked_shr(used).unwrap_or(0);
        self.left = u64::BITS - used;
        (low | word << left) & self.mask
    }
}

/// Eight bytes as a number, those behind the end zeros.
pub(super) fn word(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    match rest.first_chunk::<8>() {
        Some(whole) => u64::from_le_bytes(*whole),
        None => rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

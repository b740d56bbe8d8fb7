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

    /// Fills up the last byte with zeros.
    pub(super) fn finish(self) {
        let bytes = self.pending.to_le_bytes();
        let used = (self.used as usize).div_ceil(8);
        self.out.extend(bytes.into_iter().take(used));
    }
}

/// Reads numbers of one width; zeros beyond the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    at: usize,
    width: u32,
    mask: u64,
}

impl<'a> Unpacker<'a> {
    /// Numbers of `width` bits, at most 64, behind `skipped` bits.
    pub(super) fn new(bytes: &'a [u8], skipped: usize, width: u32) -> Self {
        Self {
            bytes,
            at: skipped,
            width,
            mask: u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0),
        }
    }

    /// Passes over so many numbers.
    pub(super) fn skip(&mut self, count: usize) {
        self.at += count * self.width as usize;
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        let (byte, shift) = (self.at / 8, self.at % 8);
        self.at += self.width as usize;
        let low = word(self.bytes, byte) >> shift;
        if shift + self.width as usize <= 64 {
            return low & self.mask;
        }
        // A shift of 1 to 7, so that the rest lies in one more byte.
        let high = word(self.bytes, byte + 8) << (64 - shift);
        (low | high) & self.mask
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

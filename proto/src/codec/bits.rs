//! Bits in bytes, the lowest bit of a byte first; numbers of any width, their lowest bit first.

use super::Error;
use super::varint::Reader;

/// Appends bits and fills up the last byte with zeros.
pub(super) fn put_bits(out: &mut Vec<u8>, bits: impl Iterator<Item = bool>) {
    let mut writer = Writer::new(out);
    for bit in bits {
        writer.put(u64::from(bit), 1);
    }
    writer.finish();
}

/// One bit of many; false beyond their end.
pub(super) fn bit(bits: &[u8], index: usize) -> bool {
    bits.get(index / 8)
        .is_some_and(|byte| byte >> (index % 8) & 1 == 1)
}

/// How many bits are set.
pub(super) fn ones(bits: &[u8]) -> usize {
    let ones: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
    usize::try_from(ones).unwrap_or(usize::MAX)
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
    pending: u128,
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
        self.pending |= u128::from(value) << self.used;
        self.used += width;
        while self.used >= 8 {
            let [low, ..] = self.pending.to_le_bytes();
            self.out.push(low);
            self.pending >>= 8;
            self.used -= 8;
        }
    }

    /// Fills up the last byte with zeros.
    pub(super) fn finish(self) {
        if self.used > 0 {
            let [low, ..] = self.pending.to_le_bytes();
            self.out.push(low);
        }
    }
}

/// Reads numbers of any width; zeros beyond the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Unpacker<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Passes over so many bits.
    pub(super) fn skip(&mut self, bits: usize) {
        self.at += bits;
    }

    /// The next number of `width` bits, at most 64.
    pub(super) fn next(&mut self, width: u32) -> u64 {
        let (byte, shift) = (self.at / 8, self.at % 8);
        self.at += width as usize;
        let window = match self.bytes.get(byte..byte + 16) {
            Some(whole) => <[u8; 16]>::try_from(whole).unwrap_or_default(),
            None => {
                let rest = self.bytes.get(byte..).unwrap_or_default();
                let mut window = [0; 16];
                for (to, from) in window.iter_mut().zip(rest) {
                    *to = *from;
                }
                window
            }
        };
        let mask = u128::from(u64::MAX) >> (64 - width.min(64));
        let value = u128::from_le_bytes(window) >> shift & mask;
        u64::try_from(value).unwrap_or(u64::MAX)
    }
}

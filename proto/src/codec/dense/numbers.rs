//! The differences of a column that are told, as numbers: in whichever of three ways is the shortest.
//!
//! ```text
//! numbers := zigzag*
//!          | least:zigzag  width:u8  packed
//!          | least:zigzag  way:u8  floor:u8  sized
//! ```
//!
//! The first is that of a column without the flag PACKED. Counters of busy and idle containers differ in
//! their sizes by orders of magnitude, and so do their differences: [`Sized`] numbers say how many bits
//! they have.

use crate::codec::Error;
use crate::codec::bits::{self, Unpacker, Writer, take_bits, word};
use crate::codec::varint::{self, Reader, put, unzigzag, zigzag};

/// In the place of a width: each number has a size of its own. The lowest bits are those of a size.
const SIZED: u8 = 0x80;

/// Beside [`SIZED`]: what is added to the least is a zigzag.
const SIGNED: u8 = 0x40;

/// The largest size of a size: as many as there are sizes of a number of 64 bits.
const MOST_CODE_BITS: u32 = 6;

/// So few numbers are not worth the head that their sizes need.
const FEW: usize = 4;

/// How numbers are told.
enum Way {
    Zigzags,
    /// Of one width, above the least.
    Packed(u32),
    /// Of their own sizes, above the least.
    Sized(Code),
    /// Of their own sizes, as zigzags.
    Signed(Code),
}

/// Appends numbers in the shortest way; true when it is one of those with the flag PACKED.
pub(super) fn encode(out: &mut Vec<u8>, told: &[i64]) -> bool {
    let least = told.iter().copied().min().unwrap_or(0);
    let above = |number: &i64| number.wrapping_sub(least).cast_unsigned();
    match shortest(told, least, above) {
        Way::Zigzags => {
            told.iter().for_each(|number| put(out, zigzag(*number)));
            return false;
        }
        Way::Packed(width) => {
            put_packed(out, least, width);
            let mut writer = Writer::new(out);
            told.iter().for_each(|d| writer.put(above(d), width));
            writer.finish();
        }
        Way::Sized(code) => {
            put(out, zigzag(least));
            code.put(out, 0, told.iter().map(above));
        }
        Way::Signed(code) => {
            put(out, 0);
            code.put(out, SIGNED, told.iter().map(|number| zigzag(*number)));
        }
    }
    true
}

/// Appends what goes before numbers of one width above the least, at most 64 bits.
pub(super) fn put_packed(out: &mut Vec<u8>, least: i64, width: u32) {
    put(out, zigzag(least));
    out.push(u8::try_from(width).unwrap_or(64));
}

fn shortest(told: &[i64], least: i64, above: impl Fn(&i64) -> u64) -> Way {
    let (mut over, mut signed) = (Sizes::new(), Sizes::new());
    for number in told {
        over.add(above(number));
        signed.add(zigzag(*number));
    }
    let head = varint::length(zigzag(least)) + 1;
    let packed = head + (told.len() * over.most as usize).div_ceil(8);
    let mut best = (signed.varint_bytes(), Way::Zigzags);
    let mut consider = |bytes: usize, way: Way| {
        if bytes < best.0 {
            best = (bytes, way);
        }
    };
    consider(packed, Way::Packed(over.most));
    if told.len() > FEW {
        let code = over.best();
        consider(head + 1 + code.bits.div_ceil(8), Way::Sized(code));
        // A least of 0 is one byte.
        let code = signed.best();
        consider(3 + code.bits.div_ceil(8), Way::Signed(code));
    }
    best.1
}

/// How many numbers there are of each size in bits.
struct Sizes {
    counts: [usize; 65],
    // Bit n: there are some of n bits. Those of 64 are told by `most`.
    there: u64,
    most: u32,
}

impl Sizes {
    fn new() -> Self {
        Self {
            counts: [0; 65],
            there: 0,
            most: 0,
        }
    }

    fn add(&mut self, number: u64) {
        let size = bits::width(number);
        self.most = self.most.max(size);
        self.there |= 1_u64.checked_shl(size).unwrap_or(0);
        if let Some(count) = self.counts.get_mut(size as usize) {
            *count += 1;
        }
    }

    /// The sizes that occur, and how often.
    fn each(&self) -> impl Iterator<Item = (u32, usize)> {
        let mut left = self.there;
        let low = std::iter::from_fn(move || {
            let size = left.trailing_zeros();
            left &= left.wrapping_sub(1);
            (size < u64::BITS).then_some(size)
        });
        let all = low.chain((self.most == u64::BITS).then_some(u64::BITS));
        all.map(|size| (size, self.counts.get(size as usize).copied().unwrap_or(0)))
    }

    fn varint_bytes(&self) -> usize {
        let bytes = |(size, count): (u32, usize)| (size.max(1) as usize).div_ceil(7) * count;
        self.each().map(bytes).sum()
    }

    /// The code that makes them the shortest.
    fn best(&self) -> Code {
        let code = |code_bits: u32| {
            // The lower the floor the better, as long as the largest size has a code.
            let floor = self.most.saturating_sub((1 << code_bits) - 1);
            let of =
                |(size, count): (u32, usize)| (code_bits + low_bits(size, floor)) as usize * count;
            Code {
                code_bits,
                floor,
                bits: self.each().map(of).sum(),
            }
        };
        // With a floor of 0 a longer code only takes more.
        let enough = bits::width(self.most.into()).clamp(1, MOST_CODE_BITS);
        let first = code(1);
        (2..=enough).map(code).fold(
            first,
            |best, other| {
                if other.bits < best.bits { other } else { best }
            },
        )
    }
}

/// How the sizes of numbers are told: 0 for `floor` bits or fewer, of which all follow; n for n more
/// than that, the highest of which is set and left out.
struct Code {
    code_bits: u32,
    floor: u32,
    /// What all numbers take so.
    bits: usize,
}

fn low_bits(size: u32, floor: u32) -> u32 {
    if size <= floor { floor } else { size - 1 }
}

impl Code {
    fn put(&self, out: &mut Vec<u8>, signed: u8, numbers: impl Iterator<Item = u64>) {
        out.push(SIZED | signed | u8::try_from(self.code_bits).unwrap_or(0));
        out.push(u8::try_from(self.floor).unwrap_or(0));
        let mut writer = Writer::new(out);
        for number in numbers {
            let size = bits::width(number);
            let low = low_bits(size, self.floor);
            let code = size.saturating_sub(self.floor);
            if self.code_bits + low <= u64::BITS {
                let both = (number & mask(low)) << self.code_bits | u64::from(code);
                writer.put(both, self.code_bits + low);
            } else {
                writer.put(code.into(), self.code_bits);
                writer.put(number & mask(low), low);
            }
        }
        writer.finish();
    }
}

fn mask(width: u32) -> u64 {
    u64::MAX.checked_shr(u64::BITS - width).unwrap_or(0)
}

/// Numbers that are read one after the other.
#[derive(Debug)]
pub(super) enum Numbers<'a> {
    /// Each where the reader is.
    Zigzags,
    /// All of one width, above the least.
    Packed(i64, Unpacker<'a>),
    /// Each of its own.
    Sized(Sized<'a>),
}

/// Numbers that say how many bits they have, above the least.
#[derive(Debug)]
pub(super) struct Sized<'a> {
    least: i64,
    is_signed: bool,
    code_bits: u32,
    floor: u32,
    bytes: &'a [u8],
    // In bits.
    at: usize,
    end: usize,
}

impl<'a> Numbers<'a> {
    /// So many of a column with the flag PACKED.
    pub(super) fn packed(reader: &mut Reader<'a>, count: usize) -> Result<Self, Error> {
        let least = unzigzag(reader.varint("the least difference")?);
        let way = reader.byte("a width")?;
        if way & SIZED != 0 {
            return Sized::find(reader, least, way).map(Numbers::Sized);
        }
        let width = u32::from(way);
        if width > u64::BITS {
            return Err(Error::Range("a width"));
        }
        let bits = count.checked_mul(width as usize);
        let bits = bits.ok_or(Error::Range("a width"))?;
        let numbers = take_bits(reader, bits, "differences")?;
        Ok(Numbers::Packed(least, Unpacker::new(numbers, 0, width)))
    }

    /// The next one.
    #[inline(always)]
    pub(super) fn next(&mut self, reader: &mut Reader<'a>) -> Result<i64, Error> {
        match self {
            Numbers::Zigzags => Ok(unzigzag(reader.varint("a difference")?)),
            Numbers::Packed(least, unpacker) => {
                Ok(least.wrapping_add(unpacker.next().cast_signed()))
            }
            Numbers::Sized(sized) => sized.next(),
        }
    }

    /// The one behind so many others.
    pub(super) fn nth(&mut self, reader: &mut Reader<'a>, nth: usize) -> Result<i64, Error> {
        if let Numbers::Packed(_, unpacker) = self {
            unpacker.skip(nth);
        } else {
            for _ in 0..nth {
                self.next(reader)?;
            }
        }
        self.next(reader)
    }

    /// Passes over what was read.
    pub(super) fn finish(self, reader: &mut Reader<'a>) -> Result<(), Error> {
        if let Numbers::Sized(sized) = self {
            take_bits(reader, sized.at, "differences")?;
        }
        Ok(())
    }
}

impl<'a> Sized<'a> {
    fn find(reader: &mut Reader<'a>, least: i64, way: u8) -> Result<Self, Error> {
        let code_bits = u32::from(way & !(SIZED | SIGNED));
        let floor = u32::from(reader.byte("the floor of sizes")?);
        if !(1..=MOST_CODE_BITS).contains(&code_bits) || floor > u64::BITS {
            return Err(Error::Range("a size"));
        }
        Ok(Self {
            least,
            is_signed: way & SIGNED != 0,
            code_bits,
            floor,
            bytes: reader.rest(),
            at: 0,
            end: reader.remaining().saturating_mul(8),
        })
    }

    #[inline]
    pub(super) fn next(&mut self) -> Result<i64, Error> {
        let begun = word(self.bytes, self.at / 8) >> (self.at % 8);
        let code = u32::try_from(begun & mask(self.code_bits)).unwrap_or(u32::MAX);
        let low = match code {
            0 => self.floor,
            _ => self.floor + code - 1,
        };
        if low > 63 + u32::from(code == 0) {
            return Err(Error::Range("a size"));
        }
        let start = self.at + self.code_bits as usize;
        self.at = start + low as usize;
        if self.at > self.end {
            return Err(Error::Truncated("a difference"));
        }
        // Of a word that begins inside of a byte 57 bits are there at least.
        let rest = if self.code_bits + low <= 57 {
            begun >> self.code_bits
        } else {
            two_words(self.bytes, start)
        };
        let number = rest & mask(low) | u64::from(code != 0) << (low % u64::BITS);
        let told = if self.is_signed {
            unzigzag(number)
        } else {
            number.cast_signed()
        };
        Ok(self.least.wrapping_add(told))
    }
}

/// 64 bits from a bit on.
#[cold]
fn two_words(bytes: &[u8], at: usize) -> u64 {
    let (byte, shift) = (at / 8, at % 8);
    let low = word(bytes, byte) >> shift;
    // A shift of 64 is none: then there is nothing left to add.
    let high = word(bytes, byte + 8).checked_shl(64 - u32::try_from(shift).unwrap_or(0));
    low | high.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Numbers, encode};
    use crate::codec::varint::Reader;

    fn read(bytes: &[u8], is_packed: bool, count: usize) -> Vec<i64> {
        let mut reader = Reader::new(bytes);
        let mut numbers = if is_packed {
            Numbers::packed(&mut reader, count).unwrap()
        } else {
            Numbers::Zigzags
        };
        let told = (0..count).map(|_| numbers.next(&mut reader).unwrap());
        let told = told.collect();
        numbers.finish(&mut reader).unwrap();
        reader.finish("the numbers").unwrap();
        told
    }

    /// Numbers of every size and sign, small ones as often as large ones.
    fn numbers() -> impl Strategy<Value = Vec<i64>> {
        let shift = prop_oneof![Just(40..64_u32), Just(0..64), Just(63..64)];
        let number =
            |shift: std::ops::Range<u32>| (any::<i64>(), shift).prop_map(|(n, by)| n >> by);
        shift.prop_flat_map(move |shift| prop::collection::vec(number(shift), 0..80))
    }

    proptest! {
        #[test]
        fn numbers_come_back_whichever_way_they_are_told(told in numbers()) {
            let mut out = Vec::new();
            let is_packed = encode(&mut out, &told);
            prop_assert_eq!(read(&out, is_packed, told.len()), told);
        }
    }

    #[test]
    fn sizes_are_told_when_they_differ_by_orders_of_magnitude() {
        let busy: Vec<i64> = (0..60)
            .map(|n| if n % 2 == 0 { 90_000 + n } else { n })
            .collect();
        let mut out = Vec::new();
        assert!(encode(&mut out, &busy));
        // Five bits of head and code at most, beside 16 bits of the large ones and 5 of the small.
        assert!(out.len() <= 30 * (5 + 16 + 5 + 5) / 8, "{}", out.len());
    }
}

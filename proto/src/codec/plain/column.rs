//! One column: flags, presence bits, changed bits, repeated bits, differences.

use std::iter::Peekable;

use crate::codec::Error;
use crate::codec::bits::{bit, put_bits, put_places};
use crate::codec::entities::Base;
use crate::codec::varint::{Reader, put, unzigzag, zigzag};
use crate::model::{Column, ColumnId};

/// What a column's differences may all be divisible by: thousands (times, cgroup v2 counters in
/// microseconds), KiB and pages (memory). Index is the code on the wire.
const SCALES: [i64; 4] = [1, 1000, 1024, 4096];

/// The same entities have a value as in the base row: no presence bits follow.
const SAME: u8 = 0x04;

/// No value differs from the base row's: no changed bits and no differences follow.
const STEADY: u8 = 0x08;

/// Bits follow the changed bits, one a changed cell: it differs by as much as the changed cell
/// before it, and its difference is left out.
const REPEATS: u8 = 0x10;

/// Appends the body of one column of `count` entities.
pub(super) fn encode(out: &mut Vec<u8>, count: usize, column: &Column, base: &Base) {
    let mut old = base.iter().copied().peekable();
    let deltas: Vec<i64> = column
        .cells()
        .map(|(place, value)| delta(base_of(&mut old, place), value))
        .collect();
    let same = column
        .places()
        .iter()
        .eq(base.iter().map(|(place, _)| place));
    let steady = deltas.iter().all(|delta| *delta == 0);
    let (code, scale) = best_scale(&deltas);
    let mut flags = code;
    flags |= if same { SAME } else { 0 };
    flags |= if steady { STEADY } else { 0 };
    let start = out.len();
    out.push(flags);
    if !same {
        put_places(out, count, column.places());
    }
    if !steady {
        put_bits(out, deltas.iter().map(|d| *d != 0));
        let changed = || deltas.iter().filter(|d| **d != 0);
        let repeated = || changed().zip(std::iter::once(&0).chain(changed()));
        let repeated = || repeated().map(|(delta, before)| delta == before);
        // A difference is at least a byte.
        let repeats = repeated().filter(|is| *is).count() > changed().count() / 8;
        if repeats {
            if let Some(first) = out.get_mut(start) {
                *first |= REPEATS;
            }
            put_bits(out, repeated());
        }
        for (delta, repeated) in changed().zip(repeated()) {
            if !(repeats && repeated) {
                put(out, zigzag(delta / scale));
            }
        }
    }
}

/// Reads the body of one column of `count` entities, of at most `cells_left` cells, and takes them
/// off.
pub(super) fn decode(
    id: ColumnId,
    body: &[u8],
    count: usize,
    base: &Base,
    cells_left: &mut usize,
) -> Result<Column, Error> {
    let mut reader = Reader::new(body);
    let flags = reader.byte("a column's flags")?;
    let scale = SCALES.get(usize::from(flags & !(SAME | STEADY | REPEATS)));
    let scale = *scale.ok_or(Error::Flags(flags))?;
    let bits = if flags & SAME == 0 {
        Some(reader.take(count.div_ceil(8), "presence bits")?)
    } else {
        None
    };
    let present = bits.map_or(base.len(), |bits| {
        let ones: u32 = bits.iter().map(|byte| byte.count_ones()).sum();
        usize::try_from(ones).unwrap_or(usize::MAX)
    });
    // An encoder leaves such a column out; taken in, it would cost memory for nothing.
    if present == 0 {
        return Err(Error::Empty);
    }
    *cells_left = cells_left
        .checked_sub(present)
        .ok_or(Error::Limit("cells"))?;
    let places: Vec<u32> = match bits {
        Some(bits) => (0..u32::try_from(count).unwrap_or(u32::MAX))
            .filter(|place| bit(bits, *place as usize))
            .collect(),
        None => base.iter().map(|(place, _)| *place).collect(),
    };
    // Bits behind the last entity are nobody's.
    if places.len() != present {
        return Err(Error::Range("presence bits"));
    }
    let changed = if flags & STEADY == 0 {
        reader.take(present.div_ceil(8), "changed bits")?
    } else {
        &[]
    };
    let repeated = if flags & REPEATS == 0 {
        &[]
    } else {
        let count = (0..present).filter(|nth| bit(changed, *nth)).count();
        reader.take(count.div_ceil(8), "repeated bits")?
    };
    let mut old = base.iter().copied().peekable();
    let mut values = Vec::with_capacity(present);
    let (mut delta, mut nth_changed) = (0_i64, 0);
    for (nth, place) in places.iter().enumerate() {
        let mut value = base_of(&mut old, *place);
        if bit(changed, nth) {
            if !bit(repeated, nth_changed) {
                delta = unzigzag(reader.varint("a difference")?)
                    .checked_mul(scale)
                    .ok_or(Error::Range("a difference"))?;
            }
            nth_changed += 1;
            value = value.wrapping_add(delta.cast_unsigned());
        }
        values.push(value);
    }
    reader.finish("a column")?;
    Column::from_parts(id, places, values).ok_or(Error::Order("cells"))
}

/// The value that the base row has at a place, 0 where it has none. Places are asked for in rising
/// order.
fn base_of(old: &mut Peekable<impl Iterator<Item = (u32, u64)>>, place: u32) -> u64 {
    while old.next_if(|(at, _)| *at < place).is_some() {}
    old.next_if(|(at, _)| *at == place).map_or(0, |(_, v)| v)
}

/// Difference as a signed number; wraps, and wraps back when decoded, so any pair is lossless.
fn delta(base: u64, value: u64) -> i64 {
    value.wrapping_sub(base).cast_signed()
}

/// The largest scale that divides every difference.
fn best_scale(deltas: &[i64]) -> (u8, i64) {
    [0u8, 1, 2, 3]
        .into_iter()
        .zip(SCALES)
        .rev()
        .find(|(_, scale)| deltas.iter().all(|d| d % scale == 0))
        .unwrap_or((0, 1))
}

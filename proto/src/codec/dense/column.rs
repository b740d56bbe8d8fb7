//! One column of a row: which entities have a value, which values changed, by how much.
//!
//! ```text
//! body := flags:u8  present:bits[entities]  changed:bits[present]  repeated:bits[changed]  numbers
//! ```
//!
//! Each part but the flags is left out when its flag says so. A cell differs from that of the same
//! entity in the base row (0 where there is none) by `difference x scale`, and in a column with the
//! flag [`TICKED`] by what has passed since the base row's tick besides.

mod moves;
mod one;
mod values;

use std::iter::Peekable;

use super::numbers::{self, Numbers};
use super::{SCALES, best_scale, difference};
use crate::codec::Error;
use crate::codec::bits::{bit, ones, put_bits, put_places, take_bits, word};
use crate::codec::varint::{Reader, put, unzigzag};
use crate::model::{Column, ColumnId};

pub(super) use moves::Moves;
pub(super) use one::{Cell, decode_one};
pub(super) use values::Values;

/// The two low bits are the code of the scale.
const SCALE: u8 = 0x03;

/// The same entities have a value as in the base row: no presence bits.
const SAME: u8 = 0x04;

/// No value differs: no changed bits, no numbers.
const STEADY: u8 = 0x08;

/// Bits follow the changed bits, one a changed cell: it differs by as much as the changed cell
/// before it, and its number is left out.
const REPEATS: u8 = 0x10;

/// Times that move with the tick: what is told is how far each is from that.
const TICKED: u8 = 0x20;

/// The numbers are packed: the least of them, the width of what the others have above it or that each
/// says its own, and these in bits. Otherwise each is a varint.
const PACKED: u8 = 0x40;

/// Every value differs: no changed bits.
const EACH: u8 = 0x80;

/// What no column can be at once: the cells are those of an earlier column of the same row, whose
/// number follows. Groups that are measured in one pass share their times.
const COPY: u8 = STEADY | EACH;

/// Appends the body of a column that has the cells of an earlier one.
pub(super) fn encode_copy(out: &mut Vec<u8>, of: ColumnId) {
    out.push(COPY);
    put(out, u64::from(of.0));
}

/// The column that this body copies; `None` when it has cells of its own.
pub(super) fn copied(body: &[u8]) -> Result<Option<u64>, Error> {
    let mut reader = Reader::new(body);
    if reader.byte("a column's flags")? != COPY {
        return Ok(None);
    }
    let of = reader.varint("the column that is copied")?;
    reader.finish("a column")?;
    Ok(Some(of))
}

/// True when a body, which is no copy, says that the same entities have a value as in the base row.
pub(super) fn has_the_same(body: &[u8]) -> bool {
    body.first().is_some_and(|flags| flags & SAME != 0)
}

/// Appends the body of a column of `count` entities. `before` is what the base row says of the same
/// places; `passed` what has passed since its tick, 0 for columns that are no times.
pub(super) fn encode(
    out: &mut Vec<u8>,
    count: usize,
    column: &Column,
    before: &Column,
    passed: u64,
) {
    let deltas = |passed: u64| -> Vec<i64> {
        let mut old = before.cells().peekable();
        column
            .cells()
            .map(|(place, value)| difference(value_of(&mut old, place).wrapping_add(passed), value))
            .collect()
    };
    let same = column.places() == before.places();
    let start = out.len();
    out.push(0);
    if !same {
        put_places(out, count, column.places());
    }
    let still = told(&deltas(0));
    let ticked = (passed > 0).then(|| told(&deltas(passed)));
    let (flags, numbers) = match ticked {
        Some((flags, numbers)) if numbers.len() < still.1.len() => (flags | TICKED, numbers),
        _ => still,
    };
    out.extend_from_slice(&numbers);
    if let Some(first) = out.get_mut(start) {
        *first = flags | if same { SAME } else { 0 };
    }
}

/// The flags and the bytes of all differences of a column.
fn told(deltas: &[i64]) -> (u8, Vec<u8>) {
    let mut out = Vec::new();
    let changed: Vec<i64> = deltas.iter().copied().filter(|d| *d != 0).collect();
    if changed.is_empty() {
        return (STEADY, out);
    }
    let (mut flags, scale) = best_scale(&changed.iter().copied());
    if changed.len() == deltas.len() {
        flags |= EACH;
    } else {
        put_bits(&mut out, deltas.iter().map(|d| *d != 0));
    }
    let repeated = || {
        let before = std::iter::once(&0).chain(&changed);
        changed.iter().zip(before).map(|(d, b)| d == b)
    };
    // A difference is at least a byte.
    let repeats = repeated().filter(|is| *is).count() > changed.len() / 8;
    if repeats {
        flags |= REPEATS;
        put_bits(&mut out, repeated());
    }
    let mut numbers = Vec::with_capacity(changed.len());
    let kept = changed.iter().zip(repeated());
    let kept = kept.filter(|(_, repeated)| !(repeats && *repeated));
    match scale {
        1 => numbers.extend(kept.map(|(delta, _)| *delta)),
        _ => numbers.extend(kept.map(|(delta, _)| delta / scale)),
    }
    if numbers::encode(&mut out, &numbers) {
        flags |= PACKED;
    }
    (flags, out)
}

/// Reads the body of a column of `count` entities, of at most `cells_left` cells, and takes them
/// off.
pub(super) fn decode(
    body: &[u8],
    count: usize,
    before: &Column,
    passed: u64,
    cells_left: &mut usize,
) -> Result<Column, Error> {
    let mut reader = Reader::new(body);
    let flags = reader.byte("a column's flags")?;
    let steady = flags & STEADY != 0;
    if steady && flags & (SCALE | REPEATS | PACKED | EACH) != 0 {
        return Err(Error::Flags(flags));
    }
    let own_places = if flags & SAME == 0 {
        let bits = take_bits(&mut reader, count, "presence bits")?;
        *cells_left = cells_left
            .checked_sub(ones(bits))
            .ok_or(Error::Limit("cells"))?;
        let all = 0..u32::try_from(count).unwrap_or(u32::MAX);
        Some(
            all.filter(|place| bit(bits, *place as usize))
                .collect::<Vec<u32>>(),
        )
    } else {
        *cells_left = cells_left
            .checked_sub(before.len())
            .ok_or(Error::Limit("cells"))?;
        None
    };
    let passed = if flags & TICKED == 0 { 0 } else { passed };
    let mut values: Vec<u64> = match &own_places {
        None => before
            .values()
            .iter()
            .map(|v| v.wrapping_add(passed))
            .collect(),
        Some(places) => {
            let mut old = before.cells().peekable();
            let value = |place: &u32| value_of(&mut old, *place).wrapping_add(passed);
            places.iter().map(value).collect()
        }
    };
    // An encoder leaves such a column out; taken in, it would cost memory for nothing.
    if values.is_empty() {
        return Err(Error::Empty);
    }
    if !steady {
        add(&mut reader, flags, &mut values)?;
    }
    reader.finish("a column")?;
    match own_places {
        None => before.with_values(values),
        Some(places) => Column::from_parts(before.id(), places, values),
    }
    .ok_or(Error::Order("cells"))
}

/// Adds the differences to the values of the base row.
fn add(reader: &mut Reader<'_>, flags: u8, values: &mut [u64]) -> Result<(), Error> {
    let scale = SCALES.get(usize::from(flags & SCALE)).copied();
    let scale = scale.ok_or(Error::Flags(flags))?;
    let changed = if flags & EACH == 0 {
        Some(take_bits(reader, values.len(), "changed bits")?)
    } else {
        None
    };
    let changed_count = changed.map_or(values.len(), ones);
    let repeated = if flags & REPEATS == 0 {
        &[]
    } else {
        take_bits(reader, changed_count, "repeated bits")?
    };
    let mut numbers = if flags & PACKED == 0 {
        Numbers::Zigzags
    } else {
        Numbers::packed(reader, changed_count - ones(repeated))?
    };
    let changes = Changes {
        changed,
        repeated,
        scale,
    };
    // A loop of its own for each kind of numbers.
    match &mut numbers {
        Numbers::Zigzags => {
            changes.add(values, || Ok(unzigzag(reader.varint("a difference")?)))?;
        }
        Numbers::Packed(least, unpacker) => {
            let least = *least;
            changes.add(values, || {
                Ok(least.wrapping_add(unpacker.next().cast_signed()))
            })?;
        }
        Numbers::Sized(sized) => changes.add(values, || sized.next())?,
    }
    numbers.finish(reader)
}

/// Which values differ, and by what their differences are divided.
struct Changes<'a> {
    /// `None` for all of them.
    changed: Option<&'a [u8]>,
    /// Which of these differ by as much as the one before; empty for none.
    repeated: &'a [u8],
    scale: i64,
}

impl Changes<'_> {
    #[inline(always)]
    fn add(
        &self,
        values: &mut [u64],
        mut next: impl FnMut() -> Result<i64, Error>,
    ) -> Result<(), Error> {
        let scale = self.scale;
        let Some(changed) = self.changed else {
            let mut delta = 0_i64;
            for (nth, value) in values.iter_mut().enumerate() {
                if !bit(self.repeated, nth) {
                    delta = next()?.wrapping_mul(scale);
                }
                *value = value.wrapping_add(delta.cast_unsigned());
            }
            return Ok(());
        };
        let (mut delta, mut nth_changed) = (0_i64, 0);
        for (values, first) in values.chunks_mut(64).zip((0..).step_by(8)) {
            let mut left = word(changed, first);
            while left != 0 {
                let nth = left.trailing_zeros() as usize;
                left &= left - 1;
                if !bit(self.repeated, nth_changed) {
                    delta = next()?.wrapping_mul(scale);
                }
                nth_changed += 1;
                if let Some(value) = values.get_mut(nth) {
                    *value = value.wrapping_add(delta.cast_unsigned());
                }
            }
        }
        Ok(())
    }
}

/// The value that the base row has at a place, 0 where it has none. Places are asked for in rising
/// order.
fn value_of(old: &mut Peekable<impl Iterator<Item = (u32, u64)>>, place: u32) -> u64 {
    while old.next_if(|(at, _)| *at < place).is_some() {}
    old.next_if(|(at, _)| *at == place).map_or(0, |(_, v)| v)
}

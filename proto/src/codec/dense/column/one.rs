//! One cell of a column of a row, without those of the others: where it stands among what the body
//! tells is counted in bits, and the numbers before it are passed over.

use std::borrow::Cow;

use super::{EACH, PACKED, REPEATS, SAME, SCALE, STEADY, TICKED};
use crate::codec::Error;
use crate::codec::bits::{bit, ones, ones_before, take_bits};
use crate::codec::dense::SCALES;
use crate::codec::dense::numbers::Numbers;
use crate::codec::varint::Reader;

/// A column as far as one entity needs it.
#[derive(Clone, Debug)]
pub(in crate::codec::dense) struct Cell<'a> {
    /// Which entities of the row have a value; never none.
    pub(in crate::codec::dense) there: Cow<'a, [u8]>,
    /// How many they are.
    pub(in crate::codec::dense) count: usize,
    /// That of the entity, if it has one.
    pub(in crate::codec::dense) value: Option<u64>,
}

/// Reads what a body says of an entity in a row of so many, at this place if it is there. The body is one
/// that has been decoded as a whole before; of another one anything may be read. `cell` is the column of the
/// base row among the entities of this one, and becomes that of this row.
pub(in crate::codec::dense) fn decode_one<'a>(
    body: &'a [u8],
    (entities, place): (usize, Option<usize>),
    cell: &mut Option<Cell<'a>>,
    passed: u64,
) -> Result<(), Error> {
    let mut reader = Reader::new(body);
    let flags = reader.byte("a column's flags")?;
    if flags & SAME == 0 {
        let bits = take_bits(&mut reader, entities, "presence bits")?;
        let value = cell.as_ref().and_then(|before| before.value);
        *cell = Some(Cell {
            there: Cow::Borrowed(bits),
            count: ones(bits),
            value,
        });
    }
    let cell = cell.as_mut().ok_or(Error::Empty)?;
    let Some(place) = place.filter(|place| bit(&cell.there, *place)) else {
        cell.value = None;
        return Ok(());
    };
    let passed = if flags & TICKED == 0 { 0 } else { passed };
    let mut value = cell.value.unwrap_or(0).wrapping_add(passed);
    if flags & STEADY == 0 {
        let nth = ones_before(&cell.there, place);
        let delta = difference(&mut reader, flags, nth, cell.count)?;
        value = value.wrapping_add(delta.cast_unsigned());
    }
    cell.value = Some(value);
    Ok(())
}

/// By how much the n-th of so many cells differs.
fn difference(reader: &mut Reader<'_>, flags: u8, nth: usize, count: usize) -> Result<i64, Error> {
    let scale = SCALES.get(usize::from(flags & SCALE)).copied();
    let scale = scale.ok_or(Error::Flags(flags))?;
    let (mut nth, mut count) = (nth, count);
    if flags & EACH == 0 {
        let changed = take_bits(reader, count, "changed bits")?;
        if !bit(changed, nth) {
            return Ok(0);
        }
        (nth, count) = (ones_before(changed, nth), ones(changed));
    }
    if flags & REPEATS != 0 {
        let repeated = take_bits(reader, count, "repeated bits")?;
        // It has the last number that was told up to it.
        let told = nth + 1 - ones_before(repeated, nth + 1);
        let Some(last) = told.checked_sub(1) else {
            return Ok(0);
        };
        (nth, count) = (last, count - ones(repeated));
    }
    let mut numbers = if flags & PACKED == 0 {
        Numbers::Zigzags
    } else {
        Numbers::packed(reader, count)?
    };
    Ok(numbers.nth(reader, nth)?.wrapping_mul(scale))
}

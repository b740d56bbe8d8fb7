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

/// Appends the body of a column that has the cells of an earlier one.
pub(in crate::codec) fn put_copy(body: &mut Vec<u8>, of: ColumnId) {
    body.push(COPY);
    put(body, u64::from(of.0));
}

/// The least of some values and what they are told in, when all have so many low bits in common.
#[derive(Clone, Copy, Debug)]
pub(in crate::codec) struct Scaled {
    code: u8,
    shift: u32,
    least: u64,
}

impl Scaled {
    /// Of values of which none has any of the low bits that the least has not.
    pub(in crate::codec) fn of(least: u64, shift: u32) -> Self {
        let common = shift.min(least.trailing_zeros());
        let (code, shift) = match common {
            12.. => (3, 12),
            10.. => (2, 10),
            _ => (0, 0),
        };
        Self {
            code,
            shift,
            least: least >> shift,
        }
    }

    /// By how many bits numbers are shifted.
    pub(in crate::codec) fn shift(self) -> u32 {
        self.shift
    }
}

/// Appends the body of a column that refers to none, up to its numbers: which entities have a value, and
/// that each is so much above the least and told in so many bits; `None` when all are 0.
pub(in crate::codec) fn put_head(
    body: &mut Vec<u8>,
    present: impl FnOnce(&mut Vec<u8>),
    numbers: Option<(Scaled, u32)>,
) {
    let flags = numbers.map_or(STEADY, |(scaled, _)| EACH | PACKED | scaled.code);
    body.push(flags);
    present(body);
    if let Some((scaled, bits)) = numbers {
        numbers::put_packed(body, scaled.least.cast_signed(), bits);
    }
}

/// Writes the bodies of columns, one after the other, in lists that are used again.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// That of the last one.
    pub(super) body: Vec<u8>,
    deltas: Vec<i64>,
    // Those of them that are not 0, and of these what is told.
    changed: Vec<i64>,
    numbers: Vec<i64>,
    // Behind the presence bits, both ways.
    still: Vec<u8>,
    ticked: Vec<u8>,
}

impl Teller {
    /// Writes the body of a column that is gone.
    pub(super) fn encode_gone(&mut self) {
        self.body.clear();
    }

    /// Writes the body of a column that has the cells of an earlier one.
    pub(super) fn encode_copy(&mut self, of: ColumnId) {
        self.body.clear();
        put_copy(&mut self.body, of);
    }

    /// Writes the body of a column of `count` entities. `before` is what the base row says of the same
    /// places; `passed` what has passed since its tick, 0 for columns that are no times.
    pub(super) fn encode(&mut self, count: usize, column: &Column, before: &Column, passed: u64) {
        let same = column.places() == before.places();
        self.deltas.clear();
        if same {
            let pairs = before.values().iter().zip(column.values());
            self.deltas
                .extend(pairs.map(|(old, new)| difference(*old, *new)));
        } else {
            let mut old = before.cells().peekable();
            let deltas = column
                .cells()
                .map(|(place, value)| difference(value_of(&mut old, place), value));
            self.deltas.extend(deltas);
        }
        let mut still = std::mem::take(&mut self.still);
        let mut flags = self.tell(&mut still);
        let mut told = &still;
        let mut ticked = std::mem::take(&mut self.ticked);
        if passed > 0 {
            let passed = passed.cast_signed();
            let deltas = self.deltas.iter_mut();
            deltas.for_each(|delta| *delta = delta.wrapping_sub(passed));
            let ticked_flags = self.tell(&mut ticked);
            if ticked.len() < still.len() {
                (flags, told) = (ticked_flags | TICKED, &ticked);
            }
        }
        self.body.clear();
        self.body.push(flags | if same { SAME } else { 0 });
        if !same {
            put_places(&mut self.body, count, column.places());
        }
        self.body.extend_from_slice(told);
        (self.still, self.ticked) = (still, ticked);
    }

    /// The flags and the bytes of all differences of a column.
    fn tell(&mut self, out: &mut Vec<u8>) -> u8 {
        let Self {
            deltas,
            changed,
            numbers,
            ..
        } = self;
        out.clear();
        changed.clear();
        changed.extend(deltas.iter().copied().filter(|delta| *delta != 0));
        if changed.is_empty() {
            return STEADY;
        }
        let (mut flags, scale) = best_scale(&changed.iter().copied());
        if changed.len() == deltas.len() {
            flags |= EACH;
        } else {
            put_bits(out, deltas.iter().map(|delta| *delta != 0));
        }
        let repeated = || {
            let before = std::iter::once(&0).chain(&*changed);
            changed.iter().zip(before).map(|(d, b)| d == b)
        };
        // A difference is at least a byte.
        let repeats = repeated().filter(|is| *is).count() > changed.len() / 8;
        if repeats {
            flags |= REPEATS;
            put_bits(out, repeated());
        }
        let kept = changed.iter().zip(repeated());
        let kept = kept.filter(|(_, repeated)| !(repeats && *repeated));
        let kept = kept.map(|(delta, _)| *delta);
        numbers.clear();
        // To divide by what is known is to multiply.
        match scale {
            1 => numbers.extend(kept),
            1000 => numbers.extend(kept.map(|delta| delta / 1000)),
            1024 => numbers.extend(kept.map(|delta| delta / 1024)),
            4096 => numbers.extend(kept.map(|delta| delta / 4096)),
            _ => numbers.extend(kept.map(|delta| delta / scale)),
        }
        if numbers::encode(out, numbers) {
            flags |= PACKED;
        }
        flags
    }
}

/// A body whose numbers are not read yet.
#[derive(Debug)]
pub(in crate::codec) struct Body<'a> {
    flags: u8,
    // Behind the presence bits.
    rest: Reader<'a>,
    /// Which entities have a value; `None` for those of the base row.
    pub(in crate::codec) present: Option<&'a [u8]>,
}

impl<'a> Body<'a> {
    /// Reads up to the numbers of a column of `count` entities.
    pub(in crate::codec) fn read(body: &'a [u8], count: usize) -> Result<Self, Error> {
        let mut rest = Reader::new(body);
        let flags = rest.byte("a column's flags")?;
        if flags & STEADY != 0 && flags & (SCALE | REPEATS | PACKED | EACH) != 0 {
            return Err(Error::Flags(flags));
        }
        let present = if flags & SAME == 0 {
            Some(take_bits(&mut rest, count, "presence bits")?)
        } else {
            None
        };
        Ok(Self {
            flags,
            rest,
            present,
        })
    }

    /// How far all values move, when they move with the tick and no further by themselves.
    pub(in crate::codec) fn moves_by(&self, passed: u64) -> Option<u64> {
        let is_moved = self.flags & (STEADY | TICKED) == STEADY | TICKED;
        (is_moved && self.rest.remaining() == 0).then_some(passed)
    }

    /// Changes the values of the base row to those of this one; `passed` is what has passed since its
    /// tick, 0 for columns that are no times.
    pub(in crate::codec) fn change(mut self, passed: u64, values: &mut [u64]) -> Result<(), Error> {
        if self.flags & TICKED != 0 {
            let moved = values.iter_mut();
            moved.for_each(|value| *value = value.wrapping_add(passed));
        }
        if self.flags & STEADY == 0 {
            add(&mut self.rest, self.flags, values)?;
        }
        self.rest.finish("a column")
    }
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
    let body = Body::read(body, count)?;
    let cells = body.present.map_or(before.len(), ones);
    *cells_left = cells_left.checked_sub(cells).ok_or(Error::Limit("cells"))?;
    // An encoder leaves such a column out; taken in, it would cost memory for nothing.
    if cells == 0 {
        return Err(Error::Empty);
    }
    let Some(bits) = body.present else {
        let mut values = before.values().to_vec();
        body.change(passed, &mut values)?;
        return before.with_values(values).ok_or(Error::Order("cells"));
    };
    let (mut places, mut values) = (Vec::with_capacity(cells), Vec::with_capacity(cells));
    let mut old = before.cells().peekable();
    for place in places_of(bits, count) {
        places.push(place);
        values.push(value_of(&mut old, place));
    }
    body.change(passed, &mut values)?;
    Column::from_parts(before.id(), places, values).ok_or(Error::Order("cells"))
}

/// The places of so many whose bits are set.
fn places_of(bits: &[u8], count: usize) -> impl Iterator<Item = u32> {
    let all = 0..u32::try_from(count).unwrap_or(u32::MAX);
    all.filter(|place| bit(bits, *place as usize))
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

//! A chunk of rows in wire form, column by column: the rows themselves are never made.

use super::bodies::{Bodies, Written};
use super::cells::Cells;
use super::stamps::{Kept, Stamps};
use super::{ROWS, write};
use crate::catalogue::FIRST_FIELD;
use crate::codec::dense::column::{self, Values};
use crate::codec::entities::{ids, known};
use crate::codec::varint::Reader;
use crate::codec::{DENSE, Error};
use crate::limits;
use crate::model::ColumnId;

/// One row in wire form, on its way into a chunk.
#[derive(Clone, Copy, Debug)]
pub struct WireRow<'a> {
    /// See [`RowOf::offset`](crate::codec::chunk::RowOf::offset).
    pub offset: u64,
    /// Grid time, Unix ms.
    pub tick: u64,
    /// The row, in the dense codec: the first a keyframe, the others against the row before.
    pub payload: &'a [u8],
    /// True when it refers to no row.
    pub is_keyframe: bool,
}

/// Encodes rows that have been decoded before. `None` when they are not all about the same entities, or
/// cannot be read: then they have to be decoded.
pub(super) fn write(rows: &[WireRow<'_>]) -> Option<Written> {
    let (first, others) = rows.split_first()?;
    // A keyframe of nothing looks like a row about the same entities as the one before.
    if !first.is_keyframe || others.iter().any(|row| row.is_keyframe) || rows.len() > ROWS {
        return None;
    }
    let mut reader = Reader::new(first.payload);
    take_codec(&mut reader)?;
    let count = reader.size("the number of entities").ok()?.checked_sub(1)?;
    let entities = ids(&mut reader, count).ok()?;
    let mut listed = vec![Listed::read(reader)?];
    for row in others {
        let mut reader = Reader::new(row.payload);
        take_codec(&mut reader)?;
        let is_same = reader.byte("the number of entities") == Ok(0);
        listed.push(is_same.then(|| Listed::read(reader)).flatten()?);
    }
    let there = vec![super::all_rows(rows.len()); count];
    let ticks: Vec<(u64, u64)> = rows.iter().map(|row| (row.offset, row.tick)).collect();
    let mut out = Vec::new();
    write::put_head(&mut out, &ticks, &entities, &there);
    let mut columns = Columns {
        rows,
        cells: Cells::new(count, rows.len(), &[]),
        values: Values::new(count),
        stamps: Stamps::default(),
    };
    let mut bodies = Bodies::default();
    while let Some(number) = listed.iter().filter_map(Listed::number).min() {
        let Some(id) = known(number) else {
            listed.iter_mut().for_each(|row| _ = row.take(number));
            continue;
        };
        columns.gather(id, &mut listed).ok()?;
        // It may have gone with the very row that told it.
        if columns.cells.count() == 0 {
            continue;
        }
        let is_stamp = id.0 < FIRST_FIELD;
        let twin = is_stamp.then(|| columns.stamps.add(id, &columns.cells));
        match twin.flatten() {
            Some((twin, count)) => bodies.copy(id, twin, count),
            None => bodies.add(id, &columns.cells, &there, rows.len()),
        }
    }
    Some(bodies.finish(out))
}

fn take_codec(reader: &mut Reader<'_>) -> Option<()> {
    let codec = reader.varint("the codec number").ok()?;
    (codec == u64::from(DENSE)).then_some(())
}

/// The columns of one row, in turn.
struct Listed<'a> {
    rest: Reader<'a>,
    left: usize,
    // The number of the next one and its body.
    next: Option<(u64, &'a [u8])>,
}

impl<'a> Listed<'a> {
    /// From the number of columns on.
    fn read(mut rest: Reader<'a>) -> Option<Self> {
        let left = rest.size("the number of columns").ok()?;
        let fits = left <= limits::MAX_COLUMNS;
        let mut listed = Self {
            rest,
            left,
            next: None,
        };
        listed.advance();
        fits.then_some(listed)
    }

    fn advance(&mut self) {
        self.next = self.column();
    }

    fn column(&mut self) -> Option<(u64, &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let number = self.rest.varint("a column number").ok()?;
        let length = self.rest.size("a column's length").ok()?;
        Some((number, self.rest.take(length, "a column").ok()?))
    }

    fn number(&self) -> Option<u64> {
        self.next.map(|(number, _)| number)
    }

    /// The body of this column, if it is the next one.
    fn take(&mut self, number: u64) -> Option<&'a [u8]> {
        let (_, body) = self.next.filter(|(next, _)| *next == number)?;
        self.advance();
        Some(body)
    }
}

/// The columns of all rows, one after the other.
struct Columns<'a> {
    rows: &'a [WireRow<'a>],
    cells: Cells<'a>,
    /// Of the row at hand.
    values: Values,
    stamps: Stamps,
}

impl Columns<'_> {
    /// Takes the cells of a column out of all rows.
    fn gather(&mut self, id: ColumnId, listed: &mut [Listed<'_>]) -> Result<(), Error> {
        let number = u64::from(id.0);
        let bodies = listed.iter_mut().map(|row| row.take(number));
        let bodies: Vec<Option<&[u8]>> = bodies.collect();
        self.values.clear();
        // Nearly always the same entities have a value in every row.
        if self.are_even(&bodies)? {
            self.each_row(id, &bodies, |cells, values, nth| {
                if nth == 0 {
                    cells.begin_even(values.places());
                }
                cells.push_even(nth, values.values());
            })
        } else {
            self.cells.begin();
            self.each_row(id, &bodies, |cells, values, nth| {
                for (place, value) in values.each() {
                    cells.push(place, nth, value);
                }
            })?;
            self.cells.end();
            Ok(())
        }
    }

    /// Goes through the rows of a column.
    fn each_row(
        &mut self,
        id: ColumnId,
        bodies: &[Option<&[u8]>],
        mut see: impl FnMut(&mut Cells<'_>, &Values, usize),
    ) -> Result<(), Error> {
        let mut before_ms = 0;
        for ((row, body), nth) in self.rows.iter().zip(bodies).zip(0..) {
            let passed = if id.is_time() {
                row.tick.wrapping_sub(before_ms)
            } else {
                0
            };
            before_ms = row.tick;
            match body {
                None => {}
                Some([]) => self.values.clear(),
                Some(body) => match column::copied(body)? {
                    None => self.values.step(body, passed)?,
                    Some(of) => {
                        let of = self.stamps.find(of)?;
                        self.values.clear();
                        for (place, value) in of.of_row(nth) {
                            self.values.push(place, value);
                        }
                    }
                },
            }
            see(&mut self.cells, &self.values, nth);
        }
        Ok(())
    }

    /// True when the bodies say that in every row the same entities have a value.
    fn are_even(&self, bodies: &[Option<&[u8]>]) -> Result<bool, Error> {
        let whole = super::all_rows(self.rows.len());
        let mut copied: Option<&Kept> = None;
        for (body, nth) in bodies.iter().zip(0..) {
            let Some(body) = body else {
                if nth == 0 {
                    return Ok(false);
                }
                continue;
            };
            if body.is_empty() {
                return Ok(false);
            }
            if let Some(of) = column::copied(body)? {
                let of = self.stamps.find(of)?;
                // A copy after cells of its own might be of others.
                let is_alike = nth == 0 || copied.is_some_and(|one| one.having() == of.having());
                if !of.is_in_all(whole) || !is_alike {
                    return Ok(false);
                }
                copied = Some(of);
            } else if nth > 0 && !column::has_the_same(body) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

//! A chunk of rows in wire form, column by column: the rows themselves are never made.

use super::among::Among;
use super::bodies::{Bodies, Written};
use super::cells::Cells;
use super::divisor::gcd;
use super::stamps::Stamps;
use super::there::There;
use super::{ROWS, write};
use crate::catalogue::FIRST_FIELD;
use crate::codec::dense::column::{self, Moves, Values};
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

/// Encodes rows that have been decoded before. `None` when they refer to others than each to the one
/// before, or cannot be read: then they have to be decoded.
pub(super) fn write(rows: &[WireRow<'_>]) -> Option<Written> {
    let (first, others) = rows.split_first()?;
    // A keyframe of nothing looks like a row about the same entities as the one before.
    if !first.is_keyframe || others.iter().any(|row| row.is_keyframe) || rows.len() > ROWS {
        return None;
    }
    let (mut lists, mut listed) = (Vec::new(), Vec::new());
    for row in rows {
        let mut reader = Reader::new(row.payload);
        take_codec(&mut reader)?;
        let count = reader.size("the number of entities").ok()?;
        lists.push(match count.checked_sub(1) {
            None if lists.is_empty() => return None,
            None => None,
            Some(count) => Some(ids(&mut reader, count).ok()?),
        });
        listed.push(Listed::read(reader)?);
    }
    let among = Among::of(lists)?;
    let count = among.all.len();
    let ticks: Vec<(u64, u64)> = rows.iter().map(|row| (row.offset, row.tick)).collect();
    let mut out = Vec::new();
    write::put_head(&mut out, &ticks, &among.all, &among.there);
    let there = There::of(count, rows.len(), &among.there);
    let mut columns = Columns {
        rows,
        among: &among,
        there,
        bodies: Vec::with_capacity(rows.len()),
        cells: Cells::new(count, rows.len()),
        values: Values::new(count),
        moves: Moves::default(),
        stamps: Stamps::default(),
    };
    // The rows and their chunk take about as much.
    let mut bodies = Bodies::with_room(rows.iter().map(|row| row.payload.len()).sum());
    let mut next = listed.iter().map(|row| row.number).min();
    while let Some(number) = next.filter(|number| *number < NONE) {
        next = Some(columns.take(number, &mut listed));
        let Some(id) = known(number) else {
            continue;
        };
        if let Some((of, count)) = columns.whole_copy(id).ok()? {
            bodies.copy(id, of, count);
            continue;
        }
        columns.gather(id, &bodies).ok()?;
        // It may have gone with the very row that told it.
        if columns.cells.is_empty() {
            continue;
        }
        if id.0 < FIRST_FIELD {
            let (stamps, cells) = (&mut columns.stamps, &columns.cells);
            stamps.put(id, cells, there, &mut bodies);
        } else {
            bodies.add(id, &columns.cells, there);
        }
    }
    // What it took to make the bodies is not there any more when they are put together.
    drop(columns);
    Some(bodies.finish(out))
}

fn take_codec(reader: &mut Reader<'_>) -> Option<()> {
    let codec = reader.varint("the codec number").ok()?;
    (codec == u64::from(DENSE)).then_some(())
}

/// In the place of a column's number where there are no more: numbers are far lower.
const NONE: u64 = u64::MAX;

/// The columns of one row, in turn.
struct Listed<'a> {
    rest: Reader<'a>,
    left: usize,
    /// The number of the next one; [`NONE`] behind the last.
    number: u64,
    body: &'a [u8],
}

impl<'a> Listed<'a> {
    /// From the number of columns on.
    fn read(mut rest: Reader<'a>) -> Option<Self> {
        let left = rest.size("the number of columns").ok()?;
        let fits = left <= limits::MAX_COLUMNS;
        let mut listed = Self {
            rest,
            left,
            number: NONE,
            body: &[],
        };
        listed.advance();
        fits.then_some(listed)
    }

    #[inline]
    fn advance(&mut self) {
        (self.number, self.body) = self.column().unwrap_or((NONE, &[]));
    }

    #[inline]
    fn column(&mut self) -> Option<(u64, &'a [u8])> {
        self.left = self.left.checked_sub(1)?;
        let number = self.rest.varint("a column number").ok()?;
        let length = self.rest.size("a column's length").ok()?;
        Some((number, self.rest.take(length, "a column").ok()?))
    }
}

/// The columns of all rows, one after the other.
struct Columns<'a> {
    rows: &'a [WireRow<'a>],
    among: &'a Among,
    there: There<'a>,
    /// Of the column at hand, by row; `None` where it is not listed, and so as in the row before.
    bodies: Vec<Option<&'a [u8]>>,
    cells: Cells,
    /// Of the row at hand.
    values: Values,
    moves: Moves,
    stamps: Stamps,
}

impl<'a> Columns<'a> {
    /// Takes the bodies of a column out of all rows; the number of the next column.
    fn take(&mut self, number: u64, listed: &mut [Listed<'a>]) -> u64 {
        self.bodies.clear();
        let mut next = NONE;
        for row in listed {
            let mut body = None;
            if row.number == number {
                body = Some(row.body);
                row.advance();
            }
            self.bodies.push(body);
            next = next.min(row.number);
        }
        next
    }

    /// The column that this one is a copy of in every row, and how many cells that has.
    fn whole_copy(&mut self, id: ColumnId) -> Result<Option<(ColumnId, usize)>, Error> {
        let Some(Some([_, ..])) = self.bodies.first() else {
            return Ok(None);
        };
        let mut copied = None;
        for (body, nth) in self.bodies.iter().zip(0..) {
            let of = match (body, copied) {
                // The other one may have gone on.
                (None, Some(of)) if !self.stamps.find(of)?.moves_at(nth) => Some(of),
                (Some([_, ..]), _) => column::copied(body.unwrap_or_default())?,
                _ => None,
            };
            if of.is_none() || nth > 0 && of != copied {
                return Ok(None);
            }
            copied = of;
        }
        let Some(of) = copied else {
            return Ok(None);
        };
        let of = self.stamps.find(of)?;
        let (of, count) = (of.id(), of.count());
        self.stamps.add_copy(id, of);
        Ok(Some((of, count)))
    }

    /// Takes the cells of a column out of all rows. The stamps so far are in `bodies`.
    fn gather(&mut self, id: ColumnId, bodies: &Bodies) -> Result<(), Error> {
        self.values.clear();
        // Nearly always the same entities have a value in every row.
        if self.among.are_even() && self.are_even()? {
            self.gather_even(id)
        } else {
            self.gather_any(id, bodies)
        }
    }

    /// How far the tick has moved before each row, for columns of times.
    fn passed(&self, id: ColumnId) -> impl Iterator<Item = u64> + use<'a> {
        let mut before_ms = 0;
        self.rows.iter().map(move |row| {
            let passed = row.tick.wrapping_sub(before_ms);
            before_ms = row.tick;
            if id.is_time() { passed } else { 0 }
        })
    }

    /// Of a column about the same entities in every row: what has not changed is not looked at.
    fn gather_even(&mut self, id: ColumnId) -> Result<(), Error> {
        let mut rows = self.bodies.iter().zip(self.passed(id));
        if let Some((Some(body), passed)) = rows.next() {
            self.values.step(body, passed)?;
        }
        self.cells
            .begin_even(self.values.places(), self.values.values());
        let (count, mut known) = (self.values.places().len(), 0);
        for ((body, passed), step) in rows.zip(0..) {
            if let Some(body) = body {
                let see = |nth, delta| self.cells.step(nth, step, delta);
                known = gcd(known, self.moves.read(body, count, passed, see)?);
            }
        }
        self.cells.divide(known);
        Ok(())
    }

    /// Of any other.
    fn gather_any(&mut self, id: ColumnId, bodies: &Bodies) -> Result<(), Error> {
        self.cells.begin();
        for ((body, passed), nth) in self.bodies.iter().zip(self.passed(id)).zip(0..) {
            let own = self.among.row(nth);
            if let Some((moved, own)) = own.and_then(|own| Some((own.moved.as_ref()?, own))) {
                self.values.move_to(moved, own.places.len());
            }
            match body {
                None => {}
                Some([]) => self.values.clear(),
                Some(body) => match column::copied(body)? {
                    None => self.values.step(body, passed)?,
                    Some(of) => {
                        let of = self.stamps.find(of)?;
                        self.values.clear();
                        for (place, value) in of.of_row(nth, self.there, bodies) {
                            let place = own.map_or(Some(place), |own| own.place(place));
                            if let Some(place) = place {
                                self.values.push(place, value);
                            }
                        }
                    }
                },
            }
            for (place, value) in self.values.each() {
                let among_all = own.map_or(Some(&place), |own| own.places.get(place as usize));
                if let Some(place) = among_all {
                    self.cells.push(*place, nth, value);
                }
            }
        }
        self.cells.end();
        Ok(())
    }

    /// True when the bodies say that in every row the same entities have a value, and none is a copy.
    fn are_even(&self) -> Result<bool, Error> {
        for (body, nth) in self.bodies.iter().zip(0..) {
            let is_even = match body {
                None => nth > 0,
                Some([]) => false,
                Some(body) => {
                    column::copied(body)?.is_none() && (nth == 0 || column::has_the_same(body))
                }
            };
            if !is_even {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

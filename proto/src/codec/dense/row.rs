//! One row: the columns in which something happened.
//!
//! ```text
//! row      := 2:varint  entities  columns:varint  column*
//! entities := 0 | count+1:varint  first:varint  gap:varint*
//! column   := number:varint  length:varint  body
//! ```
//!
//! Entities 0 means those of the row that this one refers to, none in a keyframe. A column of that
//! row that is not listed is as it was: the same entities have the same values, as far as they are
//! still there. One with the length 0 is gone.

mod walk;

use std::borrow::Cow;
use std::iter::Peekable;

use super::column;
use crate::codec::entities::{Wanted, first, ids, moved, next, put_ids};
use crate::codec::row::Timed;
use crate::codec::varint::{Reader, put};
use crate::codec::{DENSE, Error};
use crate::model::{Column, ColumnId, Snapshot};

pub(in crate::codec) use walk::{Onto, walk};

/// Encodes a row as differences to `base`, or as a keyframe.
pub(in crate::codec) fn encode(base: Option<Timed<'_>>, row: Timed<'_>) -> Vec<u8> {
    let old = base.map(|base| base.snapshot);
    let entities = row.snapshot.entities();
    let moved = (old.map(Snapshot::entities) != Some(entities))
        .then(|| moved(old.map_or(&[][..], Snapshot::entities), entities));
    let (mut listed, mut bodies) = (0_u64, Vec::new());
    let mut teller = column::Teller::default();
    let (mut olds, mut news) = (
        old.map_or(&[][..], Snapshot::columns),
        row.snapshot.columns(),
    );
    while let Some(id) = first(olds).into_iter().chain(first(news)).min() {
        let before = next(&mut olds, id).and_then(|column| still_there(column, moved.as_deref()));
        let now = next(&mut news, id);
        match (now, before) {
            (Some(one), Some(before)) if *one == *before => continue,
            (Some(one), before) => {
                if let Some(of) = twin(row.snapshot, one) {
                    teller.encode_copy(of);
                } else {
                    let before = before.unwrap_or_else(|| Cow::Owned(Column::empty(id)));
                    let passed = passed(id, base, row.tick_ms);
                    teller.encode(entities.len(), one, &before, passed);
                }
            }
            (None, Some(_)) => teller.encode_gone(),
            // It goes by itself with the last of its entities.
            (None, None) => continue,
        }
        listed += 1;
        put(&mut bodies, u64::from(id.0));
        put(&mut bodies, teller.body.len() as u64);
        bodies.extend_from_slice(&teller.body);
    }
    let mut out = Vec::with_capacity(bodies.len() + 8);
    put(&mut out, u64::from(DENSE));
    if entities == old.map_or(&[][..], Snapshot::entities) {
        put(&mut out, 0);
    } else {
        put(&mut out, entities.len() as u64 + 1);
        put_ids(&mut out, entities);
    }
    put(&mut out, listed);
    out.extend_from_slice(&bodies);
    out
}

/// Reads the head of a row: how many entities it lists, `None` for those of the base row.
pub(in crate::codec) fn head<'a>(payload: &'a [u8]) -> Result<(Reader<'a>, Option<usize>), Error> {
    let mut reader = Reader::new(payload);
    let codec = reader.varint("the codec number")?;
    if codec != u64::from(DENSE) {
        return Err(Error::Codec(codec));
    }
    let count = reader.size("the number of entities")?.checked_sub(1);
    Ok((reader, count))
}

/// Decodes a row and takes its cells off what is left. Of its columns those that are wanted.
pub(in crate::codec) fn decode(
    base: Option<Timed<'_>>,
    tick_ms: u64,
    payload: &[u8],
    wanted: &Wanted<'_>,
    cells_left: &mut usize,
) -> Result<Snapshot, Error> {
    let (mut reader, listed) = head(payload)?;
    let old = base.map(|base| base.snapshot);
    let same = old.map_or(&[][..], Snapshot::entities);
    let entities = match listed {
        None => same.to_vec(),
        Some(count) => ids(&mut reader, count)?,
    };
    let columns = old.map_or(&[][..], Snapshot::columns).iter();
    let mut kept = Kept {
        before: columns.filter(|column| wanted.has(column.id())).peekable(),
        moved: (same != entities).then(|| moved(same, &entities)),
        entities: entities.len(),
        passed: tick_ms.wrapping_sub(base.map_or(0, |base| base.tick_ms)),
        columns: Vec::with_capacity(old.map_or(0, |old| old.columns().len())),
        cells_left,
    };
    walk(reader, wanted, &mut kept)?;
    Snapshot::from_parts(entities, kept.columns).ok_or(Error::Order("columns"))
}

/// The columns of a row that is being decoded.
struct Kept<'a, 'b, I: Iterator<Item = &'b Column>> {
    /// What is left of the base row.
    before: Peekable<I>,
    /// Where the entities of the base row stand now; `None` where they stood.
    moved: Option<Vec<Option<u32>>>,
    entities: usize,
    /// Since the tick of the base row, ms.
    passed: u64,
    columns: Vec<Column>,
    cells_left: &'a mut usize,
}

impl<'b, I: Iterator<Item = &'b Column>> Kept<'_, 'b, I> {
    fn push(&mut self, column: Column) -> Result<(), Error> {
        let left = self.cells_left.checked_sub(column.len());
        *self.cells_left = left.ok_or(Error::Limit("cells"))?;
        self.columns.push(column);
        Ok(())
    }
}

impl<'b, I: Iterator<Item = &'b Column>> Onto for Kept<'_, 'b, I> {
    fn next(&mut self) -> Option<ColumnId> {
        self.before.peek().map(|column| column.id())
    }

    fn keep(&mut self) -> Result<(), Error> {
        let kept = self.before.next();
        match kept.and_then(|column| still_there(column, self.moved.as_deref())) {
            Some(kept) => self.push(kept.into_owned()),
            None => Ok(()),
        }
    }

    fn leave(&mut self, id: ColumnId) {
        self.before.next_if(|column| column.id() == id);
    }

    /// Times alone may be copied: they are known to every version and read whatever is wanted.
    fn copy(&mut self, id: ColumnId, of: u64) -> Result<(), Error> {
        let mut times = self.columns.iter().filter(|one| one.id().is_time());
        let of = times
            .find(|one| u64::from(one.id().0) == of)
            .filter(|_| id.is_time());
        let copy = of.map(|of| of.renamed(id));
        self.push(copy.ok_or(Error::Range("the column that is copied"))?)
    }

    fn change(&mut self, id: ColumnId, body: &[u8]) -> Result<(), Error> {
        let before = self.before.next_if(|column| column.id() == id);
        let there = before.and_then(|column| still_there(column, self.moved.as_deref()));
        let before = there.unwrap_or_else(|| Cow::Owned(Column::empty(id)));
        let passed = if id.is_time() { self.passed } else { 0 };
        let column = column::decode(body, self.entities, &before, passed, self.cells_left)?;
        self.columns.push(column);
        Ok(())
    }
}

/// An earlier column with the same cells. Looked for among the times alone.
fn twin(row: &Snapshot, column: &Column) -> Option<ColumnId> {
    let id = column.id();
    if !id.is_time() {
        return None;
    }
    let mut earlier = row.columns().iter().take_while(|one| one.id() < id);
    let twin = earlier.find(|one| one.id().is_time() && one.has_cells_of(column));
    twin.map(Column::id)
}

/// What of a column of the base row is there among other entities; `moved` says where those of the
/// base row stand now, `None` where they stood.
fn still_there<'a>(column: &'a Column, moved: Option<&[Option<u32>]>) -> Option<Cow<'a, Column>> {
    let Some(moved) = moved else {
        return Some(Cow::Borrowed(column));
    };
    let (mut places, mut values) = (Vec::new(), Vec::new());
    for (old, value) in column.cells() {
        if let Some(place) = moved.get(old as usize).copied().flatten() {
            places.push(place);
            values.push(value);
        }
    }
    let left = Column::from_parts(column.id(), places, values);
    left.filter(|column| !column.is_empty()).map(Cow::Owned)
}

/// How far the tick has moved since the base row, for columns of times: most measurements of
/// sources that read at every tick move with it.
fn passed(id: ColumnId, base: Option<Timed<'_>>, tick_ms: u64) -> u64 {
    let before = base.map_or(0, |base| base.tick_ms);
    if id.is_time() {
        tick_ms.wrapping_sub(before)
    } else {
        0
    }
}

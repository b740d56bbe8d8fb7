//! One entity in rows that follow each other: some of its cells, and nothing of the other entities.
//!
//! A row costs a look at its directory and at the few columns that are followed, however many entities
//! it has, as long as they are those of the row before. Nothing is copied out of the rows then.

use std::borrow::Cow;

use super::column::{self, Cell, decode_one};
use crate::catalogue::Group;
use crate::codec::bits::bit;
use crate::codec::entities::{ids, known, moved};
use crate::codec::varint::Reader;
use crate::codec::{DENSE, Error};
use crate::limits;
use crate::model::{ColumnId, EntityId};

/// What is followed of entities.
#[derive(Clone, Debug)]
pub struct Followed {
    // Rising.
    columns: Vec<ColumnId>,
}

impl Followed {
    /// These columns. The times are followed too, since a column may be a copy of any of them.
    #[must_use]
    pub fn of(wanted: &[ColumnId]) -> Self {
        let times = Group::ALL.iter().copied().map(ColumnId::time);
        let mut columns: Vec<ColumnId> = wanted.iter().copied().chain(times).collect();
        columns.retain(|id| known(u64::from(id.0)).is_some());
        columns.sort_unstable();
        columns.dedup();
        Self { columns }
    }

    /// Where a column is among those that are followed.
    #[must_use]
    pub fn position(&self, id: ColumnId) -> Option<usize> {
        self.columns.binary_search(&id).ok()
    }
}

/// Follows one entity.
#[derive(Debug)]
pub struct Track<'a> {
    entity: EntityId,
    followed: &'a Followed,
    // Of the last row.
    tick_ms: u64,
    // The list of entities, where it was told last.
    entities: Reader<'a>,
    count: usize,
    place: Option<usize>,
    // One for each column that is followed.
    cells: Vec<Option<Cell<'a>>>,
}

impl<'a> Track<'a> {
    /// Begins without a row.
    #[must_use]
    pub fn new(entity: EntityId, followed: &'a Followed) -> Self {
        Self {
            entity,
            followed,
            tick_ms: 0,
            entities: Reader::new(&[]),
            count: 0,
            place: None,
            cells: vec![None; followed.columns.len()],
        }
    }

    /// Goes to a row that refers to the one before, or to a keyframe. Both have been decoded as a whole
    /// before: of others anything may be read, or nothing.
    ///
    /// # Errors
    ///
    /// When the payload says something that cannot be followed.
    pub fn step(
        &mut self,
        is_keyframe: bool,
        tick_ms: u64,
        payload: &'a [u8],
    ) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let codec = reader.varint("the codec number")?;
        if codec != u64::from(DENSE) {
            return Err(Error::Codec(codec));
        }
        if is_keyframe {
            self.tick_ms = 0;
            self.cells.fill_with(|| None);
            (self.entities, self.count, self.place) = (Reader::new(&[]), 0, None);
        }
        if let Some(count) = reader.size("the number of entities")?.checked_sub(1) {
            self.be_among(&mut reader, count)?;
        }
        let count = reader.size("the number of columns")?;
        if count > limits::MAX_COLUMNS {
            return Err(Error::Limit("columns"));
        }
        let passed = tick_ms.wrapping_sub(self.tick_ms);
        self.tick_ms = tick_ms;
        let (columns, mut next) = (&self.followed.columns, 0);
        for _ in 0..count {
            let number = reader.varint("a column number")?;
            let length = reader.size("a column's length")?;
            let body = reader.take(length, "a column")?;
            // Both rise, and behind the last one that is followed nothing is.
            let is_before = |id: &&ColumnId| u64::from(id.0) < number;
            while columns.get(next).filter(is_before).is_some() {
                next += 1;
            }
            match columns.get(next) {
                Some(id) if u64::from(id.0) == number => self.column(next, *id, body, passed)?,
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    }

    fn column(
        &mut self,
        at: usize,
        id: ColumnId,
        body: &'a [u8],
        passed: u64,
    ) -> Result<(), Error> {
        let told = if body.is_empty() {
            None
        } else if let Some(of) = column::copied(body)? {
            let of = u16::try_from(of).ok().map(ColumnId);
            let of = of.and_then(|of| self.cells.get(self.followed.position(of)?)?.clone());
            Some(of.ok_or(Error::Range("the column that is copied"))?)
        } else {
            let Some(cell) = self.cells.get_mut(at) else {
                return Ok(());
            };
            let passed = if id.is_time() { passed } else { 0 };
            return decode_one(body, (self.count, self.place), cell, passed);
        };
        if let Some(cell) = self.cells.get_mut(at) {
            *cell = told;
        }
        Ok(())
    }

    /// The row is about so many entities, which are listed next.
    fn be_among(&mut self, reader: &mut Reader<'a>, count: usize) -> Result<(), Error> {
        let before = (self.entities, self.count);
        (self.entities, self.count) = (*reader, count);
        if before.1 == 0 {
            self.place = super::chunk::place_of(reader, count, self.entity)?;
            return Ok(());
        }
        self.move_cells(before, &ids(reader, count)?)
    }

    /// Columns keep the cells of those that stay.
    #[cold]
    fn move_cells(
        &mut self,
        (mut before, count): (Reader<'a>, usize),
        entities: &[EntityId],
    ) -> Result<(), Error> {
        let moved = moved(&ids(&mut before, count)?, entities);
        let was_there = self.place.is_some();
        self.place = entities.binary_search(&self.entity).ok();
        let stays = was_there && self.place.is_some();
        for slot in &mut self.cells {
            let Some(cell) = slot else { continue };
            let (mut there, mut count) = (vec![0_u8; entities.len().div_ceil(8)], 0);
            for (old, new) in moved.iter().enumerate() {
                let new = new.filter(|_| bit(&cell.there, old));
                let new = new.and_then(|new| Some((new, there.get_mut(new as usize / 8)?)));
                if let Some((new, byte)) = new {
                    *byte |= 1 << (new % 8);
                    count += 1;
                }
            }
            let moved = Cell {
                there: Cow::Owned(there),
                count,
                value: cell.value.filter(|_| stays),
            };
            *slot = (count > 0).then_some(moved);
        }
        Ok(())
    }

    /// True when the entity is in the row.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.place.is_some()
    }

    /// Its cell in a column that is followed.
    #[must_use]
    pub fn value(&self, id: ColumnId) -> Option<u64> {
        self.value_at(self.followed.position(id)?)
    }

    /// Its cell in the column at a place among those that are followed.
    #[must_use]
    pub fn value_at(&self, at: usize) -> Option<u64> {
        self.cells.get(at)?.as_ref()?.value
    }
}

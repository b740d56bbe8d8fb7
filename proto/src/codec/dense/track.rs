//! One entity in rows that follow each other: some of its cells, and nothing of the other entities.
//!
//! A row costs a look at its directory and at the few columns that are followed, however many entities
//! it has, as long as they are those of the row before.

use std::rc::Rc;

use super::column::{self, Cell, decode_one};
use crate::catalogue::Group;
use crate::codec::bits::bit;
use crate::codec::entities::{ids, known, moved};
use crate::codec::varint::Reader;
use crate::codec::{DENSE, Error};
use crate::limits;
use crate::model::{ColumnId, EntityId};

/// Follows one entity.
#[derive(Debug)]
pub struct Track {
    entity: EntityId,
    // Rising.
    wanted: Vec<ColumnId>,
    // Of the last row.
    tick_ms: u64,
    entities: Vec<EntityId>,
    place: Option<usize>,
    // Rising.
    columns: Vec<(ColumnId, Cell)>,
}

impl Track {
    /// Follows these columns of an entity. The times are followed too, since a column may be a copy of
    /// any of them.
    #[must_use]
    pub fn new(entity: EntityId, wanted: &[ColumnId]) -> Self {
        let times = Group::ALL.iter().copied().map(ColumnId::time);
        let mut wanted: Vec<ColumnId> = wanted.iter().copied().chain(times).collect();
        wanted.retain(|id| known(u64::from(id.0)).is_some());
        wanted.sort_unstable();
        Self {
            entity,
            wanted,
            tick_ms: 0,
            entities: Vec::new(),
            place: None,
            columns: Vec::new(),
        }
    }

    /// Goes to a row that refers to the one before, or to a keyframe. Both have been decoded as a whole
    /// before: of others anything may be read, or nothing.
    ///
    /// # Errors
    ///
    /// When the payload says something that cannot be followed.
    pub fn step(&mut self, is_keyframe: bool, tick_ms: u64, payload: &[u8]) -> Result<(), Error> {
        let mut reader = Reader::new(payload);
        let codec = reader.varint("the codec number")?;
        if codec != u64::from(DENSE) {
            return Err(Error::Codec(codec));
        }
        if is_keyframe {
            self.tick_ms = 0;
            self.columns.clear();
            self.be_among(Vec::new());
        }
        if let Some(count) = reader.size("the number of entities")?.checked_sub(1) {
            self.be_among(ids(&mut reader, count)?);
        }
        let count = reader.size("the number of columns")?;
        if count > limits::MAX_COLUMNS {
            return Err(Error::Limit("columns"));
        }
        let passed = tick_ms.wrapping_sub(self.tick_ms);
        self.tick_ms = tick_ms;
        let mut next = 0;
        for _ in 0..count {
            let number = reader.varint("a column number")?;
            let length = reader.size("a column's length")?;
            let body = reader.take(length, "a column")?;
            // Both rise, and behind the last one that is wanted nothing is.
            let is_before = |id: &&ColumnId| u64::from(id.0) < number;
            while self.wanted.get(next).filter(is_before).is_some() {
                next += 1;
            }
            match self.wanted.get(next) {
                Some(id) if u64::from(id.0) == number => self.column(*id, body, passed)?,
                Some(_) => {}
                None => break,
            }
        }
        Ok(())
    }

    fn column(&mut self, id: ColumnId, body: &[u8], passed: u64) -> Result<(), Error> {
        let at = self.columns.binary_search_by_key(&id, |(id, _)| *id);
        if body.is_empty() {
            if let Ok(at) = at {
                self.columns.remove(at);
            }
            return Ok(());
        }
        let cell = if let Some(of) = column::copied(body)? {
            let mut all = self.columns.iter();
            let of = all.find(|(id, _)| u64::from(id.0) == of);
            of.ok_or(Error::Range("the column that is copied"))?
                .1
                .clone()
        } else {
            let before = at.ok().and_then(|at| self.columns.get(at));
            let before = before.map(|(_, cell)| cell.clone());
            let passed = if id.is_time() { passed } else { 0 };
            decode_one(body, self.entities.len(), self.place, before, passed)?
        };
        match at.map(|at| self.columns.get_mut(at)) {
            Ok(Some((_, slot))) => *slot = cell,
            Ok(None) => {}
            Err(at) => self.columns.insert(at, (id, cell)),
        }
        Ok(())
    }

    /// The row is about these entities: columns keep the cells of those that stay.
    fn be_among(&mut self, entities: Vec<EntityId>) {
        let moved = moved(&self.entities, &entities);
        let bytes = entities.len().div_ceil(8);
        self.place = entities.binary_search(&self.entity).ok();
        let was_there = self.entities.binary_search(&self.entity).is_ok();
        let stays = was_there && self.place.is_some();
        self.entities = entities;
        self.columns.retain_mut(|(_, cell)| {
            let (mut there, mut count) = (vec![0_u8; bytes], 0);
            for (old, new) in moved.iter().enumerate() {
                let new = new.filter(|_| bit(&cell.there, old));
                let new = new.and_then(|new| Some((new, there.get_mut(new as usize / 8)?)));
                if let Some((new, byte)) = new {
                    *byte |= 1 << (new % 8);
                    count += 1;
                }
            }
            *cell = Cell {
                there: Rc::from(there),
                count,
                value: cell.value.filter(|_| stays),
            };
            count > 0
        });
    }

    /// True when the entity is in the row.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.place.is_some()
    }

    /// Its cell in a column that is followed.
    #[must_use]
    pub fn value(&self, id: ColumnId) -> Option<u64> {
        let at = self.columns.binary_search_by_key(&id, |(id, _)| *id);
        self.columns.get(at.ok()?)?.1.value
    }
}

//! The row after one, of the same entities.

use std::sync::Arc;

use super::draft::Draft;
use super::{ALL, Column, Slim, bit};
use crate::codec::Error;
use crate::codec::bits;
use crate::codec::dense::column::Body;
use crate::codec::dense::row::{Onto, head, walk};
use crate::codec::entities::Wanted;
use crate::limits;
use crate::model::ColumnId;

/// Decodes the row after `base`, which is kept with its tick; `None` when it is in another codec, or
/// lists its entities.
pub(super) fn decode(
    base: (u64, &Slim),
    tick_ms: u64,
    payload: &[u8],
) -> Option<Result<Slim, Error>> {
    let (before_ms, base) = base;
    let Ok((reader, None)) = head(payload) else {
        return None;
    };
    Some(Draft::with(base.entities.len(), |draft| {
        draft.reserve(base.values.len());
        let mut next = Next {
            base,
            left: &base.columns,
            sets: vec![ALL; base.sets.len() / base.words().max(1)],
            passed: tick_ms.wrapping_sub(before_ms),
            cells_left: limits::MAX_CELLS,
            values: Vec::with_capacity(base.entities.len()),
            draft,
        };
        walk(reader, &Wanted::of(None), &mut next)?;
        Ok(next.draft.finish(Arc::clone(&base.entities)))
    }))
}

/// A row on its way.
struct Next<'a> {
    base: &'a Slim,
    /// Columns of the base row.
    left: &'a [Column],
    /// What the sets of the base row are in this one; `ALL` for one that no column had so far.
    sets: Vec<u16>,
    /// Since the tick of the base row, ms.
    passed: u64,
    cells_left: usize,
    /// Of the column at hand.
    values: Vec<u64>,
    draft: &'a mut Draft,
}

impl<'a> Next<'a> {
    /// Takes the next column of the base row, if it is this one.
    fn take(&mut self, id: ColumnId) -> Option<&'a Column> {
        let (first, behind) = self.left.split_first()?;
        if first.id != id {
            return None;
        }
        self.left = behind;
        Some(first)
    }

    fn count(&mut self, cells: usize) -> Result<(), Error> {
        let left = self.cells_left.checked_sub(cells);
        self.cells_left = left.ok_or(Error::Limit("cells"))?;
        Ok(())
    }

    /// What a set of the base row is in this one.
    fn set(&mut self, set: u16) -> u16 {
        let Some(words) = self.base.set(set) else {
            return ALL;
        };
        match self.sets.get_mut(usize::from(set)) {
            Some(now) if *now != ALL => *now,
            Some(now) => {
                *now = self.draft.seek(|own| own.copy_from_slice(words));
                *now
            }
            None => ALL,
        }
    }

    /// Takes a column of the base row over, with so much more in each of its values.
    fn carry(&mut self, column: &Column, count: usize, least: u64) {
        let carried = Column {
            set: self.set(column.set),
            least,
            at: 0,
            ..*column
        };
        self.draft.carry(carried, self.base.bytes_of(column, count));
    }

    /// What the base row has of the places that have a value in this one, and their set.
    fn move_to(&mut self, bits: &[u8], before: Option<&Column>) -> u16 {
        let entities = self.base.entities.len();
        let there = before.map(|column| self.base.set(column.set));
        let was_there = |place| match there {
            None => false,
            Some(None) => true,
            Some(Some(words)) => bit(words, place),
        };
        let mut nth = 0;
        self.values.clear();
        for place in 0..entities {
            let was = before.filter(|_| was_there(place));
            if bits::bit(bits, place) {
                let value = was.map_or(0, |column| self.base.value(column, nth));
                self.values.push(value);
            }
            nth += usize::from(was.is_some());
        }
        if self.values.len() == entities {
            return ALL;
        }
        self.draft.seek(|words| {
            for (word, at) in words.iter_mut().zip((0..).step_by(8)) {
                *word = bits::word(bits, at);
            }
        })
    }
}

impl Onto for Next<'_> {
    fn next(&mut self) -> Option<ColumnId> {
        self.left.first().map(|column| column.id)
    }

    fn keep(&mut self) -> Result<(), Error> {
        let Some((column, behind)) = self.left.split_first() else {
            return Ok(());
        };
        self.left = behind;
        let count = self.base.size(column.set);
        self.count(count)?;
        self.carry(column, count, column.least);
        Ok(())
    }

    fn leave(&mut self, id: ColumnId) {
        self.take(id);
    }

    fn copy(&mut self, id: ColumnId, of: u64) -> Result<(), Error> {
        let mut times = self.draft.columns().iter().filter(|one| one.id.is_time());
        let of = times.find(|one| u64::from(one.id.0) == of);
        let of = of.filter(|_| id.is_time());
        let copy = Column {
            id,
            ..*of.ok_or(Error::Range("the column that is copied"))?
        };
        self.count(self.draft.count(copy.set))?;
        self.draft.again(copy);
        Ok(())
    }

    fn change(&mut self, id: ColumnId, body: &[u8]) -> Result<(), Error> {
        let before = self.take(id);
        let passed = if id.is_time() { self.passed } else { 0 };
        let body = Body::read(body, self.base.entities.len())?;
        let before_count = before.map_or(0, |column| self.base.size(column.set));
        let cells = body.present.map_or(before_count, bits::ones);
        self.count(cells)?;
        if cells == 0 {
            return Err(Error::Empty);
        }
        let set = match (body.present, before) {
            (Some(bits), before) => self.move_to(bits, before),
            (None, Some(column)) => {
                // As far as nothing goes round, all of them move alike.
                let most = column.least.checked_add(column.mask() << column.shift);
                let moved = body.moves_by(passed);
                if let Some(moved) = moved
                    .filter(|moved| most.is_some_and(|most| most.checked_add(*moved).is_some()))
                {
                    self.carry(column, cells, column.least.wrapping_add(moved));
                    return Ok(());
                }
                self.values.clear();
                self.base.read(column, cells, &mut self.values);
                self.set(column.set)
            }
            (None, None) => return Err(Error::Empty),
        };
        body.change(passed, &mut self.values)?;
        self.draft.put(id, set, &self.values);
        Ok(())
    }
}

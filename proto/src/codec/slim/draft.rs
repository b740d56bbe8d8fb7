//! A row that is being put together. What it is put together in stays for the next one.

use std::cell::Cell;
use std::sync::Arc;

use super::{ALL, Column, SETS, Slim, ones};
use crate::catalogue::FIRST_FIELD;
use crate::model::{self, ColumnId, EntityId};

/// The values of a row are kept in a multiple of so many bytes. From row to row they are some more or
/// some fewer, and each row takes the place of the one before: places of a few sizes are filled again
/// and again, while those of any size were filled by something smaller, and the rest stayed empty.
const VALUES_STEP: usize = 512;

/// A thread keeps no larger lists than these, in bytes, for the next row: a node of some hundred pods.
const KEPT_BYTES: usize = 256 << 10;

thread_local! {
    /// Rows come by the thousand, and each would take and leave four pieces of memory.
    static LAST: Cell<Draft> = Cell::default();
}

fn let_go_of_large<T>(list: &mut Vec<T>) {
    if list.capacity() * size_of::<T>() > KEPT_BYTES {
        *list = Vec::new();
    }
}

/// The parts of a row, as far as they have come.
#[derive(Debug, Default)]
pub(super) struct Draft {
    entities: usize,
    sets: Vec<u64>,
    columns: Vec<Column>,
    values: Vec<u8>,
    // The set that is looked for.
    sought: Vec<u64>,
}

impl Draft {
    /// Puts a row of so many entities together.
    pub(super) fn with<T>(entities: usize, make: impl FnOnce(&mut Self) -> T) -> T {
        let mut draft = LAST.take();
        draft.entities = entities;
        draft.sets.clear();
        draft.columns.clear();
        draft.values.clear();
        let made = make(&mut draft);
        let_go_of_large(&mut draft.values);
        let_go_of_large(&mut draft.sets);
        LAST.set(draft);
        made
    }

    /// Makes room for values of so many bytes in all.
    pub(super) fn reserve(&mut self, bytes: usize) {
        self.values.reserve(bytes);
    }

    /// The row. Each list is a copy of the right size, as cutting off what is too much would leave a
    /// sliver.
    pub(super) fn finish(&self, entities: Arc<[EntityId]>) -> Slim {
        let length = self.values.len().next_multiple_of(VALUES_STEP);
        let mut values = Vec::with_capacity(length);
        values.extend_from_slice(&self.values);
        values.resize(length, 0);
        Slim {
            entities,
            sets: self.sets.as_slice().into(),
            columns: self.columns.as_slice().into(),
            values: values.into(),
        }
    }

    /// How many places a set has.
    pub(super) fn count(&self, set: u16) -> usize {
        let words = self.entities.div_ceil(64).max(1);
        let own = self.sets.chunks_exact(words).nth(usize::from(set));
        own.map_or(self.entities, ones)
    }

    /// The columns so far.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Adds a column.
    pub(super) fn add(&mut self, column: &model::Column) {
        let set = if column.places().len() == self.entities {
            ALL
        } else {
            self.seek(|words| {
                for place in column.places() {
                    if let Some(word) = words.get_mut(*place as usize / 64) {
                        *word |= 1 << (place % 64);
                    }
                }
            })
        };
        self.put(column.id(), set, column.values());
    }

    /// Adds a column of a set that is known.
    pub(super) fn put(&mut self, id: ColumnId, set: u16, all: &[u64]) {
        let least = all.iter().copied().min().unwrap_or(0);
        let bits = all.iter().fold(0, |bits, value| bits | (value - least));
        let shift = if bits == 0 { 0 } else { bits.trailing_zeros() };
        let width = (u64::BITS - (bits >> shift).leading_zeros()).div_ceil(8);
        let from = self.values.len();
        let column = Column {
            id,
            set,
            width: u8::try_from(width).unwrap_or(8),
            shift: u8::try_from(shift).unwrap_or(0),
            at: 0,
            least,
        };
        let width = usize::from(column.width);
        self.values.resize(from + all.len() * width, 0);
        let bytes = self.values.get_mut(from..).unwrap_or_default();
        match column.width {
            0 => {}
            1 => column.narrow::<1>(all, bytes),
            2 => column.narrow::<2>(all, bytes),
            3 => column.narrow::<3>(all, bytes),
            4 => column.narrow::<4>(all, bytes),
            5 => column.narrow::<5>(all, bytes),
            6 => column.narrow::<6>(all, bytes),
            7 => column.narrow::<7>(all, bytes),
            _ => column.narrow::<8>(all, bytes),
        }
        self.place(column, from);
    }

    /// Adds a column whose values have these bytes.
    pub(super) fn carry(&mut self, column: Column, bytes: &[u8]) {
        let from = self.values.len();
        self.values.extend_from_slice(bytes);
        self.place(column, from);
    }

    /// Adds one with the cells of another that is there.
    pub(super) fn again(&mut self, column: Column) {
        let at = match column.width {
            0 => self.end(),
            _ => column.at,
        };
        self.columns.push(Column { at, ..column });
    }

    /// Adds a column whose values stand from here on; those of a stamp that an earlier one has too are
    /// taken away again, since groups that one pass measures share theirs.
    fn place(&mut self, column: Column, from: usize) {
        let twin = self.twin(&column, from);
        if twin.is_some() {
            self.values.truncate(from);
        }
        let at = twin.unwrap_or(u32::try_from(from).unwrap_or(u32::MAX));
        self.columns.push(Column { at, ..column });
    }

    fn end(&self) -> u32 {
        u32::try_from(self.values.len()).unwrap_or(u32::MAX)
    }

    /// Where the values of a stamp stand that has those behind `from`.
    fn twin(&self, column: &Column, from: usize) -> Option<u32> {
        if column.width == 0 || column.id.0 >= FIRST_FIELD {
            return None;
        }
        let own = self.values.get(from..)?;
        let is_alike = |one: &&Column| {
            let as_there = Column {
                id: column.id,
                at: column.at,
                ..**one
            };
            let at = one.at as usize;
            as_there == *column && self.values.get(at..at + own.len()) == Some(own)
        };
        self.columns.iter().find(is_alike).map(|one| one.at)
    }

    /// The set with these words, which are zeros before: one that is there already, or a new one.
    pub(super) fn seek(&mut self, fill: impl FnOnce(&mut [u64])) -> u16 {
        let words = self.entities.div_ceil(64).max(1);
        self.sought.clear();
        self.sought.resize(words, 0);
        fill(&mut self.sought);
        let mut known = self.sets.chunks_exact(words);
        let known = known.position(|set| set == self.sought);
        let at = known.unwrap_or_else(|| {
            if self.sets.is_empty() {
                self.sets.reserve(SETS * words);
            }
            self.sets.extend_from_slice(&self.sought);
            self.sets.len() / words - 1
        });
        // A row has fewer columns than that.
        u16::try_from(at).unwrap_or(ALL)
    }
}

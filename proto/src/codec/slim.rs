//! A row in little memory, each of its cells at hand: what who takes rows in keeps of the last one, which
//! the next refers to and what is asked most is about. The next one is read in its place.
//!
//! A column's values are kept as what they have above the least of them, without the low bits that
//! none of them has, in as many bytes as the largest of these needs. So a column of which all values
//! are the same has none.

mod draft;
mod keyframe;
mod next;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Error;
use super::bits::word;
use super::row::{self, Timed};
use crate::catalogue::FIRST_FIELD;
use crate::limits;
use crate::model::{self, ColumnId, EntityId, Snapshot};
use draft::Draft;

/// What it is counted as beside its lists.
const OWN_BYTES: usize = size_of::<Slim>() + 64;

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub struct Slim {
    entities: Arc<[EntityId]>,
    // Bits of the places with a cell, so many words for each of the sets that columns have; columns of
    // every entity have none.
    sets: Box<[u64]>,
    // Rising by id.
    columns: Box<[Column]>,
    // The values of one column after the other, and nothing up to the next `VALUES_STEP`.
    values: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Column {
    id: ColumnId,
    // Which set of places; `ALL` for every entity.
    set: u16,
    // Bytes of a value.
    width: u8,
    // Low bits that are left out.
    shift: u8,
    // Where its values begin.
    at: u32,
    least: u64,
}

/// Rows have seldom more sets of places than this.
const SETS: usize = 16;

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// The set of every entity.
const ALL: u16 = u16::MAX;

/// What a row has, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Cells, stamps too.
    pub cells: usize,
    /// Cells of fields.
    pub samples: usize,
    /// Bytes of the row as the [`Snapshot`] that [`Slim::row`] gives, in which columns share their places.
    pub bytes: usize,
}

impl Slim {
    /// Of a row.
    #[must_use]
    pub fn of(row: &Snapshot) -> Self {
        Draft::with(row.entities().len(), |draft| {
            row.columns().iter().for_each(|column| draft.add(column));
            draft.finish(row.entities().into())
        })
    }

    /// Decodes a row of a tick; `base` is the row that it refers to and that one's tick, `None` for a
    /// keyframe. The same as [`row::decode`] gives, without that row in between when both are about the
    /// same entities: what did not change is copied as it is, and nothing is made anew.
    ///
    /// # Errors
    ///
    /// Those of [`row::decode`].
    pub fn decode(base: Option<(u64, &Slim)>, tick_ms: u64, payload: &[u8]) -> Result<Self, Error> {
        if payload.len() > limits::MAX_ROW_BYTES {
            return Err(Error::Limit("bytes in a row"));
        }
        if let Some(base) = base
            && let Some(decoded) = next::decode(base, tick_ms, payload)
        {
            return decoded;
        }
        let before = base.map(|(tick_ms, slim)| (tick_ms, slim.row()));
        let timed = before.as_ref().map(|(tick_ms, snapshot)| Timed {
            tick_ms: *tick_ms,
            snapshot,
        });
        let decoded = row::decode(timed, tick_ms, payload)?;
        Ok(Self::of(&decoded))
    }

    /// The entities that are there, rising.
    #[must_use]
    pub fn entities(&self) -> &Arc<[EntityId]> {
        &self.entities
    }

    /// Bytes that it takes, the list of its entities included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        OWN_BYTES
            + size_of_val(&*self.entities)
            + size_of_val(&*self.sets)
            + size_of_val(&*self.columns)
            + self.values.len()
    }

    /// What it has.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts {
            bytes: size_of_val(&*self.columns) / size_of::<Column>() * size_of::<model::Column>()
                + size_of_val(&*self.entities),
            ..Counts::default()
        };
        let mut before = None;
        for column in &self.columns {
            let cells = self.size(column.set);
            counts.cells += cells;
            counts.samples += if column.id.0 < FIRST_FIELD { 0 } else { cells };
            counts.bytes += cells * WORD;
            if before.replace(column.set) != Some(column.set) {
                counts.bytes += cells * size_of::<u32>();
            }
        }
        counts
    }

    /// The row as it came.
    #[must_use]
    pub fn row(&self) -> Snapshot {
        self.unpack(|_| true)
    }

    /// The same with these columns alone.
    #[must_use]
    pub fn only(&self, columns: &[ColumnId]) -> Snapshot {
        self.unpack(|id| columns.contains(&id))
    }

    /// A row of these columns alone, kept like this one: their values are copied as they are.
    #[must_use]
    pub fn narrowed(&self, columns: &[ColumnId]) -> Self {
        Draft::with(self.entities.len(), |draft| {
            for column in self.columns.iter().filter(|c| columns.contains(&c.id)) {
                let set = match self.set(column.set) {
                    None => ALL,
                    Some(words) => draft.seek(|own| {
                        for (own, word) in own.iter_mut().zip(words) {
                            *own = *word;
                        }
                    }),
                };
                let bytes = self.bytes_of(column, self.size(column.set));
                draft.carry(Column { set, ..*column }, bytes);
            }
            draft.finish(Arc::clone(&self.entities))
        })
    }

    fn unpack(&self, is_wanted: impl Fn(ColumnId) -> bool) -> Snapshot {
        let mut places: Vec<(u16, Arc<[u32]>)> = Vec::with_capacity(SETS);
        let wanted = self.columns.iter().filter(|column| is_wanted(column.id));
        let found = wanted.filter_map(|column| {
            let known = places.iter().find(|(set, _)| *set == column.set);
            let places = match known {
                Some((_, known)) => Arc::clone(known),
                None => {
                    let new = self.places(column.set);
                    places.push((column.set, Arc::clone(&new)));
                    new
                }
            };
            let values = self.values(column, places.len());
            model::Column::from_parts(column.id, places, values)
        });
        // A list that grows would be moved many times.
        let mut columns = Vec::with_capacity(self.columns.len());
        columns.extend(found);
        // Both were in order when it was made.
        Snapshot::from_parts(self.entities.to_vec(), columns).unwrap_or_default()
    }

    fn places(&self, set: u16) -> Arc<[u32]> {
        let all = 0..u32::try_from(self.entities.len()).unwrap_or(u32::MAX);
        let Some(words) = self.set(set) else {
            return all.collect();
        };
        let mut places = Vec::with_capacity(ones(words));
        places.extend(all.filter(|place| bit(words, *place as usize)));
        places.into()
    }

    /// The words of a set; `None` for that of every entity.
    fn set(&self, set: u16) -> Option<&[u64]> {
        let words = self.words();
        let from = usize::from(set) * words;
        (set != ALL).then(|| self.sets.get(from..from + words).unwrap_or_default())
    }

    /// Words of a set.
    fn words(&self) -> usize {
        self.entities.len().div_ceil(64)
    }

    /// How many places a set has.
    fn size(&self, set: u16) -> usize {
        self.set(set).map_or(self.entities.len(), ones)
    }

    /// The bytes of so many values of a column.
    fn bytes_of(&self, column: &Column, count: usize) -> &[u8] {
        let from = column.at as usize;
        let bytes = self
            .values
            .get(from..from + count * usize::from(column.width));
        bytes.unwrap_or_default()
    }

    /// So many values of a column.
    fn values(&self, column: &Column, count: usize) -> Vec<u64> {
        let mut values = Vec::with_capacity(count);
        self.read(column, count, &mut values);
        values
    }

    /// Appends so many values of a column.
    fn read(&self, column: &Column, count: usize, out: &mut Vec<u64>) {
        let bytes = self.bytes_of(column, count);
        match column.width {
            0 => out.resize(out.len() + count, column.least),
            1 => column.widen::<1>(bytes, out),
            2 => column.widen::<2>(bytes, out),
            3 => column.widen::<3>(bytes, out),
            4 => column.widen::<4>(bytes, out),
            5 => column.widen::<5>(bytes, out),
            6 => column.widen::<6>(bytes, out),
            7 => column.widen::<7>(bytes, out),
            _ => column.widen::<8>(bytes, out),
        }
    }

    fn column(&self, id: ColumnId) -> Option<&Column> {
        let at = self.columns.binary_search_by_key(&id, |column| column.id);
        self.columns.get(at.ok()?)
    }

    /// How many cells a column has.
    #[must_use]
    pub fn count(&self, id: ColumnId) -> usize {
        let column = self.column(id);
        column.map_or(0, |column| self.size(column.set))
    }

    /// Shows the cells of a column, in rising order of their places.
    #[inline]
    pub fn each(&self, id: ColumnId, mut see: impl FnMut(usize, u64)) {
        let Some(column) = self.column(id) else {
            return;
        };
        let values = self.values(column, self.size(column.set));
        let mut values = values.iter().copied();
        let Some(words) = self.set(column.set) else {
            for (place, value) in (0..).zip(values) {
                see(place, value);
            }
            return;
        };
        each_place(words, |place| {
            if let Some(value) = values.next() {
                see(place, value);
            }
        });
    }

    /// Shows the places of the first of some columns in rising order, each with its cells in all of them.
    #[inline]
    pub fn together<const N: usize>(
        &self,
        ids: [ColumnId; N],
        mut see: impl FnMut(usize, [Option<u64>; N]),
    ) {
        let Some(set) = ids.first().and_then(|id| Some(self.column(*id)?.set)) else {
            return;
        };
        let strands = ids.map(|id| Some(Strand::of(self, self.column(id)?, set)));
        let mut nth = 0;
        let show = |place| {
            let cell = |strand: &Option<Strand<'_>>| strand.as_ref()?.at(place, nth);
            see(place, strands.each_ref().map(cell));
            nth += 1;
        };
        match self.set(set) {
            Some(words) => each_place(words, show),
            None => (0..self.entities.len()).for_each(show),
        }
    }

    /// The n-th value of a column.
    fn value(&self, column: &Column, nth: usize) -> u64 {
        let width = usize::from(column.width);
        let above = word(&self.values, column.at as usize + nth * width) & column.mask();
        column.least.wrapping_add(above << column.shift)
    }

    /// Where an entity stands.
    #[must_use]
    pub fn position(&self, entity: EntityId) -> Option<usize> {
        self.entities.binary_search(&entity).ok()
    }

    /// Reads a little of each column where the cell of an entity stands, or near it, and gives what means nothing. Rows lie
    /// in memory that is in no cache: who looks at an entity in several of them does this with all of them first, and the
    /// processor asks for many at a time, which it does not while it puts a cell together.
    #[must_use]
    pub fn touch(&self, place: usize) -> u64 {
        let near = |column: &Column| {
            let at = column.at as usize + place * usize::from(column.width);
            self.values.get(at).copied().map_or(0, u64::from)
        };
        let set = self.sets.get(place / 64).copied().unwrap_or(0);
        self.columns.iter().fold(set, |all, one| all ^ near(one))
    }

    /// One cell.
    #[must_use]
    pub fn cell(&self, place: usize, id: ColumnId) -> Option<u64> {
        let column = self.column(id)?;
        let nth = match self.set(column.set) {
            Some(words) => rank(words, place)?,
            None => Some(place).filter(|place| *place < self.entities.len())?,
        };
        Some(self.value(column, nth))
    }
}

/// The cells of a column, for whoever goes through the entities of a set.
struct Strand<'a> {
    by: By<'a>,
    // All of them are this.
    still: u64,
    values: Option<Vec<u64>>,
}

/// Where a cell is.
enum By<'a> {
    /// As many before it as in the set that is gone through.
    Nth,
    /// At its entity's place, if that is in this set; in any case of none.
    Place(Option<&'a [u64]>),
}

impl<'a> Strand<'a> {
    fn of(row: &'a Slim, column: &Column, set: u16) -> Self {
        let by = if column.set == set {
            By::Nth
        } else {
            By::Place(row.set(column.set))
        };
        let values = (column.width > 0).then(|| {
            let values = row.values(column, row.size(column.set));
            match by {
                // To count those before each would take longer.
                By::Place(Some(words)) => by_place(words, &values, row.entities.len()),
                _ => values,
            }
        });
        Self {
            by,
            still: column.least,
            values,
        }
    }

    /// The cell at a place, which is the n-th of the set that is gone through.
    #[inline]
    fn at(&self, place: usize, nth: usize) -> Option<u64> {
        let at = match self.by {
            By::Nth => nth,
            By::Place(Some(words)) if !bit(words, place) => return None,
            By::Place(_) => place,
        };
        match &self.values {
            Some(values) => values.get(at).copied(),
            None => Some(self.still),
        }
    }
}

/// The values of a set where their entities stand among so many; what the set does not name means nothing.
fn by_place(words: &[u64], values: &[u64], count: usize) -> Vec<u64> {
    let mut placed = vec![0; count];
    let mut values = values.iter();
    each_place(words, |place| {
        if let (Some(slot), Some(value)) = (placed.get_mut(place), values.next()) {
            *slot = *value;
        }
    });
    placed
}

impl Column {
    // A width that is known here lets a value be copied by one or two instructions.
    fn widen<const WIDTH: usize>(&self, bytes: &[u8], out: &mut Vec<u64>) {
        let (least, shift) = (self.least, self.shift);
        let (all, _) = bytes.as_chunks::<WIDTH>();
        let value = |bytes: &[u8; WIDTH]| {
            let mut word = [0; WORD];
            if let Some(low) = word.first_chunk_mut() {
                *low = *bytes;
            }
            least.wrapping_add(u64::from_le_bytes(word) << shift)
        };
        out.extend(all.iter().map(value));
    }

    fn narrow<const WIDTH: usize>(&self, all: &[u64], bytes: &mut [u8]) {
        let (least, shift) = (self.least, self.shift);
        let (slots, _) = bytes.as_chunks_mut::<WIDTH>();
        for (slot, value) in slots.iter_mut().zip(all) {
            let word = ((value - least) >> shift).to_le_bytes();
            if let Some(low) = word.first_chunk() {
                *slot = *low;
            }
        }
    }

    /// The bits of a value that are kept.
    fn mask(&self) -> u64 {
        let bits = u32::from(self.width) * 8;
        u64::MAX.checked_shr(u64::BITS - bits).unwrap_or(0)
    }
}

fn bit(words: &[u64], place: usize) -> bool {
    let word = words.get(place / 64);
    word.is_some_and(|word| word >> (place % 64) & 1 == 1)
}

/// Shows the places of a set, rising.
#[inline]
fn each_place(words: &[u64], mut see: impl FnMut(usize)) {
    for (word, first) in words.iter().zip((0..).step_by(64)) {
        let mut left = *word;
        while left != 0 {
            see(first + left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

fn ones(words: &[u64]) -> usize {
    words.iter().map(|word| word.count_ones() as usize).sum()
}

/// How many are in a set before this one; `None` when it is not in it.
fn rank(words: &[u64], place: usize) -> Option<usize> {
    if !bit(words, place) {
        return None;
    }
    let whole = ones(words.get(..place / 64)?);
    let below = words.get(place / 64)? & ((1 << (place % 64)) - 1);
    Some(whole + below.count_ones() as usize)
}

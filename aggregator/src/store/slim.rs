//! A row in little memory, each of its cells at hand: the last one of a node, which the next refers to
//! and what is asked most is about.
//!
//! A column's values are kept as what they have above the least of them, without the low bits that
//! none of them has, in as many bytes as the largest of these needs. So a column of which all values
//! are the same has none.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use cairn_proto::catalogue::{FIRST_FIELD, FieldId, Group, Source};
use cairn_proto::model::{self, ColumnId, EntityId, Snapshot, Stamp};
use cairn_proto::rate::Point;

/// What it is counted as beside its lists.
const OWN_BYTES: usize = size_of::<Slim>() + 64;

/// The values of a row are kept in a multiple of so many bytes. From row to row they are some more or
/// some fewer, and each row takes the place of the one before: places of a few sizes are filled again
/// and again, while those of any size were filled by something smaller, and the rest stayed empty.
const VALUES_STEP: usize = 512;

/// One row.
#[derive(Debug)]
pub(super) struct Slim {
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

impl Slim {
    /// Of a row. The list of entities is that of the row before when both have the same.
    pub(super) fn of(row: &Snapshot, before: Option<&Slim>) -> Self {
        let same = before.filter(|before| *before.entities == *row.entities());
        let entities = match same {
            Some(before) => Arc::clone(&before.entities),
            None => row.entities().into(),
        };
        let cells = row.columns().iter().map(model::Column::len).sum();
        let mut draft = Draft::new(entities.len(), row.columns().len(), cells);
        row.columns().iter().for_each(|column| draft.add(column));
        Self {
            entities,
            values: draft.boxed(),
            // A copy of the right size, as cutting off what is too much would leave a sliver.
            sets: draft.sets.as_slice().into(),
            columns: draft.columns.into(),
        }
    }

    /// The entities that are there, rising.
    pub(super) fn entities(&self) -> &Arc<[EntityId]> {
        &self.entities
    }

    /// Bytes that it takes, the list of its entities included.
    pub(super) fn bytes(&self) -> usize {
        OWN_BYTES
            + size_of_val(&*self.entities)
            + size_of_val(&*self.sets)
            + size_of_val(&*self.columns)
            + self.values.len()
    }

    /// The row as it came.
    pub(super) fn row(&self) -> Snapshot {
        self.unpack(|_| true)
    }

    /// The same with these columns alone.
    pub(super) fn only(&self, columns: &[ColumnId]) -> Snapshot {
        self.unpack(|id| columns.contains(&id))
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
        // Each row is unpacked for the next one: a list that grows would be moved many times.
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
        let count: u32 = words.iter().map(|word| word.count_ones()).sum();
        let mut places = Vec::with_capacity(count as usize);
        places.extend(all.filter(|place| bit(words, *place as usize)));
        places.into()
    }

    /// The words of a set; `None` for that of every entity.
    fn set(&self, set: u16) -> Option<&[u64]> {
        let words = self.entities.len().div_ceil(64);
        let from = usize::from(set) * words;
        (set != ALL).then(|| self.sets.get(from..from + words).unwrap_or_default())
    }

    /// So many values of a column.
    fn values(&self, column: &Column, count: usize) -> Vec<u64> {
        let from = column.at as usize;
        let bytes = self
            .values
            .get(from..from + count * usize::from(column.width));
        let bytes = bytes.unwrap_or_default();
        match column.width {
            0 => vec![column.least; count],
            1 => column.widen::<1>(bytes),
            2 => column.widen::<2>(bytes),
            3 => column.widen::<3>(bytes),
            4 => column.widen::<4>(bytes),
            5 => column.widen::<5>(bytes),
            6 => column.widen::<6>(bytes),
            7 => column.widen::<7>(bytes),
            _ => column.widen::<8>(bytes),
        }
    }

    /// Where an entity stands.
    pub(super) fn position(&self, entity: EntityId) -> Option<usize> {
        self.entities.binary_search(&entity).ok()
    }

    /// One cell.
    pub(super) fn cell(&self, place: usize, id: ColumnId) -> Option<u64> {
        let at = self.columns.binary_search_by_key(&id, |column| column.id);
        let column = self.columns.get(at.ok()?)?;
        let nth = match self.set(column.set) {
            Some(words) => rank(words, place)?,
            None => Some(place).filter(|place| *place < self.entities.len())?,
        };
        let width = usize::from(column.width);
        let from = column.at as usize + nth * width;
        let bytes = self.values.get(from..from + width)?.iter().rev();
        let above = bytes.fold(0, |above, byte| above << 8 | u64::from(*byte));
        Some(column.least.wrapping_add(above << column.shift))
    }

    /// A field of an entity, with its stamp.
    pub(super) fn point(&self, place: usize, field: FieldId, group: Group) -> Option<Point> {
        let value = self.cell(place, ColumnId::field(field))?;
        let source = self.cell(place, ColumnId::source(group))?;
        let stamp = Stamp {
            time_ms: self.cell(place, ColumnId::time(group))?,
            start_ms: self.cell(place, ColumnId::start(group)),
            source: Source::from_number(source)?,
        };
        Some(Point { value, stamp })
    }
}

impl Column {
    // A width that is known here lets a value be copied by one or two instructions.
    fn widen<const WIDTH: usize>(&self, bytes: &[u8]) -> Vec<u64> {
        let (least, shift) = (self.least, self.shift);
        let (all, _) = bytes.as_chunks::<WIDTH>();
        let value = |bytes: &[u8; WIDTH]| {
            let mut word = [0; WORD];
            if let Some(low) = word.first_chunk_mut() {
                *low = *bytes;
            }
            least.wrapping_add(u64::from_le_bytes(word) << shift)
        };
        all.iter().map(value).collect()
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
}

/// A row that is being put together.
struct Draft {
    entities: usize,
    sets: Vec<u64>,
    columns: Vec<Column>,
    values: Vec<u8>,
}

impl Draft {
    fn new(entities: usize, columns: usize, cells: usize) -> Self {
        Self {
            entities,
            sets: Vec::with_capacity(SETS * entities.div_ceil(64)),
            columns: Vec::with_capacity(columns),
            // Most are narrow. What is kept is a copy of the right size.
            values: Vec::with_capacity(cells * WORD / 2),
        }
    }

    /// The values, in a place of their own.
    fn boxed(&self) -> Box<[u8]> {
        let length = self.values.len();
        let mut boxed = Vec::with_capacity(length.next_multiple_of(VALUES_STEP));
        boxed.extend_from_slice(&self.values);
        boxed.resize(boxed.capacity(), 0);
        boxed.into()
    }

    fn add(&mut self, column: &model::Column) {
        let all = column.values();
        let least = all.iter().copied().min().unwrap_or(0);
        let bits = all.iter().fold(0, |bits, value| bits | (value - least));
        let shift = if bits == 0 { 0 } else { bits.trailing_zeros() };
        let width = (u64::BITS - (bits >> shift).leading_zeros()).div_ceil(8);
        let column = Column {
            id: column.id(),
            set: self.set(column.places()),
            width: u8::try_from(width).unwrap_or(8),
            shift: u8::try_from(shift).unwrap_or(0),
            at: u32::try_from(self.values.len()).unwrap_or(u32::MAX),
            least,
        };
        let from = self.values.len();
        self.values
            .resize(from + all.len() * usize::from(column.width), 0);
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
        let at = self.twin(&column, from).unwrap_or(column.at);
        if at != column.at {
            self.values.truncate(from);
        }
        self.columns.push(Column { at, ..column });
    }

    /// Where the values of a stamp stand that has those behind `from`: groups that one pass measures
    /// share theirs.
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

    /// The set of these places: one that is there already, or a new one.
    fn set(&mut self, places: &[u32]) -> u16 {
        if places.len() == self.entities {
            return ALL;
        }
        let words = self.entities.div_ceil(64);
        let mut own = vec![0_u64; words];
        for place in places {
            if let Some(word) = own.get_mut(*place as usize / 64) {
                *word |= 1 << (place % 64);
            }
        }
        let mut known = self.sets.chunks_exact(words.max(1));
        let known = known.position(|set| set == own);
        let at = known.unwrap_or_else(|| {
            self.sets.extend_from_slice(&own);
            self.sets.len() / words.max(1) - 1
        });
        // A row has fewer columns than that.
        u16::try_from(at).unwrap_or(ALL)
    }
}

fn bit(words: &[u64], place: usize) -> bool {
    let word = words.get(place / 64);
    word.is_some_and(|word| word >> (place % 64) & 1 == 1)
}

/// How many are in a set before this one; `None` when it is not in it.
fn rank(words: &[u64], place: usize) -> Option<usize> {
    if !bit(words, place) {
        return None;
    }
    let whole = words.get(..place / 64)?.iter();
    let whole: u32 = whole.map(|word| word.count_ones()).sum();
    let below = words.get(place / 64)? & ((1 << (place % 64)) - 1);
    usize::try_from(whole + below.count_ones()).ok()
}

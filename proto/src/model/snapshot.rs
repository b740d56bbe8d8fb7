//! All values of one node at one tick, before encoding and after decoding.
//!
//! Columnar, as the codec and the store want it: one sorted list of entities, and per column the
//! cells of those that have a value in it. Most columns are about few entities (the host's figures
//! about one), so a cell that is not there takes no memory.

mod builder;

use std::sync::Arc;

use super::{EntityId, Stamp};
use crate::catalogue::{FIRST_FIELD, FieldId, Group, Source};

pub use self::builder::Builder;

/// Number of a column in an encoded row.
///
/// Below 64 are the stamps, four numbers for each group (time, start, source and one spare);
/// from 64 on the fields of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u16);

impl ColumnId {
    /// Measurement times of a group, Unix ms.
    #[must_use]
    pub const fn time(group: Group) -> Self {
        ColumnId(group as u16 * 4)
    }

    /// Life starts of a group, Unix ms.
    #[must_use]
    pub const fn start(group: Group) -> Self {
        ColumnId(group as u16 * 4 + 1)
    }

    /// True of the measurement times of any group.
    #[must_use]
    pub const fn is_time(self) -> bool {
        self.0 < FIRST_FIELD && self.0.is_multiple_of(4)
    }

    /// Sources of a group.
    #[must_use]
    pub const fn source(group: Group) -> Self {
        ColumnId(group as u16 * 4 + 2)
    }

    /// Values of a field.
    #[must_use]
    pub const fn field(field: FieldId) -> Self {
        ColumnId(field.0)
    }
}

/// One column: the cells that have a value, by their entity's position in the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    id: ColumnId,
    // Invariant: rising, as many as values. Shared: the columns of a group are mostly about the same
    // entities, and those of a row about the same as in the row before.
    places: Arc<[u32]>,
    values: Vec<u64>,
}

impl Column {
    /// Takes cells in rising order of their places; `None` when they are not, or when a place has
    /// no value.
    #[must_use]
    pub fn from_parts(
        id: ColumnId,
        places: impl Into<Arc<[u32]>>,
        values: Vec<u64>,
    ) -> Option<Self> {
        let places = places.into();
        let sound = places.len() == values.len() && places.is_sorted_by(|a, b| a < b);
        sound.then_some(Self { id, places, values })
    }

    /// A column without a cell.
    #[must_use]
    pub fn empty(id: ColumnId) -> Self {
        Self {
            id,
            places: Arc::default(),
            values: Vec::new(),
        }
    }

    /// A column about the same entities.
    #[must_use]
    pub fn with_values(&self, values: Vec<u64>) -> Option<Self> {
        let fits = values.len() == self.values.len();
        fits.then(|| Self {
            id: self.id,
            places: Arc::clone(&self.places),
            values,
        })
    }

    /// The same cells as another column.
    #[must_use]
    pub fn renamed(&self, id: ColumnId) -> Self {
        Self { id, ..self.clone() }
    }

    /// True when both have the same cells.
    #[must_use]
    pub fn has_cells_of(&self, other: &Column) -> bool {
        self.values == other.values && self.places == other.places
    }

    /// Which column.
    #[must_use]
    pub fn id(&self) -> ColumnId {
        self.id
    }

    /// Number of cells with a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// True when no entity has a value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Places of the cells, rising.
    #[must_use]
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// Their values, in the same order.
    #[must_use]
    pub fn values(&self) -> &[u64] {
        &self.values
    }

    /// The cells, in rising order of their places.
    pub fn cells(&self) -> impl Iterator<Item = (u32, u64)> + '_ {
        self.places.iter().copied().zip(self.values.iter().copied())
    }

    /// The value of the entity at this position, if it has one.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<u64> {
        let place = u32::try_from(position).ok()?;
        let at = self.places.binary_search(&place).ok()?;
        self.values.get(at).copied()
    }
}

/// All values of one node at one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    // Invariant: sorted, no duplicates.
    entities: Vec<EntityId>,
    // Invariant: sorted by id, no duplicates, no place beyond the entities.
    columns: Vec<Column>,
}

impl Snapshot {
    /// Takes parts that already have the right shape; `None` when they do not.
    #[must_use]
    pub fn from_parts(entities: Vec<EntityId>, columns: Vec<Column>) -> Option<Self> {
        let sorted = entities.is_sorted_by(|a, b| a < b)
            && columns.is_sorted_by(|a, b| a.id < b.id)
            && columns.iter().all(|c| {
                let last = c.places.last().and_then(|p| usize::try_from(*p).ok());
                last.is_none_or(|last| last < entities.len())
            });
        sorted.then_some(Self { entities, columns })
    }

    /// The entities that are there at this tick, sorted.
    #[must_use]
    pub fn entities(&self) -> &[EntityId] {
        &self.entities
    }

    /// The columns, sorted by id.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Position of an entity, if it is there.
    #[must_use]
    pub fn position(&self, entity: EntityId) -> Option<usize> {
        self.entities.binary_search(&entity).ok()
    }

    /// One column, if any entity has a value in it.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<&Column> {
        self.columns
            .binary_search_by_key(&id, |c| c.id)
            .ok()
            .and_then(|i| self.columns.get(i))
    }

    /// One cell.
    #[must_use]
    pub fn cell(&self, position: usize, id: ColumnId) -> Option<u64> {
        self.column(id)?.get(position)
    }

    /// The stamp of an entity's group; `None` when it has no measurement of it or the source is
    /// one that this version does not know.
    #[must_use]
    pub fn stamp(&self, position: usize, group: Group) -> Option<Stamp> {
        let time_ms = self.cell(position, ColumnId::time(group))?;
        let source = Source::from_number(self.cell(position, ColumnId::source(group))?)?;
        let start_ms = self.cell(position, ColumnId::start(group));
        Some(Stamp {
            time_ms,
            start_ms,
            source,
        })
    }

    /// Number of samples: cells of fields, stamps not counted.
    #[must_use]
    pub fn sample_count(&self) -> usize {
        self.columns
            .iter()
            .filter(|c| c.id.0 >= FIRST_FIELD)
            .map(Column::len)
            .sum()
    }

    /// Bytes that it takes in memory: its lists, for each cell a value, and the places of the cells,
    /// which neighbouring columns share.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let mut bytes =
            size_of_val(self.columns.as_slice()) + size_of_val(self.entities.as_slice());
        let mut places: Option<&Arc<[u32]>> = None;
        for column in &self.columns {
            bytes += size_of_val(column.values.as_slice());
            if !places.is_some_and(|before| Arc::ptr_eq(before, &column.places)) {
                bytes += size_of_val(&*column.places);
            }
            places = Some(&column.places);
        }
        bytes
    }
}

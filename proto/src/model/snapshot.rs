//! All values of one node at one tick, before encoding and after decoding.
//!
//! Columnar, as the codec and the store want it: one sorted list of entities, and per column one
//! cell for each of them.

use std::collections::BTreeMap;

use super::{EntityId, Stamp};
use crate::catalogue::{FieldId, Group, Source};

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

/// One column: a cell for each entity of the snapshot, `None` where there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Which column.
    pub id: ColumnId,
    /// As many cells as the snapshot has entities.
    pub cells: Vec<Option<u64>>,
}

/// All values of one node at one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    // Invariant: sorted, no duplicates.
    entities: Vec<EntityId>,
    // Invariant: sorted by id, no duplicates, cells.len() == entities.len().
    columns: Vec<Column>,
}

impl Snapshot {
    /// Takes parts that already have the right shape; `None` when they do not.
    #[must_use]
    pub fn from_parts(entities: Vec<EntityId>, columns: Vec<Column>) -> Option<Self> {
        let sorted = entities.is_sorted_by(|a, b| a < b)
            && columns.is_sorted_by(|a, b| a.id < b.id)
            && columns.iter().all(|c| c.cells.len() == entities.len());
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
        self.column(id)
            .and_then(|c| c.cells.get(position).copied().flatten())
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
            .filter(|c| c.id.0 >= crate::catalogue::FIRST_FIELD)
            .map(|c| c.cells.iter().flatten().count())
            .sum()
    }
}

/// Collects values in any order and builds a [`Snapshot`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    cells: BTreeMap<EntityId, BTreeMap<ColumnId, u64>>,
}

impl Builder {
    /// Says that the entity is there, even without a value.
    pub fn entity(&mut self, entity: EntityId) -> &mut Self {
        self.cells.entry(entity).or_default();
        self
    }

    /// Sets a field's value.
    pub fn value(&mut self, entity: EntityId, field: FieldId, value: u64) -> &mut Self {
        self.cells
            .entry(entity)
            .or_default()
            .insert(ColumnId::field(field), value);
        self
    }

    /// Sets when a group was measured.
    pub fn stamp(&mut self, entity: EntityId, group: Group, stamp: Stamp) -> &mut Self {
        let cells = self.cells.entry(entity).or_default();
        cells.insert(ColumnId::time(group), stamp.time_ms);
        cells.insert(ColumnId::source(group), stamp.source as u64);
        match stamp.start_ms {
            Some(start) => cells.insert(ColumnId::start(group), start),
            None => cells.remove(&ColumnId::start(group)),
        };
        self
    }

    /// Builds the snapshot.
    #[must_use]
    pub fn build(&self) -> Snapshot {
        let entities: Vec<EntityId> = self.cells.keys().copied().collect();
        let mut columns: BTreeMap<ColumnId, Vec<Option<u64>>> = BTreeMap::new();
        for (position, cells) in self.cells.values().enumerate() {
            for (id, value) in cells {
                let column = columns
                    .entry(*id)
                    .or_insert_with(|| vec![None; entities.len()]);
                if let Some(cell) = column.get_mut(position) {
                    *cell = Some(*value);
                }
            }
        }
        let columns = columns
            .into_iter()
            .map(|(id, cells)| Column { id, cells })
            .collect();
        Snapshot { entities, columns }
    }
}

//! From values in any order to a [`Snapshot`].

use std::sync::Arc;

use super::{Column, ColumnId, Snapshot};
use crate::catalogue::{FieldId, Group};
use crate::model::{EntityId, Stamp};

/// Of so many entities a column has one, or its cells are sorted instead of laid out.
const SPARSE: usize = 8;

/// Collects values in any order and builds a [`Snapshot`]. Of two values of one cell the later
/// counts.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    // As they came; one that came again between others is there again.
    entities: Vec<EntityId>,
    // By the column's number.
    columns: Vec<Vec<Cell>>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    // Where the entity is in the builder's list.
    at: u32,
    // False takes an earlier value of the cell away.
    is_there: bool,
    value: u64,
}

impl Builder {
    /// Says that the entity is there, even without a value.
    pub fn entity(&mut self, entity: EntityId) -> &mut Self {
        if self.entities.last() != Some(&entity) {
            self.entities.push(entity);
        }
        self
    }

    /// Sets a field's value.
    pub fn value(&mut self, entity: EntityId, field: FieldId, value: u64) -> &mut Self {
        self.set(entity, ColumnId::field(field), Some(value))
    }

    /// Sets when a group was measured.
    pub fn stamp(&mut self, entity: EntityId, group: Group, stamp: Stamp) -> &mut Self {
        self.set(entity, ColumnId::time(group), Some(stamp.time_ms))
            .set(entity, ColumnId::source(group), Some(stamp.source as u64))
            .set(entity, ColumnId::start(group), stamp.start_ms)
    }

    fn set(&mut self, entity: EntityId, column: ColumnId, value: Option<u64>) -> &mut Self {
        self.entity(entity);
        let number = usize::from(column.0);
        if number >= self.columns.len() {
            self.columns.resize_with(number + 1, Vec::new);
        }
        let at = u32::try_from(self.entities.len() - 1).unwrap_or(u32::MAX);
        let cell = Cell {
            at,
            is_there: value.is_some(),
            value: value.unwrap_or_default(),
        };
        if let Some(cells) = self.columns.get_mut(number) {
            cells.push(cell);
        }
        self
    }

    /// Builds the snapshot, and keeps the room of what was collected for the next one.
    #[must_use]
    pub fn build(&mut self) -> Snapshot {
        let (entities, places) = ranked(&self.entities);
        let mut layout = Layout {
            places,
            cell_of: vec![NONE; entities.len()],
        };
        let filled = self.columns.iter().zip(0..);
        let filled = filled.filter(|(cells, _)| !cells.is_empty());
        let mut columns: Vec<Column> = Vec::with_capacity(filled.clone().count());
        for (cells, number) in filled {
            let (places, values) = layout.column(cells);
            if values.is_empty() {
                continue;
            }
            let before = columns.last().map(|column| &column.places);
            let shared = before.filter(|before| ***before == *places);
            let places = shared.map_or_else(|| places.into(), Arc::clone);
            let id = ColumnId(number);
            columns.push(Column { id, places, values });
        }
        self.entities.clear();
        self.columns.iter_mut().for_each(Vec::clear);
        Snapshot { entities, columns }
    }
}

/// The entities, sorted, and the place of each one as it came.
fn ranked(came: &[EntityId]) -> (Vec<EntityId>, Vec<u32>) {
    let mut sorted: Vec<(EntityId, u32)> = came.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let mut entities: Vec<EntityId> = Vec::with_capacity(sorted.len());
    let mut places = vec![0; came.len()];
    for (entity, at) in sorted {
        if entities.last() != Some(&entity) {
            entities.push(entity);
        }
        if let Some(place) = places.get_mut(at as usize) {
            *place = u32::try_from(entities.len() - 1).unwrap_or(u32::MAX);
        }
    }
    (entities, places)
}

const NONE: u32 = u32::MAX;

/// Where things go in the snapshot.
struct Layout {
    // Of each entity as it came.
    places: Vec<u32>,
    // Of each place the number of its last cell; all `NONE` between columns.
    cell_of: Vec<u32>,
}

impl Layout {
    /// The places and values of a column.
    fn column(&mut self, cells: &[Cell]) -> (Vec<u32>, Vec<u64>) {
        let mut places = Vec::with_capacity(cells.len());
        let mut values = Vec::with_capacity(cells.len());
        let mut add = |place: u32, cell: &Cell| {
            if cell.is_there {
                places.push(place);
                values.push(cell.value);
            }
        };
        let of = &self.places;
        let place = |cell: &Cell| of.get(cell.at as usize).copied().unwrap_or(NONE);
        if cells.is_sorted_by(|one, other| place(one) < place(other)) {
            cells.iter().for_each(|cell| add(place(cell), cell));
        } else if cells.len() * SPARSE < self.cell_of.len() {
            let mut sorted: Vec<(u32, u32, &Cell)> = cells
                .iter()
                .zip(0..)
                .map(|(cell, number)| (place(cell), number, cell))
                .collect();
            sorted.sort_unstable_by_key(|(place, number, _)| (*place, *number));
            let mut sorted = sorted.into_iter().peekable();
            while let Some((place, _, cell)) = sorted.next() {
                if sorted.peek().is_none_or(|(next, ..)| *next != place) {
                    add(place, cell);
                }
            }
        } else {
            for (cell, number) in cells.iter().zip(0..) {
                if let Some(last) = self.cell_of.get_mut(place(cell) as usize) {
                    *last = number;
                }
            }
            for (last, place) in self.cell_of.iter_mut().zip(0..) {
                let number = std::mem::replace(last, NONE);
                if let Some(cell) = cells.get(number as usize) {
                    add(place, cell);
                }
            }
        }
        (places, values)
    }
}

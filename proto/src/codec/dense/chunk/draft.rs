//! One row of a chunk, put together from its columns.

use super::read::Head;
use crate::model::{Column, ColumnId, EntityId, Snapshot};

/// One row that is being put together.
pub(super) struct Draft {
    entities: Vec<EntityId>,
    /// Where each entity of the chunk stands in this row.
    places: Vec<u32>,
    columns: Vec<Column>,
    open: (Vec<u32>, Vec<u64>),
}

impl Draft {
    pub(super) fn of(head: &Head<'_>, nth: usize) -> Self {
        let mut entities = Vec::new();
        let mut places = Vec::with_capacity(head.entities.len());
        for (entity, mask) in head.entities.iter().zip(&head.there) {
            places.push(u32::try_from(entities.len()).unwrap_or(u32::MAX));
            if mask >> nth & 1 == 1 {
                entities.push(*entity);
            }
        }
        Self {
            entities,
            places,
            columns: Vec::new(),
            open: (Vec::new(), Vec::new()),
        }
    }

    pub(super) fn put(&mut self, place: usize, value: u64) {
        if let Some(place) = self.places.get(place) {
            self.open.0.push(*place);
            self.open.1.push(value);
        }
    }

    pub(super) fn end(&mut self, id: ColumnId) {
        let (places, values) = std::mem::take(&mut self.open);
        if !values.is_empty() {
            let column = Column::from_parts(id, places, values);
            self.columns.extend(column);
        }
    }

    /// Places rise and columns rise, so there always is one.
    pub(super) fn snapshot(self) -> Snapshot {
        Snapshot::from_parts(self.entities, self.columns).unwrap_or_default()
    }
}

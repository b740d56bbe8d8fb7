//! What the rows say of each series: `proto::rate` follows them, nothing is computed here.

use cairn_proto::catalogue::{EntityKind, FieldId, Group, table};
use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot, Stamp};
use cairn_proto::rate::{self, Point, Rate, Tracker};

/// One entity and its series.
pub(super) struct Slot {
    id: EntityId,
    // Of each series the place of its field among those wanted.
    series: Vec<(usize, Tracker)>,
}

/// The entities that are followed, and the fields.
pub(super) struct Series {
    wanted: Vec<FieldId>,
    slots: Vec<Slot>,
    row: Dense,
}

/// A row laid out by place, so that no cell is searched for.
#[derive(Default)]
struct Dense {
    // Of each field wanted.
    values: Vec<Vec<Option<u64>>>,
    // Of each group.
    stamps: Vec<Vec<Option<Stamp>>>,
}

impl Series {
    /// Follows these fields of the entities that carry them.
    pub(super) fn new(
        wanted: &[FieldId],
        entities: impl IntoIterator<Item = (EntityId, EntityKind)>,
    ) -> Self {
        let slots = entities.into_iter().map(|(id, kind)| Slot {
            id,
            series: wanted
                .iter()
                .enumerate()
                .filter_map(|(at, field)| Some((at, table::field(*field)?)))
                .filter(|(_, field)| field.entities.contains(&kind))
                .map(|(at, field)| (at, Tracker::new(field)))
                .collect(),
        });
        Self {
            wanted: wanted.to_vec(),
            slots: slots.collect(),
            row: Dense::default(),
        }
    }

    /// Takes the next row in; with `only`, of this entity alone.
    pub(super) fn take(&mut self, snapshot: &Snapshot, only: Option<EntityId>) {
        self.row.lay_out(snapshot, &self.wanted);
        let slots = self.slots.iter_mut();
        for slot in slots.filter(|slot| only.is_none_or(|only| only == slot.id)) {
            let Some(place) = snapshot.position(slot.id) else {
                continue;
            };
            let began = rate::began(|group| self.row.stamp(group, place));
            for (at, tracker) in &mut slot.series {
                let group = self.wanted.get(*at).copied().and_then(table::field);
                let stamp = group.and_then(|field| self.row.stamp(field.group, place));
                let value = self.row.value(*at, place);
                let point = value
                    .zip(stamp)
                    .map(|(value, stamp)| Point { value, stamp });
                tracker.take(point, began);
            }
        }
    }

    fn tracker(&self, entity: EntityId, field: FieldId) -> Option<&Tracker> {
        let at = self.slots.binary_search_by_key(&entity, |slot| slot.id);
        let slot = self.slots.get(at.ok()?)?;
        let of_field = |(at, _): &&(usize, Tracker)| self.wanted.get(*at) == Some(&field);
        slot.series
            .iter()
            .find(of_field)
            .map(|(_, tracker)| tracker)
    }

    /// The value of an entity at a tick, held if need be.
    pub(super) fn value(&self, entity: EntityId, field: FieldId, tick_ms: u64) -> Option<Point> {
        self.tracker(entity, field)?.value_at(tick_ms)
    }

    /// The rate of a counter at a tick, with the time of its newer measurement.
    pub(super) fn rate(
        &self,
        entity: EntityId,
        field: FieldId,
        tick_ms: u64,
    ) -> Option<(Rate, u64)> {
        let tracker = self.tracker(entity, field)?;
        let point = tracker.value_at(tick_ms)?;
        Some((tracker.rate_at(tick_ms)?, point.stamp.time_ms))
    }
}

impl Dense {
    fn lay_out(&mut self, snapshot: &Snapshot, wanted: &[FieldId]) {
        let count = snapshot.entities().len();
        self.values.resize_with(wanted.len(), Vec::new);
        for (values, field) in self.values.iter_mut().zip(wanted) {
            values.clear();
            values.resize(count, None);
            for (place, value) in cells(snapshot, ColumnId::field(*field)) {
                if let Some(slot) = values.get_mut(place as usize) {
                    *slot = Some(value);
                }
            }
        }
        self.stamps.resize_with(Group::ALL.len(), Vec::new);
        for (stamps, group) in self.stamps.iter_mut().zip(Group::ALL) {
            stamps.clear();
            stamps.resize(count, None);
            let Some(column) = snapshot.column(ColumnId::time(group)) else {
                continue;
            };
            for place in column.places() {
                let place = *place as usize;
                if let Some(slot) = stamps.get_mut(place) {
                    *slot = snapshot.stamp(place, group);
                }
            }
        }
    }

    fn value(&self, field: usize, place: usize) -> Option<u64> {
        self.values.get(field)?.get(place).copied().flatten()
    }

    fn stamp(&self, group: Group, place: usize) -> Option<Stamp> {
        self.stamps
            .get(group as usize)?
            .get(place)
            .copied()
            .flatten()
    }
}

fn cells(snapshot: &Snapshot, id: ColumnId) -> impl Iterator<Item = (u32, u64)> + '_ {
    snapshot.column(id).into_iter().flat_map(Column::cells)
}

//! Cells of some entities in the columns that one series is made of.

use cairn_proto::catalogue::{FieldId, Group, Source, table};
use cairn_proto::codec::chunk::{Glance, Sealed};
use cairn_proto::codec::row::{self, Followed, Timed, Track};
use cairn_proto::model::{ColumnId, EntityId, Snapshot, Stamp};
use cairn_proto::rate::Point;

use super::began::Began;
use crate::store::RawRow;
use crate::store::packed::block::{Open, OpenRow};

/// Groups by what they say of the start of a life: the summary tells a start of everything that it
/// lists, and most entities have memory or are measured with it.
pub(super) const BEGAN: [Group; 5] = [
    Group::Memory,
    Group::Network,
    Group::Filesystem,
    Group::Volume,
    Group::Cpu,
];

/// So many entities of a node are followed one by one through rows in wire form; of more, whole columns
/// are decoded.
pub(super) const FEW: usize = 4;

/// So many of them are asked first: where the summary tells a start in these, the others cannot tell
/// a better one.
pub(super) const FIRST: usize = 2;

/// The columns that a series is made of: its values, their stamps, and what tells of lives.
#[derive(Debug)]
pub(super) struct Columns {
    pub(super) field: ColumnId,
    pub(super) group: Option<Group>,
    // Those that are always read, and those that may tell more of lives; both rising.
    pub(super) first: Vec<ColumnId>,
    pub(super) rest: Vec<ColumnId>,
}

impl Columns {
    pub(super) fn of(field: FieldId) -> Self {
        let group = table::field(field).map(|field| field.group);
        let (first, rest) = BEGAN.split_at(FIRST);
        let stamps = |groups: &[Group]| -> Vec<ColumnId> {
            let stamps = groups.iter().copied().flat_map(stamp_columns);
            stamps.collect()
        };
        let mut first = stamps(first);
        first.extend(group.into_iter().flat_map(stamp_columns));
        first.push(ColumnId::field(field));
        first.sort_unstable();
        first.dedup();
        let mut rest = stamps(rest);
        rest.sort_unstable();
        Self {
            field: ColumnId::field(field),
            group,
            first,
            rest,
        }
    }
}

pub(super) fn stamp_columns(group: Group) -> [ColumnId; 3] {
    [
        ColumnId::time(group),
        ColumnId::start(group),
        ColumnId::source(group),
    ]
}

/// Cells of some entities in one column. Empty where the column is not there.
#[derive(Clone, Debug, Default)]
pub(super) struct Cells {
    // Of each entity: the rows in which it has a cell.
    masks: Vec<u64>,
    // Of each entity all rows, then of the next.
    values: Vec<u64>,
}

impl Cells {
    fn new(entities: usize, rows: usize) -> Self {
        Self {
            masks: vec![0; entities],
            values: vec![0; entities * rows],
        }
    }

    /// Reads a column of a chunk.
    fn read(glance: &Glance<'_>, id: ColumnId, asked: &Asked, with_values: bool) -> Self {
        let Some(mut column) = glance.column(id) else {
            return Self::default();
        };
        let rows = glance.rows.len();
        let mut cells = Self::new(asked.entities, if with_values { rows } else { 0 });
        for (place, nth) in &asked.places {
            let Some(mask) = cells.masks.get_mut(*nth) else {
                continue;
            };
            if !with_values {
                *mask = column.mask_at(*place);
            } else if let Some(series) = column.seek(*place) {
                *mask = series.mask;
                if let Some(slots) = cells.values.get_mut(nth * rows..(nth + 1) * rows) {
                    let values = series.by_row();
                    slots.copy_from_slice(values.get(..rows).unwrap_or_default());
                }
            }
        }
        cells
    }

    fn put_row(&mut self, column: &cairn_proto::model::Column, places: &Places, row: Nth) {
        let slots = self
            .masks
            .iter_mut()
            .zip(self.values.chunks_exact_mut(row.of));
        for ((mask, values), place) in slots.zip(places) {
            let value = place.and_then(|place| column.get(place));
            if let (Some(value), Some(slot)) = (value, values.get_mut(row.at)) {
                *slot = value;
                *mask |= 1 << row.at;
            }
        }
    }

    /// True when no entity has a cell.
    pub(super) fn is_empty(&self) -> bool {
        self.masks.iter().all(|mask| *mask == 0)
    }

    pub(super) fn mask(&self, nth: usize) -> u64 {
        self.masks.get(nth).copied().unwrap_or(0)
    }

    /// What a cell is that the mask names.
    pub(super) fn value(&self, place: usize) -> u64 {
        self.values.get(place).copied().unwrap_or(0)
    }
}

/// Where each entity that was asked for stands in a row.
type Places = [Option<usize>];

/// One row of so many.
#[derive(Clone, Copy)]
struct Nth {
    at: usize,
    of: usize,
}

/// Where the entities that were asked for stand in a chunk.
struct Asked {
    entities: usize,
    // Rising by place: where, and which of those asked for it is.
    places: Vec<(usize, usize)>,
}

/// What some entities say in all rows of a part.
pub(super) struct Seen {
    /// Grid times of the rows, Unix ms.
    pub(super) ticks: Vec<u64>,
    // Bit n: there in the n-th row. Of each entity.
    there: Vec<u64>,
    value: Cells,
    time: Cells,
    start: Cells,
    source: Cells,
    began: Began,
}

impl Seen {
    pub(super) fn in_chunk(sealed: &Sealed, ids: &[Option<EntityId>], columns: &Columns) -> Self {
        let glance = sealed.glance(ids);
        let places = glance.asked.iter().zip(0..);
        let mut asked = Asked {
            entities: ids.len(),
            places: places
                .filter_map(|(asked, nth)| Some(((*asked)?.0, nth)))
                .collect(),
        };
        asked.places.sort_unstable();
        let there = glance.asked.iter().map(|asked| asked.map_or(0, |a| a.1));
        let there = there.collect();
        let ticks = glance.rows.iter().map(|(_, tick_ms)| *tick_ms).collect();
        let mut read = |id, with_values| Cells::read(&glance, id, &asked, with_values);
        let mut seen = Self::begin(ticks, there, columns, &mut read);
        if !seen.is_settled() {
            seen.settle(columns, &mut read);
        }
        seen
    }

    /// Of the last row alone, which is at hand, when it is the one of that tick.
    pub(super) fn in_tail(
        open: &Open,
        ids: &[Option<EntityId>],
        columns: &Columns,
        tick_ms: u64,
    ) -> Self {
        if open.rows.last().is_none_or(|last| last.tick_ms != tick_ms) {
            return OpenCells::new(&open.rows, ids, std::slice::from_ref(columns)).seen(columns);
        }
        let of = |columns: &[ColumnId]| Reading::of_tail(open, tick_ms, ids, columns);
        let mut seen = of(&columns.first).begin(columns);
        if !seen.is_settled() {
            let rest = of(&columns.rest);
            seen.settle(columns, &mut |id, _| rest.get(id));
        }
        seen
    }

    /// Reads the columns that are always needed. `read` gives one, its values only if they are
    /// wanted.
    fn begin(
        ticks: Vec<u64>,
        there: Vec<u64>,
        columns: &Columns,
        read: &mut dyn FnMut(ColumnId, bool) -> Cells,
    ) -> Self {
        let own = columns.group.map(stamp_columns);
        let own = own.map(|ids| ids.map(|id| read(id, true)));
        let [time, start, source] = own.unwrap_or_default();
        let mut seen = Self {
            began: Began::new(there.len(), ticks.len()),
            value: read(columns.field, true),
            ticks,
            there,
            time,
            start,
            source,
        };
        seen.add_starts(BEGAN.iter().take(FIRST), columns, read);
        seen
    }

    /// True when nothing better can be told of the lives.
    fn is_settled(&self) -> bool {
        self.began.is_settled(&self.there)
    }

    /// Reads what else may tell of lives.
    fn settle(&mut self, columns: &Columns, read: &mut dyn FnMut(ColumnId, bool) -> Cells) {
        self.add_starts(BEGAN.iter().skip(FIRST), columns, read);
    }

    fn add_starts<'a>(
        &mut self,
        groups: impl Iterator<Item = &'a Group>,
        columns: &Columns,
        read: &mut dyn FnMut(ColumnId, bool) -> Cells,
    ) {
        for group in groups {
            // What the summary tells of every row is not bettered.
            if self.is_settled() {
                return;
            }
            if Some(*group) == columns.group {
                self.began.add(&self.time, &self.start, &self.source);
                continue;
            }
            let start = read(ColumnId::start(*group), true);
            if !start.is_empty() {
                let time = read(ColumnId::time(*group), false);
                let source = read(ColumnId::source(*group), true);
                self.began.add(&time, &start, &source);
            }
        }
    }

    /// One entity in one row.
    pub(super) fn raw(&self, nth: usize, at: usize) -> RawRow {
        let place = nth * self.ticks.len() + at;
        let is_in = |mask: u64| mask >> at & 1 == 1;
        let measured = self.value.mask(nth) & self.time.mask(nth) & self.source.mask(nth);
        let source = Some(self.source.value(place)).filter(|_| is_in(measured));
        let point = source.and_then(Source::from_number).map(|source| Point {
            value: self.value.value(place),
            stamp: Stamp {
                time_ms: self.time.value(place),
                start_ms: is_in(self.start.mask(nth)).then(|| self.start.value(place)),
                source,
            },
        });
        RawRow {
            tick_ms: self.ticks.get(at).copied().unwrap_or(0),
            present: self.there.get(nth).is_some_and(|mask| is_in(*mask)),
            point,
            began: self.began.at(nth, at),
            interrupted: false,
        }
    }
}

/// Rows that are read one after the other, in some columns.
struct Reading {
    ticks: Vec<u64>,
    there: Vec<u64>,
    cells: Vec<(ColumnId, Cells)>,
}

impl Reading {
    fn new(ticks: Vec<u64>, entities: usize, columns: &[ColumnId]) -> Self {
        let new = |id: &ColumnId| (*id, Cells::new(entities, ticks.len()));
        Self {
            cells: columns.iter().map(new).collect(),
            there: vec![0; entities],
            ticks,
        }
    }

    fn of_rows(rows: &[OpenRow], ids: &[Option<EntityId>], columns: &[ColumnId]) -> Self {
        if ids.len() <= FEW {
            Self::track(rows, ids, columns)
        } else {
            Self::decode(rows, ids, columns)
        }
    }

    /// Follows each entity by itself.
    fn track(rows: &[OpenRow], ids: &[Option<EntityId>], columns: &[ColumnId]) -> Self {
        let ticks: Vec<u64> = rows.iter().map(|row| row.tick_ms).collect();
        let of = ticks.len();
        let mut reading = Self::new(ticks, ids.len(), columns);
        let followed = Followed::of(columns);
        for (nth, id) in ids.iter().enumerate() {
            let Some(id) = id else { continue };
            let mut track = Track::new(*id, &followed);
            for (at, row) in rows.iter().enumerate() {
                // It was decoded once already, when it came.
                if track
                    .step(row.is_keyframe, row.tick_ms, &row.payload)
                    .is_err()
                {
                    break;
                }
                if track.is_there() {
                    reading.put(nth, Nth { at, of }, |id| track.value(id));
                }
            }
        }
        reading
    }

    /// The last row of a block, which is at hand.
    fn of_tail(open: &Open, tick_ms: u64, ids: &[Option<EntityId>], columns: &[ColumnId]) -> Self {
        let mut reading = Self::new(vec![tick_ms], ids.len(), columns);
        if ids.len() > FEW {
            reading.put_row(&open.tail.only(columns), ids, 0);
            return reading;
        }
        for (nth, id) in ids.iter().enumerate() {
            if let Some(place) = id.and_then(|id| open.tail.position(id)) {
                let row = Nth { at: 0, of: 1 };
                reading.put(nth, row, |id| open.tail.cell(place, id));
            }
        }
        reading
    }

    /// Puts in what one entity, which is there, says in a row.
    fn put(&mut self, nth: usize, row: Nth, value: impl Fn(ColumnId) -> Option<u64>) {
        let bit = 1 << row.at;
        if let Some(there) = self.there.get_mut(nth) {
            *there |= bit;
        }
        for (id, cells) in &mut self.cells {
            let slot = cells.values.get_mut(nth * row.of + row.at);
            if let (Some(value), Some(slot), Some(mask)) =
                (value(*id), slot, cells.masks.get_mut(nth))
            {
                *slot = value;
                *mask |= bit;
            }
        }
    }

    fn decode(rows: &[OpenRow], ids: &[Option<EntityId>], columns: &[ColumnId]) -> Self {
        let ticks = rows.iter().map(|row| row.tick_ms).collect();
        let mut reading = Self::new(ticks, ids.len(), columns);
        let mut before: Option<(u64, Snapshot)> = None;
        for (at, row) in rows.iter().enumerate() {
            let base = before.as_ref().filter(|_| !row.is_keyframe);
            let base = base.map(|(tick_ms, snapshot)| Timed {
                tick_ms: *tick_ms,
                snapshot,
            });
            // It was decoded once already, when it came.
            let Ok(snapshot) = row::decode_only(columns, base, row.tick_ms, &row.payload) else {
                break;
            };
            reading.put_row(&snapshot, ids, at);
            before = Some((row.tick_ms, snapshot));
        }
        reading
    }

    fn put_row(&mut self, snapshot: &Snapshot, ids: &[Option<EntityId>], at: usize) {
        let of = self.ticks.len();
        let places = ids.iter().map(|id| snapshot.position((*id)?));
        let places: Vec<Option<usize>> = places.collect();
        for (there, place) in self.there.iter_mut().zip(&places) {
            *there |= u64::from(place.is_some()) << at;
        }
        for (id, cells) in &mut self.cells {
            if let Some(column) = snapshot.column(*id) {
                cells.put_row(column, &places, Nth { at, of });
            }
        }
    }

    fn get(&self, id: ColumnId) -> Cells {
        let found = self.cells.iter().find(|(known, _)| *known == id);
        found.map_or_else(Cells::default, |(_, cells)| cells.clone())
    }

    fn begin(&self, columns: &Columns) -> Seen {
        let (ticks, there) = (self.ticks.clone(), self.there.clone());
        Seen::begin(ticks, there, columns, &mut |id, _| self.get(id))
    }
}

/// Open rows, decoded once for several fields.
pub(super) struct OpenCells<'a> {
    rows: &'a [OpenRow],
    ids: &'a [Option<EntityId>],
    first: Reading,
    // Only where it is needed.
    rest: Option<Reading>,
}

impl<'a> OpenCells<'a> {
    pub(super) fn new(
        rows: &'a [OpenRow],
        ids: &'a [Option<EntityId>],
        columns: &[Columns],
    ) -> Self {
        let all = columns.iter().flat_map(|of| of.first.iter().copied());
        let mut all: Vec<ColumnId> = all.collect();
        all.sort_unstable();
        all.dedup();
        Self {
            rows,
            ids,
            first: Reading::of_rows(rows, ids, &all),
            rest: None,
        }
    }

    pub(super) fn seen(&mut self, columns: &Columns) -> Seen {
        let mut seen = self.first.begin(columns);
        if !seen.is_settled() {
            let rest = self
                .rest
                // The same for every field.
                .get_or_insert_with(|| Reading::of_rows(self.rows, self.ids, &columns.rest));
            seen.settle(columns, &mut |id, _| rest.get(id));
        }
        seen
    }
}

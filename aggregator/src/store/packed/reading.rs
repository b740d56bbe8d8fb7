//! Reading series without the node's lock: one column at a time, of the entities that are asked for.

use cairn_proto::catalogue::{FieldId, Group, Source, table};
use cairn_proto::codec::chunk::Sealed;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::model::{ColumnId, EntityId, Run, Snapshot, Stamp};
use cairn_proto::rate::Point;

use super::block::{Open, OpenRow, Rows};
use super::node::Node;
use super::run::RunRows;
use crate::store::{EntityPath, RawRow};

/// Groups by what they say of the start of a life: the summary tells a start of everything that it
/// lists, and most entities have memory or are measured with it.
const BEGAN: [Group; 5] = [
    Group::Memory,
    Group::Network,
    Group::Filesystem,
    Group::Volume,
    Group::Cpu,
];

/// References to the rows of one node.
#[derive(Debug)]
pub struct Found {
    parts: Vec<Part>,
    entities: usize,
    ticks_ms: (u64, u64),
}

#[derive(Debug)]
struct Part {
    run: Run,
    // Of each entity that was asked for.
    ids: Vec<Option<EntityId>>,
    rows: PartRows,
}

#[derive(Debug)]
enum PartRows {
    Sealed(Sealed),
    Open(Vec<OpenRow>),
}

/// Takes references to the rows of a range of ticks, under the node's lock.
pub(super) fn find(node: &Node, paths: &[&EntityPath], ticks_ms: (u64, u64)) -> Found {
    let mut found = Found {
        parts: Vec::new(),
        entities: paths.len(),
        ticks_ms: (ticks_ms.0.max(node.oldest_ms()), ticks_ms.1),
    };
    for run in &node.runs {
        let overlaps = |block: &&super::block::Block| {
            let times = &block.times;
            times.last_tick_ms() >= found.ticks_ms.0 && times.first_tick_ms() <= found.ticks_ms.1
        };
        let mut blocks = run.blocks.iter().filter(overlaps).peekable();
        if blocks.peek().is_none() {
            continue;
        }
        let ids: Vec<Option<EntityId>> = paths.iter().map(|path| run.names.find(path)).collect();
        let parts: Vec<Part> = blocks
            .map(|block| Part {
                run: run.run,
                ids: ids.clone(),
                rows: match &block.rows {
                    Rows::Sealed(sealed) => PartRows::Sealed(sealed.clone()),
                    Rows::Open(open) => PartRows::Open(open.rows.clone()),
                },
            })
            .collect();
        found.parts.extend(parts);
    }
    found
}

/// Reads a field of each entity that was asked for, in order of ticks.
pub(super) fn read(found: &Found, field: FieldId) -> Vec<Vec<RawRow>> {
    let mut read: Vec<Vec<(Run, RawRow)>> = vec![Vec::new(); found.entities];
    let columns = Columns::of(field);
    for part in &found.parts {
        let cells = match &part.rows {
            PartRows::Sealed(sealed) => Cells::of_chunk(sealed, &part.ids, &columns),
            PartRows::Open(rows) => Cells::of_rows(rows, &part.ids, &columns),
        };
        for (nth, rows) in read.iter_mut().enumerate() {
            for (at, tick_ms) in cells.ticks.iter().enumerate() {
                if (found.ticks_ms.0..=found.ticks_ms.1).contains(tick_ms) {
                    rows.push((part.run, cells.raw(nth, at, &columns)));
                }
            }
        }
    }
    read.into_iter().map(in_order).collect()
}

/// Rows of one run at one tick, seen from some entities.
pub(super) fn last_rows(
    run: &RunRows,
    ids: &[EntityId],
    tick_ms: u64,
    field: FieldId,
) -> Vec<Option<RawRow>> {
    let columns = Columns::of(field);
    let ids: Vec<Option<EntityId>> = ids.iter().copied().map(Some).collect();
    let mut blocks = run.blocks.iter().rev();
    let block = blocks.find(|block| block.times.first_tick_ms() <= tick_ms);
    let cells = block.map(|block| match &block.rows {
        Rows::Sealed(sealed) => Cells::of_chunk(sealed, &ids, &columns),
        Rows::Open(open) => Cells::of_tail(open, &ids, &columns, tick_ms),
    });
    let at = cells
        .as_ref()
        .and_then(|cells| cells.ticks.iter().position(|tick| *tick == tick_ms));
    let row = |nth| Some(cells.as_ref()?.raw(nth, at?, &columns));
    (0..ids.len()).map(row).collect()
}

/// Rows of several runs in order of their ticks, with the marks that no rate reaches over.
fn in_order(mut rows: Vec<(Run, RawRow)>) -> Vec<RawRow> {
    if !rows.is_sorted_by_key(|(_, row)| row.tick_ms) {
        rows.sort_by_key(|(_, row)| row.tick_ms);
    }
    let mut before: Option<Run> = None;
    rows.into_iter()
        .map(|(run, mut row)| {
            row.interrupted = before.is_some_and(|before| !run.continues(&before));
            before = Some(run);
            row
        })
        .collect()
}

/// The columns that a series is made of: its values, their stamps, and what tells of lives.
#[derive(Debug)]
struct Columns {
    ids: Vec<ColumnId>,
    field: ColumnId,
    group: Option<Group>,
}

impl Columns {
    fn of(field: FieldId) -> Self {
        let group = table::field(field).map(|field| field.group);
        let groups = BEGAN.into_iter().chain(group);
        let stamp = |group| {
            [
                ColumnId::time(group),
                ColumnId::start(group),
                ColumnId::source(group),
            ]
        };
        let mut ids: Vec<ColumnId> = groups.flat_map(stamp).collect();
        ids.push(ColumnId::field(field));
        ids.sort_unstable();
        ids.dedup();
        Self {
            ids,
            field: ColumnId::field(field),
            group,
        }
    }
}

/// Cells of some entities in some columns and all rows of a part.
struct Cells {
    ticks: Vec<u64>,
    // Bit n: there in the n-th row. Of each entity.
    there: Vec<u64>,
    columns: Vec<ColumnCells>,
}

struct ColumnCells {
    id: ColumnId,
    // Of each entity: the rows in which it has a cell.
    masks: Vec<u64>,
    // Of each entity all rows, then of the next.
    values: Vec<u64>,
}

impl Cells {
    fn empty(ticks: Vec<u64>, entities: usize) -> Self {
        Self {
            ticks,
            there: vec![0; entities],
            columns: Vec::new(),
        }
    }

    fn of_chunk(sealed: &Sealed, ids: &[Option<EntityId>], columns: &Columns) -> Self {
        let head = sealed.head();
        let ticks: Vec<u64> = head.rows.iter().map(|(_, tick_ms)| *tick_ms).collect();
        let rows = ticks.len();
        let mut cells = Self::empty(ticks, ids.len());
        // Which of the entities asked for stands at a place of the chunk.
        let mut asked = vec![usize::MAX; head.entities.len()];
        for (nth, id) in ids.iter().enumerate() {
            let Some(place) = id.and_then(|id| head.place(id)) else {
                continue;
            };
            if let (Some(asked), Some(there), Some(mask)) = (
                asked.get_mut(place),
                cells.there.get_mut(nth),
                head.there.get(place),
            ) {
                (*asked, *there) = (nth, *mask);
            }
        }
        for id in &columns.ids {
            let Some(column) = head.column(*id) else {
                continue;
            };
            let mut one = ColumnCells::new(*id, ids.len(), rows);
            for series in column {
                let nth = asked.get(series.place).copied().unwrap_or(usize::MAX);
                let Some(mask) = one.masks.get_mut(nth) else {
                    continue;
                };
                *mask = series.mask;
                let values = series.by_row();
                let slots = one.values.get_mut(nth * rows..(nth + 1) * rows);
                for (slot, value) in slots.into_iter().flatten().zip(values) {
                    *slot = value;
                }
            }
            cells.columns.push(one);
        }
        cells
    }

    fn of_rows(rows: &[OpenRow], ids: &[Option<EntityId>], columns: &Columns) -> Self {
        let ticks: Vec<u64> = rows.iter().map(|row| row.tick_ms).collect();
        let count = ticks.len();
        let mut cells = Self::empty(ticks, ids.len());
        let new = |id: &ColumnId| ColumnCells::new(*id, ids.len(), count);
        cells.columns = columns.ids.iter().map(new).collect();
        let mut before: Option<(u64, Snapshot)> = None;
        for (at, row) in rows.iter().enumerate() {
            let base = before.as_ref().filter(|_| !row.is_keyframe);
            let base = base.map(|(tick_ms, snapshot)| Timed {
                tick_ms: *tick_ms,
                snapshot,
            });
            // It was decoded once already, when it came.
            let Ok(snapshot) = row::decode_only(&columns.ids, base, row.tick_ms, &row.payload)
            else {
                break;
            };
            cells.put_row(&snapshot, ids, (at, count));
            before = Some((row.tick_ms, snapshot));
        }
        cells
    }

    /// Of the last row alone, which is decoded already, when it is the one of that tick.
    fn of_tail(open: &Open, ids: &[Option<EntityId>], columns: &Columns, tick_ms: u64) -> Self {
        if open.rows.last().is_none_or(|last| last.tick_ms != tick_ms) {
            return Self::of_rows(&open.rows, ids, columns);
        }
        let mut cells = Self::empty(vec![tick_ms], ids.len());
        let new = |id: &ColumnId| ColumnCells::new(*id, ids.len(), 1);
        cells.columns = columns.ids.iter().map(new).collect();
        cells.put_row(&open.tail, ids, (0, 1));
        cells
    }

    fn put_row(&mut self, snapshot: &Snapshot, ids: &[Option<EntityId>], row: (usize, usize)) {
        let places = ids.iter().map(|id| snapshot.position((*id)?));
        let places: Vec<Option<usize>> = places.collect();
        for (there, place) in self.there.iter_mut().zip(&places) {
            *there |= u64::from(place.is_some()) << row.0;
        }
        for one in &mut self.columns {
            one.put_row(snapshot, &places, row);
        }
    }

    fn column(&self, id: ColumnId) -> Option<&ColumnCells> {
        self.columns.iter().find(|column| column.id == id)
    }

    fn cell(&self, id: ColumnId, nth: usize, at: usize) -> Option<u64> {
        let column = self.column(id)?;
        let is_there = column.masks.get(nth)? >> at & 1 == 1;
        let value = column.values.get(nth * self.ticks.len() + at);
        value.copied().filter(|_| is_there)
    }

    fn stamp(&self, group: Group, nth: usize, at: usize) -> Option<Stamp> {
        let time_ms = self.cell(ColumnId::time(group), nth, at)?;
        let source = self.cell(ColumnId::source(group), nth, at)?;
        Some(Stamp {
            time_ms,
            start_ms: self.cell(ColumnId::start(group), nth, at),
            source: Source::from_number(source)?,
        })
    }

    /// When the life began, and by whom.
    fn began(&self, nth: usize, at: usize) -> Option<(Source, u64)> {
        let mut by_others = None;
        for group in BEGAN {
            let told = self.cell(ColumnId::start(group), nth, at);
            let Some(start_ms) = told else { continue };
            let Some(stamp) = self.stamp(group, nth, at) else {
                continue;
            };
            if stamp.source == Source::Summary {
                return Some((stamp.source, start_ms));
            }
            by_others = by_others.or(Some((stamp.source, start_ms)));
        }
        by_others
    }

    fn raw(&self, nth: usize, at: usize, columns: &Columns) -> RawRow {
        let present = self.there.get(nth).is_some_and(|mask| mask >> at & 1 == 1);
        let value = self.cell(columns.field, nth, at);
        let stamp = columns.group.and_then(|group| self.stamp(group, nth, at));
        RawRow {
            tick_ms: self.ticks.get(at).copied().unwrap_or(0),
            present,
            point: value
                .zip(stamp)
                .map(|(value, stamp)| Point { value, stamp }),
            began: self.began(nth, at),
            interrupted: false,
        }
    }
}

impl ColumnCells {
    fn new(id: ColumnId, entities: usize, rows: usize) -> Self {
        Self {
            id,
            masks: vec![0; entities],
            values: vec![0; entities * rows],
        }
    }

    fn put_row(&mut self, snapshot: &Snapshot, places: &[Option<usize>], row: (usize, usize)) {
        let (at, rows) = row;
        let Some(column) = snapshot.column(self.id) else {
            return;
        };
        let slots = self
            .masks
            .iter_mut()
            .zip(self.values.chunks_exact_mut(rows));
        for ((mask, values), place) in slots.zip(places) {
            let value = place.and_then(|place| column.get(place));
            if let (Some(value), Some(slot)) = (value, values.get_mut(at)) {
                *slot = value;
                *mask |= 1 << at;
            }
        }
    }
}

//! Rows into a chunk.

use super::series::{self, Cells, Series};
use super::{COPY, FULL, REGULAR, ROWS, form};
use crate::catalogue::FIRST_FIELD;
use crate::codec::DENSE;
use crate::codec::bits::{Writer, put_bits};
use crate::codec::chunk::RowOf;
use crate::codec::dense::{best_scale, difference};
use crate::codec::entities::put_ids;
use crate::codec::varint::{put, zigzag};
use crate::model::{Column, ColumnId, EntityId};

/// Encodes the rows of one block, in rising order of their offsets and ticks.
pub(in crate::codec) fn encode(rows: &[RowOf<'_>]) -> Vec<u8> {
    let rows = rows.get(..ROWS.min(rows.len())).unwrap_or_default();
    let mut out = Vec::new();
    put(&mut out, u64::from(DENSE));
    put_ticks(&mut out, rows);
    let entities = entities(rows);
    put(&mut out, entities.len() as u64);
    put_ids(&mut out, &entities);
    let places: Vec<Vec<u32>> = rows.iter().map(|row| places(row, &entities)).collect();
    let there = presence(&places, entities.len());
    let whole = super::all_rows(rows.len());
    put_bits(&mut out, there.iter().map(|mask| *mask != whole));
    for mask in there.iter().filter(|mask| **mask != whole) {
        put_mask(&mut out, *mask, rows.len());
    }
    let columns = columns(rows);
    put(&mut out, columns.len() as u64);
    let mut bodies = Vec::new();
    let mut cells = vec![Cells::NONE; entities.len()];
    let mut done: Vec<ColumnId> = Vec::new();
    for id in columns {
        cells.iter_mut().for_each(|cells| cells.mask = 0);
        for ((row, places), nth) in rows.iter().zip(&places).zip(0..) {
            gather(&mut cells, row, places, id, nth);
        }
        let start = bodies.len();
        let mut twins = done.iter().filter(|twin| are_twins(rows, **twin, id));
        match twins.next() {
            Some(twin) => {
                bodies.push(COPY);
                put(&mut bodies, u64::from(twin.0));
            }
            None => {
                put_column(&mut bodies, &cells, &there, rows.len());
                done.push(id);
            }
        }
        put(&mut out, u64::from(id.0));
        put(&mut out, (bodies.len() - start) as u64);
    }
    out.extend_from_slice(&bodies);
    out
}

fn put_ticks(out: &mut Vec<u8>, rows: &[RowOf<'_>]) {
    let span = rows.last().map_or(0, |row| row.offset + 1);
    out.push(u8::try_from(span).unwrap_or(u8::MAX));
    let is_there = |offset: u64| rows.iter().any(|row| row.offset == offset);
    put_bits(out, (0..span).map(is_there));
    let first = rows.first().map_or(0, |row| row.tick);
    let step = rows
        .iter()
        .fold(0, |step, row| series::gcd(step, row.tick - first));
    put(out, first);
    put(out, step);
    for (before, row) in rows.iter().zip(rows.iter().skip(1)) {
        let steps = (row.tick - before.tick) / step.max(1);
        let late = difference(row.offset - before.offset, steps);
        put(out, zigzag(late));
    }
}

fn entities(rows: &[RowOf<'_>]) -> Vec<EntityId> {
    let mut all: Vec<EntityId> = Vec::new();
    for row in rows {
        // Nearly always they are the same from row to row.
        if row.snapshot.entities() != all {
            all.extend(row.snapshot.entities());
            all.sort_unstable();
            all.dedup();
        }
    }
    all
}

fn columns(rows: &[RowOf<'_>]) -> Vec<ColumnId> {
    let columns = rows.iter().flat_map(|row| row.snapshot.columns());
    let mut all: Vec<ColumnId> = columns.map(Column::id).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Where each entity of a row stands among all.
fn places(row: &RowOf<'_>, all: &[EntityId]) -> Vec<u32> {
    let mut all = all.iter().zip(0_u32..);
    row.snapshot
        .entities()
        .iter()
        .filter_map(|id| all.find(|(known, _)| *known == id).map(|(_, place)| place))
        .collect()
}

/// In which of the rows each entity is.
fn presence(places: &[Vec<u32>], count: usize) -> Vec<u64> {
    let mut there = vec![0_u64; count];
    for (places, nth) in places.iter().zip(0..) {
        for place in places {
            if let Some(mask) = there.get_mut(*place as usize) {
                *mask |= 1 << nth;
            }
        }
    }
    there
}

fn gather(cells: &mut [Cells], row: &RowOf<'_>, places: &[u32], id: ColumnId, nth: usize) {
    let Some(column) = row.snapshot.column(id) else {
        return;
    };
    for (place, value) in column.cells() {
        let place = places.get(place as usize);
        let cells = place.and_then(|place| cells.get_mut(*place as usize));
        if let Some(cells) = cells
            && let Some(cell) = cells.values.get_mut(nth)
        {
            *cell = value;
            cells.mask |= 1 << nth;
        }
    }
}

/// True when two columns have the same cells in every row. Looked for among stamps alone: the times
/// and starts of groups that one pass measures, which are its dearest columns.
fn are_twins(rows: &[RowOf<'_>], one: ColumnId, other: ColumnId) -> bool {
    other.0 < FIRST_FIELD
        && rows.iter().all(|row| {
            let [one, other] = [one, other].map(|id| row.snapshot.column(id));
            match (one, other) {
                (Some(one), Some(other)) => one.has_cells_of(other),
                (one, other) => one.is_none() && other.is_none(),
            }
        })
}

fn put_mask(out: &mut Vec<u8>, mask: u64, rows: usize) {
    put_bits(out, (0..rows).map(|nth| mask >> nth & 1 == 1));
}

/// Appends the body of one column. `there` says in which rows each entity is.
fn put_column(out: &mut Vec<u8>, cells: &[Cells], there: &[u64], rows: usize) {
    let having = || cells.iter().zip(there).filter(|(cells, _)| cells.mask != 0);
    let all: Vec<Series> = having().map(|(cells, _)| Series::of(cells)).collect();
    let irregular = || having().filter(|(cells, there)| cells.mask != **there);
    let (full, regular) = (all.len() == cells.len(), irregular().next().is_none());
    let befores = || std::iter::once(0).chain(all.iter().map(Series::first));
    let steps = || {
        all.iter()
            .zip(befores())
            .map(|(series, before)| difference(before, series.first()))
    };
    let (code, scale) = best_scale(&steps());
    out.push(code | if full { FULL } else { 0 } | if regular { REGULAR } else { 0 });
    if !full {
        put_bits(out, cells.iter().map(|cells| cells.mask != 0));
    }
    if !regular {
        put_bits(out, having().map(|(cells, there)| cells.mask != *there));
        for (cells, _) in irregular() {
            put_mask(out, cells.mask, rows);
        }
    }
    let mut last: Option<&Series> = None;
    let mut forms = Vec::with_capacity(all.len());
    for (series, step) in all.iter().zip(steps()) {
        forms.push(match (series.divisor, step) {
            (0, 0) => form::AS_BEFORE,
            (0, _) => form::CONSTANT,
            _ if last.is_some_and(|last| last.moves_like(series)) => form::ALIKE,
            _ => {
                last = Some(series);
                form::MOVING
            }
        });
    }
    let mut writer = Writer::new(out);
    for form in &forms {
        writer.put(u64::from(*form), 2);
    }
    writer.finish();
    let moving = all
        .iter()
        .zip(&forms)
        .filter(|(_, form)| **form == form::MOVING);
    let common = moving.fold(0, |common, (one, _)| series::gcd(common, one.divisor));
    let mut divisor = 1;
    for ((one, step), form) in all.iter().zip(steps()).zip(&forms) {
        if *form != form::AS_BEFORE {
            put(out, zigzag(step / scale));
        }
        if *form == form::MOVING {
            one.put(out, common, &mut divisor);
        }
    }
}

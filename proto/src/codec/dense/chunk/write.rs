//! Rows into a chunk.

use super::bodies::{Bodies, Written};
use super::cells::Cells;
use super::divisor::gcd;
use super::series::Series;
use super::{FULL, REGULAR, ROWS, form};
use crate::catalogue::FIRST_FIELD;
use crate::codec::DENSE;
use crate::codec::bits::{put_bits, put_places};
use crate::codec::chunk::RowOf;
use crate::codec::dense::{best_scale, difference};
use crate::codec::entities::{first, next, put_ids};
use crate::codec::varint::{put, zigzag};
use crate::model::{Column, ColumnId, EntityId};

/// Encodes the rows of one block, in rising order of their offsets and ticks.
pub(super) fn write(rows: &[RowOf<'_>]) -> Written {
    let rows = rows.get(..ROWS.min(rows.len())).unwrap_or_default();
    let mut out = Vec::new();
    let entities = entities(rows);
    let places: Vec<Vec<u32>> = rows.iter().map(|row| places(row, &entities)).collect();
    let there = presence(&places, entities.len());
    let ticks: Vec<(u64, u64)> = rows.iter().map(|row| (row.offset, row.tick)).collect();
    put_head(&mut out, &ticks, &entities, &there);
    let mut bodies = Bodies::default();
    let mut cells = Cells::new(entities.len(), rows.len(), &places);
    let mut rest: Vec<&[Column]> = rows.iter().map(|row| row.snapshot.columns()).collect();
    let mut done: Vec<(ColumnId, Vec<Option<&Column>>, usize)> = Vec::new();
    while let Some(id) = rest.iter().copied().filter_map(first).min() {
        let column: Vec<Option<&Column>> = rest.iter_mut().map(|rest| next(rest, id)).collect();
        let is_stamp = id.0 < FIRST_FIELD;
        let twin = done
            .iter()
            .find(|(_, one, _)| is_stamp && twins(one, &column));
        if let Some((twin, _, count)) = twin {
            bodies.copy(id, *twin, *count);
        } else {
            cells.gather(&column);
            bodies.add(id, &cells, &there, rows.len());
            if is_stamp {
                done.push((id, column, cells.count()));
            }
        }
    }
    bodies.finish(out)
}

/// Appends what stands before the columns: rows by offset and tick, entities, and in which of the rows
/// each of these is.
pub(super) fn put_head(
    out: &mut Vec<u8>,
    rows: &[(u64, u64)],
    entities: &[EntityId],
    there: &[u64],
) {
    put(out, u64::from(DENSE));
    put_ticks(out, rows);
    put(out, entities.len() as u64);
    put_ids(out, entities);
    let whole = super::all_rows(rows.len());
    put_bits(out, there.iter().map(|mask| *mask != whole));
    for mask in there.iter().filter(|mask| **mask != whole) {
        put_mask(out, *mask, rows.len());
    }
}

fn put_ticks(out: &mut Vec<u8>, rows: &[(u64, u64)]) {
    let span = rows.last().map_or(0, |(offset, _)| offset + 1);
    out.push(u8::try_from(span).unwrap_or(u8::MAX));
    let is_there = |offset: u64| rows.iter().any(|row| row.0 == offset);
    put_bits(out, (0..span).map(is_there));
    let first = rows.first().map_or(0, |(_, tick)| *tick);
    let step = rows
        .iter()
        .fold(0, |step, (_, tick)| gcd(step, tick - first));
    put(out, first);
    put(out, step);
    for (before, row) in rows.iter().zip(rows.iter().skip(1)) {
        let steps = (row.1 - before.1) / step.max(1);
        let late = difference(row.0 - before.0, steps);
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

/// True when two columns have the same cells in every row. Looked for among stamps alone: the times
/// and starts of groups that one pass measures, which are its dearest columns.
fn twins(one: &[Option<&Column>], other: &[Option<&Column>]) -> bool {
    one.iter().zip(other).all(|rows| match rows {
        (Some(one), Some(other)) => one.has_cells_of(other),
        (one, other) => one.is_none() && other.is_none(),
    })
}

pub(super) fn put_mask(out: &mut Vec<u8>, mask: u64, rows: usize) {
    out.extend(mask.to_le_bytes().into_iter().take(rows.div_ceil(8)));
}

/// Appends the body of one column. `there` says in which rows each entity is.
pub(super) fn put_column(out: &mut Vec<u8>, cells: &Cells<'_>, there: &[u64], rows: usize) {
    let all = cells.series();
    let irregular = || cells.masks(there).filter(|(mask, there)| mask != there);
    let (full, regular) = (all.len() == there.len(), irregular().next().is_none());
    let befores = || std::iter::once(0).chain(all.iter().map(Series::first));
    let steps = || {
        all.iter()
            .zip(befores())
            .map(|(series, before)| difference(before, series.first()))
    };
    let (code, scale) = best_scale(&steps());
    put_flags(out, code, full, regular);
    if !full {
        put_places(out, there.len(), &cells.having);
    }
    if !regular {
        put_bits(out, cells.masks(there).map(|(mask, there)| mask != there));
        irregular().for_each(|(mask, _)| put_mask(out, mask, rows));
    }
    let forms = forms(all.iter().zip(steps()));
    put_forms(out, &forms);
    let moving = all
        .iter()
        .zip(&forms)
        .filter(|(_, form)| **form == form::MOVING);
    let common = moving.fold(0, |common, (one, _)| gcd(one.divisor, common));
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

pub(super) fn put_flags(out: &mut Vec<u8>, code: u8, full: bool, regular: bool) {
    out.push(code | if full { FULL } else { 0 } | if regular { REGULAR } else { 0 });
}

pub(super) fn put_forms(out: &mut Vec<u8>, forms: &[u8]) {
    let four = |forms: &[u8]| forms.iter().rev().fold(0, |byte, form| byte << 2 | form);
    out.extend(forms.chunks(4).map(four));
}

/// What each series is, told from the one before and by how much it begins above that.
fn forms<'a>(all: impl Iterator<Item = (&'a Series<'a>, i64)>) -> Vec<u8> {
    let mut last: Option<&Series<'_>> = None;
    all.map(|(series, step)| match (series.divisor, step) {
        (0, 0) => form::AS_BEFORE,
        (0, _) => form::CONSTANT,
        _ if last.is_some_and(|last| last.moves_like(series)) => form::ALIKE,
        _ => {
            last = Some(series);
            form::MOVING
        }
    })
    .collect()
}

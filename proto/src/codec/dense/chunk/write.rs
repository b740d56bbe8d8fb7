//! Rows into a chunk.

use super::ROWS;
use super::bodies::{Bodies, Written};
use super::body::put_mask;
use super::cells::Cells;
use super::divisor::gcd;
use super::there::There;
use crate::catalogue::FIRST_FIELD;
use crate::codec::DENSE;
use crate::codec::bits::put_bits;
use crate::codec::chunk::RowOf;
use crate::codec::dense::difference;
use crate::codec::entities::{first, next, put_ids};
use crate::codec::varint::{put, zigzag};
use crate::model::{Column, ColumnId, EntityId};

/// Encodes the rows of one block, in rising order of their offsets and ticks.
pub(super) fn write(rows: &[RowOf<'_>]) -> Written {
    let rows = rows.get(..ROWS.min(rows.len())).unwrap_or_default();
    let mut out = Vec::new();
    let entities = entities(rows);
    let (places, there) = places(rows, &entities);
    let ticks: Vec<(u64, u64)> = rows.iter().map(|row| (row.offset, row.tick)).collect();
    put_head(&mut out, &ticks, &entities, &there);
    let mut bodies = Bodies::default();
    let mut cells = Cells::new(entities.len(), rows.len());
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
            cells.gather(&column, &places);
            let count = bodies.add(id, &cells, There::of(entities.len(), rows.len(), &there));
            if is_stamp {
                done.push((id, column, count));
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
        let own = row.snapshot.entities();
        // Nearly always they are the same from row to row, or some of them.
        if own != all && places_of(own, &all).len() < own.len() {
            all.extend(own);
            all.sort_unstable();
            all.dedup();
        }
    }
    all
}

/// Where the entities of each row stand among all, none when they are all in every row; and in which rows
/// each of all is.
fn places(rows: &[RowOf<'_>], all: &[EntityId]) -> (Vec<Vec<u32>>, Vec<u64>) {
    if rows.iter().all(|row| row.snapshot.entities() == all) {
        return (Vec::new(), vec![super::all_rows(rows.len()); all.len()]);
    }
    let places = rows
        .iter()
        .map(|row| places_of(row.snapshot.entities(), all));
    let places: Vec<Vec<u32>> = places.collect();
    let mut there = vec![0_u64; all.len()];
    for (places, nth) in places.iter().zip(0..) {
        for place in places {
            if let Some(mask) = there.get_mut(*place as usize) {
                *mask |= 1 << nth;
            }
        }
    }
    (places, there)
}

/// Where some entities stand among all, as far as they are among them.
pub(super) fn places_of(own: &[EntityId], all: &[EntityId]) -> Vec<u32> {
    let mut all = all.iter().zip(0_u32..).peekable();
    let place = |id: &EntityId| {
        while all.next_if(|(known, _)| *known < id).is_some() {}
        let found = all.next_if(|(known, _)| *known == id);
        found.map(|(_, place)| place)
    };
    own.iter().filter_map(place).collect()
}

/// True when two columns have the same cells in every row. Looked for among stamps alone: the times
/// and starts of groups that one pass measures, which are its dearest columns.
fn twins(one: &[Option<&Column>], other: &[Option<&Column>]) -> bool {
    one.iter().zip(other).all(|rows| match rows {
        (Some(one), Some(other)) => one.has_cells_of(other),
        (one, other) => one.is_none() && other.is_none(),
    })
}

//! Chunks whose rows follow each other, put together column by column: the rows themselves are never
//! made.

use super::bodies::{Bodies, Written};
use super::cells::Cells;
use super::cut::Cut;
use super::read::Head;
use super::there::There;
use super::walk::{Column, Series};
use super::{ROWS, write};
use crate::catalogue::FIRST_FIELD;
use crate::model::{ColumnId, EntityId};

/// One of the chunks.
pub(super) struct Part<'a> {
    head: Head<'a>,
    /// Added to the offsets of its rows.
    shift: u64,
    /// Rows at its beginning that are left out.
    skipped: usize,
    /// Rows of the parts before it.
    first: usize,
    /// Where each of its entities stands among all; `u32::MAX` where that is in none of its rows.
    places: Vec<u32>,
}

impl<'a> Part<'a> {
    /// The rows of a chunk from this tick on.
    pub(super) fn of(head: Head<'a>, shift: u64, oldest_ms: u64) -> Self {
        Self {
            skipped: head.rows.partition_point(|(_, tick)| *tick < oldest_ms),
            head,
            shift,
            first: 0,
            places: Vec::new(),
        }
    }

    fn rows(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let rows = self.head.rows.iter().skip(self.skipped);
        rows.map(|(offset, tick)| (offset.saturating_add(self.shift), *tick))
    }

    /// Its entities that are in one of the rows that are left, each with these rows.
    fn there(&self) -> impl Iterator<Item = (EntityId, u64)> + '_ {
        let all = self.head.entities.iter().zip(&self.head.there);
        let all = all.map(|(id, mask)| (*id, mask >> self.skipped));
        all.filter(|(_, mask)| *mask != 0)
    }

    /// Adds the cells of a column that are in the rows that are left.
    fn add(&self, mut column: Column<'_>, cells: &mut Cells) {
        if self.skipped > 0 {
            for series in column {
                self.add_kept(&series, cells);
            }
            return;
        }
        let read = column.each(|place, (mask, count), first, steps| {
            let place = self.places.get(place).copied().unwrap_or(u32::MAX);
            cells.append(place, (mask << self.first, count), first, steps);
        });
        debug_assert!(read.is_ok(), "a chunk that has been checked can be read");
    }

    /// The same of a series of which the first rows are left out.
    fn add_kept(&self, series: &Series<'_>, cells: &mut Cells) {
        let place = self.places.get(series.place).copied().unwrap_or(u32::MAX);
        let values = series.by_row();
        let kept = values.iter().enumerate().skip(self.skipped);
        for (nth, value) in kept.filter(|(nth, _)| series.mask >> nth & 1 == 1) {
            cells.push(place, nth - self.skipped + self.first, *value);
        }
    }
}

/// Of each part the bytes that the cells of a column are in.
type Own<'a> = Vec<Option<&'a [u8]>>;

/// What is left of the parts as one chunk; `None` when no row is, or when they do not rise.
pub(super) fn splice(mut parts: Vec<Part<'_>>) -> Option<Written> {
    parts.retain(|part| part.skipped < part.head.rows.len());
    let rows: Vec<(u64, u64)> = parts.iter().flat_map(Part::rows).collect();
    let rise = rows.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1);
    let last = rows.last()?.0;
    if !rise || last >= ROWS as u64 {
        return None;
    }
    let mut entities: Vec<EntityId> = Vec::new();
    let mut first = 0;
    for part in &mut parts {
        part.first = first;
        first += part.head.rows.len() - part.skipped;
        // Nearly always they are the same from part to part.
        if !part.there().map(|(id, _)| id).eq(entities.iter().copied()) {
            entities.extend(part.there().map(|(id, _)| id));
            entities.sort_unstable();
            entities.dedup();
        }
    }
    let mut there = vec![0_u64; entities.len()];
    for part in &mut parts {
        let mut all = entities.iter().zip(0_u32..).peekable();
        let mut place = |id: EntityId| {
            while all.next_if(|(known, _)| **known < id).is_some() {}
            let found = all.next_if(|(known, _)| **known == id);
            found.map_or(u32::MAX, |(_, place)| place)
        };
        part.places = part.head.entities.iter().map(|id| place(*id)).collect();
        for (place, mask) in part.places.iter().zip(&part.head.there) {
            if let Some(there) = there.get_mut(*place as usize) {
                *there |= mask >> part.skipped << part.first;
            }
        }
    }
    let mut out = Vec::new();
    write::put_head(&mut out, &rows, &entities, &there);
    Some(columns(&parts, &there, rows.len()).finish(out))
}

fn columns(parts: &[Part<'_>], there: &[u64], rows: usize) -> Bodies {
    // Together they take less than by themselves.
    let room = parts.iter().map(|part| part.head.directory.size());
    let mut bodies = Bodies::with_room(room.sum());
    let mut cells = Cells::new(there.len(), rows);
    let mut directories: Vec<_> = parts
        .iter()
        .map(|part| part.head.directory.known().peekable())
        .collect();
    let mut done: Vec<(ColumnId, Own<'_>, usize)> = Vec::new();
    loop {
        let next = directories.iter_mut().filter_map(|all| Some(all.peek()?.0));
        let Some(id) = next.min() else {
            return bodies;
        };
        // Those of another column where it is a copy.
        let own = directories.iter_mut().zip(parts).map(|(all, part)| {
            let (_, body) = all.next_if(|(next, _)| *next == id)?;
            part.head.directory.body(id, body).ok()
        });
        let own: Own<'_> = own.collect();
        let is_stamp = id.0 < FIRST_FIELD;
        let twin = done.iter().find(|(_, of, _)| is_stamp && twins(of, &own));
        if let Some((twin, _, count)) = twin {
            bodies.copy(id, *twin, *count);
            continue;
        }
        if let ([part], [Some(body)]) = (parts, &*own) {
            let cut = Cut {
                skipped: part.skipped,
                rows,
                places: &part.places,
                there,
            };
            let column = part.head.walk(body);
            let count = bodies.put(id, |out| column.map_or(0, |column| cut.put(out, column)));
            if is_stamp && count > 0 {
                done.push((id, own, count));
            }
            continue;
        }
        cells.begin();
        for (part, body) in parts.iter().zip(&own) {
            if let Some(column) = body.and_then(|body| part.head.walk(body)) {
                part.add(column, &mut cells);
            }
        }
        cells.end();
        // All of its cells may have been in rows that are left out.
        if !cells.is_empty() {
            let count = bodies.add(id, &cells, There::of(there.len(), rows, there));
            if is_stamp {
                done.push((id, own, count));
            }
        }
    }
}

/// True when two columns have their cells in the same bytes of each part. Within a part the writer saw
/// to that.
fn twins(one: &[Option<&[u8]>], other: &[Option<&[u8]>]) -> bool {
    one.iter().zip(other).all(|bodies| match bodies {
        (Some(one), Some(other)) => std::ptr::eq(*one, *other),
        (one, other) => one.is_none() && other.is_none(),
    })
}

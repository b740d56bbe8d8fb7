//! Reading series without the node's lock: one column at a time, of the entities that are asked for.

mod alone;
mod began;
mod cells;

use std::hint::black_box;

use cairn_proto::catalogue::FieldId;
use cairn_proto::codec::chunk::{Sealed, touch};
use cairn_proto::model::{EntityId, Run};

use super::block::{Block, OpenRow, Rows};
use super::lately::Looked;
use super::node::Node;
use super::run::RunRows;
use crate::store::frame::Window as _;
use crate::store::{EntityPath, RawRow, VisitEach, VisitFields, Wanted};
use alone::Reader;
use cells::{Columns, FEW, OpenCells, Seen};

/// Bytes of a row in wire form in which its stamps and the first fields are, of a few dozen pods.
const TOUCHED: usize = 384;

/// References to the rows of one node.
#[derive(Debug)]
pub struct Found {
    runs: Vec<FoundRun>,
    entities: usize,
    // No row before.
    oldest_ms: u64,
    // What was read of the field before, if that is asked for alone: in `runs` is what lies behind it.
    lately: Option<Looked>,
}

impl Found {
    /// The rows of one entity: those that are known, and behind them what is read.
    fn tell<'r>(
        &self,
        (looked, nth): (&Looked, usize),
        field: Wanted,
        reader: &mut Option<Reader>,
        rows: &'r mut Vec<RawRow>,
    ) -> &'r [RawRow] {
        rows.clear();
        let (first, last) = (field.1.0.max(self.oldest_ms), field.1.1);
        let behind_ms = looked.tell(nth, rows);
        let at = |rows: &[RawRow], tick_ms| rows.partition_point(|row| row.tick_ms < tick_ms);
        if !self.runs.is_empty() {
            // Also where that is before what is asked for: what is kept has no hole.
            let from_ms = behind_ms.unwrap_or(first);
            let fresh = reader_of(field, reader).read(self, nth, (from_ms, last));
            rows.extend_from_slice(fresh);
            if !fresh.is_empty() {
                let expired = at(rows, self.oldest_ms);
                let left = rows.get(expired..).unwrap_or_default();
                looked.keep(nth, first, left);
            }
        }
        let (from, to) = (at(rows, first), at(rows, last.saturating_add(1)));
        rows.get(from..to).unwrap_or_default()
    }
}

#[derive(Debug)]
struct FoundRun {
    run: Run,
    // Of each entity that was asked for.
    ids: Vec<Option<EntityId>>,
    blocks: Vec<FoundRows>,
}

#[derive(Debug)]
enum FoundRows {
    Sealed(Sealed),
    Open(Vec<OpenRow>),
}

/// Takes references to the rows of a range of ticks, under the node's lock.
pub(super) fn find(node: &Node, paths: &[&EntityPath], ticks_ms: (u64, u64)) -> Found {
    let mut found = Found {
        runs: Vec::new(),
        entities: paths.len(),
        oldest_ms: node.expired_ms(),
        lately: None,
    };
    let first = ticks_ms.0.max(found.oldest_ms);
    for run in &node.runs {
        let overlaps = |block: &&Block| {
            let times = &block.times;
            times.last_tick_ms() >= first && times.first_tick_ms() <= ticks_ms.1
        };
        let blocks = run.blocks.iter().filter(overlaps);
        // To count a reference is to wait for where it is counted, one after the other, if that was not
        // touched.
        black_box(blocks.clone().fold(0, |all, block| match &block.rows {
            Rows::Sealed(sealed) => all ^ sealed.bytes().first().unwrap_or(&0),
            Rows::Open(open) => {
                let firsts = open.rows.iter().filter_map(|row| row.payload.first());
                firsts.fold(all, |all, byte| all ^ byte)
            }
        }));
        let blocks: Vec<FoundRows> = blocks
            .map(|block| match &block.rows {
                Rows::Sealed(sealed) => FoundRows::Sealed(sealed.clone()),
                Rows::Open(open) => FoundRows::Open(open.rows.clone()),
            })
            .collect();
        if !blocks.is_empty() {
            found.runs.push(FoundRun {
                run: run.run,
                ids: paths.iter().map(|path| run.names.find(path)).collect(),
                blocks,
            });
        }
    }
    found
}

/// The same of one field. Of what was read lately only the rows that came since are looked for.
pub(super) fn find_field(node: &Node, paths: &[&EntityPath], (field, ticks_ms): Wanted) -> Found {
    let (first, last) = (ticks_ms.0.max(node.expired_ms()), ticks_ms.1);
    // Over the border of two runs a row says something of the one before it.
    let [run] = node.runs.as_slice() else {
        return find(node, paths, ticks_ms);
    };
    if paths.len() > FEW {
        return find(node, paths, ticks_ms);
    }
    let mut looked = node.lately.look(paths, field, first);
    let from_ms = looked.behind_ms().unwrap_or(first);
    let has_more = run.newest_tick().is_some_and(|newest| newest >= from_ms) && from_ms <= last;
    let mut found = if has_more {
        looked.keep_more(paths);
        find(node, paths, (from_ms, last))
    } else {
        Found {
            runs: Vec::new(),
            entities: paths.len(),
            oldest_ms: node.expired_ms(),
            lately: None,
        }
    };
    found.lately = Some(looked);
    found
}

/// Reads a field of each entity that was asked for of several nodes, and shows which node it is of, its
/// place and its rows in order of their ticks.
pub(super) fn read_each(found: &[&Found], field: Wanted, visit: &mut VisitEach<'_>) {
    let mut reader = None;
    let mut rows = Vec::new();
    // All of them are on their way before the first one is waited for.
    let sealed = found.iter().flat_map(|found| &found.runs);
    let sealed = sealed.flat_map(|run| &run.blocks);
    let touched = sealed.fold(0, |all, rows| match rows {
        FoundRows::Sealed(sealed) => all ^ sealed.touch(),
        FoundRows::Open(rows) => rows.iter().fold(all, |all, row| {
            let lists = row.payload.get(..TOUCHED).unwrap_or(&row.payload);
            all ^ touch(lists)
        }),
    });
    black_box(touched);
    let known = found.iter().filter_map(|found| found.lately.as_ref());
    let known = known.flat_map(Looked::packed);
    black_box(known.fold(0, |all, packed| all ^ touch(packed)));
    for (which, found) in found.iter().enumerate() {
        if found.entities > FEW {
            read(found, &[field], &mut |_, nth, rows| visit(which, nth, rows));
            continue;
        }
        for nth in 0..found.entities {
            let rows = match &found.lately {
                Some(looked) => found.tell((looked, nth), field, &mut reader, &mut rows),
                None => reader_of(field, &mut reader).read(found, nth, field.1),
            };
            visit(which, nth, rows);
        }
    }
}

/// Made when the first row is to be read, for all nodes.
fn reader_of((field, _): Wanted, reader: &mut Option<Reader>) -> &mut Reader {
    reader.get_or_insert_with(|| Reader::of(&Columns::of(field)))
}

/// Reads fields of each entity that was asked for and shows their rows, in order of their ticks: all
/// entities in one field, then in the next. Rows in wire form are decoded once for all fields.
pub(super) fn read(found: &Found, fields: &[Wanted], visit: &mut VisitFields<'_>) {
    let columns: Vec<Columns> = fields.iter().map(|(id, _)| Columns::of(*id)).collect();
    let mut parts: Vec<Vec<(Run, Seen)>> = fields.iter().map(|_| Vec::new()).collect();
    for FoundRun { run, ids, blocks } in &found.runs {
        for rows in blocks {
            let mut open = None;
            for (columns_of, parts) in columns.iter().zip(&mut parts) {
                let seen = match rows {
                    FoundRows::Sealed(sealed) => Seen::in_chunk(sealed, ids, columns_of),
                    FoundRows::Open(rows) => open
                        .get_or_insert_with(|| OpenCells::new(rows, ids, &columns))
                        .seen(columns_of),
                };
                parts.push((*run, seen));
            }
        }
    }
    let mut rows = Vec::new();
    for (at, ((_, (first, last)), parts)) in fields.iter().zip(&parts).enumerate() {
        let order = order(parts, ((*first).max(found.oldest_ms), *last));
        for nth in 0..found.entities {
            rows.clear();
            rows.extend(order.iter().filter_map(|row| {
                let (_, seen) = parts.get(row.part)?;
                Some(RawRow {
                    interrupted: row.interrupted,
                    ..seen.raw(nth, row.at)
                })
            }));
            visit(at, nth, &rows);
        }
    }
}

/// Where a row is, and whether no rate reaches over its beginning.
struct RowAt {
    part: usize,
    at: usize,
    interrupted: bool,
}

/// The rows of several runs in order of their ticks: the same for every entity.
fn order(parts: &[(Run, Seen)], ticks_ms: (u64, u64)) -> Vec<RowAt> {
    let mut rows: Vec<(u64, RowAt)> = Vec::new();
    for (part, (_, seen)) in parts.iter().enumerate() {
        for (at, tick_ms) in seen.ticks.iter().enumerate() {
            if (ticks_ms.0..=ticks_ms.1).contains(tick_ms) {
                let interrupted = false;
                rows.push((
                    *tick_ms,
                    RowAt {
                        part,
                        at,
                        interrupted,
                    },
                ));
            }
        }
    }
    if !rows.is_sorted_by_key(|(tick_ms, _)| *tick_ms) {
        rows.sort_by_key(|(tick_ms, _)| *tick_ms);
    }
    let mut before: Option<Run> = None;
    rows.into_iter()
        .map(|(_, mut row)| {
            let run = parts.get(row.part).map(|(run, _)| *run);
            let across = run.zip(before);
            row.interrupted = across.is_some_and(|(run, before)| !run.continues(&before));
            before = run;
            row
        })
        .collect()
}

/// When the life of an entity began as the row of a tick says, if that row is at hand; `None` otherwise.
pub(super) fn began_in_tail(run: &RunRows, id: EntityId, tick_ms: u64) -> Option<Option<u64>> {
    let block = run.blocks.back()?;
    let tail = block
        .tail()
        .filter(|_| block.times.last_tick_ms() == tick_ms)?;
    let place = tail.position(id)?;
    Some(began::told(|column| tail.cell(place, column)))
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
    let seen = block.map(|block| match &block.rows {
        Rows::Sealed(sealed) => Seen::in_chunk(sealed, &ids, &columns),
        Rows::Open(open) => Seen::in_tail(open, &ids, &columns, tick_ms),
    });
    let at = seen
        .as_ref()
        .and_then(|seen| seen.ticks.iter().position(|tick| *tick == tick_ms));
    let row = |nth| Some(seen.as_ref()?.raw(nth, at?));
    (0..ids.len()).map(row).collect()
}

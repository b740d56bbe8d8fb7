//! Reading series without the node's lock: one column at a time, of the entities that are asked for.

mod began;
mod cells;

use cairn_proto::catalogue::FieldId;
use cairn_proto::codec::chunk::Sealed;
use cairn_proto::model::{EntityId, Run};

use super::block::{Block, OpenRow, Rows};
use super::node::Node;
use super::run::RunRows;
use crate::store::{EntityPath, RawRow, VisitFields, Wanted};
use cells::{Columns, OpenCells, Seen};

/// References to the rows of one node.
#[derive(Debug)]
pub struct Found {
    runs: Vec<FoundRun>,
    entities: usize,
    // No row before.
    oldest_ms: u64,
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
        oldest_ms: node.oldest_ms(),
    };
    let first = ticks_ms.0.max(found.oldest_ms);
    for run in &node.runs {
        let overlaps = |block: &&Block| {
            let times = &block.times;
            times.last_tick_ms() >= first && times.first_tick_ms() <= ticks_ms.1
        };
        let blocks = run.blocks.iter().filter(overlaps);
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

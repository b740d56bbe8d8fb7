//! Rows and chunks of a recorded kind, written and read as a whole.

use std::hint::black_box;
use std::sync::Arc;

use cairn_proto::catalogue::FIRST_FIELD;
use cairn_proto::codec::chunk::{self, ChunkRow, MAX_ROWS, RowOf, Sealed};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::codec::{DENSE, Error};
use cairn_proto::model::ColumnId;

/// What is counted: nothing else runs below this name.
#[inline(never)]
pub(super) fn measured<T>(times: usize, work: impl Fn() -> T) -> T {
    for _ in 1..times {
        black_box(work());
    }
    work()
}

/// Does the work; how many samples it is about.
pub(super) fn run(work: &str, payload: &[u8], times: usize) -> Result<Option<usize>, Error> {
    let sealed = chunk::seal(payload)?;
    let rows = sealed.rows();
    let after_the_first = rows.get(1..).map_or(0, samples);
    Ok(Some(match work {
        "encode_row" => {
            measured(times, || encode_rows(&rows));
            after_the_first
        }
        "decode_row" => {
            let payloads = encode_rows(&rows);
            measured(times, || decode_rows(&rows, &payloads))?;
            after_the_first
        }
        "seal" => {
            let rows: Vec<RowOf<'_>> = rows.iter().map(row_of).collect();
            measured(times, || Sealed::check(chunk::encode(DENSE, &rows).into()))?;
            sealed.sample_count()
        }
        "check" => {
            measured(times, || Sealed::check(Arc::clone(sealed.bytes())))?;
            sealed.sample_count()
        }
        "scan" => {
            let ids = fields(&rows);
            measured(times, || scan(&sealed, &ids));
            sealed.sample_count()
        }
        _ => return Ok(None),
    }))
}

fn encode_rows(rows: &[ChunkRow]) -> Vec<Vec<u8>> {
    pairs(rows)
        .map(|(base, row)| row::encode(DENSE, Some(timed(base)), timed(row)))
        .collect()
}

fn decode_rows(rows: &[ChunkRow], payloads: &[Vec<u8>]) -> Result<(), Error> {
    for ((base, row), payload) in pairs(rows).zip(payloads) {
        black_box(row::decode(Some(timed(base)), row.tick, payload)?);
    }
    Ok(())
}

/// Each field by itself, as a query does.
fn scan(sealed: &Sealed, ids: &[ColumnId]) -> u64 {
    let head = sealed.head();
    let (mut sum, mut rows): (u64, _) = (0, [0; MAX_ROWS]);
    for series in ids.iter().filter_map(|id| head.column(*id)).flatten() {
        series.read(&mut rows);
        for value in rows.iter().take(head.rows.len()) {
            sum = sum.wrapping_add(*value);
        }
    }
    sum
}

/// Each row but the first with the one before it.
fn pairs(rows: &[ChunkRow]) -> impl Iterator<Item = (&ChunkRow, &ChunkRow)> {
    rows.iter().zip(rows.iter().skip(1))
}

fn samples(rows: &[ChunkRow]) -> usize {
    rows.iter().map(|row| row.snapshot.sample_count()).sum()
}

fn fields(rows: &[ChunkRow]) -> Vec<ColumnId> {
    let columns = rows.iter().flat_map(|row| row.snapshot.columns());
    let mut ids: Vec<ColumnId> = columns.map(|column| column.id()).collect();
    ids.sort_unstable();
    ids.dedup();
    ids.retain(|id| id.0 >= FIRST_FIELD);
    ids
}

fn timed(row: &ChunkRow) -> Timed<'_> {
    Timed {
        tick_ms: row.tick,
        snapshot: &row.snapshot,
    }
}

fn row_of(row: &ChunkRow) -> RowOf<'_> {
    RowOf {
        offset: row.offset,
        tick: row.tick,
        snapshot: &row.snapshot,
    }
}

//! Rows and chunks of a recorded kind, written and read as a whole.

use std::hint::black_box;
use std::sync::Arc;

use cairn_proto::catalogue::{FIRST_FIELD, Group, table};
use cairn_proto::codec::chunk::{self, ChunkRow, MAX_ROWS, RowOf, Sealed, WireRow};
use cairn_proto::codec::row::{self, Followed, Timed, Track};
use cairn_proto::codec::slim::Slim;
use cairn_proto::codec::{DENSE, Error};
use cairn_proto::limits::BLOCK_ROWS;
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
    let sealed = Sealed::check(payload.into())?;
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
        "keyframe" => {
            measured(times, || keyframes(&rows));
            sealed.sample_count()
        }
        "block_row" => {
            let slim = slim(&rows);
            measured(times, || first_rows(&slim));
            sealed.sample_count()
        }
        "next_row" => {
            let payloads = encode_rows(&rows);
            let slim = slim(&rows);
            measured(times, || next_rows(&rows, &slim, &payloads))?;
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
        "seal_wire" => {
            let payloads = payloads(&rows);
            let wire = rows.iter().zip(&payloads).zip(0..);
            let wire = wire.map(|((row, payload), nth)| WireRow {
                offset: row.offset,
                tick: row.tick,
                payload,
                is_keyframe: nth == 0,
            });
            let wire: Vec<WireRow<'_>> = wire.collect();
            measured(times, || Sealed::of_wire(&wire)).ok_or(Error::Empty)?;
            sealed.sample_count()
        }
        "cut" => {
            let gone = rows.len() / 4;
            let oldest_ms = rows.get(gone).map_or(0, |row| row.tick);
            measured(times, || Sealed::splice(&[(0, &sealed)], oldest_ms));
            rows.get(gone..).map_or(0, samples)
        }
        "join" => {
            let blocks = blocks(&rows);
            let parts: Vec<(u64, &Sealed)> = blocks.iter().map(|(at, one)| (*at, one)).collect();
            measured(times, || Sealed::splice(&parts, 0)).ok_or(Error::Empty)?;
            sealed.sample_count()
        }
        "follow" => {
            let payloads = payloads(&rows);
            measured(times, || follow(&sealed, &rows, &payloads))?;
            sealed.head().entities.len() * rows.len()
        }
        "seek" => {
            measured(times, || seek(&sealed));
            sealed.head().entities.len()
        }
        _ => return Ok(None),
    }))
}

/// All rows in wire form, the first as a keyframe.
fn payloads(rows: &[ChunkRow]) -> Vec<Vec<u8>> {
    let first = rows.first();
    let first = first.map(|row| row::keyframe(DENSE, row.tick, &row.snapshot));
    first.into_iter().chain(encode_rows(rows)).collect()
}

/// The rows as blocks, each with what is added to its offsets.
fn blocks(rows: &[ChunkRow]) -> Vec<(u64, Sealed)> {
    let block = |(nth, rows): (u64, &[ChunkRow])| {
        let begin = nth * BLOCK_ROWS;
        let row = |row| RowOf {
            offset: row_of(row).offset - begin,
            ..row_of(row)
        };
        Some((
            begin,
            Sealed::encode(&rows.iter().map(row).collect::<Vec<_>>())?,
        ))
    };
    let size = usize::try_from(BLOCK_ROWS).unwrap_or(MAX_ROWS);
    (0..).zip(rows.chunks(size)).filter_map(block).collect()
}

/// What a series of CPU is made of.
fn columns() -> [ColumnId; 4] {
    let group = Group::Cpu;
    [
        ColumnId::time(group),
        ColumnId::start(group),
        ColumnId::source(group),
        ColumnId::field(table::CPU),
    ]
}

/// Each entity by itself through all rows, as a query does that is about one of them.
fn follow(sealed: &Sealed, rows: &[ChunkRow], payloads: &[Vec<u8>]) -> Result<(), Error> {
    let columns = columns();
    let followed = Followed::of(&columns);
    for entity in sealed.head().entities {
        let mut track = Track::new(entity, &followed);
        for (nth, (row, payload)) in rows.iter().zip(payloads).enumerate() {
            track.step(nth == 0, row.tick, payload)?;
            black_box(columns.map(|id| track.value(id)));
        }
    }
    Ok(())
}

/// The same in a chunk.
fn seek(sealed: &Sealed) {
    let columns = columns();
    for entity in sealed.head().entities {
        let mut ticks = Vec::new();
        let Some(alone) = sealed.alone(Some(entity), &mut ticks) else {
            continue;
        };
        for body in alone.bodies(&columns).into_iter().flatten() {
            let series = alone.series(body);
            black_box(series.map(|series| series.by_row()));
        }
    }
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

fn slim(rows: &[ChunkRow]) -> Vec<Slim> {
    let rows = rows.iter();
    rows.map(|row| Slim::of(&row.snapshot)).collect()
}

fn keyframes(rows: &[ChunkRow]) {
    for row in rows {
        black_box(row::keyframe(DENSE, row.tick, &row.snapshot));
    }
}

/// Each as the first of a block.
fn first_rows(slim: &[Slim]) {
    for row in slim {
        black_box(row.keyframe());
    }
}

/// Each in the place of the one before it, as the store does.
fn next_rows(rows: &[ChunkRow], slim: &[Slim], payloads: &[Vec<u8>]) -> Result<(), Error> {
    for (((base, row), before), payload) in pairs(rows).zip(slim).zip(payloads) {
        black_box(Slim::decode(Some((base.tick, before)), row.tick, payload)?);
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

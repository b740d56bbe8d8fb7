//! Speed of the codec, in one thread and without a process: what a sample costs to write and to
//! read. A step towards goals 5 and 8, which are about the store and a query as a whole.

use std::hint::black_box;

use anyhow::Result;
use cairn_proto::catalogue::FIELDS;
use cairn_proto::codec::chunk::{self, MAX_ROWS, RowOf, Sealed};
use cairn_proto::codec::{DENSE, Error, row};
use cairn_proto::model::ColumnId;
use tokio::time::Instant;

use super::Line;
use super::payload::{blocks_of_mix_c, row_of, timed};
use crate::mix::Row;

const PODS: usize = 30;

/// The quickest of so many turns counts: whatever else the machine does makes one slower, never
/// quicker.
const TURNS: u32 = 30;

pub(super) fn run() -> Result<Vec<Line>> {
    let rows = blocks_of_mix_c(PODS, 1)?;
    let later = rows.get(1..).unwrap_or_default();
    let in_rows: usize = later.iter().map(|row| row.snapshot.sample_count()).sum();
    let payloads = encoded(&rows);
    let block: Vec<RowOf<'_>> = rows.iter().map(row_of).collect();
    let sealed = seal(&block)?;
    let in_block = sealed.sample_count();
    Ok(vec![
        line("codec_row_encode_ns_per_sample", in_rows, || encoded(&rows)),
        line("codec_row_decode_ns_per_sample", in_rows, || {
            decode(&rows, &payloads)
        }),
        line("codec_seal_ns_per_sample", in_block, || seal(&block)),
        line("codec_check_ns_per_sample", in_block, || {
            chunk::seal(sealed.bytes())
        }),
        line("codec_scan_column_ns_per_sample", in_block, || {
            scan(&sealed)
        }),
    ])
}

fn line<T>(name: &'static str, samples: usize, work: impl Fn() -> T) -> Line {
    let turn = || {
        let began = Instant::now();
        black_box(work());
        began.elapsed().as_secs_f64()
    };
    let quickest = (0..TURNS).map(|_| turn()).fold(f64::INFINITY, f64::min);
    Line {
        number: "5",
        name,
        value: quickest * 1e9 / samples.max(1) as f64,
        unit: "ns",
        goal: None,
        data: format!("C every 10 s, {PODS} pods; 16 rows, best of {TURNS} turns"),
    }
}

/// Each row but the first as what differs from the one before.
fn encoded(rows: &[Row]) -> Vec<Vec<u8>> {
    let pairs = rows.iter().zip(rows.iter().skip(1));
    pairs
        .map(|(base, one)| row::encode(DENSE, Some(timed(base)), timed(one)))
        .collect()
}

fn decode(rows: &[Row], payloads: &[Vec<u8>]) -> Result<(), Error> {
    let pairs = rows.iter().zip(rows.iter().skip(1)).zip(payloads);
    for ((base, one), payload) in pairs {
        black_box(row::decode(Some(timed(base)), one.tick_ms, payload)?);
    }
    Ok(())
}

/// With its check, as whoever keeps it does.
fn seal(block: &[RowOf<'_>]) -> Result<Sealed, Error> {
    Sealed::check(chunk::encode(DENSE, block).into())
}

/// Each field by itself, as a query does.
fn scan(sealed: &Sealed) -> u64 {
    let head = sealed.head();
    let (mut sum, mut values) = (0_u64, [0; MAX_ROWS]);
    let columns = FIELDS
        .iter()
        .filter_map(|field| head.column(ColumnId::field(field.id)));
    for series in columns.flatten() {
        series.read(&mut values);
        for value in values.iter().take(head.rows.len()) {
            sum = sum.wrapping_add(*value);
        }
    }
    sum
}

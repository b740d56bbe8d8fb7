//! Bytes of encoded rows: codec payload alone, without frame, gRPC and TLS. Pure and deterministic,
//! so it is a budget too.

use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::{self, RowOf};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::limits::BLOCK_ROWS;

use crate::mix::{Error, Kind, Mix, Options, Row};

/// What the rows of one node came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Payload {
    /// Of a row after the first one, on the average.
    pub bytes_per_sample: f64,
    /// Samples of such a row, on the average.
    pub samples_per_row: f64,
    /// Of the first row, which refers to none.
    pub keyframe_bytes: usize,
    /// Of whole blocks, on the average.
    pub chunk_bytes_per_sample: f64,
}

/// Encodes a keyframe and so many rows after it of the first node, each one against the one before,
/// and every whole block of them.
///
/// # Errors
///
/// When the recording is damaged.
pub fn measure(codec: u32, options: Options, row_count: u32) -> Result<Payload, Error> {
    let mut node = Mix::new(options)?.node(0)?;
    let mut base = node.next_row()?;
    let keyframe_bytes = row::keyframe(codec, base.tick_ms, &base.snapshot).len();
    let (mut bytes, mut samples) = (0, 0);
    let (mut chunk_bytes, mut chunk_samples) = (0, 0);
    let mut block: Vec<Row> = Vec::new();
    for _ in 0..row_count {
        let row = node.next_row()?;
        bytes += row::encode(codec, Some(timed(&base)), timed(&row)).len();
        samples += row.snapshot.sample_count();
        if row.seq.is_multiple_of(BLOCK_ROWS) && block.len() as u64 == BLOCK_ROWS {
            let rows: Vec<RowOf<'_>> = block.iter().map(row_of).collect();
            chunk_bytes += chunk::encode(codec, &rows).len();
            chunk_samples += block
                .iter()
                .map(|row| row.snapshot.sample_count())
                .sum::<usize>();
        }
        if row.seq.is_multiple_of(BLOCK_ROWS) {
            block.clear();
        }
        block.push(row.clone());
        base = row;
    }
    Ok(Payload {
        bytes_per_sample: bytes as f64 / samples.max(1) as f64,
        samples_per_row: samples as f64 / f64::from(row_count.max(1)),
        keyframe_bytes,
        chunk_bytes_per_sample: chunk_bytes as f64 / chunk_samples.max(1) as f64,
    })
}

/// So many blocks of mix C with so many pods, from the second one on: the first has the keyframes of
/// all sources.
///
/// # Errors
///
/// None of this kind.
pub fn blocks_of_mix_c(pods: usize, blocks: u64) -> Result<Vec<Row>, Error> {
    let options = Options {
        pods_per_node: Some(pods),
        ..Options::of(Kind::C)
    };
    let mut node = Mix::new(options)?.node(0)?;
    let rows: Result<Vec<Row>, Error> = (0..(1 + blocks) * BLOCK_ROWS)
        .map(|_| node.next_row())
        .collect();
    let mut rows = rows?;
    rows.retain(|row| row.seq >= BLOCK_ROWS);
    Ok(rows)
}

/// The same as one chunk; four blocks are the most that one may have.
///
/// # Errors
///
/// None of this kind.
pub fn chunk_of_mix_c(pods: usize, blocks: u64) -> Result<Vec<u8>, Error> {
    let rows = blocks_of_mix_c(pods, blocks)?;
    let rows = rows.iter().map(|row| RowOf {
        offset: row.seq - BLOCK_ROWS,
        ..row_of(row)
    });
    Ok(chunk::encode(DENSE, &rows.collect::<Vec<RowOf<'_>>>()))
}

pub(super) fn timed(row: &Row) -> Timed<'_> {
    Timed {
        tick_ms: row.tick_ms,
        snapshot: &row.snapshot,
    }
}

pub(super) fn row_of(row: &Row) -> RowOf<'_> {
    RowOf {
        offset: row.seq % BLOCK_ROWS,
        tick: row.tick_ms,
        snapshot: &row.snapshot,
    }
}

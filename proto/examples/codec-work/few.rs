//! Reading one field beside few others, and beside ten times as many.

use cairn_proto::catalogue::FIELDS;
use cairn_proto::codec::chunk::{self, MAX_ROWS, RowOf};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::codec::{DENSE, Error};
use cairn_proto::model::{Builder, ColumnId, EntityId, Snapshot};

use super::work::measured;

/// A namespace's share of a node.
const ENTITIES: u32 = 100;

const ROWS: u64 = 16;

/// The grid time of a row, Unix ms.
fn tick(nth: u64) -> u64 {
    1_795_332_330_000 + 10_000 * nth
}

/// Does the work; how many columns there are.
pub(super) fn run(work: &str) -> Result<Option<usize>, Error> {
    let (count, reads) = match work {
        "one_of_few_columns" => (8, of_a_chunk as fn(&[Snapshot]) -> Result<(), Error>),
        "one_of_many_columns" => (80, of_a_chunk as _),
        "one_of_few_in_a_row" => (8, of_rows as _),
        "one_of_many_in_a_row" => (80, of_rows as _),
        _ => return Ok(None),
    };
    let rows: Vec<Snapshot> = (0..ROWS).map(|nth| snapshot(count, nth)).collect();
    reads(&rows)?;
    Ok(Some(count))
}

/// A row with so many fields and the last one, in which every value moves.
fn snapshot(others: usize, nth: u64) -> Snapshot {
    let mut builder = Builder::default();
    for field in FIELDS.iter().take(others).chain(FIELDS.last()) {
        for entity in 1..=ENTITIES {
            let step = u64::from(entity) * 37 + u64::from(field.id.0);
            let value = (u64::from(entity) << 30) + nth * nth * step;
            builder.value(EntityId(entity), field.id, value);
        }
    }
    builder.build()
}

/// The last field: whoever looks for it passes all others.
fn wanted() -> ColumnId {
    FIELDS
        .last()
        .map_or(ColumnId(0), |field| ColumnId::field(field.id))
}

fn of_a_chunk(rows: &[Snapshot]) -> Result<(), Error> {
    let rows: Vec<RowOf<'_>> = rows
        .iter()
        .zip(0..)
        .map(|(snapshot, offset)| RowOf {
            offset,
            tick: tick(offset),
            snapshot,
        })
        .collect();
    let sealed = chunk::seal(&chunk::encode(DENSE, &rows))?;
    measured(1, || {
        let (mut sum, mut values): (u64, _) = (0, [0; MAX_ROWS]);
        for series in sealed.head().column(wanted()).into_iter().flatten() {
            series.read(&mut values);
            sum = values
                .iter()
                .fold(sum, |sum, value| sum.wrapping_add(*value));
        }
        sum
    });
    Ok(())
}

fn of_rows(rows: &[Snapshot]) -> Result<(), Error> {
    let all: Vec<Timed<'_>> = (0..).zip(rows).map(timed).collect();
    let bases = std::iter::once(None).chain(all.iter().copied().map(Some));
    let payloads = all.iter().zip(bases);
    let payloads: Vec<Vec<u8>> = payloads
        .map(|(row, base)| row::encode(DENSE, base, *row))
        .collect();
    measured(1, || {
        let mut base: Option<Snapshot> = None;
        for (payload, nth) in payloads.iter().zip(0_u64..) {
            let before = base
                .as_ref()
                .map(|base| timed((nth.saturating_sub(1), base)));
            base = Some(row::decode_only(&[wanted()], before, tick(nth), payload)?);
        }
        Ok(base)
    })?;
    Ok(())
}

fn timed((nth, snapshot): (u64, &Snapshot)) -> Timed<'_> {
    Timed {
        tick_ms: tick(nth),
        snapshot,
    }
}

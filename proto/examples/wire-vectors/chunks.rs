//! Chunks, one for each flag and edge. A name says what is in it.

use cairn_proto::codec::chunk::ChunkRow;
use cairn_proto::codec::{DENSE, PLAIN};
use cairn_proto::model::Snapshot;

use super::vector::{T0, Vectors, snapshot};

/// A row every 10 s.
fn row(offset: u64, snapshot: Snapshot) -> ChunkRow {
    ChunkRow {
        offset,
        tick: T0 + 10_000 * offset,
        snapshot,
    }
}

/// Rows from offset 0 on of entities 1, 2, ... with these series of column 64.
fn of_series(series: &[&[u64]]) -> Vec<ChunkRow> {
    let entities: Vec<u32> = (1..).zip(series).map(|(id, _)| id).collect();
    let rows = series.first().map_or(0, |values| values.len());
    let rows = (0..rows).map(|nth| {
        let cells: Vec<(u32, u64)> = (1..).zip(series.iter().map(|s| s[nth])).collect();
        snapshot(&entities, &[(64, &cells)])
    });
    (0..)
        .zip(rows)
        .map(|(offset, one)| row(offset, one))
        .collect()
}

pub(crate) fn plain(to: &mut Vectors) {
    let rows = of_series(&[&[1, 2, 3], &[7, 7, 7]]);
    to.chunk("plain-chunk", PLAIN, &rows);
    to.chunk("plain-chunk-of-one", PLAIN, &rows[..1]);
    let holes: Vec<ChunkRow> = rows.iter().cloned().zip([2, 3, 15]).map(moved).collect();
    to.chunk("plain-chunk-with-holes", PLAIN, &holes);
}

fn moved((one, offset): (ChunkRow, u64)) -> ChunkRow {
    row(offset, one.snapshot)
}

pub(crate) fn dense(to: &mut Vectors) {
    dense_rows(to);
    dense_forms(to);
    dense_differences(to);
    dense_by_hand(to);
}

fn dense_rows(to: &mut Vectors) {
    let rows = of_series(&[&[1, 2, 3], &[7, 7, 7]]);
    to.chunk("dense-chunk", DENSE, &rows);
    to.chunk("dense-chunk-of-one", DENSE, &rows[..1]);
    let holes: Vec<ChunkRow> = rows.iter().cloned().zip([2, 3, 15]).map(moved).collect();
    to.chunk("dense-chunk-with-holes", DENSE, &holes);
    let mut late = rows.clone();
    late[1].tick += 20_000;
    late[2].tick += 30_000;
    to.chunk("dense-chunk-late", DENSE, &late);
    let empty = [row(0, Snapshot::default()), row(1, snapshot(&[5], &[]))];
    to.chunk("dense-chunk-without-cells", DENSE, &empty);
    let of = |id: u32, value| snapshot(&[id], &[(64, &[(id, value)])]);
    let sixteen: Vec<ChunkRow> = (0..16).map(|n| row(n, of(4, n / 5 * 1000))).collect();
    to.chunk("dense-chunk-full", DENSE, &sixteen);
    // Entity 1 leaves, entity 3 comes, entity 2 has column 65 at times and 9 never has it.
    let both = |entities: &[u32], x: &[(u32, u64)], y: &[(u32, u64)]| {
        let columns = [(64, x), (65, y)];
        let some: Vec<_> = columns.into_iter().filter(|c| !c.1.is_empty()).collect();
        snapshot(entities, &some)
    };
    let comes = [
        row(0, both(&[1, 2, 9], &[(1, 10), (2, 20), (9, 90)], &[(2, 5)])),
        row(1, both(&[1, 2, 9], &[(1, 11), (2, 25), (9, 90)], &[])),
        row(
            2,
            both(&[2, 3, 9], &[(2, 30), (3, 30), (9, 90)], &[(2, 7), (3, 1)]),
        ),
    ];
    to.chunk("dense-chunk-come-and-go", DENSE, &comes);
    // More rows than bits in a byte, so that masks are longer: of an entity, and of a series.
    let leaves = (0..12).map(|n| match n {
        5 | 9..12 => row(n, snapshot(&[2], &[])),
        _ => row(n, snapshot(&[1, 2], &[(64, &[(1, n * n)])])),
    });
    to.chunk("dense-chunk-long-masks", DENSE, &leaves.collect::<Vec<_>>());
    let masks = (0..12).map(|n| {
        let one: &[_] = &[(1, n * n)];
        let other: &[_] = if n % 3 == 0 { &[] } else { &[(1, n)] };
        row(n, both(&[1], one, other))
    });
    to.chunk("dense-chunk-masks", DENSE, &masks.collect::<Vec<_>>());
}

fn dense_forms(to: &mut Vectors) {
    let forms = of_series(&[
        &[0, 0, 0, 0],         // as before: 0
        &[7, 7, 7, 7],         // constant
        &[7, 7, 7, 7],         // as before: 7
        &[100, 110, 130, 105], // moving
        &[105, 105, 105, 105], // constant
        &[900, 910, 930, 905], // alike
        &[900, 900, 900, 900], // as before, and after one that moves
        &[50, 51, 50, 52],     // moving
        &[1, 2, 1, 3],         // alike
    ]);
    to.chunk("dense-chunk-forms", DENSE, &forms);
    for scale in [1000, 1024, 4096] {
        let (a, b) = (3 * scale, 5 * scale);
        let rows = of_series(&[&[a, a], &[b, b + 1], &[a, a]]);
        to.chunk(&format!("dense-chunk-scale-{scale}"), DENSE, &rows);
    }
    // Groups 0 and 1 are measured in one pass; a copy of the sources too.
    let copies = (0..3).map(|n| {
        let at: &[_] = &[(1, T0 + 9_750 * n), (2, T0 + 9_800 * n)];
        let by: &[_] = &[(1, 4), (2, 4)];
        row(n, snapshot(&[1, 2], &[(0, at), (2, by), (4, at), (6, by)]))
    });
    to.chunk("dense-chunk-copies", DENSE, &copies.collect::<Vec<_>>());
}

fn dense_differences(to: &mut Vectors) {
    let series = |of: fn(u64) -> u64| (0..16).map(of).collect::<Vec<u64>>();
    // The first has another divisor than the second, and the third goes on with the second's.
    let thousands = series(|n| 7 + n * n * 1_000_000);
    let pages = series(|n| n * n * n % 17 * 4096);
    let bytes = series(|n| n * 3 + n % 2);
    let all = [
        &thousands[..],
        &pages,
        &pages.iter().map(|v| v * 2).collect::<Vec<_>>(),
        &bytes,
    ];
    to.chunk("dense-chunk-divisors", DENSE, &of_series(&all));
    let sparse = series(|n| if n < 9 { 5 } else { 700_000 + n / 13 * 12_345 });
    to.chunk("dense-chunk-sparse", DENSE, &of_series(&[&sparse]));
    let steady = series(|n| 3 + n * 1_000_000_007);
    to.chunk("dense-chunk-width-0", DENSE, &of_series(&[&steady]));
    let wide = series(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    to.chunk("dense-chunk-width-64", DENSE, &of_series(&[&wide]));
    // Differences -2^62 and 2^62 - 1: 63 bits apart, which is written as 64.
    let top = 1_u64 << 62;
    to.chunk(
        "dense-chunk-width-63",
        DENSE,
        &of_series(&[&[top, 0, top - 1]]),
    );
    let falls = series(|n| 1_000_000 - n * n * 13);
    to.chunk("dense-chunk-falling", DENSE, &of_series(&[&falls]));
    let ends: &[u64] = &[0, u64::MAX, 0, 1 << 63, 0];
    to.chunk("dense-chunk-wraps", DENSE, &of_series(&[ends]));
}

fn dense_by_hand(to: &mut Vectors) {
    let two = |first, second| {
        let rows = [(1, first), (2, second)].map(|(offset, value)| {
            let cells: &[_] = &[(1, value)];
            row(offset, snapshot(&[1], &[(64, cells)]))
        });
        rows.to_vec()
    };
    // First 5, then divisor -1, least 3, width 2 and 1 above the least.
    let mut minus = vec![0x0c, 3, 10, 0x82];
    varint(&mut minus, u64::MAX);
    minus.extend_from_slice(&[6, 1]);
    let bytes = by_hand(&[(64, &minus)]);
    to.chunk_by_hand("dense-chunk-divisor-minus-1", &bytes, &two(5, 1));
    // The mask is written out though it is of all rows.
    let bytes = by_hand(&[(64, &[0, 1, 1, 3, 3, 10, 0, 2])]);
    to.chunk_by_hand("dense-chunk-needless-masks", &bytes, &two(5, 6));
    let bytes = by_hand(&[(64, &[0x0c, 3, 10, 0, 2]), (4000, &[9, 9])]);
    to.chunk_by_hand("dense-chunk-unknown-column", &bytes, &two(5, 6));
    // A column of which row 1 alone has a cell, and its series moves nevertheless.
    let bytes = by_hand(&[(64, &[0x04, 1, 1, 3, 10, 0x41, 2])]);
    let mut one = two(5, 6);
    one[1].snapshot = snapshot(&[1], &[]);
    to.chunk_by_hand("dense-chunk-moves-nowhere", &bytes, &one);
    // Sparse though the one difference is there.
    let bytes = by_hand(&[(64, &[0x0c, 3, 10, 0x42, 6, 5])]);
    to.chunk_by_hand("dense-chunk-needless-sparse", &bytes, &two(5, 10));
}

/// A chunk of two rows, at the offsets 1 and 2, of the entity 1, with these columns.
pub(crate) fn by_hand(columns: &[(u64, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![2, 4, 0b0110];
    varint(&mut bytes, T0 + 10_000);
    varint(&mut bytes, 10_000);
    // No row is late; one entity, and it is in all rows.
    bytes.extend_from_slice(&[0, 1, 1, 0]);
    varint(&mut bytes, columns.len() as u64);
    for (number, body) in columns {
        varint(&mut bytes, *number);
        varint(&mut bytes, body.len() as u64);
    }
    columns
        .iter()
        .for_each(|(_, body)| bytes.extend_from_slice(body));
    bytes
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value > 127 {
        to.push(u8::try_from(value % 128).unwrap_or(0) | 128);
        value /= 128;
    }
    to.push(u8::try_from(value).unwrap_or(0));
}

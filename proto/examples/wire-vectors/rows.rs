//! Rows, one for each flag and edge. A name says what is in it.

use cairn_proto::codec::{DENSE, PLAIN};
use cairn_proto::model::Snapshot;

use super::vector::{T0, Vectors, snapshot};

/// The second row's tick.
const T1: u64 = T0 + 10_000;

/// Two entities, a column of both and one of the second.
fn first() -> Snapshot {
    let billion: &[_] = &[(7, 1_000_000_000)];
    snapshot(&[3, 7], &[(64, &[(3, 5), (7, 200)]), (65, billion)])
}

/// Entity 3 with one value.
fn one(value: u64) -> Snapshot {
    snapshot(&[3], &[(64, &[(3, value)])])
}

/// A column of the entities from 1 on.
fn of_many(column: u16, values: impl IntoIterator<Item = u64>) -> Snapshot {
    let cells: Vec<(u32, u64)> = (1..).zip(values).collect();
    let entities: Vec<u32> = cells.iter().map(|(id, _)| *id).collect();
    snapshot(&entities, &[(column, &cells)])
}

pub(crate) fn plain(to: &mut Vectors) {
    to.row("plain-nothing", PLAIN, None, (T0, Snapshot::default()));
    to.row("plain-keyframe", PLAIN, None, (T0, first()));
    let base = Some("plain-keyframe");
    let billion: &[_] = &[(7, 1_000_000_000)];
    let repeats = snapshot(&[3, 7], &[(64, &[(3, 11), (7, 206)]), (65, billion)]);
    to.row("plain-repeats-and-steady", PLAIN, base, (T1, repeats));
    // Another entity for one that went, no column 65, and values that wrap.
    let wraps = snapshot(&[7, 9], &[(64, &[(7, u64::MAX), (9, u64::MAX)])]);
    to.row("plain-wraps", PLAIN, base, (T1, wraps));
    for scale in [1000, 1024, 4096] {
        let cells = [(3, 5 + 3 * scale), (7, 200 + 7 * scale)];
        let scaled = snapshot(&[3, 7], &[(64, &cells)]);
        to.row(&format!("plain-scale-{scale}"), PLAIN, base, (T1, scaled));
    }
    let far = snapshot(&[3, 7], &[(64, &[(3, 5), (7, 200 + (1 << 63))])]);
    to.row("plain-least-difference", PLAIN, base, (T1, far));
    to.row("plain-none-left", PLAIN, base, (T1, Snapshot::default()));
    let bytes = [1, 2, 3, 2, 64, 4, 0, 1, 1, 10, 0xa0, 0x1f, 3, 9, 9, 9];
    to.row_by_hand("plain-unknown-column", None, &bytes, (T0, one(5)));
    // The codec's number in three bytes, and ones behind the last changed bit.
    let bytes = [0x81, 0x80, 0, 2, 3, 1, 64, 4, 0, 1, 0xff, 10];
    to.row_by_hand("plain-long-varint", None, &bytes, (T0, one(5)));
    let bytes = [1, 2, 3, 1, 64, 4, 16, 1, 1, 1];
    to.row_by_hand("plain-repeats-nothing", None, &bytes, (T0, one(0)));
}

pub(crate) fn dense(to: &mut Vectors) {
    dense_numbers(to);
    dense_packed(to);
    dense_sized(to);
    dense_times(to);
    dense_carried(to);
    dense_by_hand(to);
}

fn dense_numbers(to: &mut Vectors) {
    to.row("dense-nothing", DENSE, None, (T0, Snapshot::default()));
    to.row("dense-keyframe", DENSE, None, (T0, first()));
    let base = Some("dense-keyframe");
    to.row("dense-unchanged", DENSE, base, (T1, first()));
    let billion: &[_] = &[(7, 1_000_000_000)];
    let some = snapshot(&[3, 7], &[(64, &[(3, 11), (7, 200)]), (65, billion)]);
    to.row("dense-one-of-two", DENSE, base, (T1, some));
    for scale in [1000, 1024, 4096] {
        let cells = [(3, 5 + 3 * scale), (7, 200 + 7 * scale)];
        let scaled = snapshot(&[3, 7], &[(64, &cells), (65, billion)]);
        to.row(&format!("dense-scale-{scale}"), DENSE, base, (T1, scaled));
    }
    let wraps = snapshot(&[3, 7], &[(64, &[(3, u64::MAX), (7, 200 + (1 << 63))])]);
    to.row("dense-wraps", DENSE, base, (T1, wraps));
    // Also over one that stands still between them.
    to.row("dense-still", DENSE, None, (T0, of_many(64, [7; 12])));
    let values = [9, 9, 9, 7, 9, 9, 9, 9, 14, 14, 9, 9];
    let repeats = of_many(64, values);
    to.row("dense-repeats", DENSE, Some("dense-still"), (T1, repeats));
}

fn dense_packed(to: &mut Vectors) {
    let base = |n: u64| n << 40;
    to.row(
        "dense-many",
        DENSE,
        None,
        (T0, of_many(64, (1..24).map(base))),
    );
    let moved = (1..24).map(|n| base(n) + 40_000 + n * 37 % 64);
    let all = of_many(64, moved);
    to.row("dense-packed", DENSE, Some("dense-many"), (T1, all));
    let fallen = (1..24).map(|n| base(n) - if n % 3 == 0 { 0 } else { 900 + n * n % 50 });
    let some = of_many(64, fallen);
    to.row(
        "dense-packed-falling",
        DENSE,
        Some("dense-many"),
        (T1, some),
    );
    let wide = (1..24_u64).map(|n| base(n) ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let wide = of_many(64, wide);
    to.row("dense-packed-wide", DENSE, Some("dense-many"), (T1, wide));
}

/// Numbers that say their own sizes: some stand nearly still, some run.
fn dense_sized(to: &mut Vectors) {
    let base = |n: u64| n << 40;
    let by = |moved: fn(u64) -> i64| {
        let values = (1..24).map(|n| base(n).wrapping_add_signed(moved(n)));
        of_many(64, values)
    };
    let many = Some("dense-many");
    let grown = by(|n| if n % 3 == 0 { 90_001 } else { 9 });
    to.row("dense-sized", DENSE, many, (T1, grown));
    let around = by(|n| if n % 2 == 0 { -150 } else { 150 } * n.cast_signed().pow(2) + 7);
    to.row("dense-sized-signed", DENSE, many, (T1, around));
    let (base, billion): (_, &[_]) = (Some("dense-keyframe"), &[(7, 1_000_000_000)]);
    let both = |a, b| snapshot(&[3, 7], &[(64, &[(3, a), (7, b)]), (65, billion)]);
    // Codes of six bits: 0, behind which nothing is needed, and 3 for three bits.
    let bytes = [2, 0, 1, 64, 6, 0xc4, 2, 0x86, 0, 0xc0, 0x10];
    to.row_by_hand("dense-sized-codes-of-6", base, &bytes, (T1, both(6, 206)));
    // The highest of 64 bits alone, and a 1 in the 63 bits of the floor.
    let mut bytes = vec![2, 0, 1, 64, 20, 0xc4, 0, 0x81, 63];
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    bytes.extend_from_slice(&2_u64.to_le_bytes());
    let row = both(5 + (1 << 63), 201);
    to.row_by_hand("dense-sized-64-bits", base, &bytes, (T1, row));
}

fn dense_times(to: &mut Vectors) {
    // Groups 0 and 1 are measured in one pass, 2 is a repeated old reading, 3 moves with the tick.
    let times = |tick: u64, late: u64| {
        let at = |from: u64| [1, 2, 3].map(|id| (id, from + 7 * u64::from(id)));
        let (one, other) = (at(tick - 300), at(T0 - 2_000));
        let four = at(tick - 40 + late);
        snapshot(
            &[1, 2, 3],
            &[(0, &one), (4, &one), (8, &other), (12, &four)],
        )
    };
    to.row("dense-times", DENSE, None, (T0, times(T0, 0)));
    let base = Some("dense-times");
    to.row("dense-times-move", DENSE, base, (T1, times(T1, 0)));
    to.row("dense-times-are-late", DENSE, base, (T1, times(T1, 1)));
    let other = |id: u32| (id, T0 - 2_000 + 7 * u64::from(id));
    let other = [1, 2, 3].map(other);
    // Group 3 becomes the same as group 2, which is carried over.
    let copied = snapshot(&[1, 2, 3], &[(8, &other), (12, &other)]);
    to.row("dense-copy-of-carried", DENSE, base, (T1, copied));
}

fn dense_carried(to: &mut Vectors) {
    let base = Some("dense-keyframe");
    // The entity of column 65 goes, and the column with it, unlisted.
    let gone = snapshot(&[3], &[(64, &[(3, 5)])]);
    to.row("dense-entity-gone", DENSE, base, (T1, gone));
    let column = snapshot(&[3, 7], &[(64, &[(3, 5), (7, 200)])]);
    to.row("dense-column-gone", DENSE, base, (T1, column));
    // One comes before the others, with a 0 in a column: nothing differs, and the places do.
    let billion: &[_] = &[(7, 1_000_000_000)];
    let cells: &[_] = &[(2, 0), (3, 5), (7, 200)];
    let come = snapshot(&[2, 3, 7], &[(64, cells), (65, billion)]);
    to.row("dense-entity-comes", DENSE, base, (T1, come));
    let bare = snapshot(&[2, 3, 7], &[(64, &[(3, 5), (7, 200)]), (65, billion)]);
    to.row("dense-entity-without-cells", DENSE, base, (T1, bare));
    to.row("dense-none-left", DENSE, base, (T1, Snapshot::default()));
}

fn dense_by_hand(to: &mut Vectors) {
    let bytes = [2, 2, 3, 2, 64, 3, 0x80, 1, 10, 0xa0, 0x1f, 2, 9, 9];
    to.row_by_hand("dense-unknown-column", None, &bytes, (T0, one(5)));
    let bytes = [0x82, 0, 0x80, 0, 0x80, 0x80, 0];
    to.row_by_hand(
        "dense-long-varints",
        None,
        &bytes,
        (T0, Snapshot::default()),
    );
    let (base, billion): (_, &[_]) = (Some("dense-keyframe"), &[(7, 1_000_000_000)]);
    let both = |a, b| snapshot(&[3, 7], &[(64, &[(3, a), (7, b)]), (65, billion)]);
    // A field is told to move with the tick, which it does not.
    let bytes = [2, 0, 1, 64, 3, 0xa4, 2, 4];
    to.row_by_hand("dense-ticked-field", base, &bytes, (T1, both(6, 202)));
    // One number for both, of no bits above the least.
    let bytes = [2, 0, 1, 64, 3, 0xc4, 2, 0];
    to.row_by_hand("dense-packed-width-0", base, &bytes, (T1, both(6, 201)));
    let mut bytes = vec![2, 0, 1, 64, 19, 0xc4, 0, 64];
    bytes.extend_from_slice(&5_u64.wrapping_neg().to_le_bytes());
    bytes.extend_from_slice(&1_u64.to_le_bytes());
    to.row_by_hand("dense-packed-width-64", base, &bytes, (T1, both(0, 201)));
    // Both repeat what goes before the first: nothing. Least and width are there all the same.
    let bytes = [2, 0, 1, 64, 4, 0xd4, 3, 8, 5];
    to.row_by_hand("dense-repeats-nothing", base, &bytes, (T1, first()));
    let copies: &[_] = &[(3, 5)];
    let copies = snapshot(&[3], &[(0, copies), (4, copies), (8, copies)]);
    let bytes = [2, 2, 3, 3, 0, 3, 0x80, 1, 10, 4, 2, 0x88, 0, 8, 2, 0x88, 4];
    to.row_by_hand("dense-copy-of-a-copy", None, &bytes, (T0, copies));
}

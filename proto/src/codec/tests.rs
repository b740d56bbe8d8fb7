//! Round trips of random shapes, and every way of being wrong.

use proptest::prelude::*;

use super::{Error, chunk, row};
use crate::catalogue::{FieldId, Group, Source};
use crate::model::{Builder, EntityId, Snapshot, Stamp};

fn snapshots() -> impl Strategy<Value = Vec<Snapshot>> {
    let value = prop_oneof![
        Just(0u64),
        Just(u64::MAX),
        any::<u64>(),
        (0u64..1 << 40).prop_map(|v| v * 4096),
        1_795_332_326_000u64..1_795_332_999_000,
    ];
    let cell = (0u32..40, 64u16..100, value);
    let stamp = (
        0u32..40,
        0usize..Group::ALL.len(),
        any::<u64>(),
        prop::option::of(any::<u64>()),
        0usize..5,
    );
    let one = (
        prop::collection::vec(cell, 0..60),
        prop::collection::vec(stamp, 0..30),
    );
    prop::collection::vec(one, 1..12).prop_map(|all| {
        all.into_iter()
            .map(|(cells, stamps)| {
                let mut builder = Builder::default();
                for (entity, field, value) in cells {
                    builder.value(EntityId(entity * 7), FieldId(field), value);
                }
                for (entity, group, time_ms, start_ms, source) in stamps {
                    let source = Source::ALL[source];
                    let stamp = Stamp {
                        time_ms,
                        start_ms,
                        source,
                    };
                    builder.stamp(EntityId(entity * 7), Group::ALL[group], stamp);
                }
                builder.build()
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn every_row_comes_back_as_it_was(rows in snapshots()) {
        let mut base: Option<&Snapshot> = None;
        for snapshot in &rows {
            let bytes = row::encode(base, snapshot);
            prop_assert_eq!(&row::decode(base, &bytes).unwrap(), snapshot);
            base = Some(snapshot);
        }
    }

    #[test]
    fn every_chunk_comes_back_as_it_was(rows in snapshots()) {
        let all: Vec<(u64, u64, &Snapshot)> =
            rows.iter().zip(0u64..).map(|(s, i)| (i, 1000 + i, s)).collect();
        let bytes = chunk::encode(all.into_iter());
        let back = chunk::decode(&bytes).unwrap();
        prop_assert_eq!(back.len(), rows.len());
        for (a, b) in back.iter().zip(&rows) {
            prop_assert_eq!(&a.snapshot, b);
        }
    }

    #[test]
    fn a_cut_row_is_an_error(rows in snapshots(), cut in any::<prop::sample::Index>()) {
        let bytes = row::encode(None, &rows[0]);
        let cut = cut.index(bytes.len());
        prop_assert!(row::decode(None, &bytes[..cut]).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut keyframe = vec![1];
        keyframe.extend_from_slice(&bytes);
        drop(row::decode(None, &bytes));
        drop(row::decode(None, &keyframe));
        drop(chunk::decode(&bytes));
        drop(chunk::decode(&keyframe));
    }

    #[test]
    fn a_flipped_bit_never_panics(rows in snapshots(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = row::encode(None, &rows[0]);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        drop(row::decode(None, &bytes));
    }
}

#[test]
fn an_unknown_column_is_skipped_by_its_length() {
    // codec 1, one entity with id 3, two columns: 64 (value 5) and 4000 (three bytes of anything).
    let bytes = [1, 2, 3, 2, 64, 4, 0, 1, 1, 10, 0xa0, 0x1f, 3, 9, 9, 9];
    let snapshot = row::decode(None, &bytes).unwrap();
    assert_eq!(snapshot.columns().len(), 1);
    assert_eq!(snapshot.cell(0, crate::model::ColumnId(64)), Some(5));
}

#[test]
fn a_column_in_which_nothing_happens_costs_three_bytes() {
    let mut builder = Builder::default();
    for entity in 1..=1_000 {
        builder.value(EntityId(entity), FieldId(64), u64::from(entity) << 30);
    }
    let snapshot = builder.build();
    // Neither do its entities cost anything: they are those of the row before.
    assert_eq!(row::encode(Some(&snapshot), &snapshot).len(), 3 + 3);
}

#[test]
fn a_difference_that_many_share_is_written_once() {
    let rows = [0, 10_000].map(|more| {
        let mut builder = Builder::default();
        for entity in 0..800 {
            builder.value(
                EntityId(entity),
                FieldId(64),
                u64::from(entity) << 30 | more,
            );
        }
        builder.build()
    });
    let [base, next] = &rows;
    let bytes = row::encode(Some(base), next);
    // Head of the row and the column, flags, changed and repeated bits, one difference.
    assert_eq!(bytes.len(), 3 + 3 + 1 + 100 + 100 + 1);
    assert_eq!(row::decode(Some(base), &bytes).as_ref(), Ok(next));
    // One that nothing goes before is none.
    let first = [1, 2, 3, 1, 64, 4, 16, 1, 1, 1];
    let none = row::decode(None, &first).unwrap();
    assert_eq!(none.cell(0, crate::model::ColumnId(64)), Some(0));
}

#[test]
fn no_entities_are_told_from_those_of_the_row_before() {
    let mut builder = Builder::default();
    builder.entity(EntityId(3));
    let (one, none) = (builder.build(), Snapshot::default());
    assert_eq!(row::encode(None, &none), [1, 0, 0]);
    for (base, snapshot) in [(&one, &one), (&one, &none), (&none, &one), (&none, &none)] {
        let bytes = row::encode(Some(base), snapshot);
        assert_eq!(row::decode(Some(base), &bytes).as_ref(), Ok(snapshot));
    }
}

#[test]
fn flags_that_are_not_known_are_named() {
    assert_eq!(
        row::decode(None, &[1, 2, 3, 1, 64, 4, 32, 1, 1, 10]),
        Err(Error::Flags(32))
    );
    // The same entities as in a row that is not there are none.
    assert_eq!(
        row::decode(None, &[1, 2, 3, 1, 64, 1, 12]),
        Err(Error::Empty)
    );
    // A value for an entity behind the last one.
    assert_eq!(
        row::decode(None, &[1, 2, 3, 1, 64, 4, 0, 2, 1, 10]),
        Err(Error::Range("presence bits"))
    );
}

#[test]
fn a_row_that_asks_for_more_cells_than_allowed_is_refused() {
    let mut bytes = vec![1];
    super::varint::put(&mut bytes, 65_529);
    bytes.extend(std::iter::repeat_n(1u8, 65_528));
    super::varint::put(&mut bytes, 31);
    for column in 64..95 {
        super::varint::put(&mut bytes, column);
        super::varint::put(&mut bytes, 1 + 65_528 / 8);
        bytes.push(8);
        bytes.extend(std::iter::repeat_n(0xff, 65_528 / 8));
    }
    assert_eq!(row::decode(None, &bytes), Err(Error::Limit("cells")));
}

#[test]
fn entities_must_rise_and_columns_too() {
    assert_eq!(
        row::decode(None, &[1, 3, 3, 0, 0]),
        Err(Error::Order("entities"))
    );
    let twice = [1, 2, 3, 2, 64, 4, 0, 1, 1, 10, 64, 4, 0, 1, 1, 10];
    assert_eq!(row::decode(None, &twice), Err(Error::Order("columns")));
}

#[test]
fn another_codec_is_named() {
    assert_eq!(row::decode(None, &[9]), Err(Error::Codec(9)));
    assert_eq!(chunk::decode(&[9]), Err(Error::Codec(9)));
}

#[test]
fn a_column_without_a_value_is_refused() {
    assert_eq!(
        row::decode(None, &[1, 2, 3, 1, 64, 2, 0, 0]),
        Err(Error::Empty)
    );
}

#[test]
fn the_rows_of_a_chunk_share_one_limit_of_cells() {
    let mut builder = Builder::default();
    for entity in 1..=30_000 {
        for field in 64..69 {
            builder.value(EntityId(entity), FieldId(field), 1);
        }
    }
    let snapshot = builder.build();
    let rows = (0..16u64).map(|n| (n, n, &snapshot)).collect::<Vec<_>>();
    assert!(row::decode(None, &row::encode(None, &snapshot)).is_ok());
    let chunk = chunk::encode(rows.into_iter());
    assert_eq!(chunk::decode(&chunk), Err(Error::Limit("cells")));
}

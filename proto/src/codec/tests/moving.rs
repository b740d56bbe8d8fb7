//! Series as they are measured: most stand still, others go on in steps that something divides. However
//! a chunk comes to be, from rows, from rows in wire form or from other chunks, it has the same bytes.

use proptest::prelude::*;

use super::{tick, timed};
use crate::catalogue::{FieldId, Group, Source};
use crate::codec::chunk::{RowOf, Sealed, Series, WireRow};
use crate::codec::varint::{put, zigzag};
use crate::codec::{DENSE, row};
use crate::model::{Builder, ColumnId, EntityId, Snapshot, Stamp};

/// What a series does from row to row.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Still,
    Even,
    Seldom,
    Busy,
    Wild,
}

/// Of one entity in one column: what it does, by multiples of what, from where on, and the rows in which it
/// is not.
#[derive(Clone, Debug)]
struct Story {
    kind: Kind,
    scale: u64,
    first: u64,
    steps: Vec<u64>,
    missing: u64,
}

fn story() -> impl Strategy<Value = Story> {
    use Kind::{Busy, Even, Seldom, Still, Wild};
    let kind = prop::sample::select(vec![Still, Still, Even, Seldom, Busy, Wild]);
    let scale = prop::sample::select(vec![1, 1, 3, 10, 1000, 1024, 4096, 1 << 63]);
    let first = prop_oneof![Just(0), 0_u64..100, any::<u64>()];
    let steps = (0_u32..64, prop::collection::vec(any::<u64>(), 64))
        .prop_map(|(bits, steps)| steps.iter().map(|step| step >> bits).collect());
    // The masks of all bits, so that nearly every series is in every row.
    let missing =
        prop_oneof![4 => Just(0), 1 => any::<u64>(), 1 => (0_u32..64).prop_map(|n| u64::MAX << n)];
    (kind, scale, first, steps, missing).prop_map(|(kind, scale, first, steps, missing)| Story {
        kind,
        scale,
        first,
        steps,
        missing,
    })
}

impl Story {
    fn values(&self) -> Vec<u64> {
        let mut value = self.first;
        let values = self.steps.iter().zip(0_u64..).map(|(step, nth)| {
            let at_first = self.steps.first().copied().unwrap_or(0);
            let step = match self.kind {
                Kind::Still => 0,
                Kind::Even => at_first,
                Kind::Seldom if nth % 7 != at_first % 7 => 0,
                Kind::Seldom | Kind::Busy => *step,
                Kind::Wild => value ^ step,
            };
            value = value.wrapping_add(step.wrapping_mul(self.scale));
            value
        });
        values.collect()
    }
}

/// Rows of these series, three columns of so many entities each. An entity that misses a row in the first
/// column is not there at all in it.
fn snapshots(stories: &[[Story; 3]], rows: usize) -> Vec<Snapshot> {
    let all: Vec<[Vec<u64>; 3]> = stories
        .iter()
        .map(|columns| columns.each_ref().map(Story::values))
        .collect();
    let row = |nth: usize| {
        let mut builder = Builder::default();
        for ((columns, values), id) in stories.iter().zip(&all).zip(1..) {
            for ((story, values), field) in columns.iter().zip(values).zip(64..) {
                let missing = columns[0].missing | story.missing;
                if missing >> nth & 1 == 0 {
                    builder.value(EntityId(id), FieldId(field), values[nth]);
                }
            }
        }
        builder.build()
    };
    (0..rows).map(row).collect()
}

fn rows_of(snapshots: &[Snapshot]) -> Vec<RowOf<'_>> {
    let row = |(nth, snapshot): (usize, _)| RowOf {
        offset: nth as u64,
        tick: tick(nth),
        snapshot,
    };
    snapshots.iter().enumerate().map(row).collect()
}

fn of_wire(rows: &[RowOf<'_>], payloads: &[Vec<u8>]) -> Option<Sealed> {
    let wire = rows.iter().zip(payloads).enumerate();
    let wire = wire.map(|(nth, (row, payload))| WireRow {
        offset: row.offset,
        tick: row.tick,
        payload,
        is_keyframe: nth == 0,
    });
    Sealed::of_wire(&wire.collect::<Vec<WireRow<'_>>>())
}

proptest! {
    #[test]
    fn a_chunk_has_the_same_bytes_however_it_comes_to_be(
        stories in prop::collection::vec([story(), story(), story()], 1..8),
        rows in 1_usize..=64,
        cuts in prop::collection::vec(0_usize..64, 1..4),
    ) {
        let snapshots = snapshots(&stories, rows);
        let rows = rows_of(&snapshots);
        let whole = Sealed::encode(&rows).unwrap();
        let back = whole.rows();
        prop_assert_eq!(back.len(), rows.len());
        for (a, b) in back.iter().zip(&rows) {
            prop_assert_eq!((a.offset, a.tick, &a.snapshot), (b.offset, b.tick, b.snapshot));
        }

        let mut payloads = Vec::new();
        for (nth, snapshot) in snapshots.iter().enumerate() {
            let base = nth.checked_sub(1).map(|before| timed(before, &snapshots[before]));
            payloads.push(row::encode(DENSE, base, timed(nth, snapshot)));
        }
        match of_wire(&rows, &payloads) {
            Some(sealed) => prop_assert_eq!(sealed.bytes(), whole.bytes()),
            None => prop_assert!(snapshots[0].entities().is_empty()),
        }

        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < rows.len()).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        cuts.dedup();
        let parts = cuts.windows(2).map(|cut| {
            let shift = rows[cut[0]].offset;
            let mut part = rows[cut[0]..cut[1]].to_vec();
            part.iter_mut().for_each(|row| row.offset -= shift);
            (shift, Sealed::encode(&part).unwrap())
        });
        let parts: Vec<(u64, Sealed)> = parts.collect();
        let parts: Vec<(u64, &Sealed)> = parts.iter().map(|(shift, one)| (*shift, one)).collect();
        let joined = Sealed::splice(&parts, 0).unwrap();
        prop_assert_eq!(joined.bytes(), whole.bytes());
    }
}

proptest! {
    // Of a hundred series some words of forms are passed over.
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_series_that_others_are_passed_over_for_is_the_same(
        stories in prop::collection::vec([story(), story(), story()], 1..100),
        rows in 1_usize..=64,
        step in 1_usize..40,
    ) {
        let snapshots = snapshots(&stories, rows);
        let sealed = Sealed::encode(&rows_of(&snapshots)).unwrap();
        let head = sealed.head();
        let values = |one: Series<'_>| (one.mask, one.by_row());
        for id in (64..67).map(ColumnId) {
            let Some(all) = head.column(id) else { continue };
            let all: Vec<Series<'_>> = all.collect();
            let has = |place| all.iter().find(|one| one.place == place).copied();
            let (mut some, mut masks) = (head.column(id).unwrap(), head.column(id).unwrap());
            for (place, entity) in head.entities.iter().enumerate().step_by(step) {
                let wanted = has(place);
                prop_assert_eq!(some.seek(place).map(values), wanted.map(values));
                prop_assert_eq!(masks.mask_at(place), wanted.map_or(0, |one| one.mask));
                let alone = sealed.alone(Some(*entity), &mut Vec::new()).unwrap();
                let [Some(body), ..] = alone.bodies(&[id]) else {
                    panic!("a column that is there");
                };
                prop_assert_eq!(alone.series(body).map(values), wanted.map(values));
            }
        }
    }
}

fn row_of_one(value: u64) -> Snapshot {
    let mut builder = Builder::default();
    builder.value(EntityId(1), FieldId(64), value);
    builder.build()
}

/// What the differences of a part are told in does not divide them when they wrap.
#[test]
fn a_part_whose_differences_wrap_is_put_together_as_it_reads() {
    let first = [0, 3, 9].map(row_of_one);
    let first = Sealed::encode(&rows_of(&first)).unwrap();
    // One entity in three rows; 12, and twice 3 x this, which is 2^63 + 1.
    let least = 3_074_457_345_618_258_603;
    let mut body = vec![0x0c, 0x03, 24, 0x80, 3];
    put(&mut body, zigzag(least));
    let mut bytes = vec![2, 3, 7];
    put(&mut bytes, tick(3));
    put(&mut bytes, 10_000);
    bytes.extend([0, 0, 1, 1, 0, 1, 64, u8::try_from(body.len()).unwrap()]);
    bytes.extend(body);
    let second = Sealed::check(bytes.into()).unwrap();
    let by = 3_u64.wrapping_mul(least.cast_unsigned());
    let values = [
        0,
        3,
        9,
        12,
        12_u64.wrapping_add(by),
        12_u64.wrapping_add(by.wrapping_mul(2)),
    ];

    let joined = Sealed::splice(&[(0, &first), (3, &second)], 0).unwrap();
    let at_once = values.map(row_of_one);
    let at_once = Sealed::encode(&rows_of(&at_once)).unwrap();
    assert_eq!(joined.rows(), at_once.rows());
    assert_eq!(joined.bytes(), at_once.bytes());
}

/// Neither does the scale of a row.
#[test]
fn a_row_whose_differences_wrap_is_sealed_as_it_reads() {
    let first = row_of_one(5);
    // The same entity; all differ, by thousands: 1, then what is beyond 2^63.
    let row = |number: i64| {
        let mut body = vec![0x85];
        put(&mut body, zigzag(number));
        let mut bytes = vec![2, 0, 1, 64, u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        bytes
    };
    let payloads = [
        row::keyframe(DENSE, tick(0), &first),
        row(1),
        row(9_223_372_036_854_776),
    ];
    let mut snapshots = vec![first];
    for nth in 1..3 {
        let base = timed(nth - 1, &snapshots[nth - 1]);
        let next = row::decode(Some(base), tick(nth), &payloads[nth]).unwrap();
        snapshots.push(next);
    }
    assert!(snapshots[2].cell(0, ColumnId(64)).unwrap() > 1 << 63);

    let rows = rows_of(&snapshots);
    let sealed = of_wire(&rows, &payloads).unwrap();
    assert_eq!(sealed.bytes(), Sealed::encode(&rows).unwrap().bytes());
}

/// Times of four groups of three entities, measured when this is told of a row and a group; an entity that is not
/// in the mask of a row is not there.
fn measured(rows: &[([u64; 4], u8)]) -> Vec<Snapshot> {
    let row = |(times_ms, there): &([u64; 4], u8)| {
        let mut builder = Builder::default();
        for id in (1_u32..4).filter(|id| there >> id & 1 == 1) {
            for (group, time_ms) in Group::ALL.into_iter().zip(times_ms) {
                let stamp = Stamp {
                    time_ms: time_ms + u64::from(id) * 7,
                    start_ms: None,
                    source: Source::Summary,
                };
                builder.stamp(EntityId(id), group, stamp);
            }
        }
        builder.build()
    };
    rows.iter().map(row).collect()
}

/// What is told of a row as a copy of another column is not one in all rows.
#[test]
fn times_that_are_another_groups_in_some_rows_alone_are_sealed_as_they_read() {
    const ALL: u8 = 0b1110;
    for rows in [
        // The second is the first one's from the second row on, the third until then, the fourth in every row.
        [
            ([10, 20, 10, 10], ALL),
            ([31, 31, 40, 31], ALL),
            ([57, 57, 60, 57], ALL),
            ([57, 58, 57, 57], ALL),
        ],
        // The first stands still while the others come to it.
        [
            ([10, 20, 30, 10], ALL),
            ([10, 10, 30, 11], ALL),
            ([10, 10, 10, 12], ALL),
            ([13, 13, 10, 13], ALL),
        ],
        // Entities come and go.
        [
            ([10, 20, 10, 30], 0b0110),
            ([30, 30, 41, 41], ALL),
            ([50, 50, 50, 50], 0b1010),
            ([60, 60, 61, 61], 0b1100),
        ],
    ] {
        let snapshots = measured(&rows);
        let rows = rows_of(&snapshots);
        let mut payloads = Vec::new();
        for (nth, snapshot) in snapshots.iter().enumerate() {
            let base = nth.checked_sub(1);
            let base = base.map(|before| timed(before, &snapshots[before]));
            payloads.push(row::encode(DENSE, base, timed(nth, snapshot)));
        }
        let whole = Sealed::encode(&rows).unwrap();
        let read = whole.rows();
        assert!(read.iter().map(|row| &row.snapshot).eq(&snapshots));
        let sealed = of_wire(&rows, &payloads).unwrap();
        assert_eq!(sealed.bytes(), whole.bytes());
    }
}

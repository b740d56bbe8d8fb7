//! Round trips of random shapes, and every way of being wrong.

mod moving;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::chunk::RowOf;
use super::row::Timed;
use super::{DENSE, Error, PLAIN, chunk, row};
use crate::catalogue::{FieldId, Group, Source};
use crate::model::{Builder, Column, ColumnId, EntityId, Snapshot, Stamp};

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

/// Grid time of the n-th row.
fn tick(n: usize) -> u64 {
    1_795_332_330_000 + 10_000 * n as u64
}

fn timed(n: usize, snapshot: &Snapshot) -> Timed<'_> {
    let tick_ms = tick(n);
    Timed { tick_ms, snapshot }
}

/// The same row among more entities.
fn among(row: &Snapshot, ids: &[EntityId]) -> Snapshot {
    let columns = row.columns().iter().map(|column| {
        let place = |old: u32| {
            let id = row.entities()[old as usize];
            u32::try_from(ids.binary_search(&id).unwrap()).unwrap()
        };
        let (places, values): (Vec<u32>, Vec<u64>) = column
            .cells()
            .map(|(old, value)| (place(old), value))
            .unzip();
        Column::from_parts(column.id(), places, values).unwrap()
    });
    Snapshot::from_parts(ids.to_vec(), columns.collect()).unwrap()
}

/// In the plain codec, where no time matters.
fn encode(base: Option<&Snapshot>, snapshot: &Snapshot) -> Vec<u8> {
    row::encode(PLAIN, base.map(|base| timed(0, base)), timed(1, snapshot))
}

fn decode(base: Option<&Snapshot>, payload: &[u8]) -> Result<Snapshot, Error> {
    row::decode(base.map(|base| timed(0, base)), tick(1), payload)
}

/// As rows of a block, each a few later than the one before.
fn block<'a>(rows: &'a [Snapshot], gaps: &[u64]) -> Vec<RowOf<'a>> {
    let mut offset = 0;
    let mut block = Vec::new();
    for (snapshot, gap) in rows.iter().zip(gaps.iter().chain(std::iter::repeat(&0))) {
        if offset < 16 {
            block.push(RowOf {
                offset,
                tick: tick(0) + 10_000 * (offset + gap),
                snapshot,
            });
        }
        offset += 1 + gap;
    }
    block.sort_by_key(|row| row.tick);
    block.dedup_by_key(|row| row.tick);
    block
}

proptest! {
    #[test]
    fn every_row_comes_back_as_it_was(rows in snapshots(), codec in PLAIN..=DENSE) {
        let mut base: Option<Timed<'_>> = None;
        for (n, snapshot) in rows.iter().enumerate() {
            let bytes = row::encode(codec, base, timed(n, snapshot));
            prop_assert_eq!(&row::decode(base, tick(n), &bytes).unwrap(), snapshot);
            base = Some(timed(n, snapshot));
        }
    }

    #[test]
    fn a_column_read_alone_is_that_of_the_whole_row(rows in snapshots(), field in 64u16..100) {
        let wanted = ColumnId(field);
        let (mut base, mut alone): (Option<Timed<'_>>, Option<Snapshot>) = (None, None);
        for (n, snapshot) in rows.iter().enumerate() {
            let bytes = row::encode(DENSE, base, timed(n, snapshot));
            let before = alone.as_ref().map(|alone| timed(n - 1, alone));
            let read = row::decode_only(&[wanted], before, tick(n), &bytes).unwrap();
            prop_assert_eq!(read.column(wanted), snapshot.column(wanted));
            prop_assert_eq!(read.entities(), snapshot.entities());
            (base, alone) = (Some(timed(n, snapshot)), Some(read));
        }
    }

    #[test]
    fn an_entity_that_is_followed_has_the_cells_of_the_whole_rows(
        rows in snapshots(),
        fields in prop::collection::vec(64u16..100, 1..4),
        keyframes in any::<u16>(),
    ) {
        let groups = Group::ALL.iter().flat_map(|group| {
            [ColumnId::time(*group), ColumnId::start(*group), ColumnId::source(*group)]
        });
        let wanted: Vec<ColumnId> = fields.into_iter().map(ColumnId).chain(groups).collect();
        let ids = rows.iter().flat_map(|row| row.entities().iter().copied());
        let ids: BTreeSet<EntityId> = ids.chain([EntityId(u32::MAX)]).collect();
        let followed = row::Followed::of(&wanted);
        let mut base: Option<Timed<'_>> = None;
        let payloads = rows.iter().enumerate().map(|(n, snapshot)| {
            let base_of = base.filter(|_| keyframes >> n & 1 == 0);
            base = Some(timed(n, snapshot));
            (base_of.is_none(), row::encode(DENSE, base_of, timed(n, snapshot)))
        });
        let payloads: Vec<(bool, Vec<u8>)> = payloads.collect();
        for id in ids {
            let mut track = row::Track::new(id, &followed);
            for (n, (snapshot, (is_keyframe, bytes))) in rows.iter().zip(&payloads).enumerate() {
                track.step(*is_keyframe, tick(n), bytes).unwrap();
                let place = snapshot.position(id);
                prop_assert_eq!(track.is_there(), place.is_some());
                for column in &wanted {
                    let whole = snapshot.column(*column).and_then(|c| c.get(place?));
                    prop_assert_eq!(track.value(*column), whole, "{:?} of {:?} in row {}", column, id, n);
                }
            }
        }
    }

    #[test]
    fn every_chunk_comes_back_as_it_was(
        rows in snapshots(),
        gaps in prop::collection::vec(0u64..3, 12),
        codec in PLAIN..=DENSE,
    ) {
        let rows = block(&rows, &gaps);
        let back = chunk::decode(&chunk::encode(codec, &rows)).unwrap();
        let sealed = chunk::seal(&chunk::encode(codec, &rows)).unwrap();
        let samples: usize = rows.iter().map(|row| row.snapshot.sample_count()).sum();
        prop_assert_eq!(sealed.sample_count(), samples);
        let cells = |row: &RowOf<'_>| row.snapshot.columns().iter().map(Column::len).sum::<usize>();
        prop_assert_eq!(sealed.cell_count(), rows.iter().map(cells).sum::<usize>());
        prop_assert!(chunk::Sealed::most_cells(sealed.bytes()) >= sealed.cell_count());
        let by_row = sealed.cells_by_row().into_iter().map(|cells| cells as usize);
        prop_assert!(by_row.eq(rows.iter().map(cells)));
        prop_assert_eq!(&sealed.rows(), &back);
        prop_assert_eq!(back.len(), rows.len());
        for (a, b) in back.iter().zip(&rows) {
            prop_assert_eq!((a.offset, a.tick, &a.snapshot), (b.offset, b.tick, b.snapshot));
        }
    }

    #[test]
    fn chunks_put_together_are_the_chunk_of_all_rows(
        rows in snapshots(),
        gaps in prop::collection::vec(0u64..3, 12),
        cuts in prop::collection::vec(0usize..12, 0..3),
        expired in 0usize..16,
    ) {
        let rows = block(&rows, &gaps);
        let sealed = |rows: &[RowOf<'_>]| chunk::Sealed::encode(rows).unwrap();
        // Parts with offsets of their own, as blocks have.
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).collect();
        cuts.extend([0, rows.len()]);
        cuts.sort_unstable();
        let mut owned: Vec<(u64, chunk::Sealed)> = Vec::new();
        for cut in cuts.windows(2).filter(|cut| cut[0] < cut[1]) {
            let mut part = rows[cut[0]..cut[1]].to_vec();
            let shift = part[0].offset;
            part.iter_mut().for_each(|row| row.offset -= shift);
            owned.push((shift, sealed(&part)));
        }
        let parts: Vec<(u64, &chunk::Sealed)> = owned.iter().map(|(shift, one)| (*shift, one)).collect();
        let whole = chunk::Sealed::splice(&parts, 0).unwrap();
        let at_once = sealed(&rows);
        prop_assert_eq!(whole.bytes(), at_once.bytes());

        // From a tick on there are the rows that are not before it.
        let oldest_ms = tick(expired);
        let left: Vec<RowOf<'_>> = rows.iter().copied().filter(|row| row.tick >= oldest_ms).collect();
        let cut = chunk::Sealed::splice(&parts, oldest_ms);
        prop_assert_eq!(cut.is_some(), !left.is_empty());
        let back = cut.map(|cut| cut.rows()).unwrap_or_default();
        prop_assert_eq!(back.len(), left.len());
        for (a, b) in back.iter().zip(&left) {
            prop_assert_eq!((a.offset, a.tick, &a.snapshot), (b.offset, b.tick, b.snapshot));
        }
    }

    #[test]
    fn rows_in_wire_form_become_the_chunk_of_the_rows(
        rows in snapshots(),
        gaps in prop::collection::vec(0u64..3, 12),
    ) {
        // All of them about the entities of all.
        let ids: BTreeSet<EntityId> = rows.iter().flat_map(|row| row.entities().iter().copied()).collect();
        let ids: Vec<EntityId> = ids.into_iter().collect();
        let widened: Vec<Snapshot> = rows.iter().map(|row| among(row, &ids)).collect();
        for rows in [&rows, &widened] {
            let rows = block(rows, &gaps);
            let mut base: Option<Timed<'_>> = None;
            let mut payloads = Vec::new();
            for row in &rows {
                let now = Timed { tick_ms: row.tick, snapshot: row.snapshot };
                payloads.push(row::encode(DENSE, base, now));
                base = Some(now);
            }
            let wire = rows.iter().zip(&payloads).enumerate();
            let wire: Vec<chunk::WireRow<'_>> = wire.map(|(nth, (row, payload))| chunk::WireRow {
                offset: row.offset,
                tick: row.tick,
                payload,
                is_keyframe: nth == 0,
            }).collect();
            let sealed = chunk::Sealed::of_wire(&wire);
            // A keyframe of nothing cannot be told from a row like the one before.
            prop_assert_eq!(sealed.is_none(), rows[0].snapshot.entities().is_empty());
            if let Some(sealed) = sealed {
                let at_once = chunk::Sealed::encode(&rows).unwrap();
                prop_assert_eq!(sealed.bytes(), at_once.bytes());
            }
        }
    }

    #[test]
    fn a_chunk_in_another_codec_has_the_same_rows(rows in snapshots(), gaps in prop::collection::vec(0u64..3, 12)) {
        let rows = block(&rows, &gaps);
        let [plain, dense] = [PLAIN, DENSE].map(|codec| chunk::encode(codec, &rows));
        prop_assert_eq!(chunk::recode(PLAIN, &dense).unwrap(), plain.clone());
        prop_assert_eq!(chunk::recode(DENSE, &plain).unwrap(), dense.clone());
        prop_assert_eq!(chunk::recode(DENSE, &dense).unwrap(), dense);
    }

    #[test]
    fn a_cut_payload_is_an_error(rows in snapshots(), cut in any::<prop::sample::Index>(), codec in PLAIN..=DENSE) {
        let bytes = row::keyframe(codec, tick(0), &rows[0]);
        let short = cut.index(bytes.len());
        prop_assert!(row::decode(None, tick(0), &bytes[..short]).is_err());
        let bytes = chunk::encode(codec, &block(&rows, &[]));
        let short = cut.index(bytes.len());
        prop_assert!(chunk::decode(&bytes[..short]).is_err());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        drop(row::decode(None, 0, &bytes));
        drop(chunk::decode(&bytes));
        prop_assert!(chunk::Sealed::most_cells(&bytes) < usize::MAX);
        for codec in [1, 2] {
            let mut begun = vec![codec];
            begun.extend_from_slice(&bytes);
            drop(row::decode(None, 0, &begun));
            drop(chunk::decode(&begun));
            prop_assert!(chunk::Sealed::most_cells(&begun) < usize::MAX);
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(
        rows in snapshots(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        codec in PLAIN..=DENSE,
    ) {
        let base = timed(0, &rows[0]);
        let mut bytes = match rows.get(1) {
            Some(next) => row::encode(codec, Some(base), timed(1, next)),
            None => row::keyframe(codec, tick(0), &rows[0]),
        };
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        drop(row::decode(Some(base), tick(1), &bytes));
        let mut bytes = chunk::encode(codec, &block(&rows, &[]));
        let place = at.index(bytes.len());
        bytes[place] ^= 1 << bit;
        drop(chunk::decode(&bytes));
    }
}

#[test]
fn an_unknown_column_is_skipped_by_its_length() {
    // codec 1, one entity with id 3, two columns: 64 (value 5) and 4000 (three bytes of anything).
    let bytes = [1, 2, 3, 2, 64, 4, 0, 1, 1, 10, 0xa0, 0x1f, 3, 9, 9, 9];
    let snapshot = decode(None, &bytes).unwrap();
    assert_eq!(snapshot.columns().len(), 1);
    assert_eq!(snapshot.cell(0, ColumnId(64)), Some(5));
}

#[test]
fn a_column_in_which_nothing_happens_costs_three_bytes() {
    let mut builder = Builder::default();
    for entity in 1..=1_000 {
        builder.value(EntityId(entity), FieldId(64), u64::from(entity) << 30);
    }
    let snapshot = builder.build();
    // Neither do its entities cost anything: they are those of the row before.
    assert_eq!(encode(Some(&snapshot), &snapshot).len(), 3 + 3);
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
    let bytes = encode(Some(base), next);
    // Head of the row and the column, flags, changed and repeated bits, one difference.
    assert_eq!(bytes.len(), 3 + 3 + 1 + 100 + 100 + 1);
    assert_eq!(decode(Some(base), &bytes).as_ref(), Ok(next));
    // One that nothing goes before is none.
    let first = [1, 2, 3, 1, 64, 4, 16, 1, 1, 1];
    let none = decode(None, &first).unwrap();
    assert_eq!(none.cell(0, ColumnId(64)), Some(0));
}

#[test]
fn no_entities_are_told_from_those_of_the_row_before() {
    let mut builder = Builder::default();
    builder.entity(EntityId(3));
    let (one, none) = (builder.build(), Snapshot::default());
    assert_eq!(encode(None, &none), [1, 0, 0]);
    for (base, snapshot) in [(&one, &one), (&one, &none), (&none, &one), (&none, &none)] {
        let bytes = encode(Some(base), snapshot);
        assert_eq!(decode(Some(base), &bytes).as_ref(), Ok(snapshot));
    }
}

#[test]
fn flags_that_are_not_known_are_named() {
    assert_eq!(
        decode(None, &[1, 2, 3, 1, 64, 4, 32, 1, 1, 10]),
        Err(Error::Flags(32))
    );
    // The same entities as in a row that is not there are none.
    assert_eq!(decode(None, &[1, 2, 3, 1, 64, 1, 12]), Err(Error::Empty));
    // A value for an entity behind the last one.
    assert_eq!(
        decode(None, &[1, 2, 3, 1, 64, 4, 0, 2, 1, 10]),
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
    assert_eq!(decode(None, &bytes), Err(Error::Limit("cells")));
}

#[test]
fn entities_must_rise_and_columns_too() {
    assert_eq!(
        decode(None, &[1, 3, 3, 0, 0]),
        Err(Error::Order("entities"))
    );
    let twice = [1, 2, 3, 2, 64, 4, 0, 1, 1, 10, 64, 4, 0, 1, 1, 10];
    assert_eq!(decode(None, &twice), Err(Error::Order("columns")));
}

#[test]
fn another_codec_is_named() {
    assert_eq!(decode(None, &[9]), Err(Error::Codec(9)));
    assert_eq!(chunk::decode(&[9]), Err(Error::Codec(9)));
}

#[test]
fn a_column_without_a_value_is_refused() {
    assert_eq!(decode(None, &[1, 2, 3, 1, 64, 2, 0, 0]), Err(Error::Empty));
}

#[test]
fn the_rows_of_a_chunk_share_one_limit_of_cells() {
    let mut builder = Builder::default();
    for entity in 1..=60_000 {
        for field in 64..74 {
            builder.value(EntityId(entity), FieldId(field), 1);
        }
    }
    let rows = vec![builder.build(); 16];
    assert!(decode(None, &encode(None, &rows[0])).is_ok());
    for codec in [PLAIN, DENSE] {
        let chunk = chunk::encode(codec, &block(&rows, &[]));
        assert_eq!(chunk::decode(&chunk), Err(Error::Limit("cells")));
    }
}

#[test]
fn how_many_cells_a_chunk_has_is_told_before_it_is_read() {
    let column = Column::from_parts(
        ColumnId(0),
        (0..8_192).collect::<Vec<u32>>(),
        vec![7; 8_192],
    );
    let column = column.unwrap();
    let columns = (0..61).map(|id| column.renamed(ColumnId(id))).collect();
    let entities = (1..=8_192).map(EntityId).collect();
    let row = Snapshot::from_parts(entities, columns).unwrap();
    let rows = vec![row; 16];
    let chunk = chunk::encode(DENSE, &block(&rows, &[]));
    let cells = 8_192 * 61 * 16;
    assert!(chunk.len() < 12_000, "{} bytes", chunk.len());
    assert_eq!(chunk::Sealed::most_cells(&chunk), cells);
    assert_eq!(chunk::seal(&chunk).unwrap().cell_count(), cells);
    let plain = chunk::encode(PLAIN, &block(&rows, &[]));
    assert!(chunk::Sealed::most_cells(&plain) >= cells);
    assert_eq!(chunk::Sealed::most_cells(&chunk[..100]), 0);
}

//! What holds of rows and chunks, whatever the bytes: the fuzz targets and `tests/corpus.rs` make the
//! same checks. Whoever breaks one panics.

#[path = "story.rs"]
mod story;

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::codec::chunk::{self, ChunkRow, RowOf, Sealed, Series, WireRow};
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::codec::slim::Slim;
use cairn_proto::codec::{DENSE, Error, PLAIN};
use cairn_proto::limits::{MAX_CELLS, MAX_CHUNK_CELLS, MAX_ENTITIES, MAX_ROW_BYTES};
use cairn_proto::model::{ColumnId, EntityId, Snapshot};

/// The first tick of whatever is decoded, Unix ms.
const T0: u64 = 1_795_332_330_000;

/// A tick, Unix ms, and what was read of it.
type Row = (u64, Snapshot);

/// One payload that refers to no row.
pub(crate) fn row_keyframe(payload: &[u8]) {
    if let Ok(row) = row::decode(None, T0, payload) {
        assert!(
            row.entities().len() <= payload.len(),
            "an entity is a byte at least"
        );
        sound(&row);
        comes_back(None, T0, &row);
    }
}

/// Payloads, each behind its length in two bytes, the lower first, and each as a row 10 s after the
/// one before. What does not decode is passed over.
pub(crate) fn row_with_base(stream: &[u8]) {
    let mut base: Option<Row> = None;
    let mut read: Vec<(&[u8], Row)> = Vec::new();
    for (payload, tick_ms) in payloads(stream).zip((T0..).step_by(10_000)) {
        let before = base.as_ref().map(timed);
        let first = row::decode(before, tick_ms, payload);
        assert_eq!(
            first,
            row::decode(before, tick_ms, payload),
            "a second time"
        );
        in_place(before, tick_ms, payload, &first);
        if let Ok(row) = first {
            sound(&row);
            comes_back(before, tick_ms, &row);
            read.push((payload, (tick_ms, row.clone())));
            base = Some((tick_ms, row));
        }
    }
    let written = |(payload, row): &(&[u8], Row)| (payload.to_vec(), row.clone());
    let is_dense = |(payload, _): &&(&[u8], Row)| row::codec_of(payload) == Some(DENSE);
    followed(
        &read
            .iter()
            .take_while(is_dense)
            .map(written)
            .collect::<Vec<_>>(),
    );
}

/// A row that is read in the place of the one before is what it is when it is read by itself.
fn in_place(
    before: Option<Timed<'_>>,
    tick_ms: u64,
    payload: &[u8],
    read: &Result<Snapshot, Error>,
) {
    let base = before.map(|before| (before.tick_ms, Slim::of(before.snapshot)));
    let base = base.as_ref().map(|(tick_ms, slim)| (*tick_ms, slim));
    let next = Slim::decode(base, tick_ms, payload);
    assert_eq!(&next.as_ref().map(Slim::row).map_err(|error| *error), read);
    if let (Ok(next), Ok(read)) = (next, read) {
        assert_eq!(next, Slim::of(read), "kept the same way");
    }
}

/// Rows that each refer to the one before, the first to none, give an entity that is followed the
/// cells that it has in the whole rows. Some entities are as good as all.
fn followed(rows: &[(Vec<u8>, Row)]) {
    let rows = &rows[..rows.len().min(16)];
    let wire = rows
        .iter()
        .zip(0..)
        .map(|((payload, (tick, _)), offset)| WireRow {
            offset,
            tick: *tick,
            payload,
            is_keyframe: offset == 0,
        });
    if let Some(sealed) = Sealed::of_wire(&wire.collect::<Vec<_>>()) {
        let back = sealed
            .rows()
            .into_iter()
            .map(|row| (row.tick, row.snapshot));
        assert!(back.eq(rows.iter().map(|(_, row)| row.clone())), "of wire");
    }
    let entities = rows.iter().flat_map(|(_, (_, row))| row.entities());
    let entities: BTreeSet<EntityId> = entities.copied().collect();
    let columns = rows.iter().flat_map(|(_, (_, row))| row.columns());
    let columns: BTreeSet<ColumnId> = columns.map(|column| column.id()).collect();
    let columns: Vec<ColumnId> = columns.into_iter().collect();
    let followed = row::Followed::of(&columns);
    for entity in entities.iter().take(6).chain(entities.iter().rev().take(2)) {
        let mut track = row::Track::new(*entity, &followed);
        for (nth, (payload, (tick_ms, row))) in rows.iter().enumerate() {
            let stepped = track.step(nth == 0, *tick_ms, payload);
            assert_eq!(stepped, Ok(()), "what was decoded can be followed");
            let place = row.position(*entity);
            assert_eq!(track.is_there(), place.is_some());
            for id in &columns {
                let whole = row.column(*id).and_then(|column| column.get(place?));
                assert_eq!(track.value(*id), whole, "{id:?} of {entity:?}, row {nth}");
            }
        }
    }
}

/// The first byte says which columns are wanted; then as [`row_with_base`].
pub(crate) fn row_decode_only(body: &[u8]) {
    let Some((choice, stream)) = body.split_first() else {
        return;
    };
    let all = [0, 1, 2, 64, 65, 66, 70, 81].into_iter().enumerate();
    let wanted = all.filter(|(nth, _)| choice >> nth & 1 == 1);
    let wanted: Vec<ColumnId> = wanted.map(|(_, id)| ColumnId(id)).collect();
    let (mut base, mut few): (Option<Row>, Option<Row>) = (None, None);
    for (payload, tick_ms) in payloads(stream).zip((T0..).step_by(10_000)) {
        let whole = row::decode(base.as_ref().map(timed), tick_ms, payload);
        // Of a row that is not sound as a whole, anything may be read, or nothing.
        let only = row::decode_only(&wanted, few.as_ref().map(timed), tick_ms, payload);
        let Ok(whole) = whole else { continue };
        let only = only.expect("a row that decodes as a whole");
        assert_eq!(only.entities(), whole.entities());
        let read = |id: &ColumnId| id.is_time() || wanted.contains(id);
        for column in whole.columns().iter().filter(|column| read(&column.id())) {
            assert_eq!(only.column(column.id()), Some(column));
        }
        for column in only.columns().iter().filter(|column| read(&column.id())) {
            assert_eq!(whole.column(column.id()), Some(column));
        }
        let from_whole = base.as_ref().map(timed);
        let from_whole = row::decode_only(&wanted, from_whole, tick_ms, payload);
        assert_eq!(from_whole.as_ref(), Ok(&only), "a base with more columns");
        (base, few) = (Some((tick_ms, whole)), Some((tick_ms, only)));
    }
}

/// Rows that a story tells come back as they were, in both codecs.
pub(crate) fn row_story(script: &[u8]) {
    let rows = story::rows(script);
    let mut base: Option<&ChunkRow> = None;
    let mut written = Vec::new();
    for row in &rows {
        let before = base.map(|row| Timed {
            tick_ms: row.tick,
            snapshot: &row.snapshot,
        });
        comes_back(before, row.tick, &row.snapshot);
        comes_back(None, row.tick, &row.snapshot);
        let now = Timed {
            tick_ms: row.tick,
            snapshot: &row.snapshot,
        };
        let payload = row::encode(DENSE, before, now);
        in_place(before, row.tick, &payload, &Ok(row.snapshot.clone()));
        written.push((payload, (row.tick, row.snapshot.clone())));
        base = Some(row);
    }
    followed(&written);
}

/// One payload of a chunk.
pub(crate) fn chunk(payload: &[u8]) {
    let decoded = chunk::decode(payload);
    match (decoded, chunk::seal(payload)) {
        (Ok(rows), Ok(sealed)) => {
            agree(&rows, &sealed);
            chunk_comes_back(&rows);
        }
        // The rows of a plain chunk together may have more entities than a dense one may.
        (Ok(_), Err(Error::Limit("entities"))) if payload.first() != Some(&2) => {}
        (Err(one), Err(other)) => assert_eq!(one, other),
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

/// The rows of a story as one chunk come back as they were, in both codecs.
pub(crate) fn chunk_story(script: &[u8]) {
    let mut rows = story::rows(script);
    rows.retain(|row| row.offset < 16);
    chunk_comes_back(&rows);
}

fn payloads(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (payload, behind) = behind.split_at(length);
        rest = behind;
        Some(payload)
    })
}

fn timed((tick_ms, snapshot): &Row) -> Timed<'_> {
    Timed {
        tick_ms: *tick_ms,
        snapshot,
    }
}

/// No more than the limits allow, and no column of nothing.
fn sound(row: &Snapshot) {
    assert!(row.entities().len() <= MAX_ENTITIES);
    let cells: usize = row.columns().iter().map(|column| column.len()).sum();
    assert!(cells <= MAX_CELLS, "{cells} cells");
    assert!(row.columns().iter().all(|column| !column.is_empty()));
}

/// What is written of a row is read as the row.
fn comes_back(base: Option<Timed<'_>>, tick_ms: u64, row: &Snapshot) {
    for codec in [PLAIN, DENSE] {
        let now = Timed {
            tick_ms,
            snapshot: row,
        };
        let written = row::encode(codec, base, now);
        if written.len() <= MAX_ROW_BYTES {
            let back = row::decode(base, tick_ms, &written);
            assert_eq!(back.as_ref(), Ok(row), "codec {codec}: {written:x?}");
        }
    }
}

fn chunk_comes_back(rows: &[ChunkRow]) {
    let borrowed: Vec<RowOf<'_>> = rows.iter().map(ChunkRow::borrowed).collect();
    for codec in [PLAIN, DENSE] {
        let written = chunk::encode(codec, &borrowed);
        if written.len() > MAX_ROW_BYTES {
            continue;
        }
        assert_eq!(
            chunk::decode(&written).as_deref(),
            Ok(rows),
            "codec {codec}"
        );
        agree(rows, &chunk::seal(&written).expect("what was decoded"));
    }
}

/// A sealed chunk says the same as its rows, as a whole and column by column.
fn agree(rows: &[ChunkRow], sealed: &Sealed) {
    assert_eq!(sealed.rows(), rows);
    let (mut samples, mut cells) = (0, 0);
    let mut columns: BTreeMap<ColumnId, Vec<(usize, u32, u64)>> = BTreeMap::new();
    for (row, nth) in rows.iter().zip(0..) {
        samples += row.snapshot.sample_count();
        for column in row.snapshot.columns() {
            cells += column.len();
            let known = columns.entry(column.id()).or_default();
            let entities = row.snapshot.entities();
            known.extend(
                column
                    .cells()
                    .map(|(place, value)| (nth, entities[place as usize].0, value)),
            );
        }
    }
    assert_eq!(sealed.sample_count(), samples);
    assert!(cells <= MAX_CHUNK_CELLS, "{cells} cells");
    let head = sealed.head();
    assert!(head.column(ColumnId(u16::MAX)).is_none());
    for (id, told) in columns {
        let mut read = Vec::new();
        for series in head.column(id).expect("a column of a row") {
            let values = series.by_row();
            let entity = head.entities[series.place].0;
            let rows = (0..rows.len()).filter(|nth| series.mask >> nth & 1 == 1);
            read.extend(rows.map(|nth| (nth, entity, values[nth])));
        }
        read.sort_unstable();
        let mut told = told;
        told.sort_unstable();
        assert_eq!(read, told, "{id:?}");
        seen_by_some(sealed, id);
    }
    for (nth, row) in rows.iter().enumerate() {
        let cut = Sealed::splice(&[(0, sealed)], row.tick).expect("this row is left");
        assert_eq!(cut.rows(), rows[nth..], "from row {nth} on");
    }
}

/// Some entities see of a column what the whole has of them.
fn seen_by_some(sealed: &Sealed, id: ColumnId) {
    let head = sealed.head();
    let some = head.entities.iter().rev().step_by(3).take(5).copied();
    let ids: Vec<Option<EntityId>> = some.map(Some).chain([None]).collect();
    let glance = sealed.glance(&ids);
    for (id_of, asked) in ids.iter().zip(&glance.asked) {
        let place = id_of.and_then(|id| head.place(id));
        assert_eq!(asked.map(|(place, _)| place), place);
        let there = place.map(|place| head.there[place]);
        assert_eq!(asked.map(|(_, mask)| mask), there);
    }
    for id_of in ids.iter().flatten() {
        seen_alone(sealed, *id_of, id);
    }
    let mut places: Vec<usize> = glance.asked.iter().flatten().map(|one| one.0).collect();
    places.sort_unstable();
    let column = || glance.column(id).expect("a column of a row");
    let (mut seeking, mut masks) = (column(), column());
    for place in places {
        let mut all = head.column(id).expect("a column of a row");
        let found = all.find(|one| one.place == place);
        let sought = seeking.seek(place);
        assert_eq!(masks.mask_at(place), found.map_or(0, |one| one.mask));
        let values = |one: Series<'_>| (one.mask, one.by_row());
        assert_eq!(sought.map(values), found.map(values));
    }
}

/// One entity sees of a column what the whole has of it.
fn seen_alone(sealed: &Sealed, entity: EntityId, id: ColumnId) {
    let (head, mut ticks) = (sealed.head(), Vec::new());
    let alone = sealed.alone(Some(entity), &mut ticks).expect("it is there");
    assert!(
        ticks
            .iter()
            .eq(head.rows.iter().map(|(_, tick_ms)| tick_ms))
    );
    let place = head.place(entity).expect("it is listed");
    assert_eq!(alone.mask, head.there[place]);
    let [Some(body), ..] = alone.bodies(&[id]) else {
        panic!("a column of a row");
    };
    let mut all = head.column(id).expect("a column of a row");
    let found = all.find(|one| one.place == place);
    let values = |one: Series<'_>| (one.mask, one.by_row());
    assert_eq!(alone.mask_in(body), found.map_or(0, |one| one.mask));
    assert_eq!(alone.series(body).map(values), found.map(values));
}

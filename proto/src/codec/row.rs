//! One row.
//!
//! ```text
//! row    := codec:varint  entities  columns:varint  column*
//! entities := 0 | count+1:varint  first:varint  gap:varint*  (gap = distance to the one before)
//! column := number:varint  length:varint  body
//! body   := flags:u8  present:bits[entities]  changed:bits[present]  repeated:bits[changed]
//!           zigzag((value-base)/scale)*
//! ```
//!
//! Entities 0 means those of the row that this one refers to, none in a keyframe: they come and go
//! seldom. `base` is the value of the same entity and column in the row that this one refers to; 0 in a
//! keyframe and where that row has none. The two low bits of the flags name the scale; bit 2 says
//! that the same entities have a value as in that row, and the presence bits are left out; bit 3
//! says that no value differs, and changed bits and differences are left out, so that a column in
//! which nothing happens costs its number, its length and one byte; bit 4 says that there are
//! repeated bits: set for a value that differs by as much as the changed one before it, whose
//! difference is left out. What many entities share (the time of a reading, what is left of the
//! disk below all file systems) costs little more than a bit each.

use super::column::Base;
use super::varint::{Reader, put};
use super::{Error, PLAIN, column};
use crate::limits;
use crate::model::{Column, ColumnId, EntityId, Snapshot};

/// Encodes a snapshot as differences to `base`, or as a keyframe.
#[must_use]
pub fn encode(base: Option<&Snapshot>, snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, u64::from(PLAIN));
    put_entities(&mut out, base_entities(base), snapshot.entities());
    put(&mut out, snapshot.columns().len() as u64);
    let moved = moved(base, snapshot.entities());
    let mut body = Vec::new();
    for one in snapshot.columns() {
        body.clear();
        let old = base_cells(base, one.id(), &moved);
        column::encode(&mut body, snapshot.entities().len(), one, &old);
        put(&mut out, u64::from(one.id().0));
        put(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
    }
    out
}

/// Decodes a row. `base` must be the row that it refers to; `None` for a keyframe. Columns that
/// this version does not know are skipped.
///
/// Allocation is bounded by [`limits::MAX_CELLS`] and the payload's own length.
///
/// # Errors
///
/// Says what is wrong with the payload; the base is not touched.
pub fn decode(base: Option<&Snapshot>, payload: &[u8]) -> Result<Snapshot, Error> {
    decode_within(base, payload, &mut { limits::MAX_CELLS })
}

/// Decodes a row and takes its cells off what several rows may have together.
pub(super) fn decode_within(
    base: Option<&Snapshot>,
    payload: &[u8],
    cells_left: &mut usize,
) -> Result<Snapshot, Error> {
    if payload.len() > limits::MAX_ROW_BYTES {
        return Err(Error::Limit("bytes in a row"));
    }
    let mut reader = Reader::new(payload);
    let codec = reader.varint("the codec number")?;
    if codec != u64::from(PLAIN) {
        return Err(Error::Codec(codec));
    }
    let entities = decode_entities(&mut reader, base_entities(base))?;
    let count = reader.size("the number of columns")?;
    if count > limits::MAX_COLUMNS {
        return Err(Error::Limit("columns"));
    }
    let moved = moved(base, &entities);
    let mut columns: Vec<Column> = Vec::with_capacity(count.min(reader.remaining()));
    let mut previous = None;
    for _ in 0..count {
        let number = reader.varint("a column number")?;
        let length = reader.size("a column's length")?;
        let body = reader.take(length, "a column")?;
        if previous.is_some_and(|p| p >= number) {
            return Err(Error::Order("columns"));
        }
        previous = Some(number);
        let Some(id) = known(number) else { continue };
        let old = base_cells(base, id, &moved);
        columns.push(column::decode(id, body, entities.len(), &old, cells_left)?);
    }
    reader.finish("a row")?;
    Snapshot::from_parts(entities, columns).ok_or(Error::Order("columns"))
}

fn put_entities(out: &mut Vec<u8>, base: &[EntityId], entities: &[EntityId]) {
    if entities == base {
        put(out, 0);
        return;
    }
    put(out, entities.len() as u64 + 1);
    let mut previous = 0;
    for entity in entities {
        put(out, u64::from(entity.0 - previous));
        previous = entity.0;
    }
}

fn decode_entities(reader: &mut Reader<'_>, base: &[EntityId]) -> Result<Vec<EntityId>, Error> {
    let Some(count) = reader.size("the number of entities")?.checked_sub(1) else {
        return Ok(base.to_vec());
    };
    if count > limits::MAX_ENTITIES || count > reader.remaining() {
        return Err(Error::Limit("entities"));
    }
    let mut entities = Vec::with_capacity(count);
    let mut previous: Option<u32> = None;
    for _ in 0..count {
        let gap = u32::try_from(reader.varint("an entity")?);
        let gap = gap.map_err(|_| Error::Range("an entity"))?;
        if previous.is_some() && gap == 0 {
            return Err(Error::Order("entities"));
        }
        let id = previous
            .unwrap_or(0)
            .checked_add(gap)
            .ok_or(Error::Range("an entity"))?;
        entities.push(EntityId(id));
        previous = Some(id);
    }
    Ok(entities)
}

/// The column with this number, when it is a stamp or a field of this version's catalogue.
fn known(number: u64) -> Option<ColumnId> {
    let id = u16::try_from(number).ok()?;
    let stamp = id < crate::catalogue::FIRST_FIELD;
    let known = stamp || crate::catalogue::table::field(crate::catalogue::FieldId(id)).is_some();
    known.then_some(ColumnId(id))
}

fn base_entities(base: Option<&Snapshot>) -> &[EntityId] {
    base.map_or(&[], Snapshot::entities)
}

/// Where each entity of the base row stands in this one.
fn moved(base: Option<&Snapshot>, entities: &[EntityId]) -> Vec<Option<u32>> {
    let mut here = entities.iter().zip(0u32..).peekable();
    base_entities(base)
        .iter()
        .map(|old| {
            while here.next_if(|(id, _)| *id < old).is_some() {}
            here.next_if(|(id, _)| *id == old).map(|(_, place)| place)
        })
        .collect()
}

/// The cells of a column of the base row, by their places in this one.
fn base_cells(base: Option<&Snapshot>, id: ColumnId, moved: &[Option<u32>]) -> Base {
    let Some(column) = base.and_then(|base| base.column(id)) else {
        return Base::new();
    };
    let place = |old: u32| moved.get(old as usize).copied().flatten();
    column
        .cells()
        .filter_map(|(old, value)| Some((place(old)?, value)))
        .collect()
}

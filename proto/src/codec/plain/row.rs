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

use super::column;
use crate::codec::entities::{Wanted, base_cells, ids, moved, put_ids};
use crate::codec::varint::{Reader, put};
use crate::codec::{Error, PLAIN};
use crate::limits;
use crate::model::{Column, EntityId, Snapshot};

/// Encodes a snapshot as differences to `base`, or as a keyframe.
#[must_use]
pub(in crate::codec) fn encode(base: Option<&Snapshot>, snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, u64::from(PLAIN));
    put_entities(&mut out, base_entities(base), snapshot.entities());
    put(&mut out, snapshot.columns().len() as u64);
    let moved = moved(
        base.map_or(&[][..], Snapshot::entities),
        snapshot.entities(),
    );
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

/// Decodes a row and takes its cells off what several rows may have together. Of its columns the
/// wanted ones alone.
pub(in crate::codec) fn decode(
    base: Option<&Snapshot>,
    payload: &[u8],
    wanted: &Wanted<'_>,
    cells_left: &mut usize,
) -> Result<Snapshot, Error> {
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
    let moved = moved(base.map_or(&[][..], Snapshot::entities), &entities);
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
        let Some(id) = wanted.read(number) else {
            continue;
        };
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
    put_ids(out, entities);
}

fn decode_entities(reader: &mut Reader<'_>, base: &[EntityId]) -> Result<Vec<EntityId>, Error> {
    match reader.size("the number of entities")?.checked_sub(1) {
        None => Ok(base.to_vec()),
        Some(count) => ids(reader, count),
    }
}

fn base_entities(base: Option<&Snapshot>) -> &[EntityId] {
    base.map_or(&[], Snapshot::entities)
}

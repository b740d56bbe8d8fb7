//! One row.
//!
//! ```text
//! row    := codec:varint  entities  columns:varint  column*
//! entities := count:varint  first:varint  gap:varint*      (gap = distance to the one before)
//! column := number:varint  length:varint  body
//! body   := scale:u8  present:bits[entities]  changed:bits[present]  zigzag((value-base)/scale)*
//! ```
//!
//! `base` is the value of the same entity and column in the row that this one refers to; 0 in a
//! keyframe and where that row has none.

use super::varint::{Reader, put};
use super::{Error, PLAIN, column};
use crate::limits;
use crate::model::{Column, ColumnId, EntityId, Snapshot};

/// Encodes a snapshot as differences to `base`, or as a keyframe.
#[must_use]
pub fn encode(base: Option<&Snapshot>, snapshot: &Snapshot) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, u64::from(PLAIN));
    put(&mut out, snapshot.entities().len() as u64);
    let mut previous = 0;
    for entity in snapshot.entities() {
        put(&mut out, u64::from(entity.0 - previous));
        previous = entity.0;
    }
    put(&mut out, snapshot.columns().len() as u64);
    let places = places(base, snapshot.entities());
    let mut body = Vec::new();
    for one in snapshot.columns() {
        body.clear();
        let old = base.and_then(|b| b.column(one.id));
        column::encode(&mut body, &one.cells, |i| base_cell(old, &places, i));
        put(&mut out, u64::from(one.id.0));
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
    let entities = decode_entities(&mut reader)?;
    let count = reader.size("the number of columns")?;
    let cells = count.saturating_mul(entities.len());
    if count > limits::MAX_COLUMNS || cells > *cells_left {
        return Err(Error::Limit("columns"));
    }
    *cells_left -= cells;
    let places = places(base, &entities);
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
        let old = base.and_then(|b| b.column(id));
        let cells = column::decode(body, entities.len(), |i| base_cell(old, &places, i))?;
        columns.push(Column { id, cells });
    }
    reader.finish("a row")?;
    Snapshot::from_parts(entities, columns).ok_or(Error::Order("columns"))
}

fn decode_entities(reader: &mut Reader<'_>) -> Result<Vec<EntityId>, Error> {
    let count = reader.size("the number of entities")?;
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

/// Where each entity stands in the base row.
fn places(base: Option<&Snapshot>, entities: &[EntityId]) -> Vec<Option<usize>> {
    entities
        .iter()
        .map(|entity| base.and_then(|b| b.position(*entity)))
        .collect()
}

fn base_cell(old: Option<&Column>, places: &[Option<usize>], index: usize) -> Option<u64> {
    let place = places.get(index).copied().flatten()?;
    old.and_then(|column| column.cells.get(place).copied().flatten())
}

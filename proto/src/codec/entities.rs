//! Lists of entities and of columns, and where those of one row stand in the next.

use super::Error;
use super::varint::{Reader, put};
use crate::catalogue::{FIRST_FIELD, FieldId, table};
use crate::limits;
use crate::model::{Column, ColumnId, EntityId, Snapshot};

/// Cells of a column of the base row, by the place that their entity has in the row at hand;
/// rising.
pub(super) type Base = Vec<(u32, u64)>;

/// Appends a rising list: the first id, then the distance of each to the one before.
pub(super) fn put_ids(out: &mut Vec<u8>, entities: &[EntityId]) {
    let mut previous = 0;
    for entity in entities {
        put(out, u64::from(entity.0 - previous));
        previous = entity.0;
    }
}

/// Reads a list of so many ids.
pub(super) fn ids(reader: &mut Reader<'_>, count: usize) -> Result<Vec<EntityId>, Error> {
    // There is a byte of each at least.
    let mut entities = Vec::with_capacity(count.min(reader.remaining()));
    each_id(reader, count, |id| entities.push(id))?;
    Ok(entities)
}

/// Shows so many ids one after the other.
#[inline]
pub(super) fn each_id(
    reader: &mut Reader<'_>,
    count: usize,
    mut see: impl FnMut(EntityId),
) -> Result<(), Error> {
    if count > limits::MAX_ENTITIES || count > reader.remaining() {
        return Err(Error::Limit("entities"));
    }
    let mut previous: Option<u32> = None;
    for _ in 0..count {
        let gap = u32::try_from(reader.varint("an entity")?);
        let gap = gap.map_err(|_| Error::Range("an entity"))?;
        if previous.is_some() && gap == 0 {
            return Err(Error::Order("entities"));
        }
        let id = previous.unwrap_or(0).checked_add(gap);
        let id = id.ok_or(Error::Range("an entity"))?;
        see(EntityId(id));
        previous = Some(id);
    }
    Ok(())
}

/// The column with this number, when it is a stamp or a field of this version's catalogue.
pub(super) fn known(number: u64) -> Option<ColumnId> {
    let id = u16::try_from(number).ok()?;
    let known = id < FIRST_FIELD || table::field(FieldId(id)).is_some();
    known.then_some(ColumnId(id))
}

/// The first column of those that are left of a row.
pub(super) fn first(rest: &[Column]) -> Option<ColumnId> {
    rest.first().map(Column::id)
}

/// Takes the first column of those that are left, when it is this one.
pub(super) fn next<'a>(rest: &mut &'a [Column], id: ColumnId) -> Option<&'a Column> {
    let (first, behind) = rest.split_first()?;
    if first.id() != id {
        return None;
    }
    *rest = behind;
    Some(first)
}

/// The column with this number, when it is known and read: all are when none are wanted by name,
/// and the times always, since a copy may be of any of them.
pub(super) fn read(number: u64, wanted: Option<&[ColumnId]>) -> Option<ColumnId> {
    let id = ColumnId(u16::try_from(number).ok()?);
    if is_wanted(id, wanted) {
        known(number)
    } else {
        None
    }
}

/// True of a column that is read when these are wanted.
pub(super) fn is_wanted(id: ColumnId, wanted: Option<&[ColumnId]>) -> bool {
    wanted.is_none_or(|all| id.is_time() || all.contains(&id))
}

/// Where each entity of the base row stands in a row of these entities.
pub(super) fn moved(base: &[EntityId], entities: &[EntityId]) -> Vec<Option<u32>> {
    let mut here = entities.iter().zip(0u32..).peekable();
    base.iter()
        .map(|old| {
            while here.next_if(|(id, _)| *id < old).is_some() {}
            here.next_if(|(id, _)| *id == old).map(|(_, place)| place)
        })
        .collect()
}

/// The cells of a column of the base row, by their places in the row at hand.
pub(super) fn base_cells(base: Option<&Snapshot>, id: ColumnId, moved: &[Option<u32>]) -> Base {
    let Some(column) = base.and_then(|base| base.column(id)) else {
        return Base::new();
    };
    let place = |old: u32| moved.get(old as usize).copied().flatten();
    column
        .cells()
        .filter_map(|(old, value)| Some((place(old)?, value)))
        .collect()
}

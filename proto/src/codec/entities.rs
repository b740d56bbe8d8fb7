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
fn each_id(
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

/// Which columns are read: all when none are wanted by name, and the times always, since a copy may be
/// of any of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    listed: Option<&'a [ColumnId]>,
    // A bit for each of the lowest numbers, which are looked up for every column of a row.
    low: [u64; 4],
}

impl<'a> Wanted<'a> {
    pub(super) fn of(listed: Option<&'a [ColumnId]>) -> Self {
        let mut low = [0; 4];
        let times = (0..FIRST_FIELD).map(ColumnId).filter(|id| id.is_time());
        for ColumnId(id) in times.chain(listed.into_iter().flatten().copied()) {
            if let Some(word) = low.get_mut(usize::from(id / 64)) {
                *word |= 1_u64 << (id % 64);
            }
        }
        Self { listed, low }
    }

    /// True of a column that is read.
    #[inline]
    pub(super) fn has(&self, id: ColumnId) -> bool {
        let Some(listed) = self.listed else {
            return true;
        };
        match self.low.get(usize::from(id.0 / 64)) {
            Some(word) => word >> (id.0 % 64) & 1 == 1,
            None => listed.contains(&id),
        }
    }

    /// The column with this number, when it is known and read.
    #[inline]
    pub(super) fn read(&self, number: u64) -> Option<ColumnId> {
        let id = ColumnId(u16::try_from(number).ok()?);
        if self.has(id) { known(number) } else { None }
    }
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

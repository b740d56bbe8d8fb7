//! A chunk as some of its entities see it: of its lists no more is kept than what they need.

use super::directory::Directory;
use super::read::{Sealed, ticks};
use super::there::{There, take_masks};
use super::walk::Column;
use crate::codec::Error;
use crate::codec::entities::each_id;
use crate::codec::varint::Reader;
use crate::model::{ColumnId, EntityId};

/// What some entities are to be asked.
#[derive(Clone, Debug, Default)]
pub struct Glance<'a> {
    /// Offset and tick of each row, rising.
    pub rows: Vec<(u64, u64)>,
    /// Of each entity that is asked for where it stands among those of the chunk, and in which rows
    /// it is (bit n is the n-th of `rows`); `None` when it is in none.
    pub asked: Vec<Option<(usize, u64)>>,
    // How many entities the chunk has, and in which rows they are, unless all are in every row.
    count: usize,
    masks: Vec<u64>,
    directory: Directory<'a>,
}

impl Sealed {
    /// Looks for entities. They may be asked for in any order.
    #[must_use]
    pub fn glance(&self, ids: &[Option<EntityId>]) -> Glance<'_> {
        // A chunk that has been checked can be read.
        Glance::read(self.bytes(), ids).unwrap_or_else(|_| Glance {
            asked: vec![None; ids.len()],
            ..Glance::default()
        })
    }
}

impl<'a> Glance<'a> {
    fn read(bytes: &'a [u8], ids: &[Option<EntityId>]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        reader.varint("the codec number")?;
        let rows = ticks(&mut reader)?;
        let count = reader.size("the number of entities")?;
        let mut wanted: Vec<(EntityId, usize)> = ids
            .iter()
            .zip(0..)
            .filter_map(|(id, nth)| Some(((*id)?, nth)))
            .collect();
        wanted.sort_unstable();
        let mut asked = vec![None; ids.len()];
        let (mut place, mut next) = (0, 0);
        each_id(&mut reader, count, |id| {
            // Nearly always it is the one before the next that is wanted.
            while let Some((wanted, nth)) = wanted.get(next).filter(|(wanted, _)| *wanted <= id) {
                if let Some(slot) = asked.get_mut(*nth).filter(|_| *wanted == id) {
                    *slot = Some((place, 0));
                }
                next += 1;
            }
            place += 1;
        })?;
        let masks = take_masks(&mut reader, count, rows.len())?;
        let there = There::of(count, rows.len(), &masks);
        for (place, mask) in asked.iter_mut().flatten() {
            *mask = there.at(*place);
        }
        Ok(Self {
            directory: Directory::parse(&mut reader)?,
            rows,
            asked,
            count,
            masks,
        })
    }

    /// See [`Head::column`](super::Head::column).
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<Column<'_>> {
        let body = self.directory.cells_of(id)?;
        let there = There::of(self.count, self.rows.len(), &self.masks);
        Column::begin(there, self.rows.len(), body).ok()
    }
}

//! A chunk as some of its entities see it: of its lists no more is kept than what they need.

use std::cell::OnceCell;

use super::directory::Listed;
use super::read::{Sealed, ticks};
use super::there::{There, take_masks};
use super::walk::Column;
use crate::codec::Error;
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
    // Read once a column is asked for: who asks where an entity is needs none.
    columns: OnceCell<Listed<'a>>,
    directory: Reader<'a>,
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
        let mut asked = places(&mut reader, count, ids)?;
        let masks = take_masks(&mut reader, count, rows.len())?;
        let there = There::of(count, rows.len(), &masks);
        for (place, mask) in asked.iter_mut().flatten() {
            *mask = there.at(*place);
        }
        Ok(Self {
            columns: OnceCell::new(),
            directory: reader,
            rows,
            asked,
            count,
            masks,
        })
    }

    /// See [`Head::column`](super::Head::column).
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<Column<'_>> {
        let columns = self.columns.get_or_init(|| {
            // A chunk that has been checked can be read.
            Listed::read(self.directory).unwrap_or_default()
        });
        let body = columns.cells_of(id)?;
        let there = There::of(self.count, self.rows.len(), &self.masks);
        Column::begin(there, self.rows.len(), body).ok()
    }
}

/// Finds ids in the list of so many; as yet without their masks.
fn places(
    reader: &mut Reader<'_>,
    count: usize,
    ids: &[Option<EntityId>],
) -> Result<Vec<Option<(usize, u64)>>, Error> {
    let wanted = ids.iter().zip(0_usize..);
    let mut wanted: Vec<(u64, usize)> = wanted
        .filter_map(|(id, nth)| Some((u64::from((*id)?.0), nth)))
        .collect();
    wanted.sort_unstable();
    let mut wanted = wanted.into_iter().peekable();
    let mut found = vec![None; ids.len()];
    let (mut place, mut id) = (0, 0_u64);
    while place < count {
        let next = wanted.peek().map_or(u64::MAX, |(next, _)| *next);
        if place + EIGHT <= count
            && let Some(gaps) = eight_gaps(reader.rest())
            && id.saturating_add(gaps) < next
        {
            reader.take(EIGHT, "entities")?;
            (place, id) = (place + EIGHT, id.saturating_add(gaps));
            continue;
        }
        id = id.saturating_add(reader.varint("an entity")?);
        while let Some((asked, nth)) = wanted.next_if(|(next, _)| *next <= id) {
            if let Some(slot) = found.get_mut(nth).filter(|_| asked == id) {
                *slot = Some((place, 0));
            }
        }
        place += 1;
    }
    Ok(found)
}

/// Where one id stands in the list of so many, if it does; passes over the list.
pub(in crate::codec::dense) fn place_of(
    reader: &mut Reader<'_>,
    count: usize,
    wanted: EntityId,
) -> Result<Option<usize>, Error> {
    let wanted = u64::from(wanted.0);
    let (mut place, mut id) = (0, 0_u64);
    while place < count && (place == 0 || id < wanted) {
        if place + EIGHT <= count
            && let Some(gaps) = eight_gaps(reader.rest())
            && id.saturating_add(gaps) < wanted
        {
            reader.take(EIGHT, "entities")?;
            (place, id) = (place + EIGHT, id.saturating_add(gaps));
            continue;
        }
        id = id.saturating_add(reader.varint("an entity")?);
        place += 1;
    }
    let found = (place > 0 && id == wanted).then(|| place - 1);
    while place < count {
        if place + EIGHT <= count && eight_gaps(reader.rest()).is_some() {
            reader.take(EIGHT, "entities")?;
            place += EIGHT;
        } else {
            reader.varint("an entity")?;
            place += 1;
        }
    }
    Ok(found)
}

/// Bytes of a word.
const EIGHT: usize = 8;

/// The sum of the next eight gaps, when there are so many and all are small: ids are given one after
/// the other, so nearly all are.
fn eight_gaps(bytes: &[u8]) -> Option<u64> {
    const LARGE: u64 = 0xe0e0_e0e0_e0e0_e0e0;
    let word = u64::from_le_bytes(*bytes.first_chunk()?);
    // Eight numbers below 32 have a sum below 256, which the highest byte of this product is.
    (word & LARGE == 0).then(|| word.wrapping_mul(0x0101_0101_0101_0101) >> 56)
}

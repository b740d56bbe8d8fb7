//! A chunk as one of its entities sees it: nothing is listed, and nothing is allocated where every entity
//! is in every row.

use super::read::{Sealed, each_tick};
use super::there::{There, take_masks};
use super::walk::{Column, Series};
use super::{directory, glance};
use crate::codec::Error;
use crate::codec::varint::Reader;
use crate::model::{ColumnId, EntityId};

/// Columns that may be asked for at once.
pub const MOST_COLUMNS: usize = 16;

/// What one entity is to be asked.
#[derive(Clone, Debug)]
pub struct Alone<'a> {
    /// How many rows there are.
    pub rows: usize,
    /// In which rows the entity is: bit n is the n-th.
    pub mask: u64,
    place: usize,
    // How many entities the chunk has, and in which rows they are, unless all are in every row.
    count: usize,
    masks: Vec<u64>,
    directory: Reader<'a>,
}

/// The cells of a column, not yet walked over.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a>(&'a [u8]);

impl Body<'_> {
    /// True when these are the same bytes: of columns that share their cells.
    #[must_use]
    pub fn is(self, other: Body<'_>) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Sealed {
    /// Appends the ticks of the rows, and looks for an entity; `None` when it is in none of them.
    pub fn alone(&self, id: Option<EntityId>, ticks: &mut Vec<u64>) -> Option<Alone<'_>> {
        // A chunk that has been checked can be read.
        Alone::read(self.bytes(), id, ticks).ok().flatten()
    }

    /// Touches the first bytes, where entities and columns are listed (see [`touch`]).
    #[must_use]
    pub fn touch(&self) -> u8 {
        touch(self.bytes().get(..LISTS).unwrap_or(self.bytes()))
    }
}

/// Bytes of the lists of a chunk of a hundred entities with twenty fields each.
const LISTS: usize = 384;

/// Bytes that come into a cache at once.
const LINE: usize = 64;

/// Reads a little of bytes everywhere. What is in no cache begins to come then, all of it at once, while
/// it would be waited for at each step of reading. The result means nothing.
#[must_use]
pub fn touch(bytes: &[u8]) -> u8 {
    let lines = bytes.iter().step_by(LINE);
    lines.fold(0, |all, byte| all ^ byte)
}

impl<'a> Alone<'a> {
    fn read(
        bytes: &'a [u8],
        id: Option<EntityId>,
        ticks: &mut Vec<u64>,
    ) -> Result<Option<Self>, Error> {
        let mut reader = Reader::new(bytes);
        reader.varint("the codec number")?;
        let rows = each_tick(&mut reader, |_, tick| ticks.push(tick))?;
        let Some(id) = id else {
            return Ok(None);
        };
        let count = reader.size("the number of entities")?;
        let Some(place) = glance::place_of(&mut reader, count, id)? else {
            return Ok(None);
        };
        let masks = take_masks(&mut reader, count, rows)?;
        Ok(Some(Self {
            rows,
            mask: There::of(count, rows, &masks).at(place),
            place,
            count,
            masks,
            directory: reader,
        }))
    }

    /// Where the cells of some columns are, whose numbers rise; of more than [`MOST_COLUMNS`] the first
    /// ones.
    #[must_use]
    pub fn bodies(&self, ids: &[ColumnId]) -> [Option<Body<'a>>; MOST_COLUMNS] {
        // A chunk that has been checked can be read.
        let found = directory::find_all(self.directory, ids).unwrap_or_default();
        found.map(|body| body.map(Body))
    }

    /// Touches what is walked over in a column on the way to the entity (see [`touch`]).
    #[must_use]
    pub fn touch(&self, body: Body<'a>) -> u8 {
        // About as many bytes of each entity.
        let walked = body.0.len() * (self.place + 1) / self.count.max(1);
        touch(body.0.get(..walked).unwrap_or_default())
    }

    /// The entity's series in a column, if it has one.
    #[must_use]
    pub fn series(&self, body: Body<'a>) -> Option<Series<'_>> {
        self.column(body)?.seek(self.place)
    }

    /// The rows in which it has a cell.
    #[must_use]
    pub fn mask_in(&self, body: Body<'a>) -> u64 {
        self.column(body).map_or(0, |mut it| it.mask_at(self.place))
    }

    fn column(&self, body: Body<'a>) -> Option<Column<'_>> {
        let there = There::of(self.count, self.rows, &self.masks);
        Column::begin(there, self.rows, body.0).ok()
    }
}

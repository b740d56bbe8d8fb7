//! A chunk, read in place: a column at a time, a series at a time.

use std::sync::Arc;

use super::bodies::Written;
use super::directory::Directory;
use super::draft::Draft;
use super::splice::{self, Part};
use super::there::{There, take_mask, take_masks};
use super::walk::Column;
use super::wire::{self, WireRow};
use super::{ROWS, all_rows, write};
use crate::catalogue::FIRST_FIELD;
use crate::codec::chunk::{ChunkRow, RowOf};
use crate::codec::entities::ids;
use crate::codec::varint::{Reader, unzigzag};
use crate::codec::{DENSE, Error};
use crate::limits;
use crate::model::{ColumnId, EntityId};

/// A chunk of the dense codec that has been checked: reading it cannot fail.
#[derive(Clone, Debug)]
pub struct Sealed {
    bytes: Arc<[u8]>,
    // Both are within `MAX_CHUNK_CELLS`.
    samples: u32,
    cells: u32,
}

impl Sealed {
    /// Checks everything about a chunk but what no value of it can break. Costs so much a series,
    /// not a sample.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn check(bytes: Arc<[u8]>) -> Result<Self, Error> {
        let head = Head::parse(&bytes)?;
        let mut cells_left = limits::MAX_CHUNK_CELLS;
        let mut samples = 0;
        for (id, body) in head.directory.known() {
            let body = head.directory.body(id, body)?;
            let mut column = Column::begin(head.there(), head.rows.len(), body)?;
            if column.left() == 0 {
                return Err(Error::Empty);
            }
            let mut cells = 0;
            column.each(|_, (_, count), _, _| cells += count)?;
            let left = cells_left.checked_sub(cells);
            cells_left = left.ok_or(Error::Limit("cells"))?;
            samples += if id.0 >= FIRST_FIELD { cells } else { 0 };
            column.finish()?;
        }
        Ok(Self::of(
            bytes,
            samples,
            limits::MAX_CHUNK_CELLS - cells_left,
        ))
    }

    fn of(bytes: Arc<[u8]>, samples: usize, cells: usize) -> Self {
        Self {
            bytes,
            samples: u32::try_from(samples).unwrap_or(u32::MAX),
            cells: u32::try_from(cells).unwrap_or(u32::MAX),
        }
    }

    /// Encodes the rows of a block, or of a few, in rising order of their offsets and ticks; `None`
    /// when they have more cells than a chunk may have.
    #[must_use]
    pub fn encode(rows: &[RowOf<'_>]) -> Option<Self> {
        Self::own(write::write(rows))
    }

    /// Encodes rows that have been decoded before as they came; `None` also when they refer to others
    /// than the first to none and each to the one before: then they have to be decoded first. The result
    /// is what [`Sealed::encode`] makes of the rows, but no row is made.
    #[must_use]
    pub fn of_wire(rows: &[WireRow<'_>]) -> Option<Self> {
        Self::own(wire::write(rows)?)
    }

    /// Puts chunks together whose rows follow each other, from this tick on. A part's rows get so much
    /// added to their offsets. `None` when no row is left, when they do not rise or are too far from
    /// the first, or when they have more cells than a chunk may have.
    ///
    /// No row is made. Several chunks give what [`Sealed::encode`] makes of their rows; of a single one the
    /// differences that are left are copied as they are, which may take some bytes more.
    #[must_use]
    pub fn splice(parts: &[(u64, &Sealed)], oldest_ms: u64) -> Option<Self> {
        let parts = parts
            .iter()
            .map(|(shift, sealed)| Part::of(sealed.head(), *shift, oldest_ms));
        Self::own(splice::splice(parts.collect())?)
    }

    /// What was written here needs no check.
    fn own(written: Written) -> Option<Self> {
        let fits = written.cells <= limits::MAX_CHUNK_CELLS;
        let own = fits.then(|| Self::of(written.bytes.into(), written.samples, written.cells));
        debug_assert!(
            own.as_ref().is_none_or(Self::is_sound),
            "a chunk that was written here passes the check of one that comes"
        );
        own
    }

    fn is_sound(&self) -> bool {
        let checked = Self::check(Arc::clone(&self.bytes));
        checked.is_ok_and(|one| (one.samples, one.cells) == (self.samples, self.cells))
    }

    /// The chunk as it travels.
    #[must_use]
    pub fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }

    /// Cells of fields, stamps not counted.
    #[must_use]
    pub fn sample_count(&self) -> usize {
        self.samples as usize
    }

    /// Cells of all columns.
    #[must_use]
    pub fn cell_count(&self) -> usize {
        self.cells as usize
    }

    /// What it is about.
    #[must_use]
    pub fn head(&self) -> Head<'_> {
        Head::parse(&self.bytes).unwrap_or_default()
    }

    /// Its rows, in rising order.
    #[must_use]
    pub fn rows(&self) -> Vec<ChunkRow> {
        self.head().rows()
    }
}

/// What a chunk is about, and where its columns are.
#[derive(Clone, Debug, Default)]
pub struct Head<'a> {
    /// Offset and tick of each row, rising.
    pub rows: Vec<(u64, u64)>,
    /// Every entity that is in any of the rows, rising.
    pub entities: Vec<EntityId>,
    /// In which rows each of them is; bit n is the n-th of `rows`.
    pub there: Vec<u64>,
    pub(super) directory: Directory<'a>,
}

impl<'a> Head<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes);
        let codec = reader.varint("the codec number")?;
        if codec != u64::from(DENSE) {
            return Err(Error::Codec(codec));
        }
        let rows = ticks(&mut reader)?;
        let count = reader.size("the number of entities")?;
        let entities = ids(&mut reader, count)?;
        let mut there = take_masks(&mut reader, count, rows.len())?;
        there.resize(count, all_rows(rows.len()));
        let directory = Directory::parse(&mut reader)?;
        reader.finish("a chunk")?;
        Ok(Self {
            rows,
            entities,
            there,
            directory,
        })
    }

    /// One column, if any entity has a value in it. Looks at the directory and at nothing of the
    /// other columns.
    #[must_use]
    pub fn column(&self, id: ColumnId) -> Option<Column<'_>> {
        self.walk(self.directory.cells_of(id)?)
    }

    pub(super) fn open(&self, id: ColumnId, body: &'a [u8]) -> Option<Column<'_>> {
        self.walk(self.directory.body(id, body).ok()?)
    }

    /// The series in the body of a column that is no copy.
    pub(super) fn walk(&self, body: &'a [u8]) -> Option<Column<'_>> {
        Column::begin(self.there(), self.rows.len(), body).ok()
    }

    pub(super) fn there(&self) -> There<'_> {
        There::of(self.entities.len(), self.rows.len(), &self.there)
    }

    /// Where an entity stands among `entities`.
    #[must_use]
    pub fn place(&self, entity: EntityId) -> Option<usize> {
        self.entities.binary_search(&entity).ok()
    }

    fn rows(&self) -> Vec<ChunkRow> {
        let mut drafts: Vec<Draft> = (0..self.rows.len())
            .map(|nth| Draft::of(self, nth))
            .collect();
        let mut values = [0; ROWS];
        for (id, body) in self.directory.known() {
            for series in self.open(id, body).into_iter().flatten() {
                series.read(&mut values);
                for (draft, (nth, value)) in drafts.iter_mut().zip(values.iter().enumerate()) {
                    if series.mask >> nth & 1 == 1 {
                        draft.put(series.place, *value);
                    }
                }
            }
            drafts.iter_mut().for_each(|draft| draft.end(id));
        }
        let rows = self.rows.iter().zip(drafts);
        rows.map(|((offset, tick), draft)| ChunkRow {
            offset: *offset,
            tick: *tick,
            snapshot: draft.snapshot(),
        })
        .collect()
    }
}

/// Offsets and ticks of the rows.
pub(super) fn ticks(reader: &mut Reader<'_>) -> Result<Vec<(u64, u64)>, Error> {
    let mut rows = Vec::with_capacity(ROWS);
    each_tick(reader, |offset, tick| rows.push((offset, tick)))?;
    Ok(rows)
}

/// Shows the offset and the tick of each row; says how many there are.
pub(super) fn each_tick(
    reader: &mut Reader<'_>,
    mut see: impl FnMut(u64, u64),
) -> Result<usize, Error> {
    let span = usize::from(reader.byte("the span of rows")?);
    if span > ROWS {
        return Err(Error::Limit("rows in a chunk"));
    }
    let mut mask = take_mask(reader, span, u64::MAX)?;
    let first = reader.varint("the first tick")?;
    let step = reader.varint("the distance of ticks")?;
    let count = mask.count_ones() as usize;
    let mut row = (u64::from(mask.trailing_zeros()), first);
    see(row.0, row.1);
    mask &= mask.wrapping_sub(1);
    while mask != 0 {
        let (before, tick) = row;
        let offset = u64::from(mask.trailing_zeros());
        let late = unzigzag(reader.varint("a row's tick")?);
        let steps = (offset - before).wrapping_add(late.cast_unsigned());
        let gap = steps.checked_mul(step).filter(|gap| *gap > 0);
        let tick = gap.and_then(|gap| tick.checked_add(gap));
        row = (offset, tick.ok_or(Error::Order("rows"))?);
        see(row.0, row.1);
        mask &= mask - 1;
    }
    Ok(count)
}

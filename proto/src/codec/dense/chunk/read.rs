//! A chunk, read in place: a column at a time, a series at a time.

use std::sync::Arc;

use super::bodies::Written;
use super::directory::Directory;
use super::draft::Draft;
use super::series::Deltas;
use super::splice::{self, Part};
use super::{COPY, FULL, REGULAR, ROWS, SCALE, all_rows, form, write};
use crate::catalogue::FIRST_FIELD;
use crate::codec::bits::{bit, ones, take_bits};
use crate::codec::chunk::{ChunkRow, RowOf};
use crate::codec::dense::SCALES;
use crate::codec::entities::{ids, known};
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
            let body = head.body(id, body)?;
            let mut walk = Walk::begin(&head.there, head.rows.len(), body)?;
            if walk.left == 0 {
                return Err(Error::Empty);
            }
            while let Some(series) = walk.next_series()? {
                let cells = series.mask.count_ones() as usize;
                let left = cells_left.checked_sub(cells);
                cells_left = left.ok_or(Error::Limit("cells"))?;
                samples += if id.0 >= FIRST_FIELD { cells } else { 0 };
            }
            walk.reader.finish("a column")?;
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

    /// Puts chunks together whose rows follow each other, from this tick on. A part's rows get so much
    /// added to their offsets. `None` when no row is left, when they do not rise or are too far from
    /// the first, or when they have more cells than a chunk may have.
    ///
    /// The result is what [`Sealed::encode`] makes of the rows, but no row is made.
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
        let partial = take_bits(&mut reader, count, "partial bits")?;
        let whole = all_rows(rows.len());
        let mut there = vec![whole; count];
        for (mask, nth) in there.iter_mut().zip(0..) {
            if bit(partial, nth) {
                *mask = take_mask(&mut reader, rows.len(), whole)?;
            }
        }
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
        // What is not known has not been checked.
        known(u64::from(id.0))?;
        self.open(id, self.directory.find(id)?)
    }

    pub(super) fn open(&self, id: ColumnId, body: &'a [u8]) -> Option<Column<'_>> {
        self.walk(self.body(id, body).ok()?)
    }

    /// The series in the body of a column that is no copy.
    pub(super) fn walk(&self, body: &'a [u8]) -> Option<Column<'_>> {
        let walk = Walk::begin(&self.there, self.rows.len(), body).ok()?;
        Some(Column { walk })
    }

    /// Where the cells of a column are: in its own body or in that of an earlier one.
    pub(super) fn body(&self, id: ColumnId, body: &'a [u8]) -> Result<&'a [u8], Error> {
        let mut reader = Reader::new(body);
        if body.first() != Some(&COPY) {
            return Ok(body);
        }
        reader.byte("a column's flags")?;
        let number = reader.varint("the column that is copied")?;
        reader.finish("a column")?;
        // Of stamps alone: every version knows them.
        let of = known(number).filter(|of| *of < id && id.0 < FIRST_FIELD);
        let body = of.and_then(|of| self.directory.find(of));
        // A copy of a copy would be one of the first.
        let body = body.filter(|body| body.first() != Some(&COPY));
        body.ok_or(Error::Range("the column that is copied"))
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

/// The series of one column, in the order of their entities.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    walk: Walk<'a>,
}

impl Column<'_> {
    /// How many series are still to come.
    pub(super) fn left(&self) -> usize {
        self.walk.left
    }
}

impl<'a> Iterator for Column<'a> {
    type Item = Series<'a>;

    fn next(&mut self) -> Option<Series<'a>> {
        self.walk.next_series().ok().flatten()
    }
}

/// One series of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Where its entity stands among those of the chunk.
    pub place: usize,
    /// The rows in which it has a cell; bit n is the n-th row.
    pub mask: u64,
    first: u64,
    deltas: Option<Deltas<'a>>,
}

impl Series<'_> {
    /// Its values by row; what `mask` does not name means nothing.
    #[must_use]
    pub fn by_row(&self) -> [u64; ROWS] {
        let mut rows = [0; ROWS];
        self.read(&mut rows);
        rows
    }

    /// Writes its values but the first so many, one behind the other.
    pub(super) fn fill(&self, skipped: usize, values: &mut [u64]) {
        match &self.deltas {
            None => values.fill(self.first),
            Some(deltas) if skipped == 0 => deltas.fill(self.first, values),
            Some(deltas) => {
                let mut all = [0; ROWS];
                deltas.fill(self.first, all.get_mut(..deltas.count).unwrap_or_default());
                let kept = all.iter().skip(skipped);
                values
                    .iter_mut()
                    .zip(kept)
                    .for_each(|(to, from)| *to = *from);
            }
        }
    }

    /// Writes its values by row over those of another series, which costs as much as there are
    /// rows; what `mask` does not name means nothing.
    pub fn read(&self, rows: &mut [u64; ROWS]) {
        let span = u64::BITS - self.mask.leading_zeros();
        let by_row = rows.get_mut(..span as usize).unwrap_or_default();
        let Some(deltas) = &self.deltas else {
            by_row.fill(self.first);
            return;
        };
        let count = deltas.count;
        deltas.fill(self.first, by_row.get_mut(..count).unwrap_or_default());
        if self.mask == all_rows(count) {
            return;
        }
        // From the last on, so that none is overwritten before it has moved.
        let mut from = count;
        for to in (0..by_row.len())
            .rev()
            .filter(|to| self.mask >> to & 1 == 1)
        {
            from = from.saturating_sub(1);
            by_row.copy_within(from..=from, to);
        }
    }
}

/// Walks over the series of a column.
#[derive(Clone, Debug)]
struct Walk<'a> {
    there: &'a [u64],
    /// How many rows there are.
    rows: usize,
    /// Which entities have the series; `None` for all.
    having: Option<&'a [u8]>,
    /// Which series have masks of their own; `None` for none.
    irregular: Option<&'a [u8]>,
    masks: Reader<'a>,
    forms: &'a [u8],
    reader: Reader<'a>,
    scale: i64,
    place: usize,
    nth: usize,
    left: usize,
    first: u64,
    divisor: u64,
    last: Option<Deltas<'a>>,
}

impl<'a> Walk<'a> {
    fn begin(there: &'a [u64], rows: usize, body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let flags = reader.byte("a column's flags")?;
        let scale = SCALES.get(usize::from(flags & SCALE)).copied();
        let scale = scale.filter(|_| flags & !(SCALE | FULL | REGULAR) == 0);
        let scale = scale.ok_or(Error::Flags(flags))?;
        let having = if flags & FULL == 0 {
            Some(take_bits(&mut reader, there.len(), "bits of series")?)
        } else {
            None
        };
        let count = having.map_or(there.len(), ones);
        let mut masks = Reader::new(&[]);
        let irregular = if flags & REGULAR == 0 {
            let bits = take_bits(&mut reader, count, "bits of masks")?;
            masks = Reader::new(reader.take(rows.div_ceil(8) * ones(bits), "masks")?);
            Some(bits)
        } else {
            None
        };
        let forms = take_bits(&mut reader, 2 * count, "forms of series")?;
        Ok(Self {
            there,
            rows,
            having,
            irregular,
            masks,
            forms,
            reader,
            scale,
            place: 0,
            nth: 0,
            left: count,
            first: 0,
            divisor: 1,
            last: None,
        })
    }

    fn next_series(&mut self) -> Result<Option<Series<'a>>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        while self.having.is_some_and(|bits| !bit(bits, self.place)) {
            self.place += 1;
        }
        let there = self.there.get(self.place).copied().unwrap_or(0);
        let mask = match self.irregular {
            Some(bits) if bit(bits, self.nth) => take_mask(&mut self.masks, self.rows, there)?,
            _ => there,
        };
        let form = self.forms.get(self.nth / 4).copied().unwrap_or(0);
        let form = form >> (2 * (self.nth % 4)) & 3;
        if form != form::AS_BEFORE {
            let step = unzigzag(self.reader.varint("a first value")?);
            let step = step.wrapping_mul(self.scale).cast_unsigned();
            self.first = self.first.wrapping_add(step);
        }
        let count = mask.count_ones() as usize;
        let deltas = match form {
            form::MOVING => {
                self.last = Some(Deltas::find(&mut self.reader, count, &mut self.divisor)?);
                self.last
            }
            form::ALIKE => {
                let same = self.last.filter(|last| last.count == count);
                Some(same.ok_or(Error::Order("forms of series"))?)
            }
            _ => None,
        };
        let place = self.place;
        self.place += 1;
        self.nth += 1;
        self.left -= 1;
        Ok(Some(Series {
            place,
            mask,
            first: self.first,
            deltas,
        }))
    }
}

/// Offsets and ticks of the rows.
fn ticks(reader: &mut Reader<'_>) -> Result<Vec<(u64, u64)>, Error> {
    let span = usize::from(reader.byte("the span of rows")?);
    if span > ROWS {
        return Err(Error::Limit("rows in a chunk"));
    }
    let mask = take_mask(reader, span, u64::MAX)?;
    let first = reader.varint("the first tick")?;
    let step = reader.varint("the distance of ticks")?;
    let offsets = (0..ROWS as u64).filter(|offset| mask >> offset & 1 == 1);
    let mut rows: Vec<(u64, u64)> = Vec::with_capacity(ROWS);
    for offset in offsets {
        let tick = match rows.last() {
            None => first,
            Some((before, tick)) => {
                let late = unzigzag(reader.varint("a row's tick")?);
                let steps = (offset - before).wrapping_add(late.cast_unsigned());
                let gap = steps.checked_mul(step).filter(|gap| *gap > 0);
                let tick = gap.and_then(|gap| tick.checked_add(gap));
                tick.ok_or(Error::Order("rows"))?
            }
        };
        rows.push((offset, tick));
    }
    Ok(rows)
}

/// A mask of rows, not empty, of those that can be.
fn take_mask(reader: &mut Reader<'_>, count: usize, of: u64) -> Result<u64, Error> {
    let bits = take_bits(reader, count, "a mask of rows")?;
    let mask = bits
        .iter()
        .rev()
        .fold(0, |mask, byte| mask << 8 | u64::from(*byte));
    if mask == 0 || mask & !of != 0 {
        return Err(Error::Range("a mask of rows"));
    }
    Ok(mask)
}

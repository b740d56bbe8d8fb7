//! The stamps of a chunk that is being written from rows in wire form: later ones may be copies of them.
//!
//! Of a stamp nothing is kept but where its body stands: the same cells give the same bytes, and the
//! cells of a row, which are seldom asked for, are read out of these.

use std::cell::OnceCell;
use std::ops::Range;

use super::ROWS;
use super::bodies::Bodies;
use super::cells::Cells;
use super::there::There;
use super::walk::Column;
use crate::codec::Error;
use crate::model::ColumnId;

/// The stamps so far.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    // Each with its place in `kept`.
    known: Vec<(ColumnId, usize)>,
    kept: Vec<Kept>,
}

/// One that has cells of its own.
#[derive(Debug)]
pub(super) struct Kept {
    id: ColumnId,
    count: usize,
    // Where its body stands among all.
    body: Range<usize>,
    // Where a row may differ from the one before: bit n of the row n + 1.
    moved: u64,
    // Read when one is asked for.
    read: OnceCell<Read>,
}

/// The cells of a stamp, series after series.
#[derive(Debug, Default)]
struct Read {
    // Where the entity of each stands, and the rows in which it has a cell.
    series: Vec<(u32, u64)>,
    values: Vec<u64>,
}

impl Stamps {
    /// The stamp with this number.
    pub(super) fn find(&self, number: u64) -> Result<&Kept, Error> {
        self.place(number).map(|(_, kept)| kept)
    }

    fn place(&self, number: u64) -> Result<(usize, &Kept), Error> {
        let found = self.known.iter().find(|(id, _)| u64::from(id.0) == number);
        let kept = found.and_then(|(_, at)| Some((*at, self.kept.get(*at)?)));
        kept.ok_or(Error::Range("the column that is copied"))
    }

    /// Takes note of a stamp that has the cells of one that is kept.
    pub(super) fn add_copy(&mut self, id: ColumnId, of: ColumnId) {
        if let Ok((at, _)) = self.place(u64::from(of.0)) {
            self.known.push((id, at));
        }
    }

    /// Appends a stamp to the bodies: as a copy when an earlier one has the same cells.
    pub(super) fn put(&mut self, id: ColumnId, cells: &Cells, there: There<'_>, out: &mut Bodies) {
        let (body, count) = out.write(cells, there);
        let is_same = |one: &&Kept| out.body(&one.body) == out.body(&body);
        let twin = self.kept.iter().find(is_same);
        if let Some((of, count)) = twin.map(|twin| (twin.id, twin.count)) {
            out.take_back(&body);
            out.copy(id, of, count);
            self.add_copy(id, of);
            return;
        }
        out.list(id, &body, count);
        let moved = cells.each().fold(0, |moved, (_, series)| {
            let is_whole = series.mask == there.whole;
            moved | if is_whole { series.moved } else { u64::MAX }
        });
        self.known.push((id, self.kept.len()));
        self.kept.push(Kept {
            id,
            count,
            body,
            moved,
            read: OnceCell::new(),
        });
    }
}

impl Kept {
    /// The first stamp that has these cells.
    pub(super) fn id(&self) -> ColumnId {
        self.id
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// True when the n-th row may have other cells than the row before.
    pub(super) fn moves_at(&self, nth: usize) -> bool {
        self.moved << 1 >> nth & 1 == 1
    }

    /// The cells of the n-th row. `there` and `bodies` are those that it was put to.
    pub(super) fn of_row(
        &self,
        nth: usize,
        there: There<'_>,
        bodies: &Bodies,
    ) -> impl Iterator<Item = (u32, u64)> {
        let read = self.read.get_or_init(|| {
            let read = self.read(there, bodies);
            debug_assert!(read.is_ok(), "a column that was written here can be read");
            read.unwrap_or_default()
        });
        let mut behind = 0;
        read.series.iter().filter_map(move |(place, mask)| {
            let before = (mask & !(u64::MAX << nth)).count_ones() as usize;
            let at = behind + before;
            behind += mask.count_ones() as usize;
            let value = read.values.get(at).filter(|_| mask >> nth & 1 == 1);
            Some((*place, *value?))
        })
    }

    fn read(&self, there: There<'_>, bodies: &Bodies) -> Result<Read, Error> {
        let rows = there.rows();
        let column = Column::begin(there, rows, bodies.body(&self.body))?;
        let mut read = Read {
            series: Vec::with_capacity(column.left()),
            values: Vec::with_capacity(self.count),
        };
        let mut values = [0; ROWS];
        for series in column {
            series.read(&mut values);
            let place = u32::try_from(series.place).unwrap_or(u32::MAX);
            read.series.push((place, series.mask));
            let own = values.iter().enumerate();
            let own = own.filter(|(nth, _)| series.mask >> nth & 1 == 1);
            read.values.extend(own.map(|(_, value)| *value));
        }
        Ok(read)
    }
}

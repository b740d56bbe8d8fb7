//! The stamps of a chunk that is being written from rows in wire form: later ones may be copies of them.

use std::cell::OnceCell;

use super::cells::{Cells, Series};
use crate::codec::Error;
use crate::model::ColumnId;

/// The stamps so far. Of each as much is kept as it has cells, and nothing of one that has those of an
/// earlier one.
#[derive(Debug, Default)]
pub(super) struct Stamps {
    // Each with its place in `kept`.
    known: Vec<(ColumnId, usize)>,
    kept: Vec<Kept>,
}

/// The cells of one.
#[derive(Debug)]
pub(super) struct Kept {
    id: ColumnId,
    count: usize,
    having: Vec<u32>,
    // Of each of them.
    series: Vec<Series>,
    // Where a row may differ from the one before: bit n of the row n + 1.
    moved: u64,
    // The differences that are not zero, series after series.
    deltas: Vec<i64>,
    // All values, series after series; told when one is asked for, which is rare.
    values: OnceCell<Vec<u64>>,
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

    /// An earlier stamp with the same cells, and how many these are.
    pub(super) fn twin(&self, cells: &Cells) -> Option<&Kept> {
        self.kept.iter().find(|one| one.has_those_of(cells))
    }

    /// Takes note of a stamp that has the cells of one that is kept.
    pub(super) fn add_copy(&mut self, id: ColumnId, of: ColumnId) {
        if let Ok((at, _)) = self.place(u64::from(of.0)) {
            self.known.push((id, at));
        }
    }

    /// Takes note of a stamp with so many cells of its own, out of these rows.
    pub(super) fn add(&mut self, id: ColumnId, cells: &Cells, count: usize, rows: u64) {
        self.known.push((id, self.kept.len()));
        let mut kept = Kept {
            id,
            count,
            having: cells.having().to_vec(),
            series: Vec::with_capacity(cells.having().len()),
            moved: 0,
            deltas: Vec::new(),
            values: OnceCell::new(),
        };
        for (place, series) in cells.each() {
            kept.series.push(*series);
            let moves = cells.moves(place, series);
            kept.deltas.extend_from_slice(moves.deltas);
            let is_whole = series.mask == rows;
            kept.moved |= if is_whole { series.moved } else { u64::MAX };
        }
        self.kept.push(kept);
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

    fn has_those_of(&self, cells: &Cells) -> bool {
        let mut series = self.series.iter().zip(cells.each());
        if self.having != cells.having() || !series.all(|(own, (_, other))| own.is_like(other)) {
            return false;
        }
        let mut deltas = self.deltas.as_slice();
        // Most stand still.
        let mut moving = cells.each().filter(|(_, series)| series.moved != 0);
        moving.all(|(place, series)| {
            let other = cells.moves(place, series).deltas;
            let is_like = deltas.starts_with(other);
            deltas = deltas.get(other.len()..).unwrap_or_default();
            is_like
        })
    }

    /// True when the n-th row may have other cells than the row before.
    pub(super) fn moves_at(&self, nth: usize) -> bool {
        self.moved << 1 >> nth & 1 == 1
    }

    /// The cells of the n-th row.
    pub(super) fn of_row(&self, nth: usize) -> impl Iterator<Item = (u32, u64)> {
        let values = self.values.get_or_init(|| self.values());
        let mut behind = 0;
        let all = self.having.iter().zip(&self.series);
        all.filter_map(move |(place, series)| {
            let before = (series.mask & !(u64::MAX << nth)).count_ones() as usize;
            let at = behind + before;
            behind += series.cells;
            let value = values.get(at).filter(|_| series.mask >> nth & 1 == 1);
            Some((*place, *value?))
        })
    }

    fn values(&self) -> Vec<u64> {
        let mut values = Vec::with_capacity(self.count);
        let mut deltas = self.deltas.iter();
        for series in &self.series {
            let mut value = series.first;
            values.push(value);
            for step in 1..series.cells {
                if series.moved >> (step - 1) & 1 == 1 {
                    let delta = deltas.next().copied().unwrap_or(0);
                    value = value.wrapping_add(delta.cast_unsigned());
                }
                values.push(value);
            }
        }
        values
    }
}

//! The cells of one column of a chunk as series: turned from rows, or put together from other chunks.

use super::all_rows;
use super::series::Series;
use crate::model::Column;

/// The series of one column. Reused from column to column.
pub(super) struct Cells<'a> {
    rows: usize,
    /// How many entities there are in all.
    entities: usize,
    /// Where each entity of each row stands among them.
    places: &'a [Vec<u32>],
    /// All rows have the same entities.
    is_even: bool,
    /// The entities that have a cell, rising: most columns are about few.
    pub(super) having: Vec<u32>,
    /// The rows in which each of them has one.
    pub(super) masks: Vec<u64>,
    /// Its values first, in order; what follows them means nothing. As many for each as there are
    /// rows.
    values: Vec<u64>,
    /// Where each entity stands among those that have a cell; of the others it means nothing. While
    /// cells are pushed, how many each has.
    slots: Vec<usize>,
}

impl<'a> Cells<'a> {
    /// Makes room for the columns of so many rows. `places` says where the entities of each row stand
    /// among all; it is needed where cells are gathered from rows.
    pub(super) fn new(entities: usize, rows: usize, places: &'a [Vec<u32>]) -> Self {
        Self {
            rows: rows.max(1),
            entities,
            places,
            is_even: places.iter().all(|one| one.len() == entities),
            having: Vec::new(),
            masks: Vec::new(),
            values: Vec::new(),
            slots: Vec::new(),
        }
    }

    /// Takes a column's cells, row by row.
    pub(super) fn gather(&mut self, column: &[Option<&Column>]) {
        self.having.clear();
        self.masks.clear();
        let first = column.first().copied().flatten();
        match first.filter(|first| self.is_even && are_even(column, first)) {
            Some(first) => self.gather_even(column, first),
            None => self.gather_any(column),
        }
    }

    /// Of a column about the same entities in every row.
    fn gather_even(&mut self, column: &[Option<&Column>], first: &Column) {
        // Every entity is in every row, so its place in a row is its place among all.
        self.begin_even(first.places());
        for (column, nth) in column.iter().flatten().zip(0..) {
            self.push_even(nth, column.values());
        }
    }

    fn gather_any(&mut self, column: &[Option<&Column>]) {
        let rows = || column.iter().zip(self.places);
        for (column, places) in rows() {
            let all = column.iter().flat_map(|column| column.places());
            let all = all.filter_map(|place| places.get(*place as usize));
            self.having.extend(all);
        }
        self.having.sort_unstable();
        self.having.dedup();
        self.slots.resize(self.entities, 0);
        for (place, slot) in self.having.iter().zip(0..) {
            if let Some(known) = self.slots.get_mut(*place as usize) {
                *known = slot;
            }
        }
        self.masks.resize(self.having.len(), 0);
        self.values.resize(self.having.len() * self.rows, 0);
        for ((column, places), nth) in rows().zip(0..) {
            for (place, value) in column.iter().flat_map(|column| column.cells()) {
                let slot = places.get(place as usize).map(|place| *place as usize);
                let slot = slot.and_then(|place| self.slots.get(place).copied());
                let slot = slot.unwrap_or(usize::MAX);
                if let Some(mask) = self.masks.get_mut(slot) {
                    // Behind those of the rows before.
                    let at = slot * self.rows + mask.count_ones() as usize;
                    *mask |= 1 << nth;
                    if let Some(cell) = self.values.get_mut(at) {
                        *cell = value;
                    }
                }
            }
        }
    }

    /// Begins a column that is put together series by series.
    pub(super) fn begin(&mut self) {
        self.masks.clear();
        self.masks.resize(self.entities, 0);
        self.values.resize(self.entities * self.rows, 0);
        self.slots.clear();
        self.slots.resize(self.entities, 0);
    }

    /// Begins a column of which these entities have a cell in every row.
    pub(super) fn begin_even(&mut self, having: &[u32]) {
        self.having.clear();
        self.having.extend_from_slice(having);
        self.masks.clear();
        self.masks.resize(having.len(), all_rows(self.rows));
        self.values.resize(having.len() * self.rows, 0);
    }

    /// The values of these entities in the n-th row.
    pub(super) fn push_even(&mut self, nth: usize, values: &[u64]) {
        let series = self.values.chunks_exact_mut(self.rows);
        for (series, value) in series.zip(values) {
            if let Some(cell) = series.get_mut(nth) {
                *cell = *value;
            }
        }
    }

    /// Adds the cell of an entity in the n-th row, which is behind those that it has already.
    #[inline]
    pub(super) fn push(&mut self, place: u32, nth: usize, value: u64) {
        let place = place as usize;
        let slots = self.masks.get_mut(place).zip(self.slots.get_mut(place));
        if let Some((mask, count)) = slots {
            *mask |= 1 << nth;
            if let Some(cell) = self.values.get_mut(place * self.rows + *count) {
                *cell = value;
            }
            *count += 1;
        }
    }

    /// The values of each series.
    pub(super) fn each_series(&self) -> impl Iterator<Item = &[u64]> {
        let all = self.values.chunks_exact(self.rows).zip(&self.masks);
        all.map(|(values, mask)| {
            let count = mask.count_ones() as usize;
            values.get(..count).unwrap_or_default()
        })
    }

    /// Where the values of an entity go that it has in these rows, counted from one that is behind all
    /// that it has already. `None` where there are none, or no such entity.
    pub(super) fn slot(&mut self, place: u32, mask: u64, first: usize) -> Option<&mut [u64]> {
        let place = place as usize;
        let known = self.masks.get_mut(place).filter(|_| mask != 0)?;
        let at = place * self.rows + known.count_ones() as usize;
        *known |= mask << first;
        self.values.get_mut(at..at + mask.count_ones() as usize)
    }

    /// Ends such a column: leaves the entities out that have no cell.
    pub(super) fn end(&mut self) {
        self.having.clear();
        for (place, nth) in self
            .masks
            .iter()
            .zip(0_u32..)
            .filter(|(mask, _)| **mask != 0)
            .map(|(_, nth)| (nth as usize, nth))
        {
            let slot = self.having.len();
            if slot < place {
                let from = place * self.rows;
                self.values
                    .copy_within(from..from + self.rows, slot * self.rows);
            }
            self.having.push(nth);
        }
        self.masks.retain(|mask| *mask != 0);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.masks
            .iter()
            .map(|mask| mask.count_ones() as usize)
            .sum()
    }

    /// For each entity that has a cell in which rows it has one, and in which rows it is.
    pub(super) fn masks<'b>(&'b self, there: &'b [u64]) -> impl Iterator<Item = (u64, u64)> + 'b {
        let there = self
            .having
            .iter()
            .map(|place| there.get(*place as usize).copied().unwrap_or(0));
        self.masks.iter().copied().zip(there)
    }

    /// The series of each entity that has a cell.
    pub(super) fn series(&self) -> Vec<Series<'_>> {
        self.each_series().map(Series::of).collect()
    }
}

/// True when the same entities have a cell in every row.
fn are_even(column: &[Option<&Column>], first: &Column) -> bool {
    let is_even = |one: &Option<&Column>| one.is_some_and(|one| one.places() == first.places());
    column.iter().all(is_even)
}

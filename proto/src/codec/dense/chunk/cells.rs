//! The cells of one column of a chunk as series: how each begins, and where it goes on to another value.
//! Turned from rows, or put together from other chunks. Most cells say what the one before them said, and
//! cost next to nothing.

use super::all_rows;
use super::divisor::gcd;
use super::moves::Moves;
use super::series::Run;
use super::walk::Steps;
use crate::codec::dense::difference;
use crate::model::Column;

/// The cells of one entity.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Series {
    /// The rows in which it has one.
    pub(super) mask: u64,
    /// How many these are; 0 of an entity that has none.
    pub(super) cells: usize,
    pub(super) first: u64,
    /// Its steps to another value: bit n is set when its cell n + 1 is not what its cell n is.
    pub(super) moved: u64,
    // Where the differences of these are.
    begin: u32,
    end: u32,
    // What its cells have come to, where they are added one behind the other.
    last: u64,
    // What is known to divide its differences.
    known: u64,
}

impl Series {
    /// `begin` is where its differences go.
    fn begin(begin: usize, first: u64, mask: u64, cells: usize) -> Self {
        let begin = u32::try_from(begin).unwrap_or(u32::MAX);
        Self {
            mask,
            cells,
            first,
            moved: 0,
            begin,
            end: begin,
            last: first,
            known: 0,
        }
    }

    /// Adds a difference of its own behind the others; false when there is no room for it.
    #[inline]
    fn add(&mut self, deltas: &mut [i64], delta: i64) -> bool {
        let slot = deltas.get_mut(self.end as usize);
        let is_there = slot.is_some();
        if let Some(slot) = slot {
            *slot = delta;
            self.end += 1;
        }
        is_there
    }
}

/// Room for differences is made for so many series at a time: twice as much each time would be up to twice of
/// what is needed.
const GROWTH: usize = 64;

/// The series of one column. Reused from column to column.
#[derive(Debug)]
pub(super) struct Cells {
    /// How many there are at most in a series.
    rows: usize,
    /// The entities that have a cell: most columns are about few. Rising once the column has ended.
    having: Vec<u32>,
    // Of every entity.
    series: Vec<Series>,
    // The differences of those that have a cell, in the order in which they came to have one; of each those
    // that are not zero, and what follows them means nothing. As many for each as there are rows.
    deltas: Vec<i64>,
    // What is known to divide the differences of all.
    known: u64,
    // The differences that were appended last and where they are.
    recent: (usize, Run),
}

impl Cells {
    /// Makes room for the columns of so many rows.
    pub(super) fn new(entities: usize, rows: usize) -> Self {
        Self {
            rows: rows.max(1),
            having: Vec::new(),
            series: vec![Series::default(); entities],
            deltas: Vec::new(),
            known: 1,
            recent: (0, Run::default()),
        }
    }

    /// Begins a column.
    pub(super) fn begin(&mut self) {
        for place in self.having.drain(..) {
            if let Some(series) = self.series.get_mut(place as usize) {
                series.cells = 0;
            }
        }
        self.known = 1;
    }

    /// Makes room for the differences of so many series: most columns are about few entities.
    #[inline]
    fn make_room(&mut self, series: usize) {
        if self.deltas.len() < series * self.rows {
            self.grow(series);
        }
    }

    #[cold]
    fn grow(&mut self, series: usize) {
        let wanted = series.next_multiple_of(GROWTH) * self.rows;
        // Of a column that has just begun there is nothing to keep.
        if self.having.is_empty() {
            self.deltas = Vec::new();
        }
        self.deltas.reserve_exact(wanted - self.deltas.len());
        self.deltas.resize(wanted, 0);
    }

    /// Ends a column whose cells were added in whatever order.
    pub(super) fn end(&mut self) {
        if !self.having.is_sorted() {
            self.having.sort_unstable();
        }
    }

    /// Takes a column's cells, row by row. `places` says where the entities of each row stand among all;
    /// none when all rows have the same.
    pub(super) fn gather(&mut self, column: &[Option<&Column>], places: &[Vec<u32>]) {
        let first = column.first().copied().flatten();
        if let Some(first) = first.filter(|first| places.is_empty() && are_even(column, first)) {
            self.begin_even(first.places(), first.values());
            let rows = || column.iter().flatten().map(|column| column.values());
            for ((before, now), step) in rows().zip(rows().skip(1)).zip(0..) {
                // Most columns stand still.
                if before == now {
                    continue;
                }
                for (nth, (before, now)) in before.iter().zip(now).enumerate() {
                    self.step(nth, step, difference(*before, *now));
                }
            }
            return;
        }
        self.begin();
        for (row, nth) in column.iter().zip(0..) {
            let places = places.get(nth);
            for (place, value) in row.iter().flat_map(|column| column.cells()) {
                let place = match places {
                    None => Some(place),
                    Some(places) => places.get(place as usize).copied(),
                };
                if let Some(place) = place {
                    self.push(place, nth, value);
                }
            }
        }
        self.end();
    }

    /// Adds the cell of an entity in the n-th row, which is behind those that it has already.
    #[inline]
    pub(super) fn push(&mut self, place: u32, nth: usize, value: u64) {
        let Some(series) = self.series.get_mut(place as usize) else {
            return;
        };
        let row = 1_u64 << nth;
        if series.cells == 0 {
            *series = Series::begin(self.having.len() * self.rows, value, row, 1);
            self.having.push(place);
            self.make_room(self.having.len());
            return;
        }
        let step = series.cells - 1;
        let delta = difference(series.last, value);
        series.mask |= row;
        series.cells += 1;
        series.last = value;
        if delta != 0 && series.add(&mut self.deltas, delta) {
            series.moved |= 1 << step;
            // Nothing is known of it.
            series.known = 1;
        }
    }

    /// Begins a column in which these entities have a cell in every row, with those of the first one.
    pub(super) fn begin_even(&mut self, having: &[u32], values: &[u64]) {
        self.begin();
        self.make_room(having.len());
        let (mask, cells) = (all_rows(self.rows), self.rows);
        let begins = (0..).step_by(self.rows);
        for ((place, value), begin) in having.iter().zip(values).zip(begins) {
            if let Some(series) = self.series.get_mut(*place as usize) {
                *series = Series::begin(begin, *value, mask, cells);
            }
        }
        self.having.extend_from_slice(having);
    }

    /// The n-th of these entities differs by so much after the step from one row to the next. Steps rise.
    #[inline]
    pub(super) fn step(&mut self, nth: usize, step: u32, delta: i64) {
        if delta == 0 {
            return;
        }
        let place = self.having.get(nth).map_or(usize::MAX, |at| *at as usize);
        if let Some(series) = self.series.get_mut(place)
            && series.add(&mut self.deltas, delta)
        {
            series.moved |= 1 << step;
        }
    }

    /// This divides every difference of the column.
    pub(super) fn divide(&mut self, known: u64) {
        self.known = known;
    }

    /// Adds the cells that an entity has in these rows of a chunk, which are behind those that it has
    /// already: where they are among all rows and how many, the first value, and where they move.
    #[inline]
    pub(super) fn append(
        &mut self,
        place: u32,
        (mask, count): (u64, usize),
        first: u64,
        steps: Steps<'_, '_>,
    ) {
        self.make_room(self.having.len() + 1);
        let Some(series) = self.series.get_mut(place as usize) else {
            return;
        };
        if series.cells == 0 {
            *series = Series::begin(self.having.len() * self.rows, first, mask, 0);
            self.having.push(place);
        } else {
            let jump = difference(series.last, first);
            if jump != 0 && series.add(&mut self.deltas, jump) {
                series.moved |= 1 << (series.cells - 1);
                series.known = gcd(series.known, jump.unsigned_abs());
            }
            series.mask |= mask;
            series.last = first;
        }
        let (begin, at) = (series.begin as usize, series.end as usize);
        let run = match steps {
            Steps::None => Run::default(),
            Steps::Own(deltas) => {
                let slots = self.deltas.get_mut(at..begin + self.rows);
                self.recent = (at, deltas.run(slots.unwrap_or_default()));
                self.recent.1
            }
            Steps::Alike => {
                let (from, run) = self.recent;
                let size = run.moves as usize;
                if from + size <= self.deltas.len() && at + size <= begin + self.rows {
                    self.deltas.copy_within(from..from + size, at);
                }
                run
            }
        };
        if run.moves > 0 {
            series.moved |= run.moved << series.cells;
            series.end += run.moves;
            series.last = first.wrapping_add(run.passed.cast_unsigned());
            series.known = gcd(series.known, run.divisor);
        }
        series.cells += count;
    }

    /// True when no entity has a cell.
    pub(super) fn is_empty(&self) -> bool {
        self.having.is_empty()
    }

    /// The entities that have a cell, rising.
    pub(super) fn having(&self) -> &[u32] {
        &self.having
    }

    /// Each entity that has a cell, rising, with its series.
    #[inline]
    pub(super) fn each(&self) -> impl Iterator<Item = (u32, &Series)> {
        let series = |place: &u32| Some((*place, self.series.get(*place as usize)?));
        self.having.iter().filter_map(series)
    }

    /// Where the series of an entity moves.
    #[inline]
    pub(super) fn moves_at(&self, place: u32) -> Moves<'_> {
        let series = self.series.get(place as usize);
        series.map_or(Moves::NONE, |series| self.moves(series))
    }

    /// The same, when its series is at hand.
    #[inline]
    pub(super) fn moves(&self, series: &Series) -> Moves<'_> {
        let own = series.begin as usize..series.end as usize;
        Moves {
            deltas: self.deltas.get(own).unwrap_or_default(),
            moved: series.moved,
            steps: series.cells.saturating_sub(1),
            known: series.known.max(self.known),
        }
    }
}

/// True when the same entities have a cell in every row.
fn are_even(column: &[Option<&Column>], first: &Column) -> bool {
    let is_even = |one: &Option<&Column>| one.is_some_and(|one| one.places() == first.places());
    column.iter().all(is_even)
}

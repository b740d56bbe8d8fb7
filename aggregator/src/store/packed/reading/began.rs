//! When lives began, by whom of an entity's stamps says so best.

use cairn_proto::catalogue::Source;
use cairn_proto::model::ColumnId;

use super::cells::{BEGAN, Cells, stamp_columns};

/// When a life began, of whose stamps in one row `cell` gives the cells.
pub(super) fn told(cell: impl Fn(ColumnId) -> Option<u64>) -> Option<u64> {
    let mut first = None;
    for [time, start, source] in BEGAN.map(stamp_columns) {
        let told = cell(start).filter(|_| cell(time).is_some());
        let by = told.and_then(|_| Source::from_number(cell(source)?));
        match by {
            Some(Source::Summary) => return told,
            Some(_) => first = first.or(told),
            None => {}
        }
    }
    first
}

/// Of each entity in each row: the start of its life and who tells it. What the summary tells goes
/// before what others do, and of equals what is added first.
pub(super) struct Began {
    rows: usize,
    // Of each entity: the rows in which anybody tells, and those in which the summary does.
    told: Vec<(u64, u64)>,
    // Of each entity all rows, then of the next.
    starts: Vec<(Source, u64)>,
}

impl Began {
    pub(super) fn new(entities: usize, rows: usize) -> Self {
        Self {
            rows,
            told: vec![(0, 0); entities],
            starts: vec![(Source::Summary, 0); entities * rows],
        }
    }

    /// Adds what the stamps of one group tell.
    pub(super) fn add(&mut self, time: &Cells, start: &Cells, source: &Cells) {
        let rows = self.rows;
        let slots = self.starts.chunks_exact_mut(rows.max(1));
        for (nth, (told, slots)) in self.told.iter_mut().zip(slots).enumerate() {
            let stamped = start.mask(nth) & time.mask(nth) & source.mask(nth);
            let mut left = stamped & !told.1;
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                let bit = left & left.wrapping_neg();
                left &= left - 1;
                let Some(by) = Source::from_number(source.value(nth * rows + at)) else {
                    continue;
                };
                let is_best = by == Source::Summary;
                if let Some(slot) = slots.get_mut(at)
                    && (is_best || told.0 & bit == 0)
                {
                    *slot = (by, start.value(nth * rows + at));
                }
                told.0 |= bit;
                told.1 |= if is_best { bit } else { 0 };
            }
        }
    }

    /// True when the summary tells it of every entity wherever that is there.
    pub(super) fn is_settled(&self, there: &[u64]) -> bool {
        let mut of_entities = self.told.iter().zip(there);
        of_entities.all(|((_, by_summary), there)| there & !by_summary == 0)
    }

    pub(super) fn at(&self, nth: usize, at: usize) -> Option<(Source, u64)> {
        let (told, _) = self.told.get(nth)?;
        let start = self.starts.get(nth * self.rows + at);
        start.copied().filter(|_| told >> at & 1 == 1)
    }
}

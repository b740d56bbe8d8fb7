//! The stamps of a chunk that is being written from rows in wire form: later ones may be copies of them.

use super::cells::Cells;
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
    // The rows in which each of them has a cell.
    masks: Vec<u64>,
    // Series after series.
    values: Vec<u64>,
}

impl Stamps {
    /// The stamp with this number.
    pub(super) fn find(&self, number: u64) -> Result<&Kept, Error> {
        let found = self.known.iter().find(|(id, _)| u64::from(id.0) == number);
        let kept = found.and_then(|(_, at)| self.kept.get(*at));
        kept.ok_or(Error::Range("the column that is copied"))
    }

    /// Takes note of a stamp. An earlier one with the same cells, and how many these are, if there is
    /// one.
    pub(super) fn add(&mut self, id: ColumnId, cells: &Cells<'_>) -> Option<(ColumnId, usize)> {
        let twin = self.kept.iter().position(|one| one.has_those_of(cells));
        self.known.push((id, twin.unwrap_or(self.kept.len())));
        if let Some(twin) = twin {
            return self.kept.get(twin).map(|one| (one.id, one.count));
        }
        self.kept.push(Kept {
            id,
            count: cells.count(),
            having: cells.having.clone(),
            masks: cells.masks.clone(),
            values: cells.each_series().flatten().copied().collect(),
        });
        None
    }
}

impl Kept {
    fn has_those_of(&self, cells: &Cells<'_>) -> bool {
        self.having == cells.having
            && self.masks == cells.masks
            && self.values.iter().eq(cells.each_series().flatten())
    }

    /// The entities that have a cell, rising.
    pub(super) fn having(&self) -> &[u32] {
        &self.having
    }

    /// True when each of them has one in all of these rows.
    pub(super) fn is_in_all(&self, rows: u64) -> bool {
        self.masks.iter().all(|mask| *mask == rows)
    }

    /// The cells of the n-th row.
    pub(super) fn of_row(&self, nth: usize) -> impl Iterator<Item = (u32, u64)> {
        let mut behind = 0;
        let all = self.having.iter().zip(&self.masks);
        all.filter_map(move |(place, mask)| {
            let before = (mask & !(u64::MAX << nth)).count_ones() as usize;
            let at = behind + before;
            behind += mask.count_ones() as usize;
            let value = self.values.get(at).filter(|_| mask >> nth & 1 == 1);
            Some((*place, *value?))
        })
    }
}

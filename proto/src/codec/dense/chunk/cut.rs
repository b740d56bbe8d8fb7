//! A column without its first rows. The differences that are left are copied as they are, with the
//! widths and divisors that they had: finding better ones would cost as much as encoding them.

use super::body::{put_flags, put_forms, put_mask};
use super::form;
use super::series::Left;
use super::walk::{Column, Series};
use crate::codec::bits::{put_bits, put_places};
use crate::codec::dense::{best_scale, difference};
use crate::codec::varint::{put, zigzag};

/// Rows that are left out at the beginning of a chunk, and where its entities stand without them.
pub(super) struct Cut<'a> {
    /// So many rows.
    pub(super) skipped: usize,
    /// Rows that are left.
    pub(super) rows: usize,
    /// Where each entity stands among those that are left; `u32::MAX` where it is in none of the rows.
    pub(super) places: &'a [u32],
    /// In which of the rows that are left each of these is.
    pub(super) there: &'a [u64],
}

/// What is left of a series.
struct Kept<'a> {
    place: u32,
    mask: u64,
    first: u64,
    moves: Option<Left<'a>>,
}

impl Cut<'_> {
    /// Appends what is left of a column; returns how many cells. Nothing when that is none.
    pub(super) fn put(&self, out: &mut Vec<u8>, column: Column<'_>) -> usize {
        let all: Vec<Kept<'_>> = column.filter_map(|series| self.kept(&series)).collect();
        if all.is_empty() {
            return 0;
        }
        let there = |one: &Kept<'_>| self.there.get(one.place as usize).copied().unwrap_or(0);
        let is_irregular = |one: &Kept<'_>| one.mask != there(one);
        let befores = || std::iter::once(0).chain(all.iter().map(|one| one.first));
        let firsts = || all.iter().zip(befores());
        let steps = || firsts().map(|(one, before)| difference(before, one.first));
        let (code, scale) = best_scale(&steps());
        let (full, regular) = (all.len() == self.there.len(), !all.iter().any(is_irregular));
        put_flags(out, code, full, regular);
        if !full {
            let places: Vec<u32> = all.iter().map(|one| one.place).collect();
            put_places(out, self.there.len(), &places);
        }
        if !regular {
            put_bits(out, all.iter().map(is_irregular));
            for one in all.iter().filter(|one| is_irregular(one)) {
                put_mask(out, one.mask, self.rows);
            }
        }
        let mut last: Option<&Left<'_>> = None;
        let forms = all
            .iter()
            .zip(steps())
            .map(|(one, step)| match (&one.moves, step) {
                (None, 0) => form::AS_BEFORE,
                (None, _) => form::CONSTANT,
                (Some(moves), _) if last.is_some_and(|last| last.is(moves)) => form::ALIKE,
                (Some(moves), _) => {
                    last = Some(moves);
                    form::MOVING
                }
            });
        let forms: Vec<u8> = forms.collect();
        put_forms(out, &forms);
        let mut divisor = 1;
        for ((one, step), form) in all.iter().zip(steps()).zip(&forms) {
            if *form != form::AS_BEFORE {
                put(out, zigzag(step / scale));
            }
            if let Some(moves) = one.moves.as_ref().filter(|_| *form == form::MOVING) {
                moves.put(out, &mut divisor);
            }
        }
        all.iter().map(|one| one.mask.count_ones() as usize).sum()
    }

    fn kept<'a>(&self, series: &Series<'a>) -> Option<Kept<'a>> {
        let mask = series.mask >> self.skipped;
        let place = self.places.get(series.place).copied();
        let place = place.filter(|_| mask != 0)?;
        let gone = (series.mask.count_ones() - mask.count_ones()) as usize;
        let left = series.deltas.map(|deltas| deltas.behind(gone));
        let (passed, moves) = left.unwrap_or_default();
        Some(Kept {
            place,
            mask,
            first: series.first.wrapping_add(passed),
            moves,
        })
    }
}

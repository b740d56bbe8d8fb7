//! The body of one column of a chunk that is being written, from its cells.

use super::cells::Cells;
use super::divisor::{Divisor, gcd};
use super::moves::Moves;
use super::there::There;
use super::{FULL, REGULAR, form};
use crate::codec::bits::{put_bits, put_places};
use crate::codec::dense::{best_scale, difference};
use crate::codec::varint::{put, zigzag};

/// Writes one body after the other.
#[derive(Debug, Default)]
pub(super) struct BodyWriter {
    // Of the column at hand: what each series is, and of those that something is told of, what that is.
    forms: Vec<u8>,
    told: Vec<Told>,
}

/// What is told of a series.
#[derive(Clone, Copy, Debug)]
struct Told {
    place: u32,
    /// By how much it begins above the one before.
    step: i64,
    /// What divides its differences; 0 when it tells none.
    divisor: u64,
}

impl BodyWriter {
    /// Appends a body; returns how many cells it has. `there` says in which rows each entity is.
    pub(super) fn put(&mut self, out: &mut Vec<u8>, cells: &Cells, there: There<'_>) -> usize {
        let there_at = |place: u32| there.at(place as usize);
        self.forms.clear();
        self.told.clear();
        let (mut before, mut last) = (0, Moves::NONE);
        let (mut common, mut count, mut regular) = (0, 0, true);
        for (place, series) in cells.each() {
            let step = difference(before, series.first);
            before = series.first;
            count += series.cells;
            regular &= series.mask == there_at(place);
            let (mut form, mut divisor) = (form::CONSTANT, 0);
            if series.moved != 0 {
                let moves = cells.moves(series);
                form = form::ALIKE;
                if !moves.is_like(&last) {
                    (form, divisor) = (form::MOVING, moves.divisor());
                    common = gcd(common, divisor);
                    last = moves;
                }
            } else if step == 0 {
                self.forms.push(form::AS_BEFORE);
                continue;
            }
            self.forms.push(form);
            self.told.push(Told {
                place,
                step,
                divisor,
            });
        }
        let (code, scale) = best_scale(&self.told.iter().map(|told| told.step));
        let full = self.forms.len() == there.count;
        put_flags(out, code, full, regular);
        if !full {
            put_places(out, there.count, cells.having());
        }
        if !regular {
            let all = cells
                .each()
                .map(|(place, series)| (series.mask, there_at(place)));
            let all: Vec<(u64, u64)> = all.collect();
            put_bits(out, all.iter().map(|(mask, there)| mask != there));
            for (mask, _) in all.iter().filter(|(mask, there)| mask != there) {
                put_mask(out, *mask, there.rows());
            }
        }
        put_forms(out, &self.forms);
        let mut by = Divisor::ONE;
        for told in &self.told {
            // A division of nothing is one all the same.
            let first = if scale == 1 {
                told.step
            } else {
                told.step / scale
            };
            put(out, zigzag(first));
            if told.divisor != 0 {
                let moves = cells.moves_at(told.place);
                moves.put(out, told.divisor, common, &mut by);
            }
        }
        count
    }
}

pub(super) fn put_mask(out: &mut Vec<u8>, mask: u64, rows: usize) {
    out.extend(mask.to_le_bytes().into_iter().take(rows.div_ceil(8)));
}

pub(super) fn put_flags(out: &mut Vec<u8>, code: u8, full: bool, regular: bool) {
    out.push(code | if full { FULL } else { 0 } | if regular { REGULAR } else { 0 });
}

pub(super) fn put_forms(out: &mut Vec<u8>, forms: &[u8]) {
    let four = |forms: &[u8]| forms.iter().rev().fold(0, |byte, form| byte << 2 | form);
    out.extend(forms.chunks(4).map(four));
}

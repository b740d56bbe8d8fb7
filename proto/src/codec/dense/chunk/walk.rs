//! The series of a column, walked over one after the other.

use super::pass::{Moving, Pass};
use super::series::Deltas;
use super::there::{There, take_mask};
use super::{FULL, REGULAR, ROWS, SCALE, all_rows, form};
use crate::codec::Error;
use crate::codec::bits::{bit, next_one, ones, ones_before, take_bits, word};
use crate::codec::dense::SCALES;
use crate::codec::varint::{Reader, unzigzag};

/// Forms take two bits each.
const FORMS_A_BYTE: usize = 4;

/// As many as are looked at at once.
const FORMS_A_WORD: usize = 32;

/// The low bit of each form of a word.
const LOW_BITS: u64 = 0x5555_5555_5555_5555;

/// The series of one column, in the order of their entities.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    there: There<'a>,
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
    /// The differences of the last series with its own that was read.
    last: Option<Deltas<'a>>,
    /// Those that were passed over since.
    passed: Option<Moving<'a>>,
}

impl<'a> Column<'a> {
    pub(super) fn begin(there: There<'a>, rows: usize, body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(body);
        let flags = reader.byte("a column's flags")?;
        let scale = SCALES.get(usize::from(flags & SCALE)).copied();
        let scale = scale.filter(|_| flags & !(SCALE | FULL | REGULAR) == 0);
        let scale = scale.ok_or(Error::Flags(flags))?;
        let having = if flags & FULL == 0 {
            Some(take_bits(&mut reader, there.count, "bits of series")?)
        } else {
            None
        };
        let count = having.map_or(there.count, ones);
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
            passed: None,
        })
    }

    /// How many series are still to come.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Checks that nothing follows the last series.
    pub(super) fn finish(self) -> Result<(), Error> {
        self.reader.finish("a column")
    }

    /// The rows in which the entity at a place has a cell. Places are asked for in rising order.
    pub fn mask_at(&mut self, place: usize) -> u64 {
        if self.irregular.is_none() {
            let has = self.having.is_none_or(|bits| bit(bits, place));
            return if has { self.there.at(place) } else { 0 };
        }
        self.seek(place).map_or(0, |series| series.mask)
    }

    /// The series of the entity at a place, if it has one. Those before it are passed over, so places are
    /// asked for in rising order.
    pub fn seek(&mut self, place: usize) -> Option<Series<'a>> {
        self.pass_to(place).ok()?;
        while self.left > 0 {
            self.find_place();
            if self.place > place {
                return None;
            }
            if self.place == place {
                return self.next();
            }
            self.pass().ok()?;
        }
        None
    }

    /// Goes over the series of the entity at hand, which nobody wants.
    #[inline]
    fn pass(&mut self) -> Result<(), Error> {
        let (mask, form) = self.begin_step()?;
        if form == form::MOVING {
            let count = mask.count_ones() as usize;
            self.passed = Some(Moving {
                from: self.reader.rest(),
                cells: count,
                divisor: self.divisor,
            });
            Deltas::pass(&mut self.reader, count, &mut self.divisor)?;
        }
        self.end_step();
        Ok(())
    }

    /// Goes over the series before a place where none has a mask of its own: of these nothing needs to be
    /// looked up but where they move. Elsewhere it stays where it is.
    fn pass_to(&mut self, place: usize) -> Result<(), Error> {
        if self.irregular.is_some() || self.place >= place {
            return Ok(());
        }
        let before = self.having.map_or(place, |bits| ones_before(bits, place));
        let end = before.min(self.nth + self.left);
        let there = self.there;
        let cells = |place| there.at(place).count_ones() as usize;
        match self.having {
            _ if there.is_whole() => {
                let cells = cells(0);
                self.pass_all(end, |_| cells)?;
            }
            None => self.pass_all(end, cells)?,
            Some(bits) => {
                let (mut at, mut of) = (self.place, self.nth);
                self.pass_all(end, |nth| {
                    at = next_one(bits, at);
                    while of < nth {
                        (at, of) = (next_one(bits, at + 1), of + 1);
                    }
                    cells(at)
                })?;
            }
        }
        self.place = place;
        Ok(())
    }

    /// Goes over the series before the one with this number, of which `cells` tells how many cells they have:
    /// asked in rising order, and not of those that are as the one before.
    #[inline(always)]
    fn pass_all(&mut self, end: usize, mut cells: impl FnMut(usize) -> usize) -> Result<(), Error> {
        let mut pass = Pass::begin(&self.reader, self.divisor);
        let mut nth = self.nth;
        while nth < end {
            let skipped = nth % FORMS_A_BYTE;
            let word = word(self.forms, nth / FORMS_A_BYTE) >> (2 * skipped);
            let some = (FORMS_A_WORD - skipped).min(end - nth);
            // The low bit of each form that is not zero.
            let mut told = (word | word >> 1) & LOW_BITS & all_rows(2 * some);
            while told != 0 {
                let at = told.trailing_zeros() as usize;
                told &= told - 1;
                let [form, ..] = (word >> at & 3).to_le_bytes();
                pass.series(form, cells(nth + at / 2))?;
            }
            nth += some;
        }
        let (reader, divisor, steps, moving) = pass.end();
        let step = steps.wrapping_mul(self.scale).cast_unsigned();
        self.first = self.first.wrapping_add(step);
        (self.reader, self.divisor) = (reader, divisor);
        self.passed = moving.or(self.passed);
        self.left -= nth - self.nth;
        self.nth = nth;
        Ok(())
    }

    #[inline]
    fn find_place(&mut self) {
        if let Some(bits) = self.having {
            self.place = next_one(bits, self.place);
        }
    }

    /// Reads all series and shows of each where its entity stands, the rows in which it has cells and how
    /// many these are, the first value, and where it moves.
    #[inline]
    pub(super) fn each(
        &mut self,
        mut see: impl FnMut(usize, (u64, usize), u64, Steps<'_, 'a>),
    ) -> Result<(), Error> {
        // Nearly every series has as many cells as the one before.
        let (mut mask, mut count) = (0, 0);
        let (mut forms, mut last_count) = (0, None);
        for nth in 0..self.left {
            forms >>= 2;
            if nth % 4 == 0 {
                forms = self.forms.get(nth / 4).copied().unwrap_or(0);
            }
            self.find_place();
            let place = self.place;
            self.place += 1;
            let there = self.there.at(place);
            let own = match self.irregular {
                Some(bits) if bit(bits, nth) => take_mask(&mut self.masks, self.rows, there)?,
                _ => there,
            };
            if own != mask {
                (mask, count) = (own, own.count_ones() as usize);
            }
            let form = forms & 3;
            if form != form::AS_BEFORE {
                let step = unzigzag(self.reader.varint("a first value")?);
                let step = step.wrapping_mul(self.scale).cast_unsigned();
                self.first = self.first.wrapping_add(step);
            }
            let found;
            let steps = match form {
                form::MOVING => {
                    found = Deltas::find(&mut self.reader, count, &mut self.divisor)?;
                    last_count = Some(count);
                    Steps::Own(&found)
                }
                form::ALIKE if last_count != Some(count) => {
                    return Err(Error::Order("forms of series"));
                }
                form::ALIKE => Steps::Alike,
                _ => Steps::None,
            };
            see(place, (mask, count), self.first, steps);
        }
        self.left = 0;
        Ok(())
    }

    #[inline]
    pub(super) fn next_series(&mut self) -> Result<Option<Series<'a>>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.find_place();
        let place = self.place;
        let (mask, form) = self.begin_step()?;
        let deltas = match form {
            form::MOVING => {
                let count = mask.count_ones() as usize;
                self.last = Some(Deltas::find(&mut self.reader, count, &mut self.divisor)?);
                self.passed = None;
                self.last
            }
            form::ALIKE => {
                if self.passed.is_some() {
                    self.read_passed()?;
                }
                let count = mask.count_ones() as usize;
                let same = self.last.filter(|last| last.count == count);
                Some(same.ok_or(Error::Order("forms of series"))?)
            }
            _ => None,
        };
        self.end_step();
        Ok(Some(Series {
            place,
            mask,
            first: self.first,
            deltas,
        }))
    }

    /// Reads the differences that were passed over last.
    #[cold]
    fn read_passed(&mut self) -> Result<(), Error> {
        if let Some(passed) = self.passed.take() {
            let (mut reader, mut divisor) = (Reader::new(passed.from), passed.divisor);
            self.last = Some(Deltas::find(&mut reader, passed.cells, &mut divisor)?);
        }
        Ok(())
    }

    /// In which rows the series of the entity at hand has cells, and its form; takes its first value.
    #[inline(always)]
    fn begin_step(&mut self) -> Result<(u64, u8), Error> {
        let there = self.there.at(self.place);
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
        Ok((mask, form))
    }

    fn end_step(&mut self) {
        self.place += 1;
        self.nth += 1;
        self.left -= 1;
    }
}

impl<'a> Iterator for Column<'a> {
    type Item = Series<'a>;

    fn next(&mut self) -> Option<Series<'a>> {
        self.next_series().ok().flatten()
    }
}

/// Where a series moves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Steps<'b, 'a> {
    /// Nowhere.
    None,
    /// As its own differences say.
    Own(&'b Deltas<'a>),
    /// As the last series that had its own.
    Alike,
}

/// One series of a chunk.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Where its entity stands among those of the chunk.
    pub place: usize,
    /// The rows in which it has a cell; bit n is the n-th row.
    pub mask: u64,
    pub(super) first: u64,
    pub(super) deltas: Option<Deltas<'a>>,
}

impl Series<'_> {
    /// Its values by row; what `mask` does not name means nothing.
    #[must_use]
    pub fn by_row(&self) -> [u64; ROWS] {
        let mut rows = [0; ROWS];
        self.read(&mut rows);
        rows
    }

    /// Its value where all of them are the same.
    #[must_use]
    pub fn still(&self) -> Option<u64> {
        self.deltas.is_none().then_some(self.first)
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

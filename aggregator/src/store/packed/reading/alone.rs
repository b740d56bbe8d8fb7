//! One entity of a node by itself: a namespace often has one pod on each of many nodes.
//!
//! What is read of one is put where the one before was, so that nothing is allocated for it: memory that
//! is free lies scattered, and to look for it takes longer than to fill it.

use std::hint::black_box;
use std::ops::RangeInclusive;

use cairn_proto::catalogue::{Group, Source};
use cairn_proto::codec::chunk::{Alone, Body, MAX_ROWS, MOST_COLUMNS};
use cairn_proto::codec::row::{Followed, Track};
use cairn_proto::model::{ColumnId, EntityId, Run, Stamp};
use cairn_proto::rate::Point;

use super::cells::{BEGAN, Columns, FIRST, stamp_columns};
use super::{Found, FoundRows};
use crate::store::RawRow;
use crate::store::packed::block::OpenRow;

/// The rows of one entity after the other, in one field.
pub(super) struct Reader {
    first: Set,
    // Only where it is needed.
    rest: Option<Set>,
    rest_of: Vec<ColumnId>,
    field: usize,
    own: Option<[usize; 3]>,
    // Of each group that tells lives where its stamps are; of the first ones in `first`, of the others in
    // `rest`.
    told_by: [[usize; 3]; BEGAN.len()],
    began: Began,
    // Of the part at hand.
    ticks: Vec<u64>,
    there: u64,
    rows: Vec<RawRow>,
    // Of each row which run it is of.
    of_run: Vec<usize>,
}

/// Cells of the entity in one column.
#[derive(Clone)]
struct Strand {
    mask: u64,
    // All of them are this.
    still: Option<u64>,
    values: [u64; MAX_ROWS],
}

impl Strand {
    const NONE: Self = Self {
        mask: 0,
        still: None,
        values: [0; MAX_ROWS],
    };

    fn at(&self, at: usize) -> u64 {
        let own = || self.values.get(at).copied().unwrap_or(0);
        self.still.unwrap_or_else(own)
    }
}

/// Columns that are read together.
struct Set {
    ids: Vec<ColumnId>,
    followed: Followed,
    // Where each of them is among those that are followed.
    places: Vec<usize>,
    strands: Vec<Strand>,
    // Whose strand the cells of each column are in: groups that are measured in one pass share their stamps.
    shared: Vec<usize>,
    // Bit n: the n-th was read of the part at hand.
    is_read: u32,
}

impl Set {
    fn of(ids: &[ColumnId]) -> Self {
        let followed = Followed::of(ids);
        let places = ids.iter().map(|id| followed.position(*id));
        Self {
            places: places.map(|at| at.unwrap_or(usize::MAX)).collect(),
            followed,
            strands: vec![Strand::NONE; ids.len()],
            shared: (0..ids.len()).collect(),
            ids: ids.to_vec(),
            is_read: 0,
        }
    }

    fn slot(&self, id: ColumnId) -> usize {
        self.ids.binary_search(&id).unwrap_or(usize::MAX)
    }

    fn slots(&self, group: Group) -> [usize; 3] {
        stamp_columns(group).map(|id| self.slot(id))
    }

    fn strand(&self, slot: usize) -> &Strand {
        let own = self.shared.get(slot).and_then(|own| self.strands.get(*own));
        own.unwrap_or(&Strand::NONE)
    }

    /// Nothing has been read of the next part.
    fn begin(&mut self) {
        self.is_read = 0;
        for (slot, own) in self.shared.iter_mut().enumerate() {
            *own = slot;
        }
    }

    /// Of a column with the cells of one that was read, whose strand these are in.
    fn read_already(&self, chunk: &Chunk<'_>, body: Option<Body<'_>>) -> Option<usize> {
        let body = body?;
        let mut read = chunk.bodies.iter().enumerate();
        let is = |other: &Option<Body<'_>>| other.is_some_and(|other| other.is(body));
        let (slot, _) = read.find(|(slot, other)| self.has_read(*slot) && is(other))?;
        self.shared.get(slot).copied()
    }

    /// True when this column of the part at hand was read.
    fn has_read(&self, slot: usize) -> bool {
        self.is_read & bit_of(slot) != 0
    }

    /// Reads a column of a chunk, unless that was done; of a column that is not there nothing is read.
    fn need(&mut self, chunk: &Chunk<'_>, slot: usize) {
        let body = chunk.bodies.get(slot).copied().flatten();
        if self.has_read(slot) {
            return;
        }
        let already = self.read_already(chunk, body);
        self.is_read |= bit_of(slot);
        if let (Some(already), Some(own)) = (already, self.shared.get_mut(slot)) {
            *own = already;
            return;
        }
        let Some(strand) = self.strands.get_mut(slot) else {
            return;
        };
        let series = body.and_then(|body| chunk.alone.series(body));
        strand.mask = series.map_or(0, |series| series.mask);
        if let Some(series) = series {
            strand.still = series.still();
            if strand.still.is_none() {
                series.read(&mut strand.values);
            }
        }
    }

    /// Reads all columns of open rows; gives the rows in which the entity is.
    fn follow(&mut self, id: EntityId, rows: &[OpenRow]) -> u64 {
        self.begin();
        for strand in &mut self.strands {
            (strand.mask, strand.still) = (0, None);
        }
        let mut track = Track::new(id, &self.followed);
        let mut there = 0;
        for (at, row) in rows.iter().enumerate().take(MAX_ROWS) {
            // It was decoded once already, when it came.
            let stepped = track.step(row.is_keyframe, row.tick_ms, &row.payload);
            if stepped.is_err() {
                break;
            }
            if !track.is_there() {
                continue;
            }
            there |= 1 << at;
            for (place, strand) in self.places.iter().zip(&mut self.strands) {
                if let (Some(value), Some(slot)) =
                    (track.value_at(*place), strand.values.get_mut(at))
                {
                    *slot = value;
                    strand.mask |= 1 << at;
                }
            }
        }
        there
    }
}

/// The bit of a column in a set of a few; none of a column that is not there.
fn bit_of(slot: usize) -> u32 {
    let by = u32::try_from(slot).unwrap_or(u32::MAX);
    1_u32.checked_shl(by).unwrap_or(0)
}

/// A chunk in which the entity is.
struct Chunk<'a> {
    alone: Alone<'a>,
    bodies: [Option<Body<'a>>; MOST_COLUMNS],
}

/// When the life began, by whom of the stamps says so best. What the summary tells goes before what others
/// do, and of equals what is added first.
struct Began {
    // The rows in which anybody tells, and those in which the summary does.
    told: (u64, u64),
    starts: [(Source, u64); MAX_ROWS],
}

impl Began {
    fn add(&mut self, time: u64, start: &Strand, source: &Strand) {
        let mut left = start.mask & time & source.mask & !self.told.1;
        // Mostly all rows say the same.
        if let (Some(start_ms), Some(by)) = (start.still, source.still) {
            let Some(by) = Source::from_number(by) else {
                return;
            };
            let is_best = by == Source::Summary;
            let told = if is_best { left } else { left & !self.told.0 };
            let slots = self.starts.iter_mut().enumerate();
            for (_, slot) in slots.filter(|(at, _)| told >> at & 1 == 1) {
                *slot = (by, start_ms);
            }
            self.told.0 |= left;
            self.told.1 |= if is_best { left } else { 0 };
            return;
        }
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            let bit = left & left.wrapping_neg();
            left &= left - 1;
            let Some(by) = Source::from_number(source.at(at)) else {
                continue;
            };
            let is_best = by == Source::Summary;
            if let Some(slot) = self.starts.get_mut(at)
                && (is_best || self.told.0 & bit == 0)
            {
                *slot = (by, start.at(at));
            }
            self.told.0 |= bit;
            self.told.1 |= if is_best { bit } else { 0 };
        }
    }

    /// True when the summary tells it wherever the entity is there.
    fn is_settled(&self, there: u64) -> bool {
        there & !self.told.1 == 0
    }

    fn at(&self, at: usize) -> Option<(Source, u64)> {
        let start = self.starts.get(at).copied();
        start.filter(|_| self.told.0 >> at & 1 == 1)
    }
}

impl Reader {
    pub(super) fn of(columns: &Columns) -> Self {
        let (first, rest) = (Set::of(&columns.first), &columns.rest);
        let mut told_by = [[usize::MAX; 3]; BEGAN.len()];
        for (nth, (group, slots)) in BEGAN.iter().zip(&mut told_by).enumerate() {
            *slots = if nth < FIRST {
                first.slots(*group)
            } else {
                let slot = |id| rest.binary_search(&id).unwrap_or(usize::MAX);
                stamp_columns(*group).map(slot)
            };
        }
        Self {
            field: first.slot(columns.field),
            own: columns.group.map(|group| first.slots(group)),
            told_by,
            first,
            rest: None,
            rest_of: rest.clone(),
            began: Began {
                told: (0, 0),
                starts: [(Source::Summary, 0); MAX_ROWS],
            },
            ticks: Vec::with_capacity(MAX_ROWS),
            there: 0,
            rows: Vec::new(),
            of_run: Vec::new(),
        }
    }

    /// The rows of one of those that were looked for, with ticks in a range, in order of their ticks.
    pub(super) fn read(
        &mut self,
        found: &Found,
        nth: usize,
        (first, last): (u64, u64),
    ) -> &[RawRow] {
        let ticks_ms = first.max(found.oldest_ms)..=last;
        self.rows.clear();
        self.of_run.clear();
        for (number, run) in found.runs.iter().enumerate() {
            let id = run.ids.get(nth).copied().flatten();
            for rows in &run.blocks {
                self.part(rows, id);
                self.tell_rows(&ticks_ms);
            }
            self.of_run.resize(self.rows.len(), number);
        }
        if found.runs.len() > 1 {
            self.put_in_order(&found.runs.iter().map(|run| run.run).collect::<Vec<Run>>());
        }
        &self.rows
    }

    /// Reads what the entity says in the rows of a block.
    fn part(&mut self, rows: &FoundRows, id: Option<EntityId>) {
        self.ticks.clear();
        self.there = 0;
        self.began.told = (0, 0);
        match rows {
            FoundRows::Sealed(sealed) => {
                let Some(alone) = sealed.alone(id, &mut self.ticks) else {
                    self.first.strands.iter_mut().for_each(|s| s.mask = 0);
                    return;
                };
                self.there = alone.mask;
                let bodies = alone.bodies(&self.first.ids);
                let chunk = Chunk { alone, bodies };
                self.in_chunk(chunk);
            }
            FoundRows::Open(open) => {
                self.ticks.extend(open.iter().map(|row| row.tick_ms));
                let Some(id) = id else {
                    self.first.strands.iter_mut().for_each(|s| s.mask = 0);
                    return;
                };
                self.there = self.first.follow(id, open);
                for nth in 0..FIRST {
                    self.tell(nth, None);
                }
                if !self.began.is_settled(self.there) {
                    let rest = &self.rest_of;
                    let rest = self.rest.get_or_insert_with(|| Set::of(rest));
                    rest.follow(id, open);
                    for nth in FIRST..BEGAN.len() {
                        self.tell(nth, None);
                    }
                }
            }
        }
    }

    fn in_chunk(&mut self, mut chunk: Chunk<'_>) {
        self.first.begin();
        // Each of them would be waited for by itself.
        let bodies = chunk.bodies.iter().flatten();
        black_box(bodies.fold(0, |all, body| all ^ chunk.alone.touch(*body)));
        self.first.need(&chunk, self.field);
        for slot in self.own.into_iter().flatten() {
            self.first.need(&chunk, slot);
        }
        for nth in 0..FIRST {
            self.tell(nth, Some(&chunk));
        }
        if self.began.is_settled(self.there) {
            return;
        }
        let rest = &self.rest_of;
        let rest = self.rest.get_or_insert_with(|| Set::of(rest));
        rest.begin();
        chunk.bodies = chunk.alone.bodies(&rest.ids);
        for nth in FIRST..BEGAN.len() {
            self.tell(nth, Some(&chunk));
        }
    }

    /// Adds what a group tells of the life, in a chunk after reading it.
    fn tell(&mut self, nth: usize, chunk: Option<&Chunk<'_>>) {
        if self.began.is_settled(self.there) {
            return;
        }
        let set = if nth < FIRST {
            Some(&mut self.first)
        } else {
            self.rest.as_mut()
        };
        let slots = self.told_by.get(nth).copied();
        let (Some(set), Some([time, start, source])) = (set, slots) else {
            return;
        };
        if let Some(chunk) = chunk {
            set.need(chunk, start);
        }
        if set.strand(start).mask == 0 {
            return;
        }
        let mut times = set.strand(time).mask;
        if let Some(chunk) = chunk {
            set.need(chunk, source);
            if !set.has_read(time) {
                // Of its times no more than where they are.
                let body = chunk.bodies.get(time).copied().flatten();
                times = body.map_or(0, |body| chunk.alone.mask_in(body));
            }
        }
        self.began.add(times, set.strand(start), set.strand(source));
    }

    /// Appends the rows of the part at hand with ticks in a range.
    fn tell_rows(&mut self, ticks_ms: &RangeInclusive<u64>) {
        let is_in = |mask: u64, at: usize| mask >> at & 1 == 1;
        let value = self.first.strand(self.field);
        let [time, start, source] = match self.own {
            Some(own) => own.map(|slot| self.first.strand(slot)),
            None => [&Strand::NONE; 3],
        };
        let measured = value.mask & time.mask & source.mask;
        for (at, tick_ms) in self.ticks.iter().enumerate() {
            if !ticks_ms.contains(tick_ms) {
                continue;
            }
            let by = || Source::from_number(source.at(at));
            let by = is_in(measured, at).then(by).flatten();
            let point = by.map(|source| Point {
                value: value.at(at),
                stamp: Stamp {
                    time_ms: time.at(at),
                    start_ms: is_in(start.mask, at).then(|| start.at(at)),
                    source,
                },
            });
            self.rows.push(RawRow {
                tick_ms: *tick_ms,
                present: is_in(self.there, at),
                point,
                began: self.began.at(at),
                interrupted: false,
            });
        }
    }

    /// Puts rows of several runs in order of their ticks, and says over which no rate reaches.
    fn put_in_order(&mut self, runs: &[Run]) {
        let rows = self.rows.drain(..).zip(self.of_run.drain(..));
        let mut all: Vec<(RawRow, usize)> = rows.collect();
        all.sort_by_key(|(row, _)| row.tick_ms);
        let mut before: Option<&Run> = None;
        for (mut row, number) in all {
            let run = runs.get(number);
            let across = run.zip(before);
            row.interrupted = across.is_some_and(|(run, before)| !run.continues(before));
            before = run;
            self.rows.push(row);
        }
    }
}

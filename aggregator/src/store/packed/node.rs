//! One node: who reports it, and the runs that it reported.

use std::collections::BTreeSet;
use std::sync::Arc;

use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::Sealed;
use cairn_proto::codec::row;
use cairn_proto::codec::slim::Slim;
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, EntityId};

use super::block::{Block, Incoming};
use super::lately::Lately;
use super::reading::{self, Found};
use super::recent::{Newest, Recents};
use super::run::{RunRows, check_known};
use crate::store::attendance::{Attendance, Last, Past};
use crate::store::frame::{Bounds, Taken, Went, Window};
use crate::store::gap;
use crate::store::index::Gone;
use crate::store::{
    Applied, Entity, EntityPath, Error, Opening, PodName, SeeRecent, Selector, Size, VisitEach,
    VisitFields, Wanted, WireRow,
};

/// One node, its rows as chunks.
#[derive(Debug, Default)]
pub struct Node {
    pub(super) attendance: Attendance,
    pub(super) runs: Vec<RunRows>,
    oldest_ms: u64,
    pub(super) recents: Recents,
    pub(super) lately: Lately,
    // Rows have gone since names were looked through.
    untidy: bool,
    // Namespaces of pods whose names went and were not told of.
    gone: Gone,
}

impl Node {
    pub(super) fn newest(&self) -> Option<u64> {
        self.runs.iter().filter_map(RunRows::newest_tick).max()
    }

    fn current(&mut self) -> Result<&mut RunRows, Error> {
        let run = self.attendance.run().ok_or(Error::Fenced)?;
        let mut runs = self.runs.iter_mut();
        runs.find(|r| r.run == run).ok_or(Error::Fenced)
    }

    /// Rows came or went otherwise than behind the newest one, or at the front by their age: what is at hand of them may
    /// not be so any more.
    pub(super) fn changed(&mut self) {
        self.recents.clear();
        self.lately.clear();
    }

    /// Keeps these runs alone.
    fn keep_runs(&mut self, is_kept: impl Fn(&RunRows) -> bool) {
        let gone = &mut self.gone;
        self.runs.retain(|run| {
            let is_kept = is_kept(run);
            if !is_kept {
                gone.extend(run.names.namespaces().into_iter().map(str::to_owned));
            }
            is_kept
        });
    }

    /// Puts a row into the session's run, unless its seq or its tick is held.
    fn insert(&mut self, row: Incoming) -> Applied {
        let (newest, tick_ms) = (self.newest_tick(), row.tick_ms);
        let is_newest = newest.is_none_or(|newest| tick_ms > newest);
        if !is_newest && self.runs.iter().any(|run| run.holds_tick(tick_ms)) {
            return Applied::Duplicate;
        }
        let inserted = self.current().is_ok_and(|run| run.insert(row));
        match (inserted, is_newest) {
            (false, _) => Applied::Duplicate,
            (true, true) => Applied::Applied,
            (true, false) => Applied::Late,
        }
    }

    /// The newest row, if it is at hand, with its run and its tick.
    fn tail(&self) -> Option<(&RunRows, u64, &Arc<Slim>)> {
        let run = self.runs.iter().max_by_key(|run| run.newest_tick())?;
        let block = run.blocks.back()?;
        Some((run, block.times.last_tick_ms(), block.tail()?))
    }

    /// The same, when it is of the session's run: what comes next goes on from it.
    fn tail_of_session(&self) -> Option<(u64, Arc<Slim>)> {
        let (run, tick_ms, row) = self.tail()?;
        (Some(run.run) == self.attendance.run()).then(|| (tick_ms, Arc::clone(row)))
    }

    /// The row as it came, when the next one can go on from it: it refers to none, or to the very
    /// row that is the last one held.
    fn wire(&self, row: &WireRow<'_>) -> Option<(Option<u64>, Arc<[u8]>)> {
        let living = self.attendance.living()?;
        let held = self.runs.iter().find(|run| run.run == living.run)?;
        let tail = held.blocks.back().and_then(Block::tail);
        let is_held = |last: &Last| tail.is_some_and(|tail| Arc::ptr_eq(tail, &last.row));
        let last = living.last.as_ref();
        let fits = row.base_seq.is_none() || last.is_some_and(is_held);
        let is_dense = row::codec_of(row.payload) == Some(DENSE);
        (fits && is_dense).then(|| (row.base_seq, row.payload.into()))
    }

    /// Checks a chunk of the session's run against what is known. Returns which of its rows are in the
    /// window and not held: bit n is the n-th.
    fn check(&mut self, block: u64, sealed: &Sealed, times: (u64, u64)) -> Result<u64, Error> {
        let (now_ms, window_ms) = times;
        let past = self.past(window_ms);
        let first = block.saturating_mul(BLOCK_ROWS);
        let interval_ms = self.attendance.interval_ms();
        let head = sealed.head();
        let (mut kept, mut fresh) = (0_u64, 0_u64);
        for ((offset, tick_ms), nth) in head.rows.iter().zip(0_u32..) {
            let seq = first.saturating_add(*offset);
            if *offset >= BLOCK_ROWS || !tick_ms.is_multiple_of(interval_ms) {
                return Err(Error::Tick { seq });
            }
            if self.attendance.judge(*tick_ms, now_ms, past).is_some() {
                continue;
            }
            kept |= 1 << nth;
            let is_held = self.runs.iter().any(|run| run.holds_tick(*tick_ms));
            let run = self.current()?;
            run.check_rises(seq, *tick_ms)?;
            fresh |= u64::from(!is_held && !run.holds_seq(seq)) << nth;
        }
        // Names of rows that are too old to keep may be forgotten already.
        let run = self.current()?;
        check_known(first, &head, kept, |id| run.names.knows(id))?;
        Ok(fresh)
    }
}

impl Window for Node {
    type Found = Found;

    fn attendance(&self) -> &Attendance {
        &self.attendance
    }

    fn attendance_mut(&mut self) -> &mut Attendance {
        &mut self.attendance
    }

    fn open(&mut self, number: u64, opening: Opening, window_ms: u64) -> u64 {
        let present_ms = self.attendance.open(number, opening);
        // A clock that was set back has another past: what it tells from now on has not expired.
        let oldest_ms = self.attendance.own(opening.now_ms);
        self.oldest_ms = self.oldest_ms.min(oldest_ms.saturating_sub(window_ms));
        self.changed();
        let run = opening.run;
        let mut gone = 0;
        for other in &mut self.runs {
            other.set_back(self.oldest_ms);
            let before = other.size().rows;
            other.drop_after(present_ms);
            gone += before.saturating_sub(other.size().rows);
            if other.run != run {
                other.seal_last();
            }
        }
        self.keep_runs(|r| !r.is_empty() || r.run == run);
        if !self.runs.iter().any(|r| r.run == run) {
            self.attendance.begins(run);
            self.runs
                .push(RunRows::new(run, opening.interval_ms, self.oldest_ms));
        }
        gone
    }

    fn define(&mut self, def: EntityDef) -> Result<(), Error> {
        // A path may lead to another id now.
        self.lately.clear();
        let before = self.current()?.names.define(&def)?;
        self.gone.extend(before);
        Ok(())
    }

    fn refuse(&mut self, id: EntityId) -> Result<(), Error> {
        self.lately.clear();
        self.current()?.names.refuse(id)
    }

    fn is_new(&self, def: &EntityDef) -> bool {
        let run = self.attendance.run();
        let Some(own) = self.runs.iter().find(|r| Some(r.run) == run) else {
            return true;
        };
        if own.names.knows(def.id) {
            return false;
        }
        let path = EntityPath::of(def, |parent| own.names.path(parent));
        let is_there = |path| self.runs.iter().any(|run| run.names.find(&path).is_some());
        !path.is_some_and(is_there)
    }

    fn knows(&self, id: EntityId) -> bool {
        let run = self.attendance.run();
        let mut runs = self.runs.iter();
        runs.any(|r| Some(r.run) == run && r.names.knows(id))
    }

    fn append(&mut self, row: &WireRow<'_>, bounds: Bounds) -> Result<Applied, Error> {
        let past = Past {
            window_ms: bounds.window_ms,
            before_ms: self.oldest_ms,
        };
        if let Some(refused) = self.attendance.judge_row(row, past)? {
            return Ok(refused);
        }
        let decoded = self.attendance.decode(row, bounds.row_bytes)?;
        let slim = Arc::new(decoded.row);
        // What the row before used is known.
        let last = self.attendance.last_row();
        let is_known = last.is_some_and(|last| Arc::ptr_eq(last.entities(), slim.entities()));
        let run = self.current()?;
        if !is_known {
            run.check_defined(row.seq, slim.entities())?;
        }
        run.check_rises(row.seq, row.tick_ms)?;
        let before = self.tail_of_session();
        let applied = self.insert(Incoming {
            seq: row.seq,
            tick_ms: row.tick_ms,
            samples: decoded.counts.samples,
            slim: Arc::clone(&slim),
            wire: self.wire(row),
        });
        match (applied, before) {
            (Applied::Applied, Some((tick_ms, before))) => {
                self.recents.advance((tick_ms, &before), row.tick_ms);
            }
            (Applied::Applied | Applied::Late, _) => self.changed(),
            _ => {}
        }
        self.attendance.heard(row, slim, decoded.counts.bytes);
        Ok(applied)
    }

    fn take(
        &mut self,
        block: u64,
        sealed: &Sealed,
        now_ms: u64,
        window_ms: u64,
    ) -> Result<Taken, Error> {
        let first = block.saturating_mul(BLOCK_ROWS);
        self.changed();
        let fresh = self.check(block, sealed, (now_ms, window_ms))?;
        self.current()?.take(first, sealed, fresh)
    }

    fn held(&mut self, block: u64) -> u64 {
        self.current().map_or(0, |run| run.held(block))
    }

    fn newest_tick(&self) -> Option<u64> {
        self.newest()
    }

    fn oldest_tick(&self) -> Option<u64> {
        self.runs.iter().filter_map(RunRows::oldest_tick).min()
    }

    fn gap_ticks(&self) -> u64 {
        let held = self.runs.iter().filter_map(RunRows::span);
        gap::ticks(self.attendance.earlier().spans(self.oldest_ms).chain(held))
    }

    fn expire(&mut self, oldest_ms: u64) -> u64 {
        self.oldest_ms = self.oldest_ms.max(oldest_ms);
        let gone = self.runs.iter_mut().map(|run| run.expire(oldest_ms)).sum();
        self.untidy |= gone > 0;
        gone
    }

    fn expired_ms(&self) -> u64 {
        self.oldest_ms
    }

    fn oldest_row(&self) -> Option<(u64, u64)> {
        let run = self.attendance.run();
        self.runs.iter().find(|r| Some(r.run) == run)?.oldest_row()
    }

    fn forget_read(&mut self) {
        self.lately.clear();
    }

    fn shorten(&mut self) -> Went {
        let filled = self.runs.iter_mut().filter(|run| !run.blocks.is_empty());
        let mut filled: Vec<&mut RunRows> = filled.collect();
        let is_only = filled.len() == 1;
        let oldest = |run: &&mut RunRows| {
            let front = run.blocks.front();
            front.map_or(u64::MAX, |block| block.times.first_tick_ms())
        };
        filled.sort_by_key(oldest);
        let first = filled.first_mut();
        let gone = first.map_or_else(Went::default, |run| run.shorten(is_only));
        self.changed();
        self.untidy |= gone.rows > 0;
        gone
    }

    fn tidy(&mut self, window_ms: u64) {
        let interval_ms = self.attendance.interval_ms();
        self.lately.tidy(interval_ms);
        let rows = window_ms / interval_ms;
        for run in &mut self.runs {
            run.seal_open(1);
            run.join(rows);
        }
        if std::mem::take(&mut self.untidy) {
            let live = self.attendance.run();
            self.keep_runs(|run| !run.is_empty() || Some(run.run) == live);
            let last = self.attendance.last_row();
            for run in &mut self.runs {
                let last = last.filter(|_| Some(run.run) == live);
                let last = last.map_or(&[][..], |last| &**last.entities());
                let (names, blocks) = (&mut run.names, &run.blocks);
                self.gone
                    .extend(names.sweep(last, || RunRows::used(blocks)));
            }
        }
    }

    fn gone_mut(&mut self) -> &mut Gone {
        &mut self.gone
    }

    fn namespaces(&self) -> BTreeSet<&str> {
        let runs = self.runs.iter();
        runs.flat_map(|run| run.names.namespaces()).collect()
    }

    fn has_pod(&self, pod: &PodName<'_>) -> bool {
        self.runs.iter().any(|run| run.names.has_pod(pod))
    }

    fn size(&self) -> Size {
        let mut size = Size {
            nodes: 1,
            ..Size::default()
        };
        self.runs.iter().for_each(|run| size.add(run.size()));
        // The last row of the session, and that of an open block, which nearly always are one.
        let last = self.attendance.last_row();
        let tails = self.runs.iter().filter_map(|run| run.blocks.back()?.tail());
        let others = tails.filter(|tail| !last.is_some_and(|last| Arc::ptr_eq(last, tail)));
        let rows: usize = last.into_iter().chain(others).map(|row| row.bytes()).sum();
        size.bytes += (rows + self.recents.bytes() + self.lately.bytes()) as u64;
        size
    }

    fn entities(&self, node: &Arc<str>, selector: &Selector<'_>, out: &mut Vec<Entity>) {
        self.list(node, selector, out);
    }

    fn recent(&self, namespace: Option<&str>, see: &mut SeeRecent<'_>) -> bool {
        let Some((run, tick_ms, newest)) = self.tail() else {
            return false;
        };
        if tick_ms >= self.oldest_ms {
            let newest = Newest {
                run,
                row: (tick_ms, newest),
                ticks: self.ticks(),
            };
            self.recents.show(newest, (namespace, self.oldest_ms), see);
        }
        true
    }

    fn find(&self, paths: &[&EntityPath], ticks_ms: (u64, u64)) -> Found {
        reading::find(self, paths, ticks_ms)
    }

    fn find_field(&self, paths: &[&EntityPath], field: Wanted) -> Found {
        reading::find_field(self, paths, field)
    }

    fn read_each(found: &[&Found], field: Wanted, visit: &mut VisitEach<'_>) {
        reading::read_each(found, field, visit);
    }

    fn read_fields(found: &Found, fields: &[Wanted], visit: &mut VisitFields<'_>) {
        reading::read(found, fields, visit);
    }
}

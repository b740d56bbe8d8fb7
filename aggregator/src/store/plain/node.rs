//! One node of the plain store: its runs, its ticks.

mod listing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cairn_proto::codec::chunk::Sealed;
use cairn_proto::limits;
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Run, Snapshot};

use super::run::{EntityRow, Held, RunRows, check_defined, check_rises};
use crate::store::attendance::{Attendance, Past};
use crate::store::frame::{Bounds, Taken, Went, Window};
use crate::store::index::Gone;
use crate::store::{
    Applied, Entity, EntityPath, Error, Opening, PodName, RawRow, SeeRecent, Selector, Size,
    VisitEach, VisitFields, Wanted, WireRow,
};

/// What one name is counted as: its definition, its path and their places in three maps.
const NAME_BYTES: usize = 512;

/// One node, its rows decoded.
#[derive(Debug, Default)]
pub struct Node {
    pub(super) attendance: Attendance,
    pub(super) runs: Vec<RunRows>,
    // Invariant: exactly one entry for every row of every run.
    pub(super) ticks: BTreeMap<u64, (Run, u64)>,
    pub(super) size: Size,
    // Rows with earlier ticks have expired.
    pub(super) oldest_ms: u64,
    // Rows have gone since names were looked through.
    untidy: bool,
    // Namespaces of pods whose names may have gone and were not told of.
    gone: Gone,
}

impl Node {
    /// Says of all namespaces that they may be gone: names are about to go, and which is not looked at.
    fn all_may_go(&mut self) {
        let all = self.namespaces().into_iter().map(str::to_owned);
        let all: Vec<String> = all.collect();
        self.gone.extend(all);
    }

    fn current(&mut self) -> Result<&mut RunRows, Error> {
        let run = self.attendance.run().ok_or(Error::Fenced)?;
        let mut runs = self.runs.iter_mut();
        runs.find(|r| r.run == run).ok_or(Error::Fenced)
    }

    /// Puts a row into the session's run, unless its seq or its tick is held.
    fn insert(&mut self, seq: u64, tick_ms: u64, snapshot: Arc<Snapshot>) -> Applied {
        let newest = self.newest_tick();
        let taken = self.ticks.contains_key(&tick_ms);
        let Ok(run) = self.current() else {
            return Applied::Duplicate;
        };
        if taken || run.rows.contains_key(&seq) {
            return Applied::Duplicate;
        }
        let held = Held::new(tick_ms, snapshot);
        let size = held.size();
        run.insert(seq, held);
        let run = run.run;
        self.size.add(size);
        self.ticks.insert(tick_ms, (run, seq));
        if newest.is_some_and(|n| tick_ms < n) {
            Applied::Late
        } else {
            Applied::Applied
        }
    }

    /// Drops rows with later ticks than this. Returns how many.
    fn drop_after(&mut self, newest_ms: u64) -> u64 {
        let later = self.ticks.split_off(&newest_ms.saturating_add(1));
        for (run, seq) in later.values() {
            self.forget(*run, *seq);
        }
        later.len() as u64
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((_, (run, seq))) = self.ticks.pop_first() else {
            return false;
        };
        self.forget(run, seq);
        true
    }

    /// Lets go of a row whose tick is already gone.
    fn forget(&mut self, run: Run, seq: u64) {
        let rows = self.runs.iter_mut().find(|r| r.run == run);
        if let Some(held) = rows.and_then(|rows| rows.remove(seq)) {
            self.size.remove(held.size());
            self.untidy = true;
        }
    }
}

impl Window for Node {
    type Found = Vec<Vec<EntityRow>>;

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
        let gone = self.drop_after(present_ms);
        let run = opening.run;
        self.all_may_go();
        self.runs.retain(|r| !r.rows.is_empty() || r.run == run);
        if !self.runs.iter().any(|r| r.run == run) {
            self.attendance.begins(run);
            self.runs.push(RunRows::new(run, opening.interval_ms));
        }
        gone
    }

    fn define(&mut self, def: EntityDef) -> Result<(), Error> {
        let before = self.current()?.define(def)?;
        self.gone.extend(before);
        Ok(())
    }

    fn refuse(&mut self, id: EntityId) -> Result<(), Error> {
        self.current()?.refuse(id)
    }

    fn is_new(&self, def: &EntityDef) -> bool {
        let run = self.attendance.run();
        let Some(own) = self.runs.iter().find(|r| Some(r.run) == run) else {
            return true;
        };
        if own.knows(def.id) {
            return false;
        }
        let path = EntityPath::of(def, |parent| own.path(parent));
        let is_there = |path| self.runs.iter().any(|run| run.paths.contains_key(&path));
        !path.is_some_and(is_there)
    }

    fn knows(&self, id: EntityId) -> bool {
        let run = self.attendance.run();
        let mut runs = self.runs.iter();
        runs.any(|r| Some(r.run) == run && r.knows(id))
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
        let snapshot = decoded.row.row();
        let run = self.current()?;
        check_defined(run, row.seq, &snapshot)?;
        check_rises(run, row.seq, row.tick_ms)?;
        let snapshot = Arc::new(snapshot);
        let applied = self.insert(row.seq, row.tick_ms, Arc::clone(&snapshot));
        self.attendance
            .heard(row, decoded.row.into(), decoded.counts.bytes);
        Ok(applied)
    }

    fn take(
        &mut self,
        block: u64,
        sealed: &Sealed,
        now_ms: u64,
        window_ms: u64,
    ) -> Result<Taken, Error> {
        let first = block.saturating_mul(limits::BLOCK_ROWS);
        let past = self.past(window_ms);
        let mut kept = Vec::new();
        for one in sealed.rows() {
            let seq = first.saturating_add(one.offset);
            let off_grid = !one.tick.is_multiple_of(self.attendance.interval_ms());
            if one.offset >= limits::BLOCK_ROWS || off_grid {
                return Err(Error::Tick { seq });
            }
            // Names of rows that are too old to keep may be forgotten already.
            if self.attendance.judge(one.tick, now_ms, past).is_none() {
                let run = self.current()?;
                check_defined(run, seq, &one.snapshot)?;
                check_rises(run, seq, one.tick)?;
                kept.push((seq, one));
            }
        }
        let mut taken = Taken::default();
        for (seq, one) in kept {
            let applied = self.insert(seq, one.tick, Arc::new(one.snapshot));
            if matches!(applied, Applied::Applied | Applied::Late) {
                taken.add(one.tick);
            }
        }
        Ok(taken)
    }

    fn held(&mut self, block: u64) -> u64 {
        let first = block.saturating_mul(limits::BLOCK_ROWS);
        let seqs = first..first.saturating_add(limits::BLOCK_ROWS);
        self.current()
            .map_or(0, |run| run.rows.range(seqs).count() as u64)
    }

    fn newest_tick(&self) -> Option<u64> {
        self.ticks.last_key_value().map(|(tick, _)| *tick)
    }

    fn oldest_tick(&self) -> Option<u64> {
        self.ticks.first_key_value().map(|(tick, _)| *tick)
    }

    fn gap_ticks(&self) -> u64 {
        // Each tick of which it is known that the node was there: its distance, and whether a row is held.
        let mut ticks: BTreeMap<u64, (u64, bool)> = BTreeMap::new();
        for span in self.attendance.earlier().spans(self.oldest_ms) {
            let step = usize::try_from(span.interval_ms).unwrap_or(usize::MAX);
            for tick_ms in (span.first_ms..=span.last_ms).step_by(step) {
                ticks.insert(tick_ms, (span.interval_ms, false));
            }
        }
        for (tick_ms, (run, _)) in &self.ticks {
            let run = self.runs.iter().find(|rows| rows.run == *run);
            let interval_ms = run.map_or(1, |rows| rows.interval_ms.max(1));
            ticks.insert(*tick_ms, (interval_ms, true));
        }
        let pairs = ticks.iter().zip(ticks.iter().skip(1));
        let between = pairs.map(|((before, _), (tick, (interval_ms, _)))| {
            ((tick - before) / interval_ms).saturating_sub(1)
        });
        let told = ticks.values().filter(|(_, is_held)| !is_held);
        between.sum::<u64>() + told.count() as u64
    }

    fn expire(&mut self, oldest_ms: u64) -> u64 {
        self.oldest_ms = self.oldest_ms.max(oldest_ms);
        let mut dropped = 0;
        let is_old = |node: &Self| {
            let oldest = node.ticks.first_key_value();
            oldest.is_some_and(|(tick, _)| *tick < oldest_ms)
        };
        while is_old(self) {
            dropped += u64::from(self.drop_oldest());
        }
        dropped
    }

    fn expired_ms(&self) -> u64 {
        self.oldest_ms
    }

    fn oldest_row(&self) -> Option<(u64, u64)> {
        let run = self.attendance.run();
        let rows = &self.runs.iter().find(|r| Some(r.run) == run)?.rows;
        rows.iter().next().map(|(seq, held)| (*seq, held.tick_ms))
    }

    fn shorten(&mut self) -> Went {
        let oldest = self.oldest_tick().filter(|_| self.ticks.len() > 1);
        let gone = oldest.filter(|_| self.drop_oldest());
        gone.map_or_else(Went::default, |tick_ms| Went {
            rows: 1,
            before_ms: tick_ms.saturating_add(1),
        })
    }

    /// Forgets runs and names that no row uses any more.
    fn tidy(&mut self, _: u64) {
        if std::mem::take(&mut self.untidy) {
            self.all_may_go();
            let living = self.attendance.living();
            let is_live = |run: &Run| living.is_some_and(|open| open.run == *run);
            let last = living.and_then(|open| open.last.as_ref());
            self.runs.retain(|r| !r.rows.is_empty() || is_live(&r.run));
            for run in &mut self.runs {
                let last = last.filter(|_| is_live(&run.run));
                run.sweep(last.map(|last| &**last.row.entities()));
            }
        }
    }

    fn gone_mut(&mut self) -> &mut Gone {
        &mut self.gone
    }

    fn namespaces(&self) -> BTreeSet<&str> {
        let defs = self.runs.iter().flat_map(|run| run.defs.values());
        let pods = defs.filter(|def| def.kind == EntityKind::Pod);
        pods.map(|def| def.namespace.as_str()).collect()
    }

    fn has_pod(&self, pod: &PodName<'_>) -> bool {
        let mut defs = self.runs.iter().flat_map(|run| run.defs.values());
        defs.any(|def| {
            let of = PodName {
                namespace: &def.namespace,
                name: &def.name,
                uid: &def.uid,
            };
            def.kind == EntityKind::Pod && of == *pod
        })
    }

    /// What is held, dictionaries and the row that the next one refers to included.
    fn size(&self) -> Size {
        let names: usize = self
            .runs
            .iter()
            .map(|r| r.defs.len() + r.refused.len())
            .sum();
        let names = (names * NAME_BYTES) as u64;
        // It may be one that is not kept, so it counts on its own.
        let living = self.attendance.living();
        let last = living.and_then(|open| open.last.as_ref());
        let last = last.map_or(0, |last| last.row.bytes() as u64);
        Size {
            nodes: 1,
            bytes: self.size.bytes + names + last,
            ..self.size
        }
    }

    fn entities(&self, node: &Arc<str>, selector: &Selector<'_>, out: &mut Vec<Entity>) {
        self.list(node, selector, out);
    }

    fn recent(&self, namespace: Option<&str>, see: &mut SeeRecent<'_>) -> bool {
        self.show_recent(namespace, see);
        true
    }

    fn find(&self, paths: &[&EntityPath], ticks_ms: (u64, u64)) -> Self::Found {
        paths.iter().map(|path| self.rows(path, ticks_ms)).collect()
    }

    fn read_each(found: &[&Self::Found], field: Wanted, visit: &mut VisitEach<'_>) {
        for (which, found) in found.iter().enumerate() {
            read(found, field, |nth, rows| visit(which, nth, rows));
        }
    }

    fn read_fields(found: &Self::Found, fields: &[Wanted], visit: &mut VisitFields<'_>) {
        for (at, field) in fields.iter().enumerate() {
            read(found, *field, |nth, rows| visit(at, nth, rows));
        }
    }
}

/// Reads a field of one node.
fn read(
    found: &[Vec<EntityRow>],
    (field, (first, last)): Wanted,
    mut visit: impl FnMut(usize, &[RawRow]),
) {
    for (nth, rows) in found.iter().enumerate() {
        let rows = rows.iter().map(|row| row.raw(field));
        let rows = rows.filter(|row| (first..=last).contains(&row.tick_ms));
        let mut rows: Vec<RawRow> = rows.collect();
        // Nothing is before it.
        if let Some(row) = rows.first_mut() {
            row.interrupted = false;
        }
        visit(nth, &rows);
    }
}

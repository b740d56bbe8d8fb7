//! One node of the plain store: its session, its runs, its ticks.

mod listing;

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_proto::codec::chunk;
use cairn_proto::codec::row::{self, Timed};
use cairn_proto::limits;
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Run, Snapshot};

use super::run::{Held, RunRows, check_defined, check_rises};
use super::{Applied, Error, NodeState, Opening, Size, SourceState, WireRow};

/// Clock differences kept: enough to see past a few slow frames, few enough to follow a drift.
const OFFSETS: usize = 16;

/// Sources of one node that are remembered; agents have five.
const SOURCES: usize = 16;

/// What one name is counted as: its definition, its path and their places in three maps.
const NAME_BYTES: usize = 512;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keep {
    /// For how long.
    pub(super) window_ms: u64,
    /// Of one node at most.
    pub(super) node_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Node {
    session: Option<Open>,
    since_ms: u64,
    runs: Vec<RunRows>,
    // Invariant: exactly one entry for every row of every run.
    ticks: BTreeMap<u64, (Run, u64)>,
    arrived_ms: u64,
    interval_ms: u64,
    offsets: Vec<i64>,
    next_offset: usize,
    sources: BTreeMap<String, SourceState>,
    pub(super) gap_rows: u64,
    size: Size,
    // Rows that went for memory and were not told yet.
    shed_rows: u64,
    // Rows have gone since names were looked through.
    untidy: bool,
}

#[derive(Debug)]
struct Open {
    number: u64,
    run: Run,
    interval_ms: u64,
    last: Option<Last>,
}

/// The row that a session sent last.
#[derive(Clone, Debug)]
struct Last {
    seq: u64,
    tick_ms: u64,
    snapshot: Arc<Snapshot>,
}

impl Node {
    pub(super) fn session(&self) -> Option<u64> {
        self.session.as_ref().map(|open| open.number)
    }

    pub(super) fn open(&mut self, number: u64, opening: Opening) {
        if self.session.is_none() {
            self.since_ms = opening.now_ms;
        }
        let Opening {
            run, interval_ms, ..
        } = opening;
        self.session = Some(Open {
            number,
            run,
            interval_ms,
            last: None,
        });
        self.interval_ms = interval_ms;
        self.offsets.clear();
        self.next_offset = 0;
        self.note_offset(opening.sent_ms, opening.now_ms);
        // What an earlier life of the agent wrote while its clock was ahead hides the present.
        self.drop_after(opening.sent_ms.saturating_add(interval_ms));
        self.runs.retain(|r| !r.rows.is_empty() || r.run == run);
        if !self.runs.iter().any(|r| r.run == run) {
            self.runs.push(RunRows::new(run));
        }
    }

    pub(super) fn close(&mut self, now_ms: u64) {
        self.session = None;
        self.since_ms = now_ms;
    }

    fn current(&mut self) -> Result<&mut RunRows, Error> {
        let run = self
            .session
            .as_ref()
            .map(|open| open.run)
            .ok_or(Error::Fenced)?;
        self.runs
            .iter_mut()
            .find(|r| r.run == run)
            .ok_or(Error::Fenced)
    }

    pub(super) fn define(&mut self, def: EntityDef) -> Result<(), Error> {
        let run = self.current()?;
        let (id, entity) = (def.id, def.id.0);
        if !run.knows(id) && run.defs.len() + run.refused.len() >= limits::MAX_ENTITIES {
            return Err(Error::TooManyEntities { entity });
        }
        if run
            .defs
            .get(&id)
            .is_some_and(|old| !same_identity(old, &def))
        {
            return Err(Error::Redefined { entity });
        }
        if let Some(old) = run.path(id) {
            run.paths.remove(&old);
        }
        run.note(id);
        run.refused.remove(&id);
        run.defs.insert(id, Arc::new(def));
        match run.path(id) {
            Some(path) => {
                run.paths.insert(path, id);
            }
            None => {
                // A part of something unknown has no identity: its cells are skipped.
                run.defs.remove(&id);
                run.refused.insert(id);
            }
        }
        Ok(())
    }

    pub(super) fn refuse(&mut self, id: EntityId) -> Result<(), Error> {
        let run = self.current()?;
        if !run.knows(id) && run.defs.len() + run.refused.len() >= limits::MAX_ENTITIES {
            return Err(Error::TooManyEntities { entity: id.0 });
        }
        run.note(id);
        run.refused.insert(id);
        Ok(())
    }

    pub(super) fn append(&mut self, row: WireRow<'_>, keep: Keep) -> Result<Applied, Error> {
        let seq = row.seq;
        let open = self.session.as_ref().ok_or(Error::Fenced)?;
        let (interval_ms, last) = (open.interval_ms, open.last.clone());
        let last_seq = last.as_ref().map(|last| last.seq);
        let base = match row.base_seq {
            None => None,
            Some(base) if Some(base) == last_seq => last.as_ref(),
            Some(base) => {
                return Err(Error::Base {
                    seq,
                    base,
                    last: last_seq,
                });
            }
        };
        if !row.tick_ms.is_multiple_of(interval_ms.max(1)) || last_seq.is_some_and(|l| seq <= l) {
            return Err(Error::Tick { seq });
        }
        let base = base.map(|last| Timed {
            tick_ms: last.tick_ms,
            snapshot: &last.snapshot,
        });
        let snapshot = row::decode(base, row.tick_ms, row.payload)
            .map_err(|source| Error::Decode { seq, source })?;
        let run = self.current()?;
        check_defined(run, seq, &snapshot)?;
        check_rises(run, seq, row.tick_ms)?;
        let snapshot = Arc::new(snapshot);
        self.note_offset(row.sent_ms, row.now_ms);
        let applied = match self.judge(row.tick_ms, row.now_ms, keep) {
            Some(refused) => refused,
            None => self.insert(seq, row.tick_ms, Arc::clone(&snapshot), keep),
        };
        if let Some(open) = self.session.as_mut() {
            open.last = Some(Last {
                seq,
                tick_ms: row.tick_ms,
                snapshot,
            });
        }
        if !matches!(applied, Applied::TooOld | Applied::TooNew) {
            self.arrived_ms = row.now_ms;
        }
        Ok(applied)
    }

    /// Why a tick is not kept, judged by the node's own clock as measured; `None` when it is.
    fn judge(&self, tick_ms: u64, now_ms: u64, keep: Keep) -> Option<Applied> {
        let own_now = add(now_ms, self.offset_ms());
        if tick_ms > own_now.saturating_add(self.interval_ms) {
            Some(Applied::TooNew)
        } else if tick_ms.saturating_add(keep.window_ms) < own_now {
            Some(Applied::TooOld)
        } else {
            None
        }
    }

    /// Puts a row into the session's run, unless its seq or its tick is held.
    fn insert(&mut self, seq: u64, tick_ms: u64, snapshot: Arc<Snapshot>, keep: Keep) -> Applied {
        let newest = self.ticks.last_key_value().map(|(tick, _)| *tick);
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
        // A node that sends more than its share shortens its own window and nobody else's.
        while self.size.bytes > keep.node_bytes && self.shorten() {}
        if newest.is_some_and(|n| tick_ms < n) {
            Applied::Late
        } else {
            Applied::Applied
        }
    }

    pub(super) fn take(
        &mut self,
        block: u64,
        payload: &[u8],
        now_ms: u64,
        keep: Keep,
    ) -> Result<(u64, Option<u64>), Error> {
        let first = block.saturating_mul(limits::BLOCK_ROWS);
        let rows = chunk::decode(payload).map_err(|source| Error::Decode { seq: first, source })?;
        let interval_ms = self.interval_ms.max(1);
        let mut kept = Vec::new();
        for one in rows {
            let seq = first.saturating_add(one.offset);
            if !one.tick.is_multiple_of(interval_ms) {
                return Err(Error::Tick { seq });
            }
            // Names of rows that are too old to keep may be forgotten already.
            if self.judge(one.tick, now_ms, keep).is_none() {
                let run = self.current()?;
                check_defined(run, seq, &one.snapshot)?;
                check_rises(run, seq, one.tick)?;
                kept.push((seq, one));
            }
        }
        let (mut added, mut lowest) = (0, None);
        for (seq, one) in kept {
            let applied = self.insert(seq, one.tick, Arc::new(one.snapshot), keep);
            if matches!(applied, Applied::Applied | Applied::Late) {
                added += 1;
                lowest = Some(lowest.map_or(one.tick, |l: u64| l.min(one.tick)));
            }
        }
        Ok((added, lowest))
    }

    pub(super) fn missing(&mut self, offered: std::ops::Range<u64>, window_ms: u64) -> Vec<u64> {
        // One more than fit into the window, for the one that its border cuts.
        let wanted = window_ms / self.interval_ms.max(1) / limits::BLOCK_ROWS + 1;
        let Ok(run) = self.current() else {
            return Vec::new();
        };
        let full = |block: &u64| {
            let first = block.saturating_mul(limits::BLOCK_ROWS);
            let seqs = first..first.saturating_add(limits::BLOCK_ROWS);
            run.rows.range(seqs).count() as u64 == limits::BLOCK_ROWS
        };
        let oldest = offered.end.saturating_sub(wanted).max(offered.start);
        (oldest..offered.end)
            .rev()
            .filter(|block| !full(block))
            .collect()
    }

    pub(super) fn source(&mut self, state: SourceState) {
        if self.sources.len() < SOURCES || self.sources.contains_key(&state.name) {
            self.sources.insert(state.name.clone(), state);
        }
    }

    fn newest_tick(&self) -> Option<u64> {
        self.ticks.last_key_value().map(|(tick, _)| *tick)
    }

    fn note_offset(&mut self, sent_ms: u64, now_ms: u64) {
        let offset = difference(sent_ms, now_ms);
        match self.offsets.get_mut(self.next_offset) {
            Some(slot) => *slot = offset,
            None => self.offsets.push(offset),
        }
        self.next_offset = (self.next_offset + 1) % OFFSETS;
    }

    /// The node's clock minus ours. A delay makes a difference smaller, never larger.
    fn offset_ms(&self) -> i64 {
        self.offsets.iter().max().copied().unwrap_or(0)
    }

    pub(super) fn state(&self, name: &str) -> NodeState {
        NodeState {
            name: name.to_owned(),
            live: self.session.is_some(),
            since_ms: self.since_ms,
            newest_tick_ms: self.newest_tick(),
            arrived_ms: self.arrived_ms,
            interval_ms: self.interval_ms,
            offset_ms: self.offset_ms(),
            sources: self.sources.values().cloned().collect(),
            gap_rows: self.gap_rows,
        }
    }

    /// Drops rows outside of the window, by the node's own clock. Returns how many.
    pub(super) fn expire(&mut self, now_ms: u64, window_ms: u64) -> u64 {
        let own_now = add(now_ms, self.offset_ms());
        let oldest = own_now.saturating_sub(window_ms);
        let mut dropped = 0;
        while self
            .ticks
            .first_key_value()
            .is_some_and(|(tick, _)| *tick < oldest)
        {
            dropped += u64::from(self.drop_oldest());
        }
        dropped
    }

    /// Drops rows with later ticks than this. Returns how many.
    fn drop_after(&mut self, newest_ms: u64) -> u64 {
        let later = self.ticks.split_off(&newest_ms.saturating_add(1));
        for (run, seq) in later.values() {
            self.forget(*run, *seq);
        }
        later.len() as u64
    }

    /// Drops the oldest row but never the newest one. Returns whether it did.
    pub(super) fn shorten(&mut self) -> bool {
        let shortened = self.ticks.len() > 1 && self.drop_oldest();
        self.shed_rows += u64::from(shortened);
        shortened
    }

    /// How many rows went for memory since this was asked last.
    pub(super) fn take_shed(&mut self) -> u64 {
        std::mem::take(&mut self.shed_rows)
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

    /// Forgets runs and names that no row uses any more.
    pub(super) fn tidy(&mut self) {
        if std::mem::take(&mut self.untidy) {
            let open = self.session.as_ref();
            let is_live = |run: &Run| open.is_some_and(|open| open.run == *run);
            let last = open.and_then(|open| open.last.as_ref());
            self.runs.retain(|r| !r.rows.is_empty() || is_live(&r.run));
            for run in &mut self.runs {
                let last = last.filter(|_| is_live(&run.run));
                run.sweep(last.map(|last| &*last.snapshot));
            }
        }
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.session.is_none() && self.ticks.is_empty()
    }

    /// What is held, dictionaries and the row that the next one refers to included.
    pub(super) fn size(&self) -> Size {
        let names: usize = self
            .runs
            .iter()
            .map(|r| r.defs.len() + r.refused.len())
            .sum();
        let names = (names * NAME_BYTES) as u64;
        // It may be one that is not kept, so it counts on its own.
        let last = self.session.as_ref().and_then(|open| open.last.as_ref());
        let last = last.map_or(0, |last| last.snapshot.bytes() as u64);
        Size {
            nodes: 1,
            bytes: self.size.bytes + names + last,
            ..self.size
        }
    }
}

/// True when a definition of an id that is known says more of the same thing. Pods are what their
/// UID says; others what their name and their parent say.
fn same_identity(old: &EntityDef, new: &EntityDef) -> bool {
    old.kind == new.kind
        && if is_pod(old) {
            old.uid == new.uid
        } else {
            old.name == new.name && old.parent == new.parent
        }
}

fn is_pod(def: &EntityDef) -> bool {
    def.kind == EntityKind::Pod
}

fn add(time_ms: u64, offset_ms: i64) -> u64 {
    time_ms.saturating_add_signed(offset_ms)
}

/// Saturates: a clock that is off by more than can be said is off, not right.
fn difference(a_ms: u64, b_ms: u64) -> i64 {
    let apart_ms = i64::try_from(a_ms.abs_diff(b_ms)).unwrap_or(i64::MAX);
    if a_ms < b_ms { -apart_ms } else { apart_ms }
}

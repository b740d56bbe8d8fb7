//! How one node's rows are kept: what a store of nodes asks of each.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use cairn_proto::codec::chunk::Sealed;
use cairn_proto::model::{EntityDef, EntityId};

use super::super::attendance::{Attendance, Past};
use super::super::index::Gone;
use super::super::{
    Applied, Entity, EntityPath, Error, Opening, PodName, SeeRecent, Selector, Size, Ticks,
    VisitEach, VisitFields, Wanted, WireRow,
};

/// What a chunk brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// Rows that were not held.
    pub(in crate::store) rows: u64,
    /// The lowest tick of them.
    pub(in crate::store) lowest: Option<u64>,
}

impl Taken {
    /// Counts one more row.
    pub(in crate::store) fn add(&mut self, tick_ms: u64) {
        self.rows += 1;
        self.lowest = Some(self.lowest.map_or(tick_ms, |lowest| lowest.min(tick_ms)));
    }
}

/// What went of the oldest rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Went {
    /// How many.
    pub(in crate::store) rows: u64,
    /// All of them have earlier ticks than this, Unix ms.
    pub(in crate::store) before_ms: u64,
}

/// What a row may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// How long before the present its tick may lie, ms.
    pub(in crate::store) window_ms: u64,
    /// How many bytes it may have, decoded.
    pub(in crate::store) row_bytes: u64,
}

/// How one node's rows are kept. Called with the node's lock held, but for `read`.
pub trait Window: Default + Debug + Send + 'static {
    /// References to rows, to be read without the lock.
    type Found: Send;

    /// Who reports the node.
    fn attendance(&self) -> &Attendance;

    /// The same, to be changed.
    fn attendance_mut(&mut self) -> &mut Attendance;

    /// Begins a session, and its run if that is new. Returns how many rows went because they were
    /// written by a clock that was ahead of what it is now.
    fn open(&mut self, number: u64, opening: Opening, window_ms: u64) -> u64;

    /// See [`Door::define`]. A pod that is known may have another namespace now: the one that it had
    /// before is gone.
    fn define(&mut self, def: EntityDef) -> Result<(), Error>;

    /// See [`Door::refuse`].
    fn refuse(&mut self, id: EntityId) -> Result<(), Error>;

    /// True when no run has the thing that is defined: it is new to the window.
    fn is_new(&self, def: &EntityDef) -> bool;

    /// True when the session's run knows the id, with a name or without.
    fn knows(&self, id: EntityId) -> bool;

    /// See [`Door::append`].
    fn append(&mut self, row: &WireRow<'_>, bounds: Bounds) -> Result<Applied, Error>;

    /// See [`Door::take`].
    fn take(
        &mut self,
        block: u64,
        sealed: &Sealed,
        now_ms: u64,
        window_ms: u64,
    ) -> Result<Taken, Error>;

    /// How many rows of a block of the session's run are held.
    fn held(&mut self, block: u64) -> u64;

    /// The newest tick of all runs.
    fn newest_tick(&self) -> Option<u64>;

    /// What says which tick counts as the newest.
    fn ticks(&self) -> Ticks {
        Ticks {
            newest_tick_ms: self.newest_tick(),
            interval_ms: self.attendance().interval_ms(),
            offset_ms: self.attendance().offset_ms(),
        }
    }

    /// The oldest tick of all runs that has not expired.
    fn oldest_tick(&self) -> Option<u64>;

    /// See [`NodeState::gap_ticks`].
    fn gap_ticks(&self) -> u64;

    /// Drops rows with ticks before this one. Returns how many.
    fn expire(&mut self, oldest_ms: u64) -> u64;

    /// Forgets what it keeps for who asks again: before any row goes for want of room.
    fn forget_read(&mut self) {}

    /// Drops the least that it can of the oldest rows, but never the newest.
    fn shorten(&mut self) -> Went;

    /// The same, and takes note that what went for want of room is not missing, and does not come back. Not more than
    /// went: behind it rows may be missing that are still to come. Returns how many rows went.
    fn make_room(&mut self) -> u64 {
        let Went { rows, before_ms } = self.shorten();
        if rows > 0 {
            self.attendance_mut().let_go(before_ms);
        }
        rows
    }

    /// Rows with earlier ticks have expired, Unix ms.
    fn expired_ms(&self) -> u64;

    /// What is not taken in any more of a window of this length.
    fn past(&self, window_ms: u64) -> Past {
        Past {
            window_ms,
            before_ms: self.expired_ms().max(self.attendance().let_go_ms()),
        }
    }

    /// The oldest row that is held of the session's run: its seq and its tick.
    fn oldest_row(&self) -> Option<(u64, u64)>;

    /// The first seq of the session's run whose row may be one that was not let go. A run's ticks rise with its seqs,
    /// by an interval at least, so how far the oldest row is from what went says how many may lie between.
    fn first_seq(&self) -> u64 {
        let before_ms = self.attendance().let_go_ms();
        let oldest = self.oldest_row().filter(|_| before_ms > 0);
        oldest.map_or(0, |(seq, tick_ms)| {
            let between = tick_ms.saturating_sub(before_ms) / self.attendance().interval_ms();
            seq.saturating_sub(between)
        })
    }

    /// Forgets runs and names that no row uses any more, and puts rows together that are long
    /// written. The namespaces of the pods whose names go are gone.
    fn tidy(&mut self, window_ms: u64);

    /// The namespaces of pods that went, or have another one now, since this was last emptied.
    fn gone_mut(&mut self) -> &mut Gone;

    /// The namespaces of all pods that it knows.
    fn namespaces(&self) -> BTreeSet<&str>;

    /// See [`Door::has_pod`].
    fn has_pod(&self, pod: &PodName<'_>) -> bool;

    /// What is held, with everything that belongs to it.
    fn size(&self) -> Size;

    /// Adds what the selector admits, one entry an identity.
    fn entities(&self, node: &Arc<str>, selector: &Selector<'_>, out: &mut Vec<Entity>);

    /// See [`Door::recent`].
    fn recent(&self, namespace: Option<&str>, see: &mut SeeRecent<'_>) -> bool;

    /// Takes references to the rows of a range of ticks.
    fn find(&self, paths: &[&EntityPath], ticks_ms: (u64, u64)) -> Self::Found;

    /// The same of one field: only [`Window::read_each`] may be asked of what is found, and of this field in these
    /// ticks.
    fn find_field(&self, paths: &[&EntityPath], (_, ticks_ms): Wanted) -> Self::Found {
        self.find(paths, ticks_ms)
    }

    /// Reads a field in a range of ticks, within the one that was looked for, of several nodes. Shows the rows
    /// of each of the entities that were asked for, in their order, with the place of their node.
    fn read_each(found: &[&Self::Found], field: Wanted, visit: &mut VisitEach<'_>);

    /// The same of one node and several fields, the place of each shown with the rows.
    fn read_fields(found: &Self::Found, fields: &[Wanted], visit: &mut VisitFields<'_>);
}

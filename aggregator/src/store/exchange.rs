//! What aggregators hand each other of the window: block by block, of any run of a node.
//!
//! [`Exchange`] is all that replay may do with the window. What is taken in never ends a session,
//! never takes the place of a row that is held, and is judged like what an agent sends: by the
//! clock of the node as measured here, or as the other aggregator measured it where no agent has
//! reported the node. After an error the rows of the window are as before.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};

use cairn_proto::codec::chunk::Sealed;
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Run};

use super::arriving;
use super::attendance::{Attendance, Past};
use super::frame::{Store, Taken, Window, lock};
use super::{Door, Error};

/// What is held of one run of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRun {
    /// The run.
    pub run: Run,
    /// Distance of its ticks, ms.
    pub interval_ms: u64,
    /// Each block of which a row is held, rising, with a bit for each row of it.
    pub blocks: Vec<(u64, u16)>,
}

impl HeldRun {
    /// Takes note of a row; rows come in rising order.
    pub(super) fn add(&mut self, seq: u64) {
        let (block, bit) = (seq / BLOCK_ROWS, 1 << (seq % BLOCK_ROWS));
        match self.blocks.last_mut() {
            Some((last, rows)) if *last == block => *rows |= bit,
            _ => self.blocks.push((block, bit)),
        }
    }
}

/// An entity of a run, for somebody who may not know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// What it is.
    Def(EntityDef),
    /// It was refused: its cells are skipped.
    Refused(EntityId),
}

impl Named {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> EntityId {
        match self {
            Named::Def(def) => def.id,
            Named::Refused(id) => *id,
        }
    }
}

/// One block as another aggregator gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The entities that it uses, each behind what it is a part of.
    pub names: Vec<Named>,
    /// Its rows: the payload of a `Chunk`.
    pub payload: Vec<u8>,
}

/// One block as another aggregator gave it.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// The run that it is of.
    pub run: Run,
    /// Distance of the run's ticks, ms.
    pub interval_ms: u64,
    /// Which block.
    pub block: u64,
    /// The entities that it uses, as far as they were not named with an earlier block of the run;
    /// each behind what it is a part of.
    pub names: &'a [Named],
    /// Its rows: the payload of a `Chunk`.
    pub payload: &'a [u8],
    /// What the other aggregator knows of the node.
    pub known: Known,
    /// The aggregator's wall clock, Unix ms.
    pub now_ms: u64,
}

/// What another aggregator knows of a node beside its rows. It counts only where no agent has
/// reported the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The node's clock minus ours, ms.
    pub offset_ms: i64,
    /// When its newest row arrived, Unix ms.
    pub arrived_ms: u64,
}

impl Piece<'_> {
    /// The first seq of the block.
    pub(super) fn first_seq(&self) -> u64 {
        self.block.saturating_mul(BLOCK_ROWS)
    }

    /// Checks a row's place and tells whether it is to be kept: its tick lies in the window, as the
    /// node's own clock tells it, and behind what went.
    pub(super) fn keeps(
        &self,
        (offset, tick_ms): (u64, u64),
        attendance: &Attendance,
        past: Past,
    ) -> Result<bool, Error> {
        let interval_ms = self.interval_ms.max(1);
        if offset >= BLOCK_ROWS || !tick_ms.is_multiple_of(interval_ms) {
            let seq = self.first_seq().saturating_add(offset);
            return Err(Error::Tick { seq });
        }
        let own_now = attendance.own_or(self.now_ms, self.known.offset_ms);
        Ok(!past.has(tick_ms, own_now) && tick_ms <= own_now.saturating_add(interval_ms))
    }
}

/// Encodes the rows of a block that was copied; called without the node's lock.
pub(super) type Encode = Box<dyn FnOnce() -> Option<Vec<u8>> + Send>;

/// How one node's rows are handed on. Called with the node's lock held.
pub trait Blocks: Window {
    /// See [`Exchange::held_of`].
    fn outline(&self) -> Vec<HeldRun>;

    /// Names and rows of one block.
    fn copy(&self, run: Run, block: u64) -> Option<(Vec<Named>, Encode)>;

    /// See [`Exchange::restore`].
    ///
    /// # Errors
    ///
    /// As there.
    fn restore(
        &mut self,
        piece: &Piece<'_>,
        sealed: &Sealed,
        window_ms: u64,
    ) -> Result<Taken, Error>;
}

/// All that aggregators may do with each other's windows.
pub trait Exchange: Send + Sync + Debug {
    /// Names of the nodes of which rows are held, sorted, each with whether an agent reports it.
    fn held_nodes(&self) -> Vec<(String, bool)>;

    /// True while an agent reports the node.
    fn is_live(&self, node: &str) -> bool;

    /// What is held of a node, the run with the newest row first.
    fn held_of(&self, node: &str) -> Vec<HeldRun>;

    /// What is known of a node beside its rows; `None` when it is not known.
    fn known_of(&self, node: &str) -> Option<Known>;

    /// One block; `None` when nothing is held of it.
    fn chunk(&self, node: &str, run: Run, block: u64) -> Option<Copied>;

    /// Takes in a block of any run of a node, as far as its rows are in the window and no row of
    /// their tick is held. Returns how many rows are new.
    ///
    /// # Errors
    ///
    /// [`Error::Block`], [`Error::Decode`], [`Error::Tick`], [`Error::Undefined`],
    /// [`Error::Redefined`] and [`Error::TooManyEntities`].
    fn restore(&self, node: &str, piece: &Piece<'_>) -> Result<u64, Error>;
}

impl<N: Blocks> Exchange for Store<N> {
    fn held_nodes(&self) -> Vec<(String, bool)> {
        let states = self.nodes().into_iter();
        let held = states.filter(|state| state.newest_tick_ms.is_some());
        held.map(|state| (state.name.to_string(), state.live))
            .collect()
    }

    fn is_live(&self, node: &str) -> bool {
        let node = self.node(node);
        node.is_some_and(|node| lock(&node).attendance().session().is_some())
    }

    fn held_of(&self, node: &str) -> Vec<HeldRun> {
        let node = self.node(node);
        node.map_or_else(Vec::new, |node| lock(&node).outline())
    }

    fn known_of(&self, node: &str) -> Option<Known> {
        let found = self.node(node)?;
        let node_now = lock(&found);
        let state = node_now.attendance().state(node.into(), None);
        Some(Known {
            offset_ms: state.offset_ms,
            arrived_ms: state.arrived_ms,
        })
    }

    fn chunk(&self, node: &str, run: Run, block: u64) -> Option<Copied> {
        let node = self.node(node)?;
        let copied = lock(&node).copy(run, block);
        let (names, encode) = copied?;
        Some(Copied {
            names,
            payload: encode()?,
        })
    }

    fn restore(&self, node: &str, piece: &Piece<'_>) -> Result<u64, Error> {
        let sealed = arriving::seal(piece.block, piece.payload)?;
        if let Some((name, entry)) = self.selected(Some(node)).pop() {
            return self.restore_into(&name, &entry, piece, &sealed);
        }
        // A node that nobody has reported is there only once it has a row.
        let mut fresh = N::default();
        let window_ms = self.window_ms;
        let taken = self.bounded(&mut fresh, |n| n.restore(piece, &sealed, window_ms))?;
        if taken.rows == 0 {
            return Ok(0);
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let name: Arc<str> = node.into();
        if let Some(entry) = nodes.get(node).map(Arc::clone) {
            // It has come meanwhile.
            drop(nodes);
            self.uncount(&fresh);
            return self.restore_into(&name, &entry, piece, &sealed);
        }
        self.index_names(&name, &mut fresh, piece, taken);
        nodes.insert(name, Arc::new(Mutex::new(fresh)));
        drop(nodes);
        Ok(self.told(taken))
    }
}

impl<N: Blocks> Store<N> {
    /// Takes a block into a node that is there, without the map's lock: others do not wait for it. While
    /// it is held here no eviction forgets it.
    fn restore_into(
        &self,
        name: &Arc<str>,
        entry: &Mutex<N>,
        piece: &Piece<'_>,
        sealed: &Sealed,
    ) -> Result<u64, Error> {
        let window_ms = self.window_ms;
        let mut node = lock(entry);
        let taken = self.bounded(&mut node, |n| n.restore(piece, sealed, window_ms))?;
        self.index_names(name, &mut node, piece, taken);
        drop(node);
        Ok(self.told(taken))
    }

    /// Called with the node locked or not yet there, so that no sweep of its names comes in between.
    fn index_names(&self, name: &Arc<str>, node: &mut N, piece: &Piece<'_>, taken: Taken) {
        if taken.rows == 0 {
            return;
        }
        for named in piece.names {
            if let Named::Def(def) = named
                && def.kind == EntityKind::Pod
            {
                self.index.add(&def.namespace, name);
                // What the agent itself said of the pod stays, and may be another one.
                node.gone_mut().add(def.namespace.clone());
                self.unlist_many(name, node);
            }
        }
    }

    fn told(&self, taken: Taken) -> u64 {
        if let Some(lowest) = taken.lowest {
            self.changes.add(lowest);
        }
        taken.rows
    }
}

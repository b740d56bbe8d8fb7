//! The plain store: decoded rows behind one lock a node.
//!
//! Owned by the process; called by session tasks (writers, each for its own node) and by query
//! handlers. Bounds: nodes, by the identities that may open sessions; rows, by the window and the
//! budget; entity ids, by the protocol's limit. A reader holds a node's lock while it collects
//! references to rows, never while it computes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use cairn_proto::catalogue::FieldId;
use cairn_proto::model::{EntityDef, EntityId};
use tokio::sync::watch;

use super::node::{Keep, Node};
use super::{
    Applied, Door, Entity, Error, Evicted, NodeState, Opening, RawRow, Selector, Session, Size,
    SourceState, WireRow,
};

/// Changes remembered for [`Door::changed_since`]: at two rows a node and second, 5,000 nodes
/// fill it in half a second; a reader that is further behind starts over with the whole window.
const CHANGES: usize = 4096;

/// The part of the budget that one node may hold: enough for a cluster of few nodes, too little
/// for one of many to push the others out.
const NODE_SHARE: u64 = 8;

/// What a node may hold in any case: 15 minutes of 10 s rows of 250 pods.
const MIN_NODE_BYTES: u64 = 64 * 1024 * 1024;

/// Keeps decoded rows.
#[derive(Debug)]
pub struct PlainStore {
    keep: Keep,
    budget_bytes: u64,
    // What all rows are counted as, brought up to date with each write.
    bytes: AtomicU64,
    nodes: RwLock<BTreeMap<Arc<str>, Arc<Mutex<Node>>>>,
    changes: Mutex<Changes>,
    version: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Changes {
    sessions: u64,
    // Invariant: versions are consecutive, the last one is `version`'s value.
    recent: VecDeque<(u64, u64)>,
}

impl PlainStore {
    /// An empty store that keeps rows for so long, and no more than so many bytes of them; 0
    /// means no limit.
    #[must_use]
    pub fn new(window_ms: u64, budget_bytes: u64) -> Self {
        let budget_bytes = if budget_bytes == 0 {
            u64::MAX
        } else {
            budget_bytes
        };
        let node_bytes = (budget_bytes / NODE_SHARE).max(MIN_NODE_BYTES);
        Self {
            keep: Keep {
                window_ms,
                node_bytes,
            },
            budget_bytes,
            bytes: AtomicU64::new(0),
            nodes: RwLock::default(),
            changes: Mutex::default(),
            version: watch::Sender::new(0),
        }
    }

    fn node(&self, name: &str) -> Option<Arc<Mutex<Node>>> {
        self.nodes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .map(Arc::clone)
    }

    /// The nodes to look at, in order of their names.
    fn selected(&self, name: Option<&str>) -> Vec<(Arc<str>, Arc<Mutex<Node>>)> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        match name {
            Some(name) => nodes
                .get_key_value(name)
                .map(|(k, v)| (Arc::clone(k), Arc::clone(v)))
                .into_iter()
                .collect(),
            None => nodes
                .iter()
                .map(|(k, v)| (Arc::clone(k), Arc::clone(v)))
                .collect(),
        }
    }

    /// Runs `work` on the session's node, unless a newer session has taken it.
    fn write<T>(
        &self,
        session: &Session,
        work: impl FnOnce(&mut Node) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let node = self.node(&session.node).ok_or(Error::Fenced)?;
        let mut node = lock(&node);
        if node.session() != Some(session.number) {
            return Err(Error::Fenced);
        }
        let before = node.size().bytes;
        let result = self.counted(&mut node, work);
        // Over the budget between two evictions, the write that grew its node makes room.
        while self.bytes.load(Ordering::Relaxed) > self.budget_bytes
            && node.size().bytes > before
            && self.counted(&mut node, Node::shorten)
        {}
        result
    }

    /// Runs `work` on a node and keeps the sum of all bytes right.
    fn counted<T>(&self, node: &mut Node, work: impl FnOnce(&mut Node) -> T) -> T {
        let before = node.size().bytes;
        let result = work(node);
        let after = node.size().bytes;
        self.bytes
            .fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        result
    }

    fn changed(&self, tick_ms: u64) {
        let mut changes = lock(&self.changes);
        let version = *self.version.borrow() + 1;
        if changes.recent.len() == CHANGES {
            changes.recent.pop_front();
        }
        changes.recent.push_back((version, tick_ms));
        self.version.send_replace(version);
    }
}

impl Door for PlainStore {
    fn open(&self, node: &str, opening: Opening) -> Session {
        let number = {
            let mut changes = lock(&self.changes);
            changes.sessions += 1;
            changes.sessions
        };
        // Under the map's lock, so that no eviction takes the node away in between.
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let entry = nodes.entry(node.into()).or_default();
        self.counted(&mut lock(entry), |node| node.open(number, opening));
        drop(nodes);
        self.changed(u64::MAX);
        Session {
            node: node.to_owned(),
            number,
        }
    }

    fn close(&self, session: &Session, now_ms: u64) {
        let closed = self.write(session, |node| {
            node.close(now_ms);
            Ok(())
        });
        if closed.is_ok() {
            self.changed(u64::MAX);
        }
    }

    fn define(&self, session: &Session, def: EntityDef) -> Result<(), Error> {
        self.write(session, |node| node.define(def))
    }

    fn refuse(&self, session: &Session, entity: EntityId) -> Result<(), Error> {
        self.write(session, |node| node.refuse(entity))
    }

    fn append(&self, session: &Session, row: WireRow<'_>) -> Result<Applied, Error> {
        let applied = self.write(session, |node| node.append(row, self.keep))?;
        if matches!(applied, Applied::Applied | Applied::Late) {
            self.changed(row.tick_ms);
        }
        Ok(applied)
    }

    fn take(
        &self,
        session: &Session,
        block: u64,
        payload: &[u8],
        now_ms: u64,
    ) -> Result<u64, Error> {
        let (rows, lowest) =
            self.write(session, |node| node.take(block, payload, now_ms, self.keep))?;
        if let Some(lowest) = lowest {
            self.changed(lowest);
        }
        Ok(rows)
    }

    fn missing(&self, session: &Session, offered: std::ops::Range<u64>) -> Vec<u64> {
        let missing = self.write(session, |node| {
            Ok(node.missing(offered, self.keep.window_ms))
        });
        missing.unwrap_or_default()
    }

    fn gap(&self, session: &Session, rows: u64) {
        let counted = self.write(session, |node| {
            node.gap_rows = node.gap_rows.saturating_add(rows);
            Ok(())
        });
        drop(counted);
    }

    fn source(&self, session: &Session, state: SourceState) {
        let told = self.write(session, |node| {
            node.source(state);
            Ok(())
        });
        if told.is_ok() {
            self.changed(u64::MAX);
        }
    }

    fn nodes(&self) -> Vec<NodeState> {
        self.selected(None)
            .iter()
            .map(|(name, node)| lock(node).state(name))
            .collect()
    }

    fn entities(&self, selector: &Selector<'_>) -> Vec<Entity> {
        let mut found: Vec<Entity> = Vec::new();
        for (name, node) in self.selected(selector.node()) {
            lock(&node).entities(&name, selector, &mut found);
        }
        found.sort_by(|a, b| {
            (&a.namespace, &a.name, a.start_ms).cmp(&(&b.namespace, &b.name, b.start_ms))
        });
        found
    }

    fn read(&self, entity: &Entity, field: FieldId, ticks_ms: (u64, u64)) -> Vec<RawRow> {
        let Some(node) = self.node(&entity.node) else {
            return Vec::new();
        };
        let rows = lock(&node).rows(&entity.path, ticks_ms);
        rows.iter().map(|row| row.raw(field)).collect()
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn changed_since(&self, version: u64) -> Option<Option<u64>> {
        let changes = lock(&self.changes);
        match changes.recent.front() {
            Some((first, _)) if *first > version + 1 => None,
            _ => Some(
                changes
                    .recent
                    .iter()
                    .filter(|(v, tick)| *v > version && *tick != u64::MAX)
                    .map(|(_, tick)| *tick)
                    .min(),
            ),
        }
    }

    fn evict(&self, now_ms: u64) -> Evicted {
        let mut evicted = Evicted::default();
        let window_ms = self.keep.window_ms;
        for (_, node) in self.selected(None) {
            let expire = |node: &mut Node| node.expire(now_ms, window_ms);
            evicted.expired_rows += self.counted(&mut lock(&node), expire);
        }
        // Evenly: one oldest row of every node in turn, so that no window is shortened alone.
        while self.bytes.load(Ordering::Relaxed) > self.budget_bytes {
            let shorten = |node: &Mutex<Node>| self.counted(&mut lock(node), Node::shorten);
            let all = self.selected(None);
            if all.iter().filter(|(_, node)| shorten(node)).count() == 0 {
                break;
            }
        }
        for (_, node) in self.selected(None) {
            evicted.shortened_rows += lock(&node).take_shed();
        }
        evicted.over_budget =
            evicted.shortened_rows > 0 || self.bytes.load(Ordering::Relaxed) > self.budget_bytes;
        for (_, node) in self.selected(None) {
            self.counted(&mut lock(&node), Node::tidy);
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let before = nodes.len();
        nodes.retain(|_, node| {
            let node = lock(node);
            let forgotten = node.is_forgotten();
            if forgotten {
                self.bytes.fetch_sub(node.size().bytes, Ordering::Relaxed);
            }
            !forgotten
        });
        evicted.nodes = (before - nodes.len()) as u64;
        evicted
    }

    fn size(&self) -> Size {
        let mut size = Size::default();
        for (_, node) in self.selected(None) {
            size.add(lock(&node).size());
        }
        size
    }
}

/// A panic in another thread cannot leave a half-changed node: every change is made by moving
/// finished values in, so the lock's poison says nothing that matters.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

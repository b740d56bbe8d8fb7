//! What every store has in common: nodes behind a lock each. `changes` tells readers what changed,
//! `room` keeps what is held within its bounds, `states` says who reports.
//!
//! Owned by the process; called by session tasks (writers, each for its own node) and by query
//! handlers. Bounds: nodes, by the identities that may open sessions; rows, by the window and the
//! budget; entity ids, by the protocol's limit. A reader holds a node's lock while it collects
//! references to rows, never while it decodes or computes.

mod by_node;
mod changes;
mod room;
mod states;
mod window;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use cairn_proto::catalogue::FieldId;
use cairn_proto::limits;
use cairn_proto::model::{EarlierRun, EntityDef, EntityId, EntityKind};
use tokio::sync::watch;

use super::arriving;
use super::index::Index;
use super::{
    Applied, Defined, Door, Entity, Error, Evicted, NodeState, Opening, PodName, SeeRecent,
    Selector, Session, Size, SourceState, Visit, VisitFields, Wanted, WireRow,
};
use changes::Changes;
use room::Held;

pub(super) use window::{Bounds, Taken, Went, Window};

/// A store that keeps each node's rows as `N` does.
#[derive(Debug)]
pub struct Store<N> {
    pub(super) window_ms: u64,
    held: Held,
    sessions: AtomicU64,
    pub(super) nodes: RwLock<BTreeMap<Arc<str>, Arc<Mutex<N>>>>,
    pub(super) index: Index,
    pub(super) changes: Changes,
}

impl<N: Window> Store<N> {
    /// An empty store that keeps rows for so long, for a process that may hold so many bytes of them;
    /// 0 means no limit. Beyond the limit a write shortens its own node's window.
    #[must_use]
    pub fn new(window_ms: u64, limit_bytes: u64) -> Self {
        Self {
            window_ms,
            held: Held::new(limit_bytes),
            sessions: AtomicU64::new(0),
            nodes: RwLock::default(),
            index: Index::default(),
            changes: Changes::default(),
        }
    }

    /// The same, where a node may hold so many bytes in any case.
    #[must_use]
    pub fn with_node_budget(self, bytes: u64) -> Self {
        Self {
            held: self.held.with_node_budget(bytes),
            ..self
        }
    }

    pub(super) fn node(&self, name: &str) -> Option<Arc<Mutex<N>>> {
        self.nodes
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(name)
            .map(Arc::clone)
    }

    /// The nodes to look at, in order of their names.
    pub(super) fn selected(&self, name: Option<&str>) -> Vec<(Arc<str>, Arc<Mutex<N>>)> {
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
}

impl<N: Window> Door for Store<N> {
    fn open(&self, node: &str, opening: Opening) -> Session {
        let number = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        let begin = |node: &mut N| node.open(number, opening, self.window_ms);
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        let gone = match nodes.get(node).map(Arc::clone) {
            // A node may be long at work: it is waited for without the map's lock, which all others
            // need. While it is held here no eviction forgets it.
            Some(entry) => {
                drop(nodes);
                self.held.counted(&mut *lock(&entry), begin)
            }
            None => {
                let mut fresh = N::default();
                let gone = self.held.counted(&mut fresh, begin);
                nodes.insert(node.into(), Arc::new(Mutex::new(fresh)));
                drop(nodes);
                gone
            }
        };
        self.held.clock_set_back(gone);
        self.changes.add(u64::MAX);
        Session {
            node: node.to_owned(),
            number,
        }
    }

    fn close(&self, session: &Session, now_ms: u64) {
        let closed = self.write(session, |node| {
            node.attendance_mut().close(now_ms);
            Ok(())
        });
        if closed.is_ok() {
            self.changes.add(u64::MAX);
        }
    }

    fn define(&self, session: &Session, def: EntityDef) -> Result<Defined, Error> {
        let namespace = (def.kind == EntityKind::Pod).then(|| def.namespace.clone());
        self.write(session, |node| {
            let is_new = node.is_new(&def);
            if is_new && node.attendance().is_full() {
                node.refuse(def.id)?;
                node.attendance_mut().refused_entity();
                self.held.refused_entity();
                return Ok(Defined::Refused);
            }
            node.define(def)?;
            // With the node locked, so that no sweep of its names comes in between.
            if let Some(namespace) = namespace {
                self.index.add(&namespace, &session.node.as_str().into());
                self.unlist_many(&session.node, node);
            }
            Ok(if is_new { Defined::New } else { Defined::Known })
        })
    }

    fn refuse(&self, session: &Session, entity: EntityId) -> Result<Defined, Error> {
        self.write(session, |node| {
            let is_known = node.knows(entity);
            node.refuse(entity)?;
            Ok(if is_known {
                Defined::Known
            } else {
                Defined::New
            })
        })
    }

    fn append(&self, session: &Session, row: WireRow<'_>) -> Result<Applied, Error> {
        let bounds = Bounds {
            window_ms: self.window_ms,
            row_bytes: self.held.shares.row_bytes(),
        };
        let applied = self.write(session, |node| node.append(&row, bounds))?;
        if matches!(applied, Applied::Applied | Applied::Late) {
            self.changes.add(row.tick_ms);
        }
        Ok(applied)
    }

    fn row_bytes(&self, session: &Session) -> u64 {
        let node = self.node(&session.node);
        node.map_or(0, |node| lock(&node).attendance().row_bytes())
    }

    fn take(
        &self,
        session: &Session,
        block: u64,
        payload: &[u8],
        now_ms: u64,
    ) -> Result<u64, Error> {
        let window_ms = self.window_ms;
        let sealed = arriving::seal(block, payload)?;
        let taken = self.write(session, |node| node.take(block, &sealed, now_ms, window_ms))?;
        if let Some(lowest) = taken.lowest {
            self.changes.add(lowest);
        }
        Ok(taken.rows)
    }

    fn missing(&self, session: &Session, offered: std::ops::Range<u64>) -> Vec<u64> {
        let missing = self.write(session, |node| {
            let rows = self.window_ms / node.attendance().interval_ms();
            // One more than fit into the window, for the one that its border cuts.
            let wanted = rows / limits::BLOCK_ROWS + 1;
            let oldest = offered.end.saturating_sub(wanted).max(offered.start);
            let blocks = (oldest..offered.end).rev();
            let first_seq = node.first_seq();
            let lacks = |block: &u64| {
                let let_go = first_seq.saturating_sub(block.saturating_mul(limits::BLOCK_ROWS));
                node.held(*block).saturating_add(let_go) < limits::BLOCK_ROWS
            };
            Ok(blocks.filter(lacks).collect())
        });
        missing.unwrap_or_default()
    }

    fn first_block(&self, session: &Session) -> u64 {
        let node = self.node(&session.node);
        node.map_or(0, |node| {
            let node = lock(&node);
            // Of another session nothing is known.
            let is_own = node.attendance().session() == Some(session.number);
            if is_own {
                node.first_seq() / limits::BLOCK_ROWS
            } else {
                0
            }
        })
    }

    fn gap(&self, session: &Session, rows: u64) {
        let counted = self.write(session, |node| {
            node.attendance_mut().gap(rows);
            Ok(())
        });
        drop(counted);
    }

    fn dropped(&self, session: &Session, rows: u64) -> u64 {
        let counted = self.write(session, |node| Ok(node.attendance_mut().dropped(rows)));
        counted.unwrap_or(0)
    }

    fn earlier(&self, session: &Session, runs: &[EarlierRun], now_ms: u64) -> u64 {
        let window_ms = self.window_ms;
        let heard = self.write(session, |node| {
            Ok(node.attendance_mut().hear_earlier(runs, now_ms, window_ms))
        });
        if heard.is_ok() {
            // The page shows a node's gap.
            self.changes.add(u64::MAX);
        }
        heard.unwrap_or(0)
    }

    fn source(&self, session: &Session, state: SourceState) {
        let told = self.write(session, |node| {
            node.attendance_mut().source(state);
            Ok(())
        });
        if told.is_ok() {
            self.changes.add(u64::MAX);
        }
    }

    fn nodes(&self) -> Vec<NodeState> {
        self.states()
    }

    fn node_state(&self, node: &str) -> Option<NodeState> {
        self.state(node)
    }

    fn states_of(&self, nodes: &[&str]) -> Vec<Option<NodeState>> {
        self.some_states(nodes)
    }

    fn any_node(&self, is_it: &mut dyn FnMut(&NodeState) -> bool) -> bool {
        self.has_node(is_it)
    }

    fn namespaces(&self) -> Vec<Arc<str>> {
        self.index.namespaces()
    }

    fn has_pod(&self, node: &str, pod: &PodName<'_>) -> bool {
        let mut found = self.selected(Some(node)).into_iter();
        found.any(|(_, node)| lock(&node).has_pod(pod))
    }

    fn entities(&self, selector: &Selector<'_>) -> Vec<Entity> {
        let mut found: Vec<Entity> = Vec::new();
        let nodes = match selector.namespace() {
            None => self.selected(selector.node()),
            Some(namespace) => {
                let names = self.index.nodes(namespace);
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                self.named(&names).into_iter().flatten().collect()
            }
        };
        for (name, node) in nodes {
            lock(&node).entities(&name, selector, &mut found);
        }
        found.sort_by(|a, b| {
            // Nearly always told once for all of them.
            let by_namespace = if Arc::ptr_eq(&a.namespace, &b.namespace) {
                std::cmp::Ordering::Equal
            } else {
                a.namespace.cmp(&b.namespace)
            };
            by_namespace.then_with(|| (&a.name, a.start_ms).cmp(&(&b.name, b.start_ms)))
        });
        found
    }

    fn visit(
        &self,
        entities: &[&Entity],
        field: FieldId,
        ticks_ms: (u64, u64),
        visit: &mut Visit<'_>,
    ) {
        self.visit_together(entities, (field, ticks_ms), visit);
    }

    fn visit_fields(&self, entities: &[&Entity], fields: &[Wanted], visit: &mut VisitFields<'_>) {
        let first = fields.iter().map(|(_, (first, _))| *first).min();
        let last = fields.iter().map(|(_, (_, last))| *last).max();
        let Some(ticks_ms) = first.zip(last) else {
            return;
        };
        self.by_node(entities, ticks_ms, |places, found| match found {
            Some(found) => N::read_fields(found, fields, &mut |field, nth, rows| {
                if let Some(at) = places.get(nth) {
                    visit(field, *at, rows);
                }
            }),
            None => {
                for field in 0..fields.len() {
                    places.iter().for_each(|at| visit(field, *at, &[]));
                }
            }
        });
    }

    fn recent(&self, node: &str, namespace: Option<&str>, see: &mut SeeRecent<'_>) -> bool {
        let node = self.node(node);
        node.is_none_or(|node| lock(&node).recent(namespace, see))
    }

    fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn changed_since(&self, version: u64) -> Option<Option<u64>> {
        self.changes.since(version)
    }

    fn evict(&self, now_ms: u64) -> Evicted {
        self.drop_old(now_ms)
    }

    fn shorten(&self, to_bytes: u64) -> u64 {
        self.shorten_all(to_bytes)
    }

    fn bytes(&self) -> u64 {
        self.held.bytes()
    }

    fn share(&self) -> u64 {
        self.held.shares.bytes()
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
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

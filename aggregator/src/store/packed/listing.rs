//! What a reader finds on one node: its entities, and when each was there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use cairn_proto::catalogue::table;
use cairn_proto::model::{EntityId, EntityKind};

use super::block::{Block, Rows};
use super::node::Node;
use super::reading;
use super::run::RunRows;
use crate::store::entity::Within;
use crate::store::{Entity, EntityPath, Selector};

/// First and last tick at which an entity was there.
type Seen = HashMap<EntityId, (u64, u64)>;

impl Node {
    /// Adds what the selector admits, one entry an identity.
    pub(super) fn list(&self, node: &Arc<str>, selector: &Selector<'_>, out: &mut Vec<Entity>) {
        let mut found: BTreeMap<EntityPath, Entity> = BTreeMap::new();
        let newest = self.newest();
        for run in &self.runs {
            let admitted: Vec<EntityId> = run
                .names
                .ids()
                .filter(|id| admits(run, *id, selector))
                .collect();
            if admitted.is_empty() {
                continue;
            }
            let seen = seen(run);
            let there = admitted
                .into_iter()
                .filter_map(|id| Some((id, *seen.get(&id)?)));
            let there: Vec<(EntityId, (u64, u64))> = there.collect();
            let starts = self.starts(run, &there);
            for ((id, (first_ms, last_ms)), start_ms) in there.into_iter().zip(starts) {
                let Some(path) = run.names.path(id) else {
                    continue;
                };
                let entity = found
                    .entry(path.clone())
                    .or_insert_with(|| named(run, node, path, id));
                // A later run may have been told more of it.
                entity.labels = run.names.labels(id).into();
                entity.start_ms = entity.start_ms.max(start_ms.unwrap_or(first_ms));
                entity.first_tick_ms = entity.first_tick_ms.min(first_ms);
                entity.last_tick_ms = entity.last_tick_ms.max(last_ms);
                entity.alive = Some(entity.last_tick_ms) == newest;
            }
        }
        out.extend(found.into_values());
    }

    /// When each life began, as its last row says.
    fn starts(&self, run: &RunRows, there: &[(EntityId, (u64, u64))]) -> Vec<Option<u64>> {
        let mut starts = vec![None; there.len()];
        let mut by_tick: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (nth, (_, (_, last_ms))) in there.iter().enumerate() {
            by_tick.entry(*last_ms).or_default().push(nth);
        }
        for (tick_ms, places) in by_tick {
            let ids = places.iter().filter_map(|nth| Some(there.get(*nth)?.0));
            let ids: Vec<EntityId> = ids.collect();
            let rows = reading::last_rows(run, &ids, tick_ms, table::CPU);
            for (nth, row) in places.into_iter().zip(rows) {
                if let Some(slot) = starts.get_mut(nth) {
                    *slot = row.and_then(|row| row.began).map(|(_, start_ms)| start_ms);
                }
            }
        }
        starts
    }
}

/// When the entities of a run were there, in rows that have not expired.
fn seen(run: &RunRows) -> Seen {
    let mut seen = Seen::new();
    for block in &run.blocks {
        let visible: u64 = run
            .visible(block)
            .fold(0, |mask, row| mask | 1 << row.offset);
        let ticks: Vec<(u64, u64)> = block.times.iter().map(|m| (m.offset, m.tick_ms)).collect();
        let mut see = |id: EntityId, mask: u64| {
            // Bits of a mask are the rows that there are, one after the other.
            let there = ticks.iter().enumerate();
            let there = there
                .filter(|(nth, (offset, _))| mask >> nth & 1 == 1 && visible >> offset & 1 == 1);
            let mut there = there.map(|(_, (_, tick_ms))| *tick_ms);
            if let Some(first) = there.next() {
                let last = there.next_back().unwrap_or(first);
                let span = seen.entry(id).or_insert((first, last));
                span.1 = last;
            }
        };
        each(block, &mut see);
    }
    seen
}

/// Tells in which rows of a block each entity is.
fn each(block: &Block, see: &mut impl FnMut(EntityId, u64)) {
    match &block.rows {
        Rows::Sealed(sealed) => {
            let head = sealed.head();
            for (id, mask) in head.entities.iter().zip(&head.there) {
                see(*id, *mask);
            }
        }
        Rows::Open(open) => {
            for (nth, row) in open.rows.iter().enumerate() {
                let before = nth.checked_sub(1).and_then(|before| open.rows.get(before));
                let same = before.is_some_and(|b| Arc::ptr_eq(&b.entities, &row.entities));
                if same {
                    continue;
                }
                // The same list goes on for as many rows.
                let rest = open.rows.iter().skip(nth);
                let run = rest
                    .take_while(|r| Arc::ptr_eq(&r.entities, &row.entities))
                    .count();
                let mask = ((1_u64 << run) - 1) << nth;
                row.entities.iter().for_each(|id| see(*id, mask));
            }
        }
    }
}

/// True when the selector admits the entity. What it is in is looked up only for the kinds that it
/// can mean.
fn admits(run: &RunRows, id: EntityId, selector: &Selector<'_>) -> bool {
    let names = &run.names;
    let Some(face) = names.face(id).filter(|face| selector.means(face.kind)) else {
        return false;
    };
    let parent = names.parent(id).and_then(|parent| names.face(parent));
    let pod = names.enclosing(id, EntityKind::Pod);
    let pod = pod.and_then(|pod| names.face(pod));
    selector.admits(face, Within { parent, pod })
}

/// An entity of which only the names are known.
fn named(run: &RunRows, node: &Arc<str>, path: EntityPath, id: EntityId) -> Entity {
    let names = &run.names;
    let face = names.face(id);
    let kind = face.map_or(EntityKind::Node, |face| face.kind);
    let within = |kind| {
        let own = face.filter(|face| face.kind == kind);
        own.or_else(|| names.enclosing(id, kind).and_then(|of| names.face(of)))
    };
    let (pod, container) = (within(EntityKind::Pod), within(EntityKind::Container));
    let is_pod = kind == EntityKind::Pod;
    Entity {
        node: Arc::clone(node),
        path,
        kind,
        namespace: pod.map_or("", |pod| pod.namespace).into(),
        pod: pod.filter(|_| !is_pod).map_or("", |pod| pod.name).into(),
        pod_uid: pod.map_or("", |pod| pod.uid).into(),
        container: container
            .filter(|_| kind != EntityKind::Container)
            .map_or("", |c| c.name)
            .into(),
        name: face.map_or("", |face| face.name).into(),
        labels: Arc::default(),
        start_ms: 0,
        first_tick_ms: u64::MAX,
        last_tick_ms: 0,
        alive: false,
    }
}

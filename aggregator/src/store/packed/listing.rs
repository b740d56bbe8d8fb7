//! What a reader finds on one node: its entities, and when each was there.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_proto::catalogue::table;
use cairn_proto::codec::chunk::MAX_ROWS;
use cairn_proto::model::{EntityId, EntityKind};

use super::block::{Block, OpenRow, Rows};
use super::lately::NamedPod;
use super::node::Node;
use super::reading;
use super::run::RunRows;
use crate::store::entity::{Face, Within};
use crate::store::{Entity, EntityPath, Selector};

/// So many pods of a namespace are found one by one: of more the names would not be kept.
const FEW_PODS: usize = 3;

/// First and last tick at which an entity was there.
type Span = (u64, u64);

impl Node {
    /// Adds what the selector admits, one entry an identity.
    pub(super) fn list(&self, node: &Arc<str>, selector: &Selector<'_>, out: &mut Vec<Entity>) {
        if let (Selector::Namespace(namespace), [run]) = (selector, self.runs.as_slice())
            && let Some(pods) = self.few_pods(run, (node, namespace))
        {
            self.list_pods((run, namespace), &pods, out);
            return;
        }
        let from = out.len();
        let newest = self.newest();
        for run in &self.runs {
            let admitted = admitted(run, selector);
            if admitted.is_empty() {
                continue;
            }
            let there = seen(run, &admitted);
            let starts = self.starts(run, &there);
            // Those of earlier runs, by their paths.
            let known = out.len();
            for ((id, (first_ms, last_ms)), start_ms) in there.into_iter().zip(starts) {
                let Some(path) = run.names.path(id) else {
                    continue;
                };
                let earlier = out.get(from..known).unwrap_or_default();
                let at = match earlier.binary_search_by(|entity| entity.path.cmp(&path)) {
                    Ok(at) => from + at,
                    Err(_) => {
                        let entity = named(run, node, (path, id), out.last());
                        out.push(entity);
                        out.len() - 1
                    }
                };
                let Some(entity) = out.get_mut(at) else {
                    continue;
                };
                // A later run may have been told more of it.
                let labels = run.names.labels(id);
                entity.labels = if labels.is_empty() {
                    Arc::default()
                } else {
                    labels.into()
                };
                entity.start_ms = entity.start_ms.max(start_ms.unwrap_or(first_ms));
                entity.first_tick_ms = entity.first_tick_ms.min(first_ms);
                entity.last_tick_ms = entity.last_tick_ms.max(last_ms);
                entity.alive = Some(entity.last_tick_ms) == newest;
            }
            if let Some(own) = out.get_mut(from..) {
                own.sort_by(|a, b| a.path.cmp(&b.path));
            }
            one_an_identity(out, from);
        }
    }

    /// The names of the pods of a namespace, of the only run that there is, unless they are many: at hand if they were
    /// asked for lately.
    fn few_pods(&self, run: &RunRows, of: (&Arc<str>, &str)) -> Option<Arc<[NamedPod]>> {
        if let Some(known) = self.lately.names(of.1) {
            return Some(known);
        }
        let ids = run.names.pods_of(of.1);
        let named = (ids.len() <= FEW_PODS).then(|| named_pods(run, &ids, of.0))?;
        self.lately.name(of.1, &named);
        Some(named)
    }

    /// Adds the pods of a namespace that these are, of the only run that there is.
    fn list_pods(
        &self,
        (run, namespace): (&RunRows, &str),
        named: &[NamedPod],
        out: &mut Vec<Entity>,
    ) {
        let (from, newest) = (out.len(), self.newest());
        let ids: Vec<EntityId> = named.iter().map(|(id, _)| *id).collect();
        let there = seen(run, &ids);
        let starts = self.starts(run, &there);
        let mut pods = named.iter();
        for ((id, (first_ms, last_ms)), start_ms) in there.into_iter().zip(starts) {
            // Both rise.
            let Some((_, pod)) = pods.find(|(own, _)| *own == id) else {
                break;
            };
            let before = out.last().map(|before| &before.namespace);
            let same = before.filter(|before| ***before == *namespace);
            let namespace = same.map_or_else(|| namespace.into(), Arc::clone);
            out.push(Entity {
                namespace,
                start_ms: start_ms.unwrap_or(first_ms),
                first_tick_ms: first_ms,
                last_tick_ms: last_ms,
                alive: Some(last_ms) == newest,
                ..pod.clone()
            });
        }
        if let Some(own) = out.get_mut(from..) {
            own.sort_by(|a, b| a.path.cmp(&b.path));
        }
        one_an_identity(out, from);
    }

    /// When each life began, as its last row says.
    fn starts(&self, run: &RunRows, there: &[(EntityId, Span)]) -> Vec<Option<u64>> {
        let mut starts = vec![None; there.len()];
        let mut by_tick: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (nth, ((id, (_, last_ms)), slot)) in there.iter().zip(&mut starts).enumerate() {
            match reading::began_in_tail(run, *id, *last_ms) {
                Some(began) => *slot = began,
                None => by_tick.entry(*last_ms).or_default().push(nth),
            }
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

/// Pods of a namespace, rising by id, without what they have in common and what rows say.
fn named_pods(run: &RunRows, ids: &[EntityId], node: &Arc<str>) -> Arc<[NamedPod]> {
    let named = ids.iter().filter_map(|id| {
        let id = *id;
        let path = run.names.path(id)?;
        let labels = run.names.labels(id);
        let mut pod = named(run, node, (path, id), None);
        pod.namespace = Arc::default();
        if !labels.is_empty() {
            pod.labels = labels.into();
        }
        Some((id, pod))
    });
    named.collect()
}

/// When these entities were there, in rows that have not expired; without those that never were.
fn seen(run: &RunRows, ids: &[EntityId]) -> Vec<(EntityId, Span)> {
    let first = ends(run, run.blocks.iter(), ids, |moments, mask| {
        moments
            .iter()
            .enumerate()
            .find_map(|(nth, tick_ms)| tick_ms.filter(|_| mask >> nth & 1 == 1))
    });
    let last = ends(run, run.blocks.iter().rev(), ids, |moments, mask| {
        let moments = moments.iter().enumerate().rev();
        moments
            .filter(|(nth, _)| mask >> nth & 1 == 1)
            .find_map(|(_, tick_ms)| *tick_ms)
    });
    let spans = first
        .into_iter()
        .zip(last)
        .map(|(first, last)| first.zip(last));
    let there = ids.iter().zip(spans);
    there.filter_map(|(id, span)| Some((*id, span?))).collect()
}

/// Of each entity what `end` finds in the first block that has it. Nearly all are in the block that
/// is looked at first.
fn ends<'a>(
    run: &'a RunRows,
    blocks: impl Iterator<Item = &'a Block>,
    ids: &[EntityId],
    end: impl Fn(&[Option<u64>], u64) -> Option<u64>,
) -> Vec<Option<u64>> {
    let mut found = vec![None; ids.len()];
    let mut left: Vec<usize> = (0..ids.len()).collect();
    let mut moments: Vec<Option<u64>> = Vec::with_capacity(MAX_ROWS);
    for block in blocks {
        if left.is_empty() {
            break;
        }
        let oldest_ms = run.oldest_ms();
        // The rows that there are; without a tick those that have expired.
        let rows = block.times.iter();
        moments.clear();
        moments.extend(rows.map(|row| Some(row.tick_ms).filter(|tick_ms| *tick_ms >= oldest_ms)));
        let masks = masks(block, ids, &left);
        let mut unseen = Vec::new();
        for (nth, mask) in left.into_iter().zip(masks) {
            match (end(&moments, mask), found.get_mut(nth)) {
                (Some(tick_ms), Some(slot)) => *slot = Some(tick_ms),
                _ => unseen.push(nth),
            }
        }
        left = unseen;
    }
    found
}

/// In which rows of a block each of these is.
fn masks(block: &Block, ids: &[EntityId], of: &[usize]) -> Vec<u64> {
    let wanted = of.iter().map(|nth| ids.get(*nth).copied());
    match (&block.rows, of) {
        (Rows::Sealed(sealed), [one]) => {
            let alone = sealed.alone(ids.get(*one).copied(), &mut Vec::with_capacity(MAX_ROWS));
            vec![alone.map_or(0, |alone| alone.mask)]
        }
        (Rows::Sealed(sealed), _) => {
            let glance = sealed.glance(&wanted.collect::<Vec<_>>());
            let there = glance.asked.into_iter();
            there
                .map(|asked| asked.map_or(0, |(_, mask)| mask))
                .collect()
        }
        (Rows::Open(open), _) => {
            let lists = lists(&open.rows);
            let is_in = |list: &[EntityId], id: Option<EntityId>| {
                id.is_some_and(|id| list.binary_search(&id).is_ok())
            };
            wanted
                .map(|id| {
                    let there = lists.iter().filter(|(list, _)| is_in(list, id));
                    there.fold(0, |mask, (_, rows)| mask | rows)
                })
                .collect()
        }
    }
}

/// The lists of entities of open rows, each with the rows that share it.
fn lists(rows: &[OpenRow]) -> Vec<(&[EntityId], u64)> {
    let mut lists: Vec<(&Arc<[EntityId]>, u64)> = Vec::new();
    for (nth, row) in rows.iter().enumerate() {
        match lists.last_mut() {
            Some((list, mask)) if Arc::ptr_eq(list, &row.entities) => *mask |= 1 << nth,
            _ => lists.push((&row.entities, 1 << nth)),
        }
    }
    lists
        .into_iter()
        .map(|(list, mask)| (&**list, mask))
        .collect()
}

/// What the selector admits, rising by id.
fn admitted(run: &RunRows, selector: &Selector<'_>) -> Vec<EntityId> {
    if let Selector::Namespace(namespace) = selector {
        // A node has one or two pods of a namespace, and thirty of others.
        return run.names.pods_of(namespace);
    }
    let all = run.names.faces(|kind| selector.means(kind));
    let admitted = all.filter(|(id, face)| admits(run, (*id, *face), selector));
    admitted.map(|(id, _)| id).collect()
}

/// True when the selector admits the entity, of a kind that it can mean. What it is in is looked up only
/// where that matters.
fn admits(run: &RunRows, (id, face): (EntityId, Face<'_>), selector: &Selector<'_>) -> bool {
    let names = &run.names;
    if face.kind == EntityKind::Pod {
        return selector.admits(face, Within::default());
    }
    let parent = names.parent(id).and_then(|parent| names.face(parent));
    let pod = names.enclosing(id, EntityKind::Pod);
    let pod = pod.and_then(|pod| names.face(pod));
    selector.admits(face, Within { parent, pod })
}

/// Puts those of one path behind `from`, which stand together, into one: a run may have named a thing by a
/// second id. The later says what it is like.
fn one_an_identity(out: &mut Vec<Entity>, from: usize) {
    let mut own = out.split_off(from);
    own.dedup_by(|later, entity| {
        let is_one = later.path == entity.path;
        if is_one {
            entity.labels = Arc::clone(&later.labels);
            entity.start_ms = entity.start_ms.max(later.start_ms);
            entity.first_tick_ms = entity.first_tick_ms.min(later.first_tick_ms);
            entity.last_tick_ms = entity.last_tick_ms.max(later.last_tick_ms);
            entity.alive |= later.alive;
        }
        is_one
    });
    out.append(&mut own);
}

/// An entity of which only the names are known. What it has in common with the one before it is told once.
fn named(
    run: &RunRows,
    node: &Arc<str>,
    (path, id): (EntityPath, EntityId),
    before: Option<&Entity>,
) -> Entity {
    let names = &run.names;
    let face = names.face(id);
    let kind = face.map_or(EntityKind::Node, |face| face.kind);
    let within = |of| {
        if kind == of {
            Some(id)
        } else {
            names.enclosing(id, of)
        }
    };
    let pod_id = within(EntityKind::Pod);
    let pod = pod_id.and_then(|of| names.face(of));
    let container = within(EntityKind::Container).and_then(|of| names.face(of));
    let is_pod = kind == EntityKind::Pod;
    let namespace = pod.map_or("", |pod| pod.namespace);
    let same = before.filter(|before| &*before.namespace == namespace);
    let pod_uid = match &path {
        EntityPath::Pod(uid) => Arc::clone(uid),
        _ => pod_id.map_or_else(Arc::default, |of| names.uid(of)),
    };
    let text = |of: Option<Face<'_>>| -> Arc<str> {
        of.map_or_else(Arc::default, |of| of.name.with(|name| name.into()))
    };
    Entity {
        node: Arc::clone(node),
        path,
        kind,
        namespace: same.map_or_else(|| namespace.into(), |before| Arc::clone(&before.namespace)),
        pod: text(pod.filter(|_| !is_pod)),
        pod_uid,
        container: text(container.filter(|_| kind != EntityKind::Container)),
        name: text(face),
        labels: Arc::default(),
        start_ms: 0,
        first_tick_ms: u64::MAX,
        last_tick_ms: 0,
        alive: false,
    }
}

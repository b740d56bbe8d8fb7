//! What a reader finds on one node of the plain store: its entities and their rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_proto::catalogue::table;
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Run};

use super::super::run::{EntityRow, RunRows, seen};
use super::Node;
use crate::store::entity::{Face, Within};
use crate::store::frame::Window;
use crate::store::recent::REACH_MS;
use crate::store::{Entity, EntityPath, RawRow, Recent, SeeRecent, Selector};

impl Node {
    /// Adds what the selector admits, one entry an identity.
    pub(super) fn list(&self, node: &Arc<str>, selector: &Selector<'_>, out: &mut Vec<Entity>) {
        let mut found: BTreeMap<EntityPath, Entity> = BTreeMap::new();
        let newest = self.newest_tick();
        for run in &self.runs {
            for (path, id) in &run.paths {
                let admitted = run.defs.get(id).filter(|def| admits(run, def, selector));
                let Some((def, seen)) = admitted.zip(seen(run, *id)) else {
                    continue;
                };
                let entity = found
                    .entry(path.clone())
                    .or_insert_with(|| named(run, node, path, def));
                // A later run may have been told more of it.
                entity.labels = def.labels.as_slice().into();
                entity.start_ms = entity.start_ms.max(seen.start_ms.unwrap_or(seen.first_ms));
                entity.first_tick_ms = entity.first_tick_ms.min(seen.first_ms);
                entity.last_tick_ms = entity.last_tick_ms.max(seen.last_ms);
                entity.alive = Some(entity.last_tick_ms) == newest;
            }
        }
        out.extend(found.into_values());
    }

    /// See [`Door::recent`](crate::store::Door::recent).
    pub(super) fn show_recent(&self, namespace: Option<&str>, see: &mut SeeRecent<'_>) {
        let Some((newest_ms, (run, seq))) = self.ticks.last_key_value() else {
            return;
        };
        let of = self.runs.iter().find(|known| known.run == *run);
        let Some((of, newest)) = of.and_then(|of| Some((of, of.rows.get(seq)?))) else {
            return;
        };
        if *newest_ms < self.oldest_ms {
            return;
        }
        let ticks_ms = (newest_ms.saturating_sub(REACH_MS), *newest_ms);
        let oldest_ms = ticks_ms.0.max(self.oldest_ms);
        for (path, id) in &of.paths {
            let Some(def) = of
                .defs
                .get(id)
                .filter(|_| newest.snapshot.position(*id).is_some())
            else {
                continue;
            };
            let pod = of.enclosing(def, EntityKind::Pod);
            let Some(pod) = pod.filter(|_| def.kind == EntityKind::Container) else {
                continue;
            };
            if namespace.is_some_and(|one| one != pod.namespace) {
                continue;
            }
            let all = self.rows(path, (oldest_ms, ticks_ms.1));
            // Those of the newest row's run that follow each other.
            let own = |tick_ms: u64| self.ticks.get(&tick_ms).is_some_and(|(of, _)| of == run);
            let before = all.iter().rposition(|row| !own(row.tick_ms));
            let rows = all.get(before.map_or(0, |at| at + 1)..).unwrap_or_default();
            let raw = rows.iter().map(|row| RawRow {
                began: None,
                interrupted: false,
                ..row.raw(table::CPU)
            });
            let cpu: Vec<RawRow> = raw.collect();
            let point = |field| rows.last().and_then(|row| row.raw(field).point);
            see(&Recent {
                ticks: self.ticks(),
                namespace: &pod.namespace,
                pod: &pod.name,
                pod_uid: &pod.uid,
                name: &def.name,
                cpu: &cpu,
                memory: point(table::MEMORY_WORKING_SET),
                swap: point(table::SWAP_USAGE),
            });
        }
    }

    /// The rows of the node in a range of ticks, seen from one entity.
    pub(super) fn rows(&self, path: &EntityPath, ticks_ms: (u64, u64)) -> Vec<EntityRow> {
        let mut rows = Vec::new();
        if ticks_ms.0 > ticks_ms.1 {
            return rows;
        }
        // Rows of one run follow each other, so it is looked up once.
        let mut current: Option<(&RunRows, Option<EntityId>)> = None;
        let mut before: Option<Run> = None;
        for (tick_ms, (run, seq)) in self.ticks.range(ticks_ms.0..=ticks_ms.1) {
            if current.is_none_or(|(of, _)| of.run != *run) {
                let of = self.runs.iter().find(|known| known.run == *run);
                current = of.map(|of| (of, of.paths.get(path).copied()));
            }
            let Some((of, id)) = current else { continue };
            let Some(held) = of.rows.get(seq) else {
                continue;
            };
            rows.push(EntityRow {
                tick_ms: *tick_ms,
                place: id.and_then(|id| held.snapshot.position(id)),
                snapshot: Arc::clone(&held.snapshot),
                interrupted: before.is_some_and(|before| !run.continues(&before)),
            });
            before = Some(*run);
        }
        rows
    }
}

/// True when the selector admits the entity. What it is in is looked up only for the kinds that it
/// can mean.
fn admits(run: &RunRows, def: &Arc<EntityDef>, selector: &Selector<'_>) -> bool {
    selector.means(def.kind)
        && selector.admits(
            Face::from(&**def),
            Within {
                parent: def
                    .parent
                    .and_then(|p| run.defs.get(&p))
                    .map(|p| Face::from(&**p)),
                pod: run.enclosing(def, EntityKind::Pod).map(Face::from),
            },
        )
}

/// An entity of which only the names are known.
fn named(run: &RunRows, node: &Arc<str>, path: &EntityPath, def: &Arc<EntityDef>) -> Entity {
    let pod = run.enclosing(def, EntityKind::Pod);
    let container = run.enclosing(def, EntityKind::Container);
    let of_pod =
        |own: &'_ str, of: fn(&EntityDef) -> &str| -> Arc<str> { pod.map_or(own, of).into() };
    Entity {
        node: Arc::clone(node),
        path: path.clone(),
        kind: def.kind,
        namespace: of_pod(&def.namespace, |p| &p.namespace),
        pod: of_pod("", |p| &p.name),
        pod_uid: of_pod(&def.uid, |p| &p.uid),
        container: container.map_or("", |c| c.name.as_str()).into(),
        name: def.name.as_str().into(),
        labels: Arc::default(),
        start_ms: 0,
        first_tick_ms: u64::MAX,
        last_tick_ms: 0,
        alive: false,
    }
}

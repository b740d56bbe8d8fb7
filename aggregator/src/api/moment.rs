//! The newest moment: what is there then, with the values that it has then. A node that is a row
//! ahead of it is seen as it was.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_proto::catalogue::{FieldId, field};

use crate::query::{Sample, View, is_skewed};
use crate::store::{Entity, EntityPath, Selector};

/// The things that have parts: a path means one thing on each node.
pub(super) type PartsOf = HashMap<(Arc<str>, EntityPath), Vec<Entity>>;

/// The containers of each pod, by the pod's node and UID.
pub(super) type ContainersOf = HashMap<(Arc<str>, Arc<str>), Vec<Entity>>;

/// The key of a pod, or of the pod that something is in.
pub(super) fn of_pod(entity: &Entity) -> (Arc<str>, Arc<str>) {
    (Arc::clone(&entity.node), Arc::clone(&entity.pod_uid))
}

/// The newest tick of values over several nodes, with each node's own name for it.
pub(super) struct Moment<'a> {
    view: &'a View,
    /// The tick as everybody sees it, Unix ms.
    pub(super) tick_ms: u64,
    // Nodes whose clocks are off, with the tick that their rows call this moment.
    skewed: HashMap<&'a str, u64>,
}

impl<'a> Moment<'a> {
    pub(super) fn newest(view: &'a View) -> Self {
        let skewed = view.states().iter().filter(|node| is_skewed(node));
        let skewed = skewed.map(|node| (&*node.name, view.newest_of_node(&node.name)));
        Self {
            view,
            tick_ms: view.published_ms(),
            skewed: skewed.collect(),
        }
    }

    /// What is there at this moment.
    fn present(&self, selector: &Selector<'_>) -> Vec<Entity> {
        let mut found = self.view.entities(selector);
        found.retain(|entity| self.view.present_at(entity, self.tick_of(entity)));
        found
    }

    /// What is there at this moment, sorted by name; of two lives of one name the later.
    pub(super) fn entities(&self, selector: &Selector<'_>) -> Vec<Entity> {
        latest_lives(self.present(selector))
    }

    /// The containers that are there, by their pod; of two lives of one name in it the later. Pods
    /// that share a name do not share containers.
    pub(super) fn containers(&self, selector: &Selector<'_>) -> ContainersOf {
        let mut pods = ContainersOf::new();
        for container in self.present(selector) {
            pods.entry(of_pod(&container)).or_default().push(container);
        }
        let pods = pods.into_iter();
        pods.map(|(pod, containers)| (pod, latest_lives(containers)))
            .collect()
    }

    /// The parts of things that have values of their own and are there, such as file systems,
    /// by what they are part of; each thing's sorted by name.
    pub(super) fn parts(&self) -> PartsOf {
        let mut parts = PartsOf::new();
        for part in self.present(&Selector::AllParts) {
            if let EntityPath::Part { parent, .. } = &part.path {
                let of = (Arc::clone(&part.node), EntityPath::clone(parent));
                parts.entry(of).or_default().push(part);
            }
        }
        parts
    }

    /// Time since an entity's life began, ms; `None` when nothing tells.
    pub(super) fn uptime(&self, entity: &Entity) -> Option<u64> {
        let uptime = self.view.uptime(entity, &[self.tick_of(entity)]);
        uptime.into_iter().next()?
    }

    /// When the life began that an entity has at this moment, by its node's clock, Unix ms.
    pub(super) fn life_ms(&self, entity: &Entity) -> u64 {
        let uptime = self.uptime(entity);
        uptime.map_or(entity.start_ms, |uptime| self.tick_of(entity) - uptime)
    }

    /// A start by the clock of an entity's node as everybody sees it: as long before this moment.
    pub(super) fn start_of(&self, entity: &Entity, start_ms: u64) -> u64 {
        let since = self.tick_of(entity).saturating_sub(start_ms);
        self.tick_ms.saturating_sub(since)
    }

    /// What an entity says at this moment; `None` when it has no value then.
    pub(super) fn sample(&self, entity: &Entity, of: FieldId) -> Option<Sample> {
        let tick_ms = self.tick_of(entity);
        let series = self.view.series(entity, field(of)?, &[tick_ms]);
        series.into_iter().next()?
    }

    /// What the rows of an entity's node call this moment, Unix ms.
    fn tick_of(&self, entity: &Entity) -> u64 {
        let own = self.skewed.get(&*entity.node);
        own.copied().unwrap_or(self.tick_ms)
    }
}

/// Sorted by name, each name once.
fn latest_lives(mut found: Vec<Entity>) -> Vec<Entity> {
    found.sort_by(|a, b| (name(a), b.start_ms).cmp(&(name(b), a.start_ms)));
    found.dedup_by(|earlier, kept| name(earlier) == name(kept));
    found
}

/// What an API that addresses names calls a thing: two lives of one name have the same.
fn name(entity: &Entity) -> (u8, &str, &str, &str, &str) {
    // A pod may move; what has no namespace is the node's own.
    let node = if entity.namespace.is_empty() {
        &*entity.node
    } else {
        ""
    };
    let Entity {
        kind,
        namespace,
        pod,
        name,
        ..
    } = entity;
    (*kind as u8, namespace, pod, name, node)
}

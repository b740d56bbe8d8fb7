//! What is there now.

use std::sync::Arc;

use super::{NODE_MAX_AGE_MS, View};
use crate::store::{Entity, Selector};

impl View {
    /// True when the entity was there in its node's newest row, and that row is young enough, by
    /// the node's own clock if that is off.
    #[must_use]
    pub fn is_current(&self, entity: &Entity) -> bool {
        is_current_at(entity, self.newest_of_node(&entity.node))
    }

    /// Takes the states of all nodes, when these entities are of several: what is said of each is then
    /// as seen at one moment. For a list they cost less than the state of each by itself; a list of one
    /// node does not look at the others. Returns that node.
    pub fn settle(&self, entities: &[Entity]) -> Option<Arc<str>> {
        let node = Arc::clone(&entities.first()?.node);
        if entities.iter().all(|entity| entity.node == node) {
            return Some(node);
        }
        let _all = self.states();
        None
    }

    /// Keeps those that are there now, all as seen at one moment.
    pub fn retain_current(&self, entities: &mut Vec<Entity>) {
        match self.settle(entities) {
            Some(node) => {
                let newest = self.newest_of_node(&node);
                entities.retain(|entity| is_current_at(entity, newest));
            }
            None => entities.retain(|entity| self.is_current(entity)),
        }
    }

    /// Names of the pods' namespaces, sorted, of pods that are there now.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        let mut pods = self.entities(&Selector::Pods);
        self.retain_current(&mut pods);
        let mut names: Vec<Arc<str>> = pods.into_iter().map(|pod| pod.namespace).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// True of what is there in its node's newest row, when that is not much older than the node's newest tick.
pub(super) fn is_current_at(entity: &Entity, newest_ms: u64) -> bool {
    entity.alive && newest_ms.saturating_sub(entity.last_tick_ms) <= NODE_MAX_AGE_MS
}

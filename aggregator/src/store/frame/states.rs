//! Who reports, and how it is with them.

use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use super::super::NodeState;
use super::room::Named;
use super::{Store, Window, lock};

/// Nodes that are looked at together. The map of all is not locked meanwhile, for one of them may be long
/// at work.
const LOOKED_AT: usize = 64;

/// Names with which one is compared that is looked for among thousands.
const COMPARED: usize = 16;

impl<N: Window> Store<N> {
    /// See [`Door::nodes`](crate::store::Door::nodes).
    pub(super) fn states(&self) -> Vec<NodeState> {
        let all = self.selected(None).into_iter();
        all.map(|(name, node)| state(name, &node)).collect()
    }

    /// See [`Door::node_state`](crate::store::Door::node_state).
    pub(super) fn state(&self, node: &str) -> Option<NodeState> {
        let found = self.selected(Some(node)).into_iter().next();
        found.map(|(name, node)| state(name, &node))
    }

    /// See [`Door::states_of`](crate::store::Door::states_of).
    pub(super) fn some_states(&self, nodes: &[&str]) -> Vec<Option<NodeState>> {
        let found = self.named(nodes).into_iter();
        let states = found.map(|node| node.map(|(name, node)| state(name, &node)));
        states.collect()
    }

    /// The nodes with these names, which rise. Of many the map of all is walked along: to look for one in
    /// it compares it with a dozen others, whose names are in no cache.
    pub(super) fn named(&self, names: &[&str]) -> Vec<Option<Named<N>>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        let of = |(name, node): (&Arc<str>, &Arc<Mutex<N>>)| (Arc::clone(name), Arc::clone(node));
        if names.len() < nodes.len() / COMPARED {
            let one = |name: &&str| nodes.get_key_value(*name).map(of);
            return names.iter().map(one).collect();
        }
        let mut all = nodes.iter().peekable();
        let one = |name: &&str| {
            while all.next_if(|(known, _)| ***known < **name).is_some() {}
            all.next_if(|(known, _)| ***known == **name).map(of)
        };
        names.iter().map(one).collect()
    }

    /// See [`Door::any_node`](crate::store::Door::any_node).
    pub(super) fn has_node(&self, is_it: &mut dyn FnMut(&NodeState) -> bool) -> bool {
        let mut after = Bound::Unbounded;
        loop {
            let some = self.some_after(after);
            let Some(last) = some.last().map(|(name, _)| Arc::clone(name)) else {
                return false;
            };
            let mut states = some.into_iter().map(|(name, node)| state(name, &node));
            if states.any(|state| is_it(&state)) {
                return true;
            }
            after = Bound::Excluded(last);
        }
    }

    /// A few nodes in order of their names; none behind the last one.
    fn some_after(&self, after: Bound<Arc<str>>) -> Vec<Named<N>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        let later = nodes.range((after, Bound::Unbounded)).take(LOOKED_AT);
        let later = later.map(|(name, node)| (Arc::clone(name), Arc::clone(node)));
        later.collect()
    }
}

fn state<N: Window>(name: Arc<str>, node: &Mutex<N>) -> NodeState {
    let node = lock(node);
    NodeState {
        gap_ticks: node.gap_ticks(),
        ..node.attendance().state(name, node.newest_tick())
    }
}

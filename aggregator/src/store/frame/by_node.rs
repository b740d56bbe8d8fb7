//! Entities of several nodes, read node by node.

use super::super::{Entity, EntityPath};
use super::{Store, Window, lock};

impl<N: Window> Store<N> {
    /// Finds the rows of entities and shows them node by node, with the places of its entities among those
    /// that were asked for; nothing of a node that is not known. No lock is held while they are shown.
    pub(super) fn by_node(
        &self,
        entities: &[&Entity],
        ticks_ms: (u64, u64),
        mut see: impl FnMut(&[usize], Option<&N::Found>),
    ) {
        let mut order: Vec<usize> = (0..entities.len()).collect();
        let node_of = |at: &usize| entities.get(*at).map_or("", |entity| &*entity.node);
        // Stable: of a node in the order asked for.
        order.sort_by(|a, b| node_of(a).cmp(node_of(b)));
        for places in order.chunk_by(|a, b| node_of(a) == node_of(b)) {
            let asked = places.iter().filter_map(|at| entities.get(*at));
            let paths: Vec<&EntityPath> = asked.map(|entity| &entity.path).collect();
            let name = places.first().map_or("", node_of);
            let node = self.node(name);
            let found = node.map(|node| lock(&node).find(&paths, ticks_ms));
            see(places, found.as_ref());
        }
    }
}

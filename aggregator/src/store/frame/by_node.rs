//! Entities of several nodes, read node by node.

use super::super::{Entity, EntityPath, Visit, Wanted};
use super::{Store, Window, lock};

/// Nodes of which references to rows are held at once: of so many the first bytes fit into the caches
/// near a processor, and so may be asked for before the first of them is read.
const TOGETHER: usize = 32;

/// Places of the entities of a node among those that were asked for, and their rows; none of a node that is
/// not known.
type OfNode<'a, F> = (&'a [usize], Option<F>);

impl<N: Window> Store<N> {
    /// Finds the rows of entities and shows them node by node, with the places of its entities among those
    /// that were asked for; nothing of a node that is not known. No lock is held while they are shown.
    pub(super) fn by_node(
        &self,
        entities: &[&Entity],
        ticks_ms: (u64, u64),
        mut see: impl FnMut(&[usize], Option<&N::Found>),
    ) {
        let find = |node: &N, paths: &[&EntityPath]| node.find(paths, ticks_ms);
        self.some_together(1, entities, find, |some| {
            for (places, found) in some {
                see(places, found.as_ref());
            }
        });
    }

    /// See [`Door::visit`](crate::store::Door::visit): a few nodes are read at a time.
    pub(super) fn visit_together(
        &self,
        entities: &[&Entity],
        field: Wanted,
        visit: &mut Visit<'_>,
    ) {
        let find = |node: &N, paths: &[&EntityPath]| node.find_field(paths, field);
        self.some_together(TOGETHER, entities, find, |some| {
            let (mut known, mut found) = (Vec::new(), Vec::new());
            for (places, of_node) in some {
                match of_node {
                    Some(of_node) => {
                        known.push(*places);
                        found.push(of_node);
                    }
                    None => places.iter().for_each(|at| visit(*at, &[])),
                }
            }
            N::read_each(&found, field, &mut |which, nth, rows| {
                if let Some(at) = known.get(which).and_then(|places| places.get(nth)) {
                    visit(*at, rows);
                }
            });
        });
    }

    fn some_together(
        &self,
        most: usize,
        entities: &[&Entity],
        find: impl Fn(&N, &[&EntityPath]) -> N::Found,
        mut see: impl FnMut(&[OfNode<'_, N::Found>]),
    ) {
        let mut order: Vec<usize> = (0..entities.len()).collect();
        let node_of = |at: &usize| entities.get(*at).map_or("", |entity| &*entity.node);
        if !order.is_sorted_by_key(node_of) {
            // Stable: of a node in the order asked for.
            order.sort_by(|a, b| node_of(a).cmp(node_of(b)));
        }
        let mut some = Vec::with_capacity(most.min(entities.len()));
        for places in order.chunk_by(|a, b| node_of(a) == node_of(b)) {
            let asked = places.iter().filter_map(|at| entities.get(*at));
            let paths: Vec<&EntityPath> = asked.map(|entity| &entity.path).collect();
            let name = places.first().map_or("", node_of);
            let node = self.node(name);
            some.push((places, node.map(|node| find(&lock(&node), &paths))));
            if some.len() == most {
                see(&some);
                some.clear();
            }
        }
        see(&some);
    }
}

//! What somebody may see: decided once for a request, before anything is looked up.
//!
//! A [`View`](super::View) that is narrowed by it finds nothing else, so that sums, lists and the highest of
//! something are those of what may be seen, and what may not be seen looks like what is not there.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::store::{Entity, EntityPath, Selector};

/// Some names, or all that there are and will be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// All of them.
    #[default]
    All,
    /// These.
    Only(Arc<BTreeSet<Arc<str>>>),
}

/// Which nodes and which namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Visible {
    /// Nodes, with their system containers and their agents' states.
    pub nodes: Names,
    /// Namespaces, with the pods and containers in them.
    pub namespaces: Names,
    /// What these ask for, may have and can give: requests, limits, capacity, restarts and phases.
    pub specs: bool,
}

impl Names {
    /// No name.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(Arc::default())
    }

    /// These names.
    pub fn only(names: impl IntoIterator<Item = Arc<str>>) -> Self {
        Self::Only(Arc::new(names.into_iter().collect()))
    }

    /// True when this name is one of them.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Names::All => true,
            Names::Only(names) => names.contains(name),
        }
    }

    /// True when all of these others are among them.
    #[must_use]
    pub fn includes(&self, others: &Self) -> bool {
        match (self, others) {
            (Names::All, _) => true,
            (Names::Only(_), Names::All) => false,
            (Names::Only(names), Names::Only(others)) => others.is_subset(names),
        }
    }

    /// True when no name is.
    #[must_use]
    pub fn is_none(&self) -> bool {
        matches!(self, Names::Only(names) if names.is_empty())
    }
}

impl Visible {
    /// Everything.
    pub const ALL: Visible = Visible {
        nodes: Names::All,
        namespaces: Names::All,
        specs: true,
    };

    /// Nothing.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            nodes: Names::none(),
            namespaces: Names::none(),
            specs: false,
        }
    }

    /// True when no node and no namespace is left out, now or later.
    #[must_use]
    pub fn has_all(&self) -> bool {
        self.nodes == Names::All && self.namespaces == Names::All
    }

    /// True when nothing may be seen.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.nodes.is_none() && self.namespaces.is_none()
    }

    /// True when this entity may be seen.
    #[must_use]
    pub fn has(&self, entity: &Entity) -> bool {
        if is_of_node(&entity.path) {
            self.nodes.has(&entity.node)
        } else {
            self.namespaces.has(&entity.namespace)
        }
    }

    /// True when the selector asks by name for a namespace that may not be seen: nothing is looked up then,
    /// so that it takes as long as for one that is not there.
    pub(super) fn rules_out(&self, selector: &Selector<'_>) -> bool {
        let hidden = |namespace: &str| !self.namespaces.has(namespace);
        selector.namespace().is_some_and(hidden)
    }
}

/// True of a node and of what is in it and in no pod.
fn is_of_node(path: &EntityPath) -> bool {
    match path {
        EntityPath::Node => true,
        EntityPath::Pod(_) | EntityPath::Container { .. } => false,
        EntityPath::Part { parent, .. } => is_of_node(parent),
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::model::EntityKind;

    use super::*;

    fn entity(path: EntityPath, namespace: &str) -> Entity {
        Entity {
            node: "node1".into(),
            path,
            kind: EntityKind::Pod,
            namespace: namespace.into(),
            pod: "p".into(),
            pod_uid: "u".into(),
            container: "".into(),
            name: "p".into(),
            labels: Arc::default(),
            start_ms: 0,
            first_tick_ms: 0,
            last_tick_ms: 0,
            alive: true,
        }
    }

    fn part(parent: EntityPath) -> EntityPath {
        EntityPath::Part {
            kind: EntityKind::System,
            parent: Box::new(parent),
            name: "x".into(),
        }
    }

    #[test]
    fn what_is_in_a_pod_is_its_namespaces_and_the_rest_is_its_nodes() {
        let of_a = Visible {
            nodes: Names::none(),
            namespaces: Names::only(["a".into()]),
            specs: false,
        };
        let of_nodes = Visible {
            nodes: Names::only(["node1".into()]),
            namespaces: Names::none(),
            specs: false,
        };
        let pod = EntityPath::Pod("u".into());
        for (path, namespace, by_a, by_nodes) in [
            (pod.clone(), "a", true, false),
            (pod.clone(), "b", false, false),
            // A pod that tells no namespace is not the node's for that.
            (pod.clone(), "", false, false),
            (part(part(pod)), "b", false, false),
            (EntityPath::Node, "", false, true),
            (part(part(EntityPath::Node)), "", false, true),
        ] {
            let entity = entity(path, namespace);
            assert_eq!(of_a.has(&entity), by_a, "{entity:?}");
            assert_eq!(of_nodes.has(&entity), by_nodes, "{entity:?}");
            assert!(Visible::ALL.has(&entity) && !Visible::nothing().has(&entity));
        }
        assert!(Visible::nothing().is_nothing() && Visible::ALL.has_all());
        assert!(!of_a.is_nothing() && !of_a.has_all());
    }

    #[test]
    fn all_names_include_some_and_some_those_that_are_among_them() {
        let only = |names: &[&str]| Names::only(names.iter().map(|name| Arc::from(*name)));
        let (none, a, ab) = (only(&[]), only(&["a"]), only(&["a", "b"]));
        for (names, others) in [(&Names::All, &ab), (&ab, &a), (&a, &a), (&a, &none)] {
            assert!(names.includes(others), "{names:?} {others:?}");
        }
        for (names, others) in [(&ab, &Names::All), (&a, &ab), (&none, &a)] {
            assert!(!names.includes(others), "{names:?} {others:?}");
        }
    }
}

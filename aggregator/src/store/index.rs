//! Which nodes have pods of a namespace, so that who asks for one does not look at every node.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// Namespaces of one node that are remembered one by one between two looks: beyond it the index is told
/// at once, and all of the node's are looked at. Many pods go in a minute, and a node has few
/// namespaces; below a hundred, a node whose jobs have a namespace each would be looked through often.
const MANY_GONE: usize = 1_024;

/// Namespaces of which a node may have no pod any more, since the index was told the last time.
#[derive(Debug, Default)]
pub struct Gone {
    // Invariant: not more than `MANY_GONE`, and none when they were more.
    some: BTreeSet<String>,
    is_many: bool,
}

impl Gone {
    /// Takes note of one.
    pub(super) fn add(&mut self, namespace: String) {
        if !self.is_many {
            self.some.insert(namespace);
        }
        if self.some.len() > MANY_GONE {
            self.some = BTreeSet::new();
            self.is_many = true;
        }
    }

    /// Takes note of several.
    pub(super) fn extend(&mut self, namespaces: impl IntoIterator<Item = String>) {
        namespaces.into_iter().for_each(|one| self.add(one));
    }

    /// True when they were too many to be remembered.
    pub(super) fn is_many(&self) -> bool {
        self.is_many
    }

    fn is_empty(&self) -> bool {
        self.some.is_empty() && !self.is_many
    }
}

/// Namespaces, each with the nodes that have named a pod of it. A node may be listed for a while
/// after its last pod of a namespace is gone, never the other way round.
#[derive(Debug, Default)]
pub(super) struct Index {
    nodes: RwLock<HashMap<Arc<str>, BTreeSet<Arc<str>>>>,
}

impl Index {
    /// Takes note of a pod.
    pub(super) fn add(&self, namespace: &str, node: &Arc<str>) {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        // Nearly every pod is not the first one of its namespace on its node.
        if nodes.get(namespace).is_some_and(|of| of.contains(node)) {
            return;
        }
        drop(nodes);
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        nodes
            .entry(namespace.into())
            .or_default()
            .insert(Arc::clone(node));
    }

    /// Pods of these namespaces were forgotten, or have another one now: `left` says of which the node
    /// still has any, and is asked once.
    pub(super) fn keep<'a>(
        &self,
        node: &str,
        gone: &Gone,
        left: impl FnOnce() -> BTreeSet<&'a str>,
    ) {
        if gone.is_empty() {
            return;
        }
        let left = left();
        if gone.is_many {
            self.forget_but(node, &left);
            return;
        }
        let gone = gone.some.iter().map(String::as_str);
        let gone: Vec<&str> = gone.filter(|one| !left.contains(one)).collect();
        if gone.is_empty() {
            return;
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        for namespace in gone {
            if let Some(of) = nodes.get_mut(namespace) {
                of.remove(node);
                if of.is_empty() {
                    nodes.remove(namespace);
                }
            }
        }
    }

    /// Forgets a node.
    pub(super) fn forget(&self, node: &str) {
        self.forget_but(node, &BTreeSet::new());
    }

    /// Forgets a node, but for these namespaces.
    fn forget_but(&self, node: &str, left: &BTreeSet<&str>) {
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|namespace, of| {
            if !left.contains(&**namespace) {
                of.remove(node);
            }
            !of.is_empty()
        });
    }

    /// How many namespaces it leads from.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.len()
    }

    /// The namespaces of which there may be pods in the window, in no order.
    pub(super) fn namespaces(&self) -> Vec<Arc<str>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes.keys().cloned().collect()
    }

    /// The nodes that may have pods of a namespace, in order of their names.
    pub(super) fn nodes(&self, namespace: &str) -> Vec<Arc<str>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        nodes
            .get(namespace)
            .into_iter()
            .flatten()
            .map(Arc::clone)
            .collect()
    }
}

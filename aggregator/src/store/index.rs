//! Which nodes have pods of a namespace, so that who asks for one does not look at every node.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

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

    /// Pods of these namespaces were forgotten: says of which of them a node still has others.
    pub(super) fn keep(
        &self,
        node: &str,
        namespaces: &BTreeSet<String>,
        has: impl Fn(&str) -> bool,
    ) {
        let gone: Vec<&String> = namespaces.iter().filter(|one| !has(one)).collect();
        if gone.is_empty() {
            return;
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        for namespace in gone {
            if let Some(of) = nodes.get_mut(namespace.as_str()) {
                of.remove(node);
                if of.is_empty() {
                    nodes.remove(namespace.as_str());
                }
            }
        }
    }

    /// Forgets a node.
    pub(super) fn forget(&self, node: &str) {
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|_, of| {
            of.remove(node);
            !of.is_empty()
        });
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

//! The objects by their names. One lock, held for a look or a change and never while anybody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Node, Pod};

/// One object that came, changed or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A node is as it says.
    Node(Node),
    /// The node of this name is gone.
    NodeGone(Box<str>),
    /// A pod is as it says.
    Pod(Pod),
    /// The pod of this namespace and name is gone, if it has this UID.
    PodGone(Arc<str>, Box<str>, Box<str>),
}

/// All nodes and pods that were heard of.
#[derive(Debug, Default)]
pub struct Known {
    objects: RwLock<Objects>,
    synced: AtomicBool,
}

#[derive(Debug, Default)]
struct Objects {
    nodes: BTreeMap<Arc<str>, Arc<Node>>,
    pods: BTreeMap<Arc<str>, BTreeMap<Box<str>, Arc<Pod>>>,
}

impl Known {
    /// Takes a change in.
    pub fn apply(&self, change: Change) {
        let mut objects = self.write();
        match change {
            Change::Node(node) => {
                objects.nodes.insert(Arc::clone(&node.name), Arc::new(node));
            }
            Change::NodeGone(name) => {
                objects.nodes.remove(&*name);
            }
            Change::Pod(pod) => {
                let pods = objects.pods.entry(Arc::clone(&pod.namespace)).or_default();
                pods.insert(pod.name.clone(), Arc::new(pod));
            }
            Change::PodGone(namespace, name, uid) => {
                let Some(pods) = objects.pods.get_mut(&namespace) else {
                    return;
                };
                if pods.get(&name).is_some_and(|pod| pod.uid == uid) {
                    pods.remove(&name);
                }
                if pods.is_empty() {
                    objects.pods.remove(&namespace);
                }
            }
        }
    }

    /// Both nodes and pods were listed once from beginning to end.
    pub fn set_synced(&self) {
        self.synced.store(true, Ordering::Release);
    }

    /// True once everything that was there at the start was heard of.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// The node of this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        self.read().nodes.get(name).cloned()
    }

    /// All nodes, by name.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.read().nodes.values().cloned().collect()
    }

    /// Namespaces in which pods are, by name.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        self.read().pods.keys().cloned().collect()
    }

    /// The pod of this name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.read().pods.get(namespace)?.get(name).cloned()
    }

    /// The pods of a namespace in every phase, by name.
    #[must_use]
    pub fn pods(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let objects = self.read();
        let pods = objects.pods.get(namespace).into_iter().flatten();
        pods.map(|(_, pod)| Arc::clone(pod)).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, uid: &str) -> Change {
        Change::Pod(Pod {
            namespace: namespace.into(),
            name: name.into(),
            uid: uid.into(),
            ..Pod::default()
        })
    }

    fn names(known: &Known, namespace: &str) -> Vec<String> {
        let pods = known.pods(namespace);
        pods.iter().map(|pod| pod.name.to_string()).collect()
    }

    #[test]
    fn pods_are_found_by_namespace_and_name_and_listed_by_name() {
        let known = Known::default();
        for (namespace, name) in [("shop", "web-1"), ("shop", "web-0"), ("base", "dns")] {
            known.apply(pod(namespace, name, name));
        }
        assert_eq!(names(&known, "shop"), ["web-0", "web-1"]);
        assert_eq!(names(&known, "none"), [""; 0]);
        let namespaces: Vec<String> = known.namespaces().iter().map(ToString::to_string).collect();
        assert_eq!(namespaces, ["base", "shop"]);
        assert!(known.pod("base", "dns").is_some() && known.pod("base", "web-0").is_none());
    }

    #[test]
    fn who_went_is_gone_and_who_came_under_its_name_stays() {
        let known = Known::default();
        known.apply(pod("shop", "web-0", "old"));
        known.apply(pod("shop", "web-0", "new"));
        known.apply(Change::PodGone("shop".into(), "web-0".into(), "old".into()));
        assert_eq!(names(&known, "shop"), ["web-0"]);
        known.apply(Change::PodGone("shop".into(), "web-0".into(), "new".into()));
        assert!(known.namespaces().is_empty());
    }
}

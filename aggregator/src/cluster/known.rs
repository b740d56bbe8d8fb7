//! The objects by their names. One lock, held for a look or a change and never while anybody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::gone::Gone;
use super::pool::Pool;
use super::{Node, Owner, Phase, Pod, Requirements, Resource, Workload};

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
///
/// Each carries the number of the list in which, or after which, it was heard of last: what a whole list
/// does not name is gone.
#[derive(Debug, Default)]
pub struct Known {
    objects: RwLock<Objects>,
    synced: AtomicBool,
}

#[derive(Debug, Default)]
struct Objects {
    nodes: BTreeMap<Arc<str>, Held<Node>>,
    pods: BTreeMap<Arc<str>, Namespace>,
    // Those of each node, in no order; none of pods that are placed nowhere.
    on_nodes: BTreeMap<Arc<str>, Vec<Arc<Pod>>>,
    pod_count: usize,
    node_list: u32,
    pod_list: u32,
    // By resource: it was listed once to its end.
    listed: [bool; Resource::ALL.len()],
    common: Common,
    gone: Gone,
}

/// What pods have in common.
#[derive(Debug, Default)]
struct Common {
    labels: Pool<[(Box<str>, Box<str>)]>,
    owners: Pool<Owner>,
    requirements: Pool<Requirements>,
}

/// The pods of a namespace.
#[derive(Debug, Default)]
struct Namespace {
    pods: BTreeMap<Box<str>, Held<Pod>>,
    // The same in a row, once somebody has asked for it since one of them changed.
    listed: OnceLock<Arc<[Arc<Pod>]>>,
}

#[derive(Debug)]
struct Held<T> {
    object: Arc<T>,
    list: u32,
}

impl Change {
    /// Amounts of the object that could not be read.
    pub(super) fn bad_amounts(&self) -> u16 {
        match self {
            Self::Node(node) => node.bad_amounts,
            Self::Pod(pod) => pod.bad_amounts,
            Self::NodeGone(_) | Self::PodGone(..) => 0,
        }
    }
}

impl Known {
    /// Takes a change in.
    pub fn apply(&self, change: Change) {
        let mut objects = self.write();
        match change {
            Change::Node(node) => {
                let list = objects.node_list;
                let object = Arc::new(node);
                let name = Arc::clone(&object.name);
                objects.nodes.insert(name, Held { object, list });
            }
            Change::NodeGone(name) => {
                objects.nodes.remove(&*name);
            }
            Change::Pod(pod) => objects.put(pod),
            Change::PodGone(namespace, name, uid) => {
                let held = objects.pod(&namespace, &name);
                if held.is_some_and(|held| held.object.uid == uid) {
                    objects.remove(&namespace, &name);
                }
            }
        }
    }

    /// A list of everything of a resource begins; what is heard of from now on counts as in it.
    pub fn begin_list(&self, resource: Resource) {
        let mut objects = self.write();
        match resource {
            Resource::Nodes => objects.node_list = objects.node_list.wrapping_add(1),
            Resource::Pods => objects.pod_list = objects.pod_list.wrapping_add(1),
        }
    }

    /// The list is whole: what was not heard of since it began goes. Returns how many went.
    pub fn end_list(&self, resource: Resource) -> usize {
        let mut objects = self.write();
        if let Some(listed) = objects.listed.get_mut(resource as usize) {
            *listed = true;
        }
        if objects.listed.iter().all(|listed| *listed) {
            self.set_synced();
        }
        match resource {
            Resource::Nodes => {
                let (list, before) = (objects.node_list, objects.nodes.len());
                objects.nodes.retain(|_, held| held.list == list);
                before - objects.nodes.len()
            }
            Resource::Pods => {
                let list = objects.pod_list;
                let pods = objects.pods.values().flat_map(|one| one.pods.values());
                let gone = pods.filter(|held| held.list != list);
                let gone: Vec<Arc<Pod>> = gone.map(|held| Arc::clone(&held.object)).collect();
                for pod in &gone {
                    objects.remove(&pod.namespace, &pod.name);
                }
                gone.len()
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

    /// How many objects of a resource there are.
    #[must_use]
    pub fn count(&self, resource: Resource) -> usize {
        let objects = self.read();
        match resource {
            Resource::Nodes => objects.nodes.len(),
            Resource::Pods => objects.pod_count,
        }
    }

    /// The node of this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<Node>> {
        let objects = self.read();
        objects.nodes.get(name).map(|held| Arc::clone(&held.object))
    }

    /// All nodes, by name.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        let objects = self.read();
        let nodes = objects.nodes.values();
        nodes.map(|held| Arc::clone(&held.object)).collect()
    }

    /// Namespaces in which pods are, by name.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Arc<str>> {
        self.read().pods.keys().cloned().collect()
    }

    /// The pod of this name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        let objects = self.read();
        let held = objects.pod(namespace, name)?;
        Some(Arc::clone(&held.object))
    }

    /// The pods of a namespace in every phase, by name.
    #[must_use]
    pub fn pods(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let objects = self.read();
        let pods = objects.pods.get(namespace);
        let pods = pods.into_iter().flat_map(|one| one.pods.values());
        pods.map(|held| Arc::clone(&held.object)).collect()
    }

    /// The pods that run, of one namespace or of all, a piece of each namespace, by namespace and name: all as of
    /// one moment. A piece is made anew only when a pod of its namespace came, changed or went since it was asked
    /// for last: to take all pods of a large cluster in hand takes longer than a client should wait for its first byte.
    #[must_use]
    pub fn listed(&self, namespace: Option<&str>) -> Vec<Arc<[Arc<Pod>]>> {
        let objects = self.read();
        match namespace {
            Some(one) => objects
                .pods
                .get(one)
                .map(Namespace::listed)
                .into_iter()
                .collect(),
            None => objects.pods.values().map(Namespace::listed).collect(),
        }
    }

    /// The pods that are placed on a node, in every phase and no order.
    #[must_use]
    pub fn pods_on(&self, node: &str) -> Vec<Arc<Pod>> {
        self.read().on_nodes.get(node).cloned().unwrap_or_default()
    }

    /// The workload that a pod belongs to now, or did when it went; the pod is the one of that name that its node
    /// calls by that UID. `None` of a pod of no workload, and of one that is not known.
    #[must_use]
    pub fn workload(&self, namespace: &str, name: &str, uid: &str) -> Option<Workload> {
        let objects = self.read();
        let held = objects.pod(namespace, name);
        match held.filter(|held| held.object.is_called(uid)) {
            Some(held) => held.object.workload(),
            None => objects.gone.workload(uid).cloned(),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Namespace {
    fn listed(&self) -> Arc<[Arc<Pod>]> {
        let listed = self.listed.get_or_init(|| {
            let pods = self.pods.values().map(|held| &held.object);
            let running = pods.filter(|pod| pod.phase == Phase::Running);
            running.cloned().collect()
        });
        Arc::clone(listed)
    }
}

impl Objects {
    fn pod(&self, namespace: &str, name: &str) -> Option<&Held<Pod>> {
        self.pods.get(namespace)?.pods.get(name)
    }

    /// Takes a pod in. Pods of one namespace, and of one node, share its name, and those of a workload what
    /// they have in common.
    fn put(&mut self, mut pod: Pod) {
        self.common.share(&mut pod);
        if let Some((name, _)) = self.pods.get_key_value(&pod.namespace) {
            pod.namespace = Arc::clone(name);
        }
        if let Some((name, _)) = self.on_nodes.get_key_value(&pod.node) {
            pod.node = Arc::clone(name);
        }
        let (object, list) = (Arc::new(pod), self.pod_list);
        let of = self.pods.entry(Arc::clone(&object.namespace)).or_default();
        let held = Held {
            object: Arc::clone(&object),
            list,
        };
        of.listed = OnceLock::new();
        match of.pods.insert(object.name.clone(), held) {
            Some(before) => {
                if before.object.uid != object.uid {
                    self.gone.add(&before.object);
                }
                self.displace(&before.object);
            }
            None => self.pod_count += 1,
        }
        if !object.node.is_empty() {
            let name = Arc::clone(&object.node);
            self.on_nodes.entry(name).or_default().push(object);
        }
    }

    fn remove(&mut self, namespace: &str, name: &str) {
        let Some(of) = self.pods.get_mut(namespace) else {
            return;
        };
        let removed = of.pods.remove(name);
        of.listed = OnceLock::new();
        if of.pods.is_empty() {
            self.pods.remove(namespace);
        }
        if let Some(held) = removed {
            self.pod_count -= 1;
            self.gone.add(&held.object);
            self.displace(&held.object);
        }
    }

    /// Takes a pod from its node's.
    fn displace(&mut self, pod: &Arc<Pod>) {
        let Some(pods) = self.on_nodes.get_mut(&pod.node) else {
            return;
        };
        pods.retain(|other| !Arc::ptr_eq(other, pod));
        if pods.is_empty() {
            self.on_nodes.remove(&pod.node);
        }
    }
}

impl Common {
    fn share(&mut self, pod: &mut Pod) {
        self.labels.share(&mut pod.labels);
        if let Some(owner) = &mut pod.owner {
            self.owners.share(owner);
        }
        for container in &mut pod.containers {
            self.requirements.share(&mut container.requirements);
        }
    }
}

#[cfg(test)]
mod tests;

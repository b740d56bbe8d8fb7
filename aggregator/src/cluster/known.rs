//! The objects by their names. One lock, held for a look or a change and never while anybody waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::gone::Gone;
use super::pool::Pool;
use super::{Node, Owner, Pod, Requirements, Resource, Workload};

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
    pods: BTreeMap<Arc<str>, BTreeMap<Box<str>, Held<Pod>>>,
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
                let pods = objects.pods.get(&namespace);
                let held = pods.and_then(|pods| pods.get(&name));
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
                let pods = objects.pods.values().flat_map(BTreeMap::values);
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
        let held = objects.pods.get(namespace)?.get(name)?;
        Some(Arc::clone(&held.object))
    }

    /// The pods of a namespace in every phase, by name.
    #[must_use]
    pub fn pods(&self, namespace: &str) -> Vec<Arc<Pod>> {
        let objects = self.read();
        let pods = objects.pods.get(namespace).into_iter().flatten();
        pods.map(|(_, held)| Arc::clone(&held.object)).collect()
    }

    /// The pods of all namespaces in every phase, by namespace and name: all as of one moment.
    #[must_use]
    pub fn all_pods(&self) -> Vec<Arc<Pod>> {
        let objects = self.read();
        let mut all = Vec::with_capacity(objects.pod_count);
        let pods = objects.pods.values().flat_map(BTreeMap::values);
        all.extend(pods.map(|held| Arc::clone(&held.object)));
        all
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
        let held = objects.pods.get(namespace).and_then(|pods| pods.get(name));
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

impl Objects {
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
        let pods = self.pods.entry(Arc::clone(&object.namespace)).or_default();
        let held = Held {
            object: Arc::clone(&object),
            list,
        };
        match pods.insert(object.name.clone(), held) {
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
        let Some(pods) = self.pods.get_mut(namespace) else {
            return;
        };
        let removed = pods.remove(name);
        if pods.is_empty() {
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

    fn on(node: &str, name: &str, uid: &str) -> Change {
        let Change::Pod(mut pod) = pod("shop", name, uid) else {
            panic!("no pod")
        };
        pod.node = node.into();
        Change::Pod(pod)
    }

    fn names_on(known: &Known, node: &str) -> Vec<String> {
        let pods = known.pods_on(node);
        let mut names: Vec<String> = pods.iter().map(|pod| pod.name.to_string()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_pods_of_a_node_follow_what_changes() {
        let known = Known::default();
        known.apply(on("", "web-0", "a"));
        assert_eq!(names_on(&known, ""), [""; 0]);
        known.apply(on("node1", "web-0", "a"));
        known.apply(on("node1", "web-1", "b"));
        known.apply(on("node1", "web-0", "a"));
        assert_eq!(names_on(&known, "node1"), ["web-0", "web-1"]);
        known.apply(on("node2", "web-0", "c"));
        assert_eq!(
            (names_on(&known, "node1"), names_on(&known, "node2")),
            (vec!["web-1".to_owned()], vec!["web-0".to_owned()])
        );
        known.apply(Change::PodGone("shop".into(), "web-1".into(), "b".into()));
        assert_eq!(names_on(&known, "node1"), [""; 0]);
        assert_eq!(known.count(Resource::Pods), 1);
    }

    #[test]
    fn a_pod_counts_for_its_workload_also_when_it_is_gone() {
        let known = Known::default();
        let owned = |uid: &str, kind: &str| {
            let Change::Pod(mut pod) = pod("shop", "web-0", uid) else {
                panic!("no pod")
            };
            pod.owner = Some(Arc::new(Owner {
                kind: kind.into(),
                name: "web".into(),
            }));
            Change::Pod(pod)
        };
        let kind = |uid: &str| {
            let workload = known.workload("shop", "web-0", uid)?;
            Some(workload.kind.as_str())
        };
        known.apply(owned("old", "DaemonSet"));
        known.apply(owned("old", "StatefulSet"));
        assert_eq!(kind("old"), Some("StatefulSet"));
        known.apply(owned("new", "DaemonSet"));
        assert_eq!(
            (kind("old"), kind("new")),
            (Some("StatefulSet"), Some("DaemonSet"))
        );
        known.apply(Change::PodGone("shop".into(), "web-0".into(), "new".into()));
        assert_eq!((kind("new"), kind("other")), (Some("DaemonSet"), None));
    }

    #[test]
    fn what_pods_have_in_common_is_kept_once() {
        let known = Known::default();
        let labelled = |name: &str| {
            let Change::Pod(mut pod) = pod("shop", name, name) else {
                panic!("no pod")
            };
            pod.labels = Arc::new([("app".into(), "web".into())]);
            Change::Pod(pod)
        };
        known.apply(labelled("web-0"));
        known.apply(labelled("web-1"));
        let pods = known.pods("shop");
        assert!(Arc::ptr_eq(&pods[0].labels, &pods[1].labels));
    }

    #[test]
    fn what_a_whole_list_does_not_name_goes_and_what_came_meanwhile_stays() {
        let known = Known::default();
        known.apply(on("node1", "old", "a"));
        known.apply(on("node1", "kept", "b"));
        known.apply(Change::Node(Node {
            name: "node1".into(),
            ..Node::default()
        }));
        known.begin_list(Resource::Pods);
        known.apply(on("node1", "kept", "b"));
        assert_eq!(names(&known, "shop"), ["kept", "old"]);
        assert_eq!(known.end_list(Resource::Pods), 1);
        assert_eq!(
            (names(&known, "shop"), names_on(&known, "node1")),
            (vec!["kept".to_owned()], vec!["kept".to_owned()])
        );
        assert_eq!(known.count(Resource::Nodes), 1);
        assert!(!known.is_synced());
        known.begin_list(Resource::Nodes);
        assert_eq!(known.end_list(Resource::Nodes), 1);
        assert!(known.node("node1").is_none() && known.is_synced());
    }
}

//! What there is, and what it uses.
//!
//! With a watched cluster names, labels and places are its own, and only pods that run are there. Without one
//! they are what agents say, and nothing has labels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::fields::Fields;
use super::listed::Pods;
use crate::api::Api;
use crate::api::selector::Selector as LabelSelector;
use crate::cluster::{Cluster, ContainerState, Known, Node, Phase, Pod};
use crate::query::{ContainerNames, Measured, OfNode, Usage, View};
use crate::store::{Entity, Selector};

/// Labels, sorted by name.
pub(super) type Labels = [(Box<str>, Box<str>)];

/// A node or pod, and what it uses, as it is written: nothing of it is copied for that. What it is called stays
/// where it is for `'f`; what it uses is put where that of the one before was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'f, 's> {
    /// Empty of a node.
    pub(super) namespace: &'f str,
    pub(super) name: &'f str,
    pub(super) labels: &'f Labels,
    /// When the span of its CPU ends, Unix ms; of several containers the earliest.
    pub(super) time_ms: u64,
    /// How long that span is, ms.
    pub(super) window_ms: u64,
    pub(super) used: Used<'f, 's>,
}

/// What is used.
#[derive(Clone, Copy, Debug)]
pub(super) enum Used<'f, 's> {
    Node(Usage),
    /// Of each container, by name.
    Pod(&'s [(&'f str, Usage)]),
}

impl Item<'_, '_> {
    /// CPU and memory in all, nanocores and bytes.
    pub(super) fn total(&self) -> (u64, u64) {
        match &self.used {
            Used::Node(usage) => (usage.cpu_nanocores, usage.memory_bytes),
            Used::Pod(containers) => containers.iter().fold((0, 0), |(cpu, memory), (_, one)| {
                (
                    u64::saturating_add(cpu, one.cpu_nanocores),
                    u64::saturating_add(memory, one.memory_bytes),
                )
            }),
        }
    }
}

/// A node that is measured.
#[derive(Clone, Debug)]
pub(super) struct MeasuredNode {
    name: Arc<str>,
    // `None` without a watched cluster.
    object: Option<Arc<Node>>,
    usage: Usage,
}

impl MeasuredNode {
    /// For tests of how it is written.
    #[cfg(test)]
    pub(super) fn of(node: Arc<Node>, usage: Usage) -> Self {
        Self {
            name: Arc::clone(&node.name),
            object: Some(node),
            usage,
        }
    }

    /// As it is written.
    pub(super) fn item(&self) -> Item<'_, '_> {
        Item {
            namespace: "",
            name: &self.name,
            labels: labels_of(self.object.as_deref()),
            time_ms: self.usage.time_ms,
            window_ms: self.usage.over_ms,
            used: Used::Node(self.usage),
        }
    }
}

fn labels_of(object: Option<&Node>) -> &Labels {
    match object {
        Some(node) => &node.labels,
        None => &[],
    }
}

/// What is asked of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) labels: LabelSelector,
    pub(super) fields: Fields,
}

impl Wanted {
    /// True when nothing is left out.
    fn is_everything(&self) -> bool {
        self.labels == LabelSelector::default() && self.fields == Fields::default()
    }
}

/// What came of looking for one thing; the others have its name as a client is told it.
#[derive(Clone, Debug)]
pub(super) enum Found<T> {
    Item(T),
    /// It is there, and nothing measured it.
    Unmeasured(String),
    /// There is no such thing.
    Unknown(String),
}

/// Looks at one moment.
#[derive(Clone, Debug)]
pub(super) struct Finder {
    pub(super) view: View,
    pub(super) cluster: Cluster,
    /// Least span of CPU, ms.
    pub(super) span_ms: u64,
    pub(super) copies: Arc<Copies>,
}

impl Finder {
    /// Looks now, at one namespace or at all.
    pub(super) fn new(api: &Api, namespace: Option<&str>) -> Self {
        Self {
            view: api.view(),
            cluster: api.cluster.clone(),
            span_ms: api.terms.span_ms,
            copies: Copies::new(namespace),
        }
    }

    /// True when it looks at all namespaces.
    pub(super) fn is_of_all(&self) -> bool {
        self.copies.namespace.is_none()
    }

    /// Nodes by name.
    pub(super) fn nodes(&self, wanted: &Wanted) -> Vec<MeasuredNode> {
        let mut entities = self.view.entities(&Selector::Nodes);
        self.view.retain_current(&mut entities);
        let mut entities = by_name(entities);
        let mut objects = Vec::with_capacity(entities.len());
        entities.retain(|entity| {
            let Some(object) = self.node_object(&entity.name) else {
                return false;
            };
            let is_wanted = wanted.fields.matches("", &entity.name)
                && wanted.labels.matches(labels_of(object.as_deref()));
            if is_wanted {
                objects.push(object);
            }
            is_wanted
        });
        let asked: Vec<&Entity> = entities.iter().collect();
        let usages = self.view.usages(&asked, self.span_ms);
        let all = entities.iter().zip(objects).zip(usages);
        all.filter_map(|((entity, object), usage)| {
            Some(MeasuredNode {
                name: Arc::clone(&entity.name),
                object,
                usage: usage?,
            })
        })
        .collect()
    }

    /// One node, as `see` makes something of it.
    pub(super) fn node<T>(&self, name: &str, see: impl FnOnce(&Item<'_, '_>) -> T) -> Found<T> {
        let Some(object) = self.node_object(name) else {
            return Found::Unknown(name.to_owned());
        };
        let entities = self.view.entities(&Selector::Node(name));
        let mut nodes: Vec<Entity> = entities.into_iter().filter(|e| &*e.name == name).collect();
        if nodes.is_empty() && object.is_none() {
            return Found::Unknown(name.to_owned());
        }
        self.view.retain_current(&mut nodes);
        let nodes = by_name(nodes);
        let asked: Vec<&Entity> = nodes.iter().collect();
        let usages = self.view.usages(&asked, self.span_ms);
        match (nodes.first(), usages.into_iter().flatten().next()) {
            (Some(node), Some(usage)) => {
                let name = Arc::clone(&node.name);
                let node = MeasuredNode {
                    name,
                    object,
                    usage,
                };
                Found::Item(see(&node.item()))
            }
            _ => Found::Unmeasured(name.to_owned()),
        }
    }

    /// A node's object, which there is none of without a watched cluster; `None` when the cluster has no such node.
    fn node_object(&self, name: &str) -> Option<Option<Arc<Node>>> {
        match self.cluster.known() {
            None => Some(None),
            Some(known) => known.node(name).map(Some),
        }
    }

    /// The pods that are to be shown if they are measured, of one namespace or of all, by namespace and
    /// name: as they are at one moment.
    pub(super) fn pods(&self, wanted: &Wanted) -> Pods {
        let namespace = self.copies.namespace.as_deref();
        if namespace.is_some_and(|one| wanted.fields.excludes_namespace(one)) {
            return Pods::default();
        }
        let is_wanted = |namespace: &str, name: &str, labels: &Labels| {
            wanted.fields.matches(namespace, name) && wanted.labels.matches(labels)
        };
        let Some(known) = self.cluster.known() else {
            let mut told = self.told(&namespace.map_or(Selector::Pods, Selector::Namespace));
            told.retain(|pod| is_wanted(&pod.namespace, &pod.name, &[]));
            return Pods::Told(told);
        };
        let all = known.listed(namespace);
        if wanted.is_everything() {
            return Pods::known(all);
        }
        let pods = all.iter().flat_map(|some| some.iter());
        let chosen = pods.filter(|pod| is_wanted(&pod.namespace, &pod.name, &pod.labels));
        Pods::known(vec![chosen.cloned().collect()])
    }

    /// Pods as agents tell them, by namespace and name; of two lives of one name the later.
    fn told(&self, selector: &Selector<'_>) -> Vec<Entity> {
        let mut pods = self.view.entities(selector);
        self.view.retain_current(&mut pods);
        pods.sort_by(|a, b| {
            (&a.namespace, &a.name, b.start_ms).cmp(&(&b.namespace, &b.name, a.start_ms))
        });
        pods.dedup_by(|later, kept| later.namespace == kept.namespace && later.name == kept.name);
        pods
    }

    /// One pod, as `see` makes something of it.
    pub(super) fn pod<T>(
        &self,
        (namespace, name): (&str, &str),
        see: impl FnOnce(&Item<'_, '_>) -> T,
    ) -> Found<T> {
        let (mut see, mut seen) = (Some(see), None);
        let mut take = |item: &Item<'_, '_>| seen = see.take().map(|see| see(item));
        let is_there = match self.cluster.known() {
            Some(known) => running(known, namespace, name)
                .map(|pod| self.each_known(&[pod], &mut take))
                .is_some(),
            None => self
                .told(&Selector::Pod { namespace, name })
                .pop()
                .map(|pod| self.each_told(&[pod], &mut take))
                .is_some(),
        };
        match seen {
            Some(seen) => Found::Item(seen),
            None if is_there => Found::Unmeasured(format!("{namespace}/{name}")),
            None => Found::Unknown(name.to_owned()),
        }
    }

    /// Shows those of some pods that run and are whole. What a node says is copied when the first of its pods is asked
    /// for, and is the same from then on.
    pub(super) fn each_known<'f>(
        &'f self,
        pods: &'f [Arc<Pod>],
        mut see: impl FnMut(&Item<'f, '_>),
    ) {
        let running = || pods.iter().filter(|pod| pod.phase == Phase::Running);
        let of_nodes = self.copies.of(running().map(|pod| &pod.node));
        let names = &self.copies.names;
        let mut used = Vec::new();
        for (pod, of_node) in running().zip(of_nodes) {
            let of_node = of_node.get_or_init(|| self.copy(&pod.node));
            let told = of_node.pod(names, &pod.uid, &pod.name);
            // The node of a static pod calls it by another UID.
            let told = told.or_else(|| of_node.pod(names, &pod.mirror_of, &pod.name));
            used.clear();
            if told.is_some_and(|told| is_whole(pod, told, &mut used)) {
                let called = (&*pod.namespace, &*pod.name, &*pod.labels);
                show(called, &used, &mut see);
            }
        }
    }

    /// The same of pods as agents tell them.
    pub(super) fn each_told<'f>(&'f self, pods: &'f [Entity], mut see: impl FnMut(&Item<'f, '_>)) {
        let of_nodes = self.copies.of(pods.iter().map(|pod| &pod.node));
        let mut used = Vec::new();
        for (pod, of_node) in pods.iter().zip(of_nodes) {
            let of_node = of_node.get_or_init(|| self.copy(&pod.node));
            let told = of_node.pod(&self.copies.names, &pod.pod_uid, &pod.name);
            used.clear();
            let mut told = told.into_iter().flatten();
            if told.all(|(name, usage)| usage.map(|usage| used.push((name, usage))).is_some()) {
                show((&*pod.namespace, &*pod.name, &[]), &used, &mut see);
            }
        }
    }

    fn copy(&self, node: &str) -> OfNode {
        let asked = (self.copies.namespace.as_deref(), self.span_ms);
        self.view.of_node(node, asked, &self.copies.names)
    }
}

/// Shows a pod of which all that runs is measured, if anything does.
fn show<'f>(
    (namespace, name, labels): (&'f str, &'f str, &'f Labels),
    used: &[(&'f str, Usage)],
    mut see: impl FnMut(&Item<'f, '_>),
) {
    let earliest = used.iter().map(|(_, usage)| usage);
    if let Some(earliest) = earliest.min_by_key(|usage| usage.time_ms) {
        see(&Item {
            namespace,
            name,
            labels,
            time_ms: earliest.time_ms,
            window_ms: earliest.over_ms,
            used: Used::Pod(used),
        });
    }
}

/// Puts what the running containers of a pod use to `used`; false when one of them is not measured. One that waits
/// or has ended by the pod's own status uses nothing, and is there only where it is measured all the same, as the
/// status is told later than the usage.
fn is_whole<'a>(
    pod: &Pod,
    measured: impl Iterator<Item = Measured<'a>> + Clone,
    used: &mut Vec<(&'a str, Usage)>,
) -> bool {
    let is_measured = |name: &str| measured.clone().any(|(measured, _)| measured == name);
    let mut running = pod.containers.iter();
    if running.any(|one| one.state == ContainerState::Running && !is_measured(&one.name)) {
        return false;
    }
    for (name, usage) in measured {
        match usage {
            Some(usage) => used.push((name, usage)),
            None if rests(pod, name) => {}
            None => return false,
        }
    }
    true
}

/// What nodes said, each copied once.
#[derive(Debug, Default)]
pub(super) struct Copies {
    // Of which alone there are copies; `None` for all.
    namespace: Option<String>,
    names: ContainerNames,
    of_nodes: Mutex<HashMap<Arc<str>, Arc<OnceLock<OfNode>>>>,
}

impl Copies {
    /// None yet.
    pub(super) fn new(namespace: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            namespace: namespace.map(str::to_owned),
            ..Self::default()
        })
    }

    /// The places for those of some nodes, all looked up at once: two pieces are made at a time, and would wait for
    /// each other at every pod.
    fn of<'a>(&self, nodes: impl Iterator<Item = &'a Arc<str>>) -> Vec<Arc<OnceLock<OfNode>>> {
        let of_nodes = self.of_nodes.lock();
        let mut of_nodes = of_nodes.unwrap_or_else(PoisonError::into_inner);
        let place = |node: &Arc<str>| match of_nodes.get(node) {
            Some(of_node) => Arc::clone(of_node),
            None => Arc::clone(of_nodes.entry(Arc::clone(node)).or_default()),
        };
        nodes.map(place).collect()
    }
}

/// A pod that runs; another phase is no pod here.
fn running(known: &Known, namespace: &str, name: &str) -> Option<Arc<Pod>> {
    let pod = known.pod(namespace, name)?;
    (pod.phase == Phase::Running).then_some(pod)
}

/// True of a container that waits or has ended by its pod's status: it uses nothing, and keeps nobody away.
pub(super) fn rests(pod: &Pod, name: &str) -> bool {
    let mut of_status = pod.containers.iter().filter(|one| *one.name == *name);
    of_status.any(|one| {
        let state = one.state;
        matches!(state, ContainerState::Waiting | ContainerState::Terminated)
    })
}

/// Sorted by name, of two lives of one name the later.
pub(super) fn by_name(mut entities: Vec<Entity>) -> Vec<Entity> {
    entities.sort_by(|a, b| (&a.name, b.start_ms).cmp(&(&b.name, a.start_ms)));
    entities.dedup_by(|later, kept| later.name == kept.name);
    entities
}

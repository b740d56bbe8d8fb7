//! What there is, and what it uses.
//!
//! With a watched cluster names, labels and places are its own, and only pods that run are there. Without one
//! they are what agents say, and nothing has labels.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::fields::Fields;
use crate::api::Api;
use crate::api::selector::Selector as LabelSelector;
use crate::cluster::{Cluster, ContainerState, Known, Node, Phase, Pod};
use crate::query::{ContainerNames, Measured, OfNode, Usage, View};
use crate::store::{Entity, Selector};

/// A node or pod, and what it uses.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) namespace: Arc<str>,
    pub(super) name: Arc<str>,
    object: Object,
    /// When the span of its CPU ends, Unix ms; of several containers the earliest.
    pub(super) time_ms: u64,
    /// How long that span is, ms.
    pub(super) window_ms: u64,
    pub(super) used: Used,
}

/// Its object, for the labels.
#[derive(Clone, Debug)]
enum Object {
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    None,
}

impl Object {
    fn labels(&self) -> &[(Box<str>, Box<str>)] {
        match self {
            Object::Node(node) => &node.labels,
            Object::Pod(pod) => &pod.labels,
            Object::None => &[],
        }
    }
}

/// What is used.
#[derive(Clone, Debug)]
pub(super) enum Used {
    Node(Usage),
    /// Of each container, by name.
    Pod(Vec<(Arc<str>, Usage)>),
}

impl Item {
    /// A node's, for tests of how it is written.
    #[cfg(test)]
    pub(super) fn of_node(node: Arc<Node>, usage: Usage) -> Self {
        Self {
            namespace: Arc::default(),
            name: Arc::clone(&node.name),
            object: Object::Node(node),
            time_ms: usage.time_ms,
            window_ms: usage.over_ms,
            used: Used::Node(usage),
        }
    }

    /// Sorted by name.
    pub(super) fn labels(&self) -> &[(Box<str>, Box<str>)] {
        self.object.labels()
    }

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

/// What is asked of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) labels: LabelSelector,
    pub(super) fields: Fields,
}

/// What came of looking for one thing; the others have its name as a client is told it.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Item(Box<Item>),
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

/// A pod that may be shown.
#[derive(Clone, Debug)]
pub(super) enum Candidate {
    /// As the Kubernetes API knows it.
    Known(Arc<Pod>),
    /// As its agent tells it.
    Told(Box<Entity>),
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
    pub(super) fn nodes(&self, wanted: &Wanted) -> Vec<Item> {
        let mut entities = self.view.entities(&Selector::Nodes);
        self.view.retain_current(&mut entities);
        let mut entities = by_name(entities);
        let mut objects = Vec::with_capacity(entities.len());
        entities.retain(|entity| {
            let Some(object) = self.node_object(&entity.name) else {
                return false;
            };
            let is_wanted =
                wanted.fields.matches("", &entity.name) && wanted.labels.matches(object.labels());
            if is_wanted {
                objects.push(object);
            }
            is_wanted
        });
        let asked: Vec<&Entity> = entities.iter().collect();
        let usages = self.view.usages(&asked, self.span_ms);
        let all = entities.iter().zip(objects).zip(usages);
        all.filter_map(|((entity, object), usage)| Some(node_item(entity, object, usage?)))
            .collect()
    }

    /// One node.
    pub(super) fn node(&self, name: &str) -> Found {
        let Some(object) = self.node_object(name) else {
            return Found::Unknown(name.to_owned());
        };
        let entities = self.view.entities(&Selector::Node(name));
        let mut nodes: Vec<Entity> = entities.into_iter().filter(|e| &*e.name == name).collect();
        if nodes.is_empty() && matches!(object, Object::None) {
            return Found::Unknown(name.to_owned());
        }
        self.view.retain_current(&mut nodes);
        let nodes = by_name(nodes);
        let asked: Vec<&Entity> = nodes.iter().collect();
        let usage = self
            .view
            .usages(&asked, self.span_ms)
            .into_iter()
            .flatten()
            .next();
        match (nodes.first(), usage) {
            (Some(node), Some(usage)) => Found::Item(Box::new(node_item(node, object, usage))),
            _ => Found::Unmeasured(name.to_owned()),
        }
    }

    /// A node's object; `None` when the cluster has no such node.
    fn node_object(&self, name: &str) -> Option<Object> {
        match self.cluster.known() {
            None => Some(Object::None),
            Some(known) => known.node(name).map(Object::Node),
        }
    }

    /// The pods that are to be shown if they are measured, of one namespace or of all, by namespace and name: as
    /// they are at one moment.
    pub(super) fn candidates(&self, wanted: &Wanted) -> Vec<Candidate> {
        let namespace = self.copies.namespace.as_deref();
        if namespace.is_some_and(|one| wanted.fields.excludes_namespace(one)) {
            return Vec::new();
        }
        let mut candidates: Vec<Candidate> = match self.cluster.known() {
            Some(known) => {
                let pods = namespace.map_or_else(|| known.all_pods(), |one| known.pods(one));
                let pods = pods.into_iter();
                let running = pods.filter(|pod| pod.phase == Phase::Running);
                running.map(Candidate::Known).collect()
            }
            None => self.told(&namespace.map_or(Selector::Pods, Selector::Namespace)),
        };
        candidates.retain(|candidate| {
            wanted
                .fields
                .matches(candidate.namespace(), candidate.name())
                && wanted.labels.matches(candidate.labels())
        });
        candidates
    }

    /// Pods as agents tell them, by namespace and name; of two lives of one name the later.
    fn told(&self, selector: &Selector<'_>) -> Vec<Candidate> {
        let mut pods = self.view.entities(selector);
        self.view.retain_current(&mut pods);
        pods.sort_by(|a, b| {
            (&a.namespace, &a.name, b.start_ms).cmp(&(&b.namespace, &b.name, a.start_ms))
        });
        pods.dedup_by(|later, kept| later.namespace == kept.namespace && later.name == kept.name);
        let told = pods.into_iter();
        told.map(|pod| Candidate::Told(Box::new(pod))).collect()
    }

    /// One pod.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> Found {
        let candidate = match self.cluster.known() {
            Some(known) => running(known, namespace, name).map(Candidate::Known),
            None => self.told(&Selector::Pod { namespace, name }).pop(),
        };
        let Some(candidate) = candidate else {
            return Found::Unknown(name.to_owned());
        };
        match self.item(&candidate) {
            Some(item) => Found::Item(Box::new(item)),
            None => Found::Unmeasured(format!("{namespace}/{name}")),
        }
    }

    /// A pod with what it uses; `None` when it is not whole. What its node says is copied when the first of its
    /// pods is asked for, and is the same from then on.
    pub(super) fn item(&self, candidate: &Candidate) -> Option<Item> {
        let of_node = self.copies.of(candidate.node());
        let of_node = of_node.get_or_init(|| {
            let asked = (self.copies.namespace.as_deref(), self.span_ms);
            self.view
                .of_node(candidate.node(), asked, &self.copies.names)
        });
        let names = &self.copies.names;
        let (measured, object) = match candidate {
            Candidate::Known(pod) => {
                let told = of_node.pod(names, &pod.uid, &pod.name);
                // The node of a static pod calls it by another UID.
                let told = told.or_else(|| of_node.pod(names, &pod.mirror_of, &pod.name));
                (whole(pod, told?)?, Object::Pod(Arc::clone(pod)))
            }
            Candidate::Told(pod) => {
                let told = of_node.pod(names, &pod.pod_uid, &pod.name)?.into_iter();
                let all: Option<Vec<_>> = told.map(|(name, usage)| Some((name, usage?))).collect();
                (all?, Object::None)
            }
        };
        let earliest = measured.iter().map(|(_, usage)| usage);
        let earliest = earliest.min_by_key(|usage| usage.time_ms)?;
        Some(Item {
            namespace: Arc::clone(candidate.namespace()),
            name: candidate.name().into(),
            object,
            time_ms: earliest.time_ms,
            window_ms: earliest.over_ms,
            used: Used::Pod(measured),
        })
    }
}

/// What the running containers of a pod use; `None` when one of them is not measured. One that waits or has ended
/// by the pod's own status uses nothing, and is there only where it is measured all the same, as the status is
/// told later than the usage.
fn whole(pod: &Pod, measured: Vec<Measured>) -> Option<Vec<(Arc<str>, Usage)>> {
    let is_measured = |name: &str| measured.iter().any(|(measured, _)| **measured == *name);
    let mut running = pod.containers.iter();
    if running.any(|one| one.state == ContainerState::Running && !is_measured(&one.name)) {
        return None;
    }
    let rests = |name: &str| {
        let mut of_status = pod.containers.iter().filter(|one| *one.name == *name);
        of_status.any(|one| {
            let state = one.state;
            matches!(state, ContainerState::Waiting | ContainerState::Terminated)
        })
    };
    let mut used = Vec::with_capacity(measured.len());
    for (name, usage) in measured {
        match usage {
            Some(usage) => used.push((name, usage)),
            None if rests(&name) => {}
            None => return None,
        }
    }
    Some(used)
}

impl Candidate {
    fn namespace(&self) -> &Arc<str> {
        match self {
            Candidate::Known(pod) => &pod.namespace,
            Candidate::Told(pod) => &pod.namespace,
        }
    }

    fn name(&self) -> &str {
        match self {
            Candidate::Known(pod) => &pod.name,
            Candidate::Told(pod) => &pod.name,
        }
    }

    fn node(&self) -> &Arc<str> {
        match self {
            Candidate::Known(pod) => &pod.node,
            Candidate::Told(pod) => &pod.node,
        }
    }

    fn labels(&self) -> &[(Box<str>, Box<str>)] {
        match self {
            Candidate::Known(pod) => &pod.labels,
            Candidate::Told(_) => &[],
        }
    }
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

    /// The place for that of a node.
    fn of(&self, node: &Arc<str>) -> Arc<OnceLock<OfNode>> {
        let of_nodes = self.of_nodes.lock();
        let mut of_nodes = of_nodes.unwrap_or_else(PoisonError::into_inner);
        if let Some(of_node) = of_nodes.get(node) {
            return Arc::clone(of_node);
        }
        let of_node = of_nodes.entry(Arc::clone(node)).or_default();
        Arc::clone(of_node)
    }
}

fn node_item(entity: &Entity, object: Object, usage: Usage) -> Item {
    Item {
        namespace: Arc::default(),
        name: Arc::clone(&entity.name),
        object,
        time_ms: usage.time_ms,
        window_ms: usage.over_ms,
        used: Used::Node(usage),
    }
}

/// A pod that runs; another phase is no pod here.
fn running(known: &Known, namespace: &str, name: &str) -> Option<Arc<Pod>> {
    let pod = known.pod(namespace, name)?;
    (pod.phase == Phase::Running).then_some(pod)
}

/// Sorted by name, of two lives of one name the later.
fn by_name(mut entities: Vec<Entity>) -> Vec<Entity> {
    entities.sort_by(|a, b| (&a.name, b.start_ms).cmp(&(&b.name, a.start_ms)));
    entities.dedup_by(|later, kept| later.name == kept.name);
    entities
}

//! What there is, and what it uses.
//!
//! With a watched cluster names, labels and places are its own, and only pods that run are there. Without one
//! they are what agents say, and nothing has labels.

use std::collections::HashMap;
use std::sync::Arc;

use super::fields::Fields;
use crate::api::moment::of_pod;
use crate::api::selector::Selector as LabelSelector;
use crate::cluster::{Cluster, Known, Node, Phase, Pod};
use crate::query::{Usage, View};
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
}

/// A pod that may be shown.
struct Candidate {
    entity: Entity,
    object: Object,
}

impl Finder {
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

    /// Namespaces in which pods may be, by name, each with about how many.
    pub(super) fn namespaces(&self) -> Vec<(Arc<str>, usize)> {
        if let Some(known) = self.cluster.known() {
            return known.namespace_sizes();
        }
        let pods = self.view.entities(&Selector::Pods);
        // Sorted by namespace.
        let runs = pods.chunk_by(|a, b| a.namespace == b.namespace);
        runs.filter_map(|run| Some((Arc::clone(&run.first()?.namespace), run.len())))
            .collect()
    }

    /// The pods of a namespace, by name.
    pub(super) fn pods(&self, namespace: &str, wanted: &Wanted) -> Vec<Item> {
        if wanted.fields.excludes_namespace(namespace) {
            return Vec::new();
        }
        let mut entities = self.view.entities(&Selector::Namespace(namespace));
        self.view.retain_current(&mut entities);
        let mut candidates = match self.cluster.known() {
            Some(known) => of_cluster(known.pods(namespace), entities),
            None => of_agents(entities),
        };
        candidates.retain(|candidate| {
            wanted.fields.matches(namespace, &candidate.entity.name)
                && wanted.labels.matches(candidate.object.labels())
        });
        if candidates.is_empty() {
            return Vec::new();
        }
        let containers = self.view.entities(&Selector::ContainersOf(namespace));
        self.whole(candidates, containers)
    }

    /// One pod.
    pub(super) fn pod(&self, namespace: &str, name: &str) -> Found {
        let mut entities = self.view.entities(&Selector::Pod { namespace, name });
        self.view.retain_current(&mut entities);
        let known = self
            .cluster
            .known()
            .map(|known| running(known, namespace, name));
        let candidates = match known {
            Some(None) => return Found::Unknown(name.to_owned()),
            Some(Some(pod)) => of_cluster(vec![pod], entities),
            None if entities.is_empty() => return Found::Unknown(name.to_owned()),
            None => of_agents(entities),
        };
        let containers = self.view.entities(&Selector::Containers {
            namespace,
            pod: name,
        });
        let mut items = self.whole(candidates, containers);
        match items.pop() {
            Some(item) => Found::Item(Box::new(item)),
            None => Found::Unmeasured(format!("{namespace}/{name}")),
        }
    }

    /// The pods of which every container has been measured.
    fn whole(&self, candidates: Vec<Candidate>, mut containers: Vec<Entity>) -> Vec<Item> {
        self.view.retain_current(&mut containers);
        let mut of: HashMap<(Arc<str>, Arc<str>), Vec<Entity>> = HashMap::new();
        for container in containers {
            of.entry(of_pod(&container)).or_default().push(container);
        }
        let mut pods: Vec<(Candidate, Vec<Entity>)> = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            if let Some(inner) = of.remove(&of_pod(&candidate.entity)) {
                pods.push((candidate, by_name(inner)));
            }
        }
        let asked: Vec<&Entity> = pods.iter().flat_map(|(_, inner)| inner).collect();
        let mut usages = self.view.usages(&asked, self.span_ms).into_iter();
        let items = pods.iter().filter_map(|(candidate, inner)| {
            // All are taken, also when one of them is missing.
            let used: Vec<_> = inner.iter().map(|_| usages.next().flatten()).collect();
            let used = inner.iter().zip(used);
            let used = used.map(|(container, usage)| Some((Arc::clone(&container.name), usage?)));
            candidate.item(used.collect::<Option<_>>()?)
        });
        items.collect()
    }
}

impl Candidate {
    fn item(&self, containers: Vec<(Arc<str>, Usage)>) -> Option<Item> {
        let earliest = containers.iter().map(|(_, usage)| usage);
        let earliest = earliest.min_by_key(|usage| usage.time_ms)?;
        Some(Item {
            namespace: Arc::clone(&self.entity.namespace),
            name: Arc::clone(&self.entity.name),
            object: self.object.clone(),
            time_ms: earliest.time_ms,
            window_ms: earliest.over_ms,
            used: Used::Pod(containers),
        })
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

/// Pods of the cluster that run, each with what the agent of its own node says of it.
fn of_cluster(pods: Vec<Arc<Pod>>, entities: Vec<Entity>) -> Vec<Candidate> {
    let keyed = entities.into_iter().map(|entity| (of_pod(&entity), entity));
    let mut by_key: HashMap<(Arc<str>, Arc<str>), Entity> = keyed.collect();
    let runs = pods.into_iter().filter(|pod| pod.phase == Phase::Running);
    let found = runs.filter_map(|pod| {
        let mut take = |uid: &str| by_key.remove(&(Arc::clone(&pod.node), Arc::from(uid)));
        // The node of a static pod calls it by another UID.
        let told = take(&pod.uid);
        let entity = told.or_else(|| take(&pod.mirror_of))?;
        (*entity.name == *pod.name).then_some(Candidate {
            entity,
            object: Object::Pod(pod),
        })
    });
    found.collect()
}

/// Pods as agents tell them.
fn of_agents(entities: Vec<Entity>) -> Vec<Candidate> {
    let candidate = |entity| Candidate {
        entity,
        object: Object::None,
    };
    by_name(entities).into_iter().map(candidate).collect()
}

/// Sorted by name, of two lives of one name the later.
fn by_name(mut entities: Vec<Entity>) -> Vec<Entity> {
    entities.sort_by(|a, b| (&a.name, b.start_ms).cmp(&(&b.name, a.start_ms)));
    entities.dedup_by(|later, kept| later.name == kept.name);
    entities
}

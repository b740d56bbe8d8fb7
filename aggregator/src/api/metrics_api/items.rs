//! What there is, and what it uses.
//!
//! With a watched cluster names, labels and places are its own, and only pods that run are there. Without one
//! they are what agents say, and nothing has labels.

use std::iter;
use std::ops::BitXor;
use std::slice;
use std::sync::{Arc, OnceLock};

use super::copies::{Copies, Spot, ends, touch};
use super::fields::Fields;
use super::listed::Pods;
use crate::api::Api;
use crate::api::selector::Selector as LabelSelector;
use crate::cluster::{Cluster, ContainerState, Known, Node, Phase, Pod};
use crate::query::{Measured, OfNode, Places, PodKey, Usage, View};
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
                .map(|pod| {
                    let spots = self.of_known(&[&pod]);
                    self.show(iter::once(face(&pod)).zip(&spots), &mut take);
                })
                .is_some(),
            None => self
                .told(&Selector::Pod { namespace, name })
                .pop()
                .map(|pod| {
                    let spots = self.of_told(slice::from_ref(&pod));
                    self.show(iter::once(told_face(&pod)).zip(&spots), &mut take);
                })
                .is_some(),
        };
        match seen {
            Some(seen) => Found::Item(seen),
            None if is_there => Found::Unmeasured(format!("{namespace}/{name}")),
            None => Found::Unknown(name.to_owned()),
        }
    }

    /// Looks up what some pods use: the spot of each, `None` of one that does not run or is not whole.
    pub(super) fn of_known(&self, pods: &[&Pod]) -> Vec<Option<Spot>> {
        touch(pods.iter().map(|pod| {
            let containers = pod.containers.iter().map(|one| ends(&one.name));
            ends(&pod.uid) ^ ends(&pod.name) ^ ends(&pod.node) ^ containers.fold(0, BitXor::bitxor)
        }));
        self.spots(pods, call, |pod, told| {
            pod.phase == Phase::Running && is_whole(pod, told)
        })
    }

    /// The same of pods as agents tell them.
    pub(super) fn of_told(&self, pods: &[Entity]) -> Vec<Option<Spot>> {
        self.spots(pods, told_call, |_, told| {
            told.iter().all(|(_, usage)| usage.is_some())
        })
    }

    /// One step of all of them after the other: each looks into memory that is in no cache, and none waits for what
    /// another one needs. What a node says is copied when the first of its pods is looked up, and is the same from then
    /// on.
    fn spots<'a, T>(
        &self,
        pods: &'a [T],
        call: fn(&'a T) -> Call<'a>,
        is_whole: impl Fn(&T, &[Measured<'_>]) -> bool,
    ) -> Vec<Option<Spot>> {
        let names = &self.copies.names;
        let of_nodes = self.copies.of(pods.iter().map(|pod| call(pod).node));
        let of_each = pods.iter().zip(&of_nodes).map(|(pod, of_node)| {
            let Call {
                node, uid, name, ..
            } = call(pod);
            of_node.get_or_init(|| self.copy(node));
            names.key(uid, name)
        });
        let keys: Vec<PodKey> = of_each.collect();
        let places = |of_node: &Arc<OnceLock<OfNode>>, key| of_node.get()?.places(key);
        let of_each = of_nodes.iter().zip(keys);
        let found: Vec<Option<Places>> = of_each.map(|(of, key)| places(of, key)).collect();
        let mut told = Vec::new();
        let of_each = pods.iter().zip(of_nodes).zip(found);
        let spots = of_each.map(|((pod, of_node), found)| {
            let Call {
                other_uid, name, ..
            } = call(pod);
            let places = found.or_else(|| places(&of_node, names.key(other_uid, name)))?;
            told.clear();
            told.extend(of_node.get()?.at(places, names));
            let is_measured = told.iter().any(|(_, usage)| usage.is_some());
            (is_measured && is_whole(pod, &told)).then_some(Spot { of_node, places })
        });
        spots.collect()
    }

    /// Shows pods that were looked up, each with its spot.
    pub(super) fn show<'f, 's>(
        &'f self,
        pods: impl Iterator<Item = (Face<'f>, &'s Option<Spot>)> + Clone,
        mut see: impl FnMut(&Item<'f, '_>),
    ) {
        let spotted = pods.filter_map(|(face, spot)| Some((face, spot.as_ref()?)));
        touch(spotted.clone().map(|((_, name, _), spot)| {
            let of_node = spot.of_node.get();
            ends(name) ^ of_node.map_or(0, |of_node| of_node.touch(spot.places))
        }));
        let mut used = Vec::new();
        for ((namespace, name, labels), Spot { of_node, places }) in spotted {
            let told = of_node.get().map(|of| of.at(*places, &self.copies.names));
            used.clear();
            let told = told.into_iter().flatten();
            used.extend(told.filter_map(|(name, usage)| Some((name, usage?))));
            let earliest = used.iter().map(|(_, usage): &(_, Usage)| usage);
            if let Some(earliest) = earliest.min_by_key(|usage| usage.time_ms) {
                see(&Item {
                    namespace,
                    name,
                    labels,
                    time_ms: earliest.time_ms,
                    window_ms: earliest.over_ms,
                    used: Used::Pod(&used),
                });
            }
        }
    }

    fn copy(&self, node: &str) -> OfNode {
        let asked = (self.copies.namespace.as_deref(), self.span_ms);
        self.view.of_node(node, asked, &self.copies.names)
    }
}

/// By what a pod is looked up.
struct Call<'a> {
    node: &'a Arc<str>,
    uid: &'a str,
    // Which it has instead, if the node knows no such pod.
    other_uid: &'a str,
    name: &'a str,
}

fn call<'a>(pod: &&'a Pod) -> Call<'a> {
    Call {
        node: &pod.node,
        uid: &pod.uid,
        // The node of a static pod calls it by another UID.
        other_uid: &pod.mirror_of,
        name: &pod.name,
    }
}

fn told_call(pod: &Entity) -> Call<'_> {
    Call {
        node: &pod.node,
        uid: &pod.pod_uid,
        other_uid: &pod.pod_uid,
        name: &pod.name,
    }
}

/// How a pod is written: its namespace, name and labels.
pub(super) type Face<'f> = (&'f str, &'f str, &'f Labels);

/// How a known pod is written.
pub(super) fn face(pod: &Pod) -> Face<'_> {
    (&pod.namespace, &pod.name, &pod.labels)
}

/// How a pod is written that is known from its agent alone.
pub(super) fn told_face(pod: &Entity) -> Face<'_> {
    (&pod.namespace, &pod.name, &[])
}

/// True when the running containers of a pod are all measured. One that waits or has ended by the pod's own status uses
/// nothing, and is there only where it is measured all the same, as the status is told later than the usage.
fn is_whole(pod: &Pod, told: &[Measured<'_>]) -> bool {
    let is_told = |name: &str| told.iter().any(|(told, _)| *told == name);
    let mut running = pod.containers.iter();
    if running.any(|one| one.state == ContainerState::Running && !is_told(&one.name)) {
        return false;
    }
    let mut told = told.iter();
    told.all(|(name, usage)| usage.is_some() || rests(pod, name))
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

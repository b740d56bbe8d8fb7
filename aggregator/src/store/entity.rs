//! How entities are called outside of a run.

use std::sync::Arc;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};

use super::spelled::Spelled;

/// Identity of an entity on its node, whatever run it is in.
///
/// Pods are known by UID: a pod created again under its name is another entity. Containers are
/// known by pod, name and runtime id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityPath {
    /// The node itself.
    Node,
    /// A pod, by UID.
    Pod(Arc<str>),
    /// A container of a pod.
    Container {
        /// UID of the pod.
        pod: Arc<str>,
        /// Name in the pod.
        name: Arc<str>,
        /// Runtime id; empty while nobody knows it.
        runtime_id: Arc<str>,
    },
    /// Anything else, by kind, parent and name.
    Part {
        /// What it is.
        kind: EntityKind,
        /// What it is part of.
        parent: Box<EntityPath>,
        /// Its name there.
        name: Arc<str>,
    },
}

impl EntityPath {
    /// The path of a definition, given how to find its parent's; `None` when the parent is of a
    /// kind that cannot have it, or not known.
    pub(super) fn of(
        def: &EntityDef,
        parent: impl FnOnce(EntityId) -> Option<EntityPath>,
    ) -> Option<Self> {
        match def.kind {
            EntityKind::Node => Some(EntityPath::Node),
            EntityKind::Pod => Some(EntityPath::Pod(def.uid.as_str().into())),
            EntityKind::Container => match def.parent.and_then(parent)? {
                EntityPath::Pod(pod) => Some(EntityPath::Container {
                    pod,
                    name: def.name.as_str().into(),
                    runtime_id: def.runtime_id.as_str().into(),
                }),
                _ => None,
            },
            kind => {
                let parent = def.parent.map_or(Some(EntityPath::Node), parent)?;
                Some(EntityPath::Part {
                    kind,
                    parent: Box::new(parent),
                    name: def.name.as_str().into(),
                })
            }
        }
    }
}

/// An entity of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entity {
    /// The node that reports it.
    pub node: Arc<str>,
    /// Its identity there.
    pub path: EntityPath,
    /// What it is.
    pub kind: EntityKind,
    /// Namespace of a pod and of everything in it; empty for others.
    pub namespace: Arc<str>,
    /// Name of the pod that it is in; empty for others.
    pub pod: Arc<str>,
    /// UID of a pod and of everything in it; empty for others.
    pub pod_uid: Arc<str>,
    /// Name of the container that it is in; empty for others.
    pub container: Arc<str>,
    /// Its own name.
    pub name: Arc<str>,
    /// What else is said of it, sorted by key.
    pub labels: Arc<[(String, String)]>,
    /// When its life began as its source says, or its first tick in the window, Unix ms: of two
    /// with one name, the later is the one meant.
    pub start_ms: u64,
    /// First tick of the window at which it was there, Unix ms.
    pub first_tick_ms: u64,
    /// Last tick at which it was there, Unix ms.
    pub last_tick_ms: u64,
    /// True when it was there in its node's newest row.
    pub alive: bool,
}

/// What tells a pod from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodName<'a> {
    /// Its namespace.
    pub namespace: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its UID.
    pub uid: &'a str,
}

/// Which entities to list.
#[derive(Clone, Copy, Debug)]
pub enum Selector<'a> {
    /// Every node.
    Nodes,
    /// One node.
    Node(&'a str),
    /// The system containers of a node.
    Systems(&'a str),
    /// Every pod.
    Pods,
    /// The pods that a node reports.
    PodsOfNode(&'a str),
    /// The pods of a namespace.
    Namespace(&'a str),
    /// The lives of one pod name.
    Pod {
        /// Its namespace.
        namespace: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// Every container of a pod.
    AllContainers,
    /// Every container of the pods of a node.
    ContainersOfNode(&'a str),
    /// Every container of the pods of a namespace.
    ContainersOf(&'a str),
    /// The containers of all lives of one pod name.
    Containers {
        /// Namespace of the pod.
        namespace: &'a str,
        /// Name of the pod.
        pod: &'a str,
    },
    /// File systems and other labeled parts of whatever there is.
    AllParts,
    /// The same of a node, without those of its pods.
    NodeParts(&'a str),
    /// The same of a system container of a node.
    SystemParts(&'a str, &'a str),
    /// The same of all lives of one pod name, without those of its containers.
    PodParts {
        /// Namespace of the pod.
        namespace: &'a str,
        /// Name of the pod.
        pod: &'a str,
    },
    /// The same of the pods of a namespace.
    NamespaceParts(&'a str),
    /// The same of all lives of one container name.
    ContainerParts {
        /// Namespace of the pod.
        namespace: &'a str,
        /// Name of the pod.
        pod: &'a str,
        /// Name of the container.
        container: &'a str,
    },
    /// Whatever a node reports.
    OfNode(&'a str),
}

/// How a thing looks to a selector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Face<'a> {
    /// What it is.
    pub(super) kind: EntityKind,
    /// Its name within its parent.
    pub(super) name: Spelled<'a>,
    /// Namespace of a pod.
    pub(super) namespace: &'a str,
}

impl<'a> From<&'a EntityDef> for Face<'a> {
    fn from(def: &'a EntityDef) -> Self {
        Self {
            kind: def.kind,
            name: Spelled::whole(&def.name),
            namespace: &def.namespace,
        }
    }
}

/// What has an entity in it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Within<'a> {
    /// Its parent.
    pub(super) parent: Option<Face<'a>>,
    /// Its pod.
    pub(super) pod: Option<Face<'a>>,
}

impl Selector<'_> {
    /// The only node that can have them; `None` when any can.
    pub(super) fn node(&self) -> Option<&str> {
        match self {
            Selector::Node(node)
            | Selector::Systems(node)
            | Selector::PodsOfNode(node)
            | Selector::NodeParts(node)
            | Selector::SystemParts(node, _)
            | Selector::ContainersOfNode(node)
            | Selector::OfNode(node) => Some(node),
            _ => None,
        }
    }

    /// The namespace that all of them are in; `None` when they may be in any or in none.
    pub(crate) fn namespace(&self) -> Option<&str> {
        match self {
            Selector::Namespace(namespace)
            | Selector::ContainersOf(namespace)
            | Selector::NamespaceParts(namespace)
            | Selector::Pod { namespace, .. }
            | Selector::Containers { namespace, .. }
            | Selector::PodParts { namespace, .. }
            | Selector::ContainerParts { namespace, .. } => Some(namespace),
            _ => None,
        }
    }

    /// True when it can mean things of this kind.
    pub(super) fn means(&self, kind: EntityKind) -> bool {
        match self {
            Selector::Nodes | Selector::Node(_) => kind == EntityKind::Node,
            Selector::Systems(_) => kind == EntityKind::System,
            Selector::Pods
            | Selector::PodsOfNode(_)
            | Selector::Namespace(_)
            | Selector::Pod { .. } => kind == EntityKind::Pod,
            Selector::AllContainers
            | Selector::ContainersOfNode(_)
            | Selector::ContainersOf(_)
            | Selector::Containers { .. } => kind == EntityKind::Container,
            Selector::AllParts
            | Selector::NodeParts(_)
            | Selector::SystemParts(..)
            | Selector::PodParts { .. }
            | Selector::NamespaceParts(_)
            | Selector::ContainerParts { .. } => kind.is_labeled(),
            Selector::OfNode(_) => true,
        }
    }

    /// True when the entity, of a kind that it can mean, is one of them.
    pub(super) fn admits(&self, thing: Face<'_>, within: Within<'_>) -> bool {
        let is_named = |pod: Face<'_>, namespace: &str, name: &str| {
            pod.namespace == namespace && pod.name.is(name)
        };
        let is_part_of = |kind: EntityKind| within.parent.is_some_and(|p| p.kind == kind);
        let is_in = |namespace: &str| within.pod.is_some_and(|p| p.namespace == namespace);
        let is_in_pod =
            |namespace: &str, name: &str| within.pod.is_some_and(|p| is_named(p, namespace, name));
        match *self {
            Selector::Nodes
            | Selector::Node(_)
            | Selector::Systems(_)
            | Selector::Pods
            | Selector::PodsOfNode(_)
            | Selector::AllParts => true,
            Selector::Namespace(namespace) => thing.namespace == namespace,
            Selector::Pod { namespace, name } => is_named(thing, namespace, name),
            Selector::AllContainers | Selector::ContainersOfNode(_) => within.pod.is_some(),
            Selector::ContainersOf(namespace) => is_in(namespace),
            Selector::Containers { namespace, pod } => is_in_pod(namespace, pod),
            Selector::NodeParts(_) => is_part_of(EntityKind::Node),
            Selector::SystemParts(_, name) => {
                is_part_of(EntityKind::System) && within.parent.is_some_and(|p| p.name.is(name))
            }
            Selector::PodParts { namespace, pod } => {
                is_part_of(EntityKind::Pod) && is_in_pod(namespace, pod)
            }
            Selector::NamespaceParts(namespace) => is_part_of(EntityKind::Pod) && is_in(namespace),
            Selector::ContainerParts {
                namespace,
                pod,
                container,
            } => {
                is_part_of(EntityKind::Container)
                    && within.parent.is_some_and(|c| c.name.is(container))
                    && is_in_pod(namespace, pod)
            }
            Selector::OfNode(_) => true,
        }
    }
}

/// True when a definition of an id that is known says more of the same thing. Pods are what their
/// UID says; others what their name and their parent say.
pub(super) fn same_identity(old: &EntityDef, new: &EntityDef) -> bool {
    old.kind == new.kind
        && if old.kind == EntityKind::Pod {
            old.uid == new.uid
        } else {
            old.name == new.name && old.parent == new.parent
        }
}

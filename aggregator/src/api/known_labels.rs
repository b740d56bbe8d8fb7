//! The labels of a node or pod: those of its object where the cluster is watched, and else what its agent
//! says. An agent's word is not taken for an object that the API server does not know.

use std::sync::Arc;

use cairn_proto::catalogue::EntityKind;

use super::label_rules::{LabelRules, Labels};
use super::selector::Selector;
use crate::cluster::{Cluster, Node, Pod};
use crate::store::Entity;

/// Whose labels they are.
pub(super) enum KnownLabels {
    Node(Arc<Node>),
    Pod(Arc<Pod>),
    Told(Arc<[(String, String)]>),
    Unknown,
}

impl KnownLabels {
    /// The labels of an entity. A pod is the object of its name only with its UID: another one of the name
    /// may be there already.
    pub(super) fn of(cluster: &Cluster, entity: &Entity) -> Self {
        let Some(known) = cluster.known() else {
            return Self::Told(Arc::clone(&entity.labels));
        };
        match entity.kind {
            EntityKind::Node => known.node(&entity.name).map_or(Self::Unknown, Self::Node),
            EntityKind::Pod => {
                let pod = known.pod(&entity.namespace, &entity.name);
                let pod = pod.filter(|pod| pod.is_called(&entity.pod_uid));
                pod.map_or(Self::Unknown, Self::Pod)
            }
            _ => Self::Told(Arc::clone(&entity.labels)),
        }
    }

    /// True when they meet every requirement.
    pub(super) fn meet(&self, selector: &Selector) -> bool {
        match self {
            Self::Node(node) => selector.matches(&node.labels),
            Self::Pod(pod) => selector.matches(&pod.labels),
            Self::Told(labels) => selector.matches(labels),
            Self::Unknown => selector.matches::<&str>(&[]),
        }
    }

    /// Their exported form.
    pub(super) fn exported(&self, rules: &LabelRules) -> Labels {
        match self {
            Self::Node(node) => rules.exported(&node.labels),
            Self::Pod(pod) => rules.exported(&pod.labels),
            Self::Told(labels) => rules.exported(labels),
            Self::Unknown => rules.exported::<&str>(&[]),
        }
    }
}

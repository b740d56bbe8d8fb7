//! Objects as the API server writes them become ours. What is not kept is never allocated: the decoder
//! reads over it.

pub(super) mod wire;

use std::sync::Arc;

use cairn_proto::rfc3339;

use super::amounts::Reader;
use super::known::Change;
use super::{Container, ContainerState, Labels, Node, Owner, Phase, Pod};
use wire::{ContainerSpec, ContainerStatus, Metadata, NodeObject, PodObject, Versioned};

/// What a container is that starts before the others and stays.
const SIDECAR: &str = "Always";

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Nodes.
    Nodes,
    /// Pods of all namespaces.
    Pods,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Nodes, Self::Pods];

    /// What it is called in paths and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nodes => "nodes",
            Self::Pods => "pods",
        }
    }

    /// Reads an object as it is.
    ///
    /// # Errors
    ///
    /// It is no JSON, or has no name or UID.
    pub fn present(self, json: &[u8]) -> serde_json::Result<Change> {
        Ok(match self {
            Self::Nodes => Change::Node(node(&serde_json::from_slice(json)?)),
            Self::Pods => Change::Pod(pod(serde_json::from_slice(json)?)),
        })
    }

    /// An object that is gone.
    pub(super) fn gone(self, json: &[u8]) -> serde_json::Result<Change> {
        let Versioned { metadata } = serde_json::from_slice(json)?;
        let name: Box<str> = metadata.name.into();
        Ok(match self {
            Self::Nodes => Change::NodeGone(name),
            Self::Pods => {
                let (namespace, uid): (&str, &str) = (&metadata.namespace, &metadata.uid);
                Change::PodGone(namespace.into(), name, uid.into())
            }
        })
    }
}

/// The version that an object, or a list, is of; `None` where it does not say.
pub(super) fn version(json: &[u8]) -> Option<String> {
    let Versioned { metadata } = serde_json::from_slice(json).ok()?;
    let version = metadata.resource_version;
    (!version.is_empty()).then(|| version.into_owned())
}

fn node(object: &NodeObject<'_>) -> Node {
    let NodeObject { metadata, status } = object;
    let mut amounts = Reader::default();
    Node {
        name: Arc::from(&*metadata.name),
        uid: boxed(&metadata.uid),
        labels: labels(metadata),
        created_ms: created_ms(metadata),
        allocatable: amounts.amounts(&status.allocatable),
        capacity: amounts.amounts(&status.capacity),
        ready: status.conditions.0,
        bad_amounts: amounts.bad,
    }
}

fn pod(object: PodObject<'_>) -> Pod {
    let PodObject {
        metadata,
        spec,
        status,
    } = object;
    let sidecars = spec.init_containers.iter();
    let sidecars = sidecars.filter(|container| container.restart_policy == SIDECAR);
    let all = spec.containers.iter().chain(sidecars);
    let statuses = || status.containers.iter().chain(&status.init_containers);
    let mut amounts = Reader::default();
    let containers = all.map(|spec| {
        let mut statuses = statuses();
        let status = statuses.find(|status| status.name == spec.name);
        Container {
            requirements: Arc::new(amounts.requirements(&spec.resources)),
            ..container(spec, status)
        }
    });
    let containers = containers.collect();
    let preparing = spec.init_containers.iter();
    let preparing = preparing.filter(|container| container.restart_policy != SIDECAR);
    let others = preparing.chain(&spec.ephemeral_containers);
    let mut owners = metadata.owners.iter();
    let owner = owners.find(|owner| owner.controller);
    Pod {
        namespace: Arc::from(&*metadata.namespace),
        name: boxed(&metadata.name),
        uid: boxed(&metadata.uid),
        node: Arc::from(&*spec.node_name),
        mirror_of: boxed(&metadata.annotations.mirror),
        service_account: boxed(&spec.service_account_name),
        labels: labels(&metadata),
        phase: phase(&status.phase),
        ready: status.conditions.0,
        created_ms: created_ms(&metadata),
        owner: owner.map(|owner| {
            Arc::new(Owner {
                kind: boxed(&owner.kind),
                name: boxed(&owner.name),
            })
        }),
        containers,
        others: others.map(|spec| boxed(&spec.name)).collect(),
        bad_amounts: amounts.bad,
    }
}

fn container(spec: &ContainerSpec<'_>, status: Option<&ContainerStatus<'_>>) -> Container {
    let id = status
        .map(|status| &*status.container_id)
        .unwrap_or_default();
    // `containerd://ID`: the kubelet's cgroups and metrics have the id alone.
    let id = id.split_once("://").map_or(id, |(_, id)| id);
    Container {
        name: boxed(&spec.name),
        runtime_id: id.into(),
        restarts: status.map_or(0, |status| status.restart_count),
        state: status.map_or(ContainerState::Unknown, |status| state(&status.state)),
        requirements: Arc::default(),
    }
}

/// One of the three is there; the others are absent or null.
fn state(told: &wire::State) -> ContainerState {
    match told {
        told if told.running.is_some() => ContainerState::Running,
        told if told.terminated.is_some() => ContainerState::Terminated,
        told if told.waiting.is_some() => ContainerState::Waiting,
        _ => ContainerState::Unknown,
    }
}

fn boxed(text: &str) -> Box<str> {
    Box::from(text)
}

fn labels(metadata: &Metadata<'_>) -> Labels {
    let labels = metadata.labels.iter();
    labels
        .map(|(name, value)| (boxed(name), boxed(value)))
        .collect()
}

fn created_ms(metadata: &Metadata<'_>) -> u64 {
    let created = rfc3339::parse(&metadata.creation_timestamp);
    created.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
}

fn phase(text: &str) -> Phase {
    match text {
        "Running" => Phase::Running,
        "Succeeded" => Phase::Succeeded,
        "Failed" => Phase::Failed,
        "Unknown" => Phase::Unknown,
        _ => Phase::Pending,
    }
}

#[cfg(test)]
mod tests;

//! What the cluster's own objects say of an entity now.

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, FieldId, table};

use crate::cluster::{Amounts, Cluster, Container, Known, Node, Phase, Pod, Requirements};
use crate::store::Entity;

/// Parts of a whole are told in millionths.
pub(super) const WHOLE: u128 = 1_000_000;

/// The value of a field; `None` where nothing is set, where nobody watches, and where the watch does not have
/// the object, or has another one of its name.
pub(super) fn value(cluster: &Cluster, entity: &Entity, of: FieldId) -> Option<u64> {
    let known = cluster.known()?;
    match entity.kind {
        EntityKind::Node => value_of_node(cluster, &entity.name, of),
        EntityKind::Pod => of_pod(&*pod(known, entity, &entity.name)?, of),
        EntityKind::Container => {
            let pod = pod(known, entity, &entity.pod)?;
            of_container(container(&pod, &entity.name)?, of)
        }
        _ => None,
    }
}

/// The same of the node of a name.
pub(super) fn value_of_node(cluster: &Cluster, name: &str, of: FieldId) -> Option<u64> {
    let known = cluster.known()?;
    of_node(known, &*known.node(name)?, of)
}

/// How many of a resource beside CPU, memory and ephemeral storage a pod or container asks for.
pub(super) fn other_request(cluster: &Cluster, entity: &Entity, name: &str) -> Option<u64> {
    let mut sum = None;
    for each in requirements(cluster, entity) {
        sum = add(sum, each.requests.other(name));
    }
    sum
}

/// Names of the resources of which [`other_request`] knows something, sorted.
pub(super) fn other_names(cluster: &Cluster, entity: &Entity) -> Vec<Box<str>> {
    let requirements = requirements(cluster, entity);
    let others = requirements.iter().flat_map(|each| &*each.requests.others);
    let mut names: Vec<Box<str>> = others.map(|(name, _)| name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The pod of which a pod's or container's entity is: that of its name, if its node calls it by the same UID.
pub(super) fn pod_of(cluster: &Cluster, entity: &Entity) -> Option<Arc<Pod>> {
    let name = match entity.kind {
        EntityKind::Pod => &entity.name,
        EntityKind::Container => &entity.pod,
        _ => return None,
    };
    pod(cluster.known()?, entity, name)
}

fn pod(known: &Known, entity: &Entity, name: &str) -> Option<Arc<Pod>> {
    let pod = known.pod(&entity.namespace, name)?;
    pod.is_called(&entity.pod_uid).then_some(pod)
}

fn container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    let mut containers = pod.containers.iter();
    containers.find(|container| *container.name == *name)
}

/// Of a pod those of all its containers, of a container its own.
fn requirements(cluster: &Cluster, entity: &Entity) -> Vec<Arc<Requirements>> {
    let Some(pod) = pod_of(cluster, entity) else {
        return Vec::new();
    };
    let is_meant =
        |container: &&Container| entity.kind == EntityKind::Pod || *container.name == *entity.name;
    let meant = pod.containers.iter().filter(is_meant);
    meant
        .map(|container| Arc::clone(&container.requirements))
        .collect()
}

fn of_container(container: &Container, of: FieldId) -> Option<u64> {
    let Requirements { requests, limits } = &*container.requirements;
    match of {
        table::CPU_REQUEST => requests.cpu_milli,
        table::CPU_LIMIT => limits.cpu_milli,
        table::MEMORY_REQUEST => requests.memory_bytes,
        table::MEMORY_LIMIT => limits.memory_bytes,
        table::EPHEMERAL_STORAGE_REQUEST => requests.ephemeral_storage_bytes,
        table::EPHEMERAL_STORAGE_LIMIT => limits.ephemeral_storage_bytes,
        table::RESTART_COUNT => Some(container.restarts),
        _ => None,
    }
}

/// The sum of its containers, whether they run yet or not.
fn of_pod(pod: &Pod, of: FieldId) -> Option<u64> {
    if of == table::POD_PHASE {
        return Some(match pod.phase {
            Phase::Pending => 1,
            Phase::Running => 2,
            Phase::Succeeded => 3,
            Phase::Failed => 4,
            Phase::Unknown => 5,
        });
    }
    let containers = pod.containers.iter();
    containers.fold(None, |sum, container| add(sum, of_container(container, of)))
}

fn of_node(known: &Known, node: &Node, of: FieldId) -> Option<u64> {
    let Node {
        capacity,
        allocatable,
        ..
    } = node;
    // Asks for something of which there is none: no part of it can be told.
    let part = |request, amount: fn(&Amounts) -> Option<u64>| {
        let asked = of_pods(known, &node.name, request).unwrap_or(0);
        part_of(asked, amount(allocatable)?)
    };
    match of {
        table::CPU_CAPACITY => capacity.cpu_milli,
        table::CPU_ALLOCATABLE => allocatable.cpu_milli,
        table::CPU_RESERVATION => part(table::CPU_REQUEST, |a| a.cpu_milli),
        table::MEMORY_CAPACITY => capacity.memory_bytes,
        table::MEMORY_ALLOCATABLE => allocatable.memory_bytes,
        table::MEMORY_RESERVATION => part(table::MEMORY_REQUEST, |a| a.memory_bytes),
        table::EPHEMERAL_STORAGE_CAPACITY => capacity.ephemeral_storage_bytes,
        table::EPHEMERAL_STORAGE_ALLOCATABLE => allocatable.ephemeral_storage_bytes,
        table::EPHEMERAL_STORAGE_RESERVATION => part(table::EPHEMERAL_STORAGE_REQUEST, |a| {
            a.ephemeral_storage_bytes
        }),
        _ => of_pods(known, &node.name, of),
    }
}

/// The sum of the pods that run on a node: those that wait or have ended hold nothing.
fn of_pods(known: &Known, node: &str, of: FieldId) -> Option<u64> {
    let pods = known.pods_on(node).into_iter();
    let running = pods.filter(|pod| pod.phase == Phase::Running);
    running.fold(None, |sum, pod| add(sum, of_pod(&pod, of)))
}

/// Some of all, in millionths, rounded down; `None` of nothing.
pub(super) fn part_of(some: u64, all: u64) -> Option<u64> {
    let part = (u128::from(some) * WHOLE).checked_div(all.into())?;
    Some(u64::try_from(part).unwrap_or(u64::MAX))
}

/// There is a sum where any part is. Saturates.
fn add(sum: Option<u64>, part: Option<u64>) -> Option<u64> {
    match (sum, part) {
        (Some(sum), Some(part)) => Some(sum.saturating_add(part)),
        (sum, part) => sum.or(part),
    }
}

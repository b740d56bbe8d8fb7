//! What the Kubernetes API says of nodes, pods and containers, and what follows from it.
//!
//! Nobody measures these, and they never travel: they have no history. At every tick at which their entity
//! has a row they are what the watch knows now.

use super::row::gauge;
use super::{CPU, EPHEMERAL_STORAGE_USAGE, MEMORY_USAGE};
use crate::catalogue::{EntityKind, Field, FieldId, Group, Origin, Unit};

/// CPU that is asked for.
pub const CPU_REQUEST: FieldId = FieldId(400);
/// CPU that may be used.
pub const CPU_LIMIT: FieldId = FieldId(401);
/// Memory that is asked for.
pub const MEMORY_REQUEST: FieldId = FieldId(402);
/// Memory that may be used.
pub const MEMORY_LIMIT: FieldId = FieldId(403);
/// Ephemeral storage that is asked for.
pub const EPHEMERAL_STORAGE_REQUEST: FieldId = FieldId(404);
/// Ephemeral storage that may be used.
pub const EPHEMERAL_STORAGE_LIMIT: FieldId = FieldId(405);
/// How often a container was begun again.
pub const RESTART_COUNT: FieldId = FieldId(406);
/// Where a pod is in its life.
pub const POD_PHASE: FieldId = FieldId(407);
/// CPU that the node has.
pub const CPU_CAPACITY: FieldId = FieldId(408);
/// CPU that pods can ask for on the node.
pub const CPU_ALLOCATABLE: FieldId = FieldId(409);
/// Part of it that is asked for.
pub const CPU_RESERVATION: FieldId = FieldId(410);
/// Part of it that is used.
pub const CPU_UTILIZATION: FieldId = FieldId(411);
/// Memory that the node has.
pub const MEMORY_CAPACITY: FieldId = FieldId(412);
/// Memory that pods can ask for on the node.
pub const MEMORY_ALLOCATABLE: FieldId = FieldId(413);
/// Part of it that is asked for.
pub const MEMORY_RESERVATION: FieldId = FieldId(414);
/// Part of it that is used.
pub const MEMORY_UTILIZATION: FieldId = FieldId(415);
/// Ephemeral storage that the node has.
pub const EPHEMERAL_STORAGE_CAPACITY: FieldId = FieldId(416);
/// Ephemeral storage that pods can ask for on the node.
pub const EPHEMERAL_STORAGE_ALLOCATABLE: FieldId = FieldId(417);
/// Part of it that is asked for.
pub const EPHEMERAL_STORAGE_RESERVATION: FieldId = FieldId(418);
/// Part of it that is used.
pub const EPHEMERAL_STORAGE_UTILIZATION: FieldId = FieldId(419);
/// Pods that are there.
pub const POD_COUNT: FieldId = FieldId(420);

const NODE: &[EntityKind] = &[EntityKind::Node];
const POD: &[EntityKind] = &[EntityKind::Pod];

/// A row that no agent has a source for.
const fn known(
    (id, name): (FieldId, &'static str),
    origin: Origin,
    unit: Unit,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    Field {
        origin,
        ..gauge(id, name, unit, prometheus, help)
    }
}

const fn asked(
    named: (FieldId, &'static str),
    heapster: &'static str,
    unit: Unit,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    let kinds = &[EntityKind::Node, EntityKind::Pod, EntityKind::Container];
    known(named, Origin::Cluster, unit, prometheus, help)
        .of(kinds, Group::Memory, &[])
        .heapster(heapster)
}

const fn of_node(
    named: (FieldId, &'static str),
    origin: Origin,
    heapster: &'static str,
    unit: Unit,
    prometheus: &'static str,
) -> Field {
    let help = match origin {
        Origin::Utilization { .. } => {
            "usage as a part of what pods can ask for; absent while either is"
        }
        _ => match unit {
            Unit::Millionths => {
                "what the node's running pods ask for as a part of what they can; 0 when none asks"
            }
            _ => "as the node's object says",
        },
    };
    known(named, origin, unit, prometheus, help)
        .of(NODE, Group::Memory, &[])
        .heapster(heapster)
}

const fn part_of(allocatable: FieldId, usage: FieldId) -> Origin {
    Origin::Utilization { usage, allocatable }
}

pub(super) const CLUSTER_ROWS: &[Field] = &[
    asked(
        (CPU_REQUEST, "cpu_request_millicores"),
        "cpu/request",
        Unit::Millicores,
        "kube_pod_container_resource_requests{resource=\"cpu\"}",
        "sum of the containers that ask for CPU; of a node, of its running pods; absent when none asks",
    )
    .summed(),
    asked(
        (CPU_LIMIT, "cpu_limit_millicores"),
        "cpu/limit",
        Unit::Millicores,
        "kube_pod_container_resource_limits{resource=\"cpu\"}",
        "sum of the containers that have a limit; of a node, of its running pods; absent when none has one",
    )
    .summed(),
    asked(
        (MEMORY_REQUEST, "memory_request_bytes"),
        "memory/request",
        Unit::Bytes,
        "kube_pod_container_resource_requests{resource=\"memory\"}",
        "as cpu_request_millicores",
    )
    .summed(),
    asked(
        (MEMORY_LIMIT, "memory_limit_bytes"),
        "memory/limit",
        Unit::Bytes,
        "kube_pod_container_resource_limits{resource=\"memory\"}",
        "as cpu_limit_millicores",
    )
    .summed(),
    asked(
        (EPHEMERAL_STORAGE_REQUEST, "ephemeral_storage_request_bytes"),
        "ephemeral_storage/request",
        Unit::Bytes,
        "kube_pod_container_resource_requests{resource=\"ephemeral_storage\"}",
        "as cpu_request_millicores",
    ),
    asked(
        (EPHEMERAL_STORAGE_LIMIT, "ephemeral_storage_limit_bytes"),
        "ephemeral_storage/limit",
        Unit::Bytes,
        "kube_pod_container_resource_limits{resource=\"ephemeral_storage\"}",
        "as cpu_limit_millicores",
    ),
    known(
        (RESTART_COUNT, "container_restart_count"),
        Origin::Cluster,
        Unit::Count,
        "kube_pod_container_status_restarts_total",
        "how often the container was begun again; of a pod, the sum of its containers",
    )
    .of(
        &[EntityKind::Pod, EntityKind::Container],
        Group::Memory,
        &[],
    )
    .heapster("restart_count"),
    known(
        (POD_PHASE, "pod_phase"),
        Origin::Cluster,
        Unit::Count,
        "kube_pod_status_phase",
        "1 Pending, 2 Running, 3 Succeeded, 4 Failed, 5 Unknown",
    )
    .of(POD, Group::Memory, &[]),
    of_node(
        (CPU_CAPACITY, "cpu_capacity_millicores"),
        Origin::Cluster,
        "cpu/node_capacity",
        Unit::Millicores,
        "kube_node_status_capacity{resource=\"cpu\"}",
    ),
    of_node(
        (CPU_ALLOCATABLE, "cpu_allocatable_millicores"),
        Origin::Cluster,
        "cpu/node_allocatable",
        Unit::Millicores,
        "kube_node_status_allocatable{resource=\"cpu\"}",
    ),
    of_node(
        (CPU_RESERVATION, "cpu_reservation_millionths"),
        Origin::Cluster,
        "cpu/node_reservation",
        Unit::Millionths,
        "cairn_node_reservation_ratio{resource=\"cpu\"}",
    ),
    of_node(
        (CPU_UTILIZATION, "cpu_utilization_millionths"),
        part_of(CPU_ALLOCATABLE, CPU),
        "cpu/node_utilization",
        Unit::Millionths,
        "cairn_node_utilization_ratio{resource=\"cpu\"}",
    ),
    of_node(
        (MEMORY_CAPACITY, "memory_capacity_bytes"),
        Origin::Cluster,
        "memory/node_capacity",
        Unit::Bytes,
        "kube_node_status_capacity{resource=\"memory\"}",
    ),
    of_node(
        (MEMORY_ALLOCATABLE, "memory_allocatable_bytes"),
        Origin::Cluster,
        "memory/node_allocatable",
        Unit::Bytes,
        "kube_node_status_allocatable{resource=\"memory\"}",
    ),
    of_node(
        (MEMORY_RESERVATION, "memory_reservation_millionths"),
        Origin::Cluster,
        "memory/node_reservation",
        Unit::Millionths,
        "cairn_node_reservation_ratio{resource=\"memory\"}",
    ),
    of_node(
        (MEMORY_UTILIZATION, "memory_utilization_millionths"),
        part_of(MEMORY_ALLOCATABLE, MEMORY_USAGE),
        "memory/node_utilization",
        Unit::Millionths,
        "cairn_node_utilization_ratio{resource=\"memory\"}",
    ),
    of_node(
        (EPHEMERAL_STORAGE_CAPACITY, "ephemeral_storage_capacity_bytes"),
        Origin::Cluster,
        "ephemeral_storage/node_capacity",
        Unit::Bytes,
        "kube_node_status_capacity{resource=\"ephemeral_storage\"}",
    ),
    of_node(
        (EPHEMERAL_STORAGE_ALLOCATABLE, "ephemeral_storage_allocatable_bytes"),
        Origin::Cluster,
        "ephemeral_storage/node_allocatable",
        Unit::Bytes,
        "kube_node_status_allocatable{resource=\"ephemeral_storage\"}",
    ),
    of_node(
        (EPHEMERAL_STORAGE_RESERVATION, "ephemeral_storage_reservation_millionths"),
        Origin::Cluster,
        "ephemeral_storage/node_reservation",
        Unit::Millionths,
        "cairn_node_reservation_ratio{resource=\"ephemeral_storage\"}",
    ),
    of_node(
        (EPHEMERAL_STORAGE_UTILIZATION, "ephemeral_storage_utilization_millionths"),
        part_of(EPHEMERAL_STORAGE_ALLOCATABLE, EPHEMERAL_STORAGE_USAGE),
        "ephemeral_storage/node_utilization",
        Unit::Millionths,
        "cairn_node_utilization_ratio{resource=\"ephemeral_storage\"}",
    ),
    known(
        (POD_COUNT, "pod_count"),
        Origin::Presence,
        Unit::Count,
        "cairn_pods",
        "1 of each pod that is there: the number of pods, where it is summed",
    )
    .of(POD, Group::Memory, &[])
    .summed(),
];

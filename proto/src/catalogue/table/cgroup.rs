//! CPU, memory, swap and processes of cgroups.

use super::row::{counter, gauge};
use crate::catalogue::{EntityKind, Field, FieldId, Group, RateUnit, Source, Unit};

/// What has a cgroup of its own.
pub const CGROUPS: &[EntityKind] = &[
    EntityKind::Node,
    EntityKind::System,
    EntityKind::Pod,
    EntityKind::Container,
];

/// CPU time used by a cgroup.
pub const CPU: FieldId = FieldId(64);
/// Memory in use, page cache included.
pub const MEMORY_USAGE: FieldId = FieldId(65);
/// Memory in use without inactive page cache.
pub const MEMORY_WORKING_SET: FieldId = FieldId(66);
/// Anonymous memory.
pub const MEMORY_RSS: FieldId = FieldId(67);
/// What is left below the limit.
pub const MEMORY_AVAILABLE: FieldId = FieldId(80);
/// Page faults.
pub const MEMORY_PAGE_FAULTS: FieldId = FieldId(81);
/// Page faults that read from a disk.
pub const MEMORY_MAJOR_PAGE_FAULTS: FieldId = FieldId(82);
/// Swap in use.
pub const SWAP_USAGE: FieldId = FieldId(83);
/// Swap that is left.
pub const SWAP_AVAILABLE: FieldId = FieldId(84);
/// Processes of a pod.
pub const PROCESS_COUNT: FieldId = FieldId(85);
/// Process ids that the node can give out.
pub const RLIMIT_MAX_PIDS: FieldId = FieldId(86);
/// Process ids that are in use.
pub const RLIMIT_CURRENT_PIDS: FieldId = FieldId(87);

const SUMMARY: &[Source] = &[Source::Summary];
const CGROUP: &[Source] = &[Source::Cgroup, Source::Summary];
const CGROUP_USAGE: &[Source] = &[Source::Cgroup, Source::Summary, Source::Cadvisor];
const CGROUP_MEMORY: &[Source] = &[
    Source::Cgroup,
    Source::Summary,
    Source::Resource,
    Source::Cadvisor,
];

const fn memory(
    id: FieldId,
    name: &'static str,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    gauge(id, name, Unit::Bytes, prometheus, help).of(CGROUPS, Group::Memory, CGROUP_USAGE)
}

const fn faults(
    id: FieldId,
    name: &'static str,
    heapster: (&'static str, &'static str),
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    counter(id, name, Unit::Count, prometheus, help)
        .of(CGROUPS, Group::Memory, CGROUP_USAGE)
        .heapster(heapster.0)
        .rated(heapster.1, RateUnit::PerSecond)
}

pub(super) const CPU_ROW: Field = counter(
    CPU,
    "cpu_usage_core_nanos",
    Unit::CpuNanos,
    "container_cpu_usage_seconds_total",
    "CPU time used since the start of the thing measured",
)
.of(
    CGROUPS,
    Group::Cpu,
    &[
        Source::Cgroup,
        Source::Resource,
        Source::Summary,
        Source::Cadvisor,
    ],
)
.heapster("cpu/usage")
.rated("cpu/usage_rate", RateUnit::Millicores)
.summed();

pub(super) const FIRST_CGROUP_ROWS: &[Field] = &[
    CPU_ROW,
    memory(
        MEMORY_USAGE,
        "memory_usage_bytes",
        "container_memory_usage_bytes",
        "memory in use, page cache included",
    )
    .heapster("memory/usage")
    .summed(),
    memory(
        MEMORY_WORKING_SET,
        "memory_working_set_bytes",
        "container_memory_working_set_bytes",
        "memory in use without inactive page cache: what eviction and autoscalers look at",
    )
    .of(CGROUPS, Group::Memory, CGROUP_MEMORY)
    .heapster("memory/working_set"),
    memory(
        MEMORY_RSS,
        "memory_rss_bytes",
        "container_memory_rss",
        "anonymous memory, swap cache included",
    )
    .heapster("memory/rss"),
];

pub(super) const CGROUP_ROWS: &[Field] = &[
    memory(
        MEMORY_AVAILABLE,
        "memory_available_bytes",
        "container_memory_available_bytes",
        "what is left of the limit above the working set; absent without a limit",
    ),
    faults(
        MEMORY_PAGE_FAULTS,
        "memory_page_faults",
        ("memory/page_faults", "memory/page_faults_rate"),
        "container_memory_page_faults_total",
        "page faults, served from memory or from a disk",
    ),
    faults(
        MEMORY_MAJOR_PAGE_FAULTS,
        "memory_major_page_faults",
        ("memory/major_page_faults", "memory/major_page_faults_rate"),
        "container_memory_major_page_faults_total",
        "page faults that had to read from a disk",
    ),
    memory(
        SWAP_USAGE,
        "swap_usage_bytes",
        "container_swap_usage_bytes",
        "swap in use",
    )
    .of(CGROUPS, Group::Memory, CGROUP_MEMORY),
    memory(
        SWAP_AVAILABLE,
        "swap_available_bytes",
        "container_swap_available_bytes",
        "swap that is left; absent where the kubelet names no limit",
    )
    .of(CGROUPS, Group::Memory, CGROUP),
    gauge(
        PROCESS_COUNT,
        "process_count",
        Unit::Count,
        "container_processes",
        "processes in the pod's cgroup",
    )
    .of(&[EntityKind::Pod], Group::Memory, CGROUP),
    gauge(
        RLIMIT_MAX_PIDS,
        "rlimit_max_pids",
        Unit::Count,
        "node_processes_max_processes",
        "process ids that the node can give out",
    )
    .of(&[EntityKind::Node], Group::Process, SUMMARY),
    gauge(
        RLIMIT_CURRENT_PIDS,
        "rlimit_current_pids",
        Unit::Count,
        "node_processes_pids",
        "process ids that are in use on the node, threads included",
    )
    .of(&[EntityKind::Node], Group::Process, SUMMARY),
];

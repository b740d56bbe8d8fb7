//! The rows.

use super::{EntityKind, Field, FieldId, Group, Kind, RateUnit, Source, Sum, Unit};

const CGROUPS: &[EntityKind] = &[
    EntityKind::Node,
    EntityKind::System,
    EntityKind::Pod,
    EntityKind::Container,
];
const NETWORKS: &[EntityKind] = &[EntityKind::Node, EntityKind::Pod];
const HOST: &[EntityKind] = &[EntityKind::Node];

/// A gauge of the node's own /proc.
const fn host(
    id: u16,
    name: &'static str,
    unit: Unit,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    Field {
        id: FieldId(id),
        name,
        kind: Kind::Gauge,
        unit,
        group: Group::Host,
        entities: HOST,
        sources: &[Source::Procfs],
        heapster: None,
        heapster_rate: None,
        prometheus,
        sum: Sum::None,
        help,
    }
}

/// A gauge of memory of a cgroup.
const fn memory(
    id: u16,
    name: &'static str,
    heapster: &'static str,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    Field {
        id: FieldId(id),
        name,
        kind: Kind::Gauge,
        unit: Unit::Bytes,
        group: Group::Memory,
        entities: CGROUPS,
        sources: &[Source::Summary],
        heapster: Some(heapster),
        heapster_rate: None,
        prometheus,
        sum: Sum::None,
        help,
    }
}

/// A counter of a network namespace's default interface.
const fn network(
    id: u16,
    name: &'static str,
    unit: Unit,
    heapster: (&'static str, &'static str),
    prometheus: &'static str,
) -> Field {
    Field {
        id: FieldId(id),
        name,
        kind: Kind::Counter,
        unit,
        group: Group::Network,
        entities: NETWORKS,
        sources: &[Source::Summary],
        heapster: Some(heapster.0),
        heapster_rate: Some((heapster.1, RateUnit::PerSecond)),
        prometheus,
        sum: Sum::None,
        help: "of the default interface; absent where the kubelet names none",
    }
}

/// CPU time used.
pub(super) const CPU_USAGE: Field = Field {
    id: FieldId(64),
    name: "cpu_usage_core_nanos",
    kind: Kind::Counter,
    unit: Unit::CpuNanos,
    group: Group::Cpu,
    entities: CGROUPS,
    sources: &[Source::Resource, Source::Summary],
    heapster: Some("cpu/usage"),
    heapster_rate: Some(("cpu/usage_rate", RateUnit::Millicores)),
    prometheus: "container_cpu_usage_seconds_total",
    sum: Sum::Pods,
    help: "CPU time used since the start of the thing measured",
};

/// Every metric, sorted by number.
pub const FIELDS: &[Field] = &[
    CPU_USAGE,
    Field {
        sum: Sum::Pods,
        ..memory(
            65,
            "memory_usage_bytes",
            "memory/usage",
            "container_memory_usage_bytes",
            "memory in use, page cache included",
        )
    },
    memory(
        66,
        "memory_working_set_bytes",
        "memory/working_set",
        "container_memory_working_set_bytes",
        "memory in use without inactive page cache: what eviction and autoscalers look at",
    ),
    memory(
        67,
        "memory_rss_bytes",
        "memory/rss",
        "container_memory_rss",
        "anonymous memory, swap cache included",
    ),
    network(
        68,
        "network_rx_bytes",
        Unit::Bytes,
        ("network/rx", "network/rx_rate"),
        "container_network_receive_bytes_total",
    ),
    network(
        69,
        "network_tx_bytes",
        Unit::Bytes,
        ("network/tx", "network/tx_rate"),
        "container_network_transmit_bytes_total",
    ),
    network(
        70,
        "network_rx_errors",
        Unit::Count,
        ("network/rx_errors", "network/rx_errors_rate"),
        "container_network_receive_errors_total",
    ),
    network(
        71,
        "network_tx_errors",
        Unit::Count,
        ("network/tx_errors", "network/tx_errors_rate"),
        "container_network_transmit_errors_total",
    ),
    host(
        72,
        "host_load1",
        Unit::MilliLoad,
        "node_load1",
        "load average over one minute",
    ),
    host(
        73,
        "host_load5",
        Unit::MilliLoad,
        "node_load5",
        "load average over five minutes",
    ),
    host(
        74,
        "host_load15",
        Unit::MilliLoad,
        "node_load15",
        "load average over 15 minutes",
    ),
    host(
        75,
        "host_memory_total_bytes",
        Unit::Bytes,
        "node_memory_MemTotal_bytes",
        "memory that the kernel manages",
    ),
    host(
        76,
        "host_memory_available_bytes",
        Unit::Bytes,
        "node_memory_MemAvailable_bytes",
        "memory that new work could get without swapping, as the kernel estimates it",
    ),
    Field {
        kind: Kind::Counter,
        ..host(
            77,
            "host_cpu_busy_nanos",
            Unit::CpuNanos,
            "node_cpu_seconds_total",
            "time that the machine's CPUs were not idle and not waiting for I/O",
        )
    },
    Field {
        kind: Kind::Counter,
        ..host(
            78,
            "host_network_rx_bytes",
            Unit::Bytes,
            "node_network_receive_bytes_total",
            "received on the interfaces of the default routes; without such a route, on all but lo",
        )
    },
    Field {
        kind: Kind::Counter,
        ..host(
            79,
            "host_network_tx_bytes",
            Unit::Bytes,
            "node_network_transmit_bytes_total",
            "sent on the interfaces of the default routes; without such a route, on all but lo",
        )
    },
];

/// CPU time used by a cgroup.
pub const CPU: FieldId = FieldId(64);
/// Memory in use, page cache included.
pub const MEMORY_USAGE: FieldId = FieldId(65);
/// Memory in use without inactive page cache.
pub const MEMORY_WORKING_SET: FieldId = FieldId(66);
/// Anonymous memory.
pub const MEMORY_RSS: FieldId = FieldId(67);
/// Bytes received.
pub const NETWORK_RX: FieldId = FieldId(68);
/// Bytes sent.
pub const NETWORK_TX: FieldId = FieldId(69);
/// Receive errors.
pub const NETWORK_RX_ERRORS: FieldId = FieldId(70);
/// Send errors.
pub const NETWORK_TX_ERRORS: FieldId = FieldId(71);
/// Load average over one minute.
pub const HOST_LOAD1: FieldId = FieldId(72);
/// Load average over five minutes.
pub const HOST_LOAD5: FieldId = FieldId(73);
/// Load average over 15 minutes.
pub const HOST_LOAD15: FieldId = FieldId(74);
/// The machine's memory.
pub const HOST_MEMORY_TOTAL: FieldId = FieldId(75);
/// The machine's available memory.
pub const HOST_MEMORY_AVAILABLE: FieldId = FieldId(76);
/// The machine's busy CPU time.
pub const HOST_CPU_BUSY: FieldId = FieldId(77);
/// The machine's received bytes.
pub const HOST_NETWORK_RX: FieldId = FieldId(78);
/// The machine's sent bytes.
pub const HOST_NETWORK_TX: FieldId = FieldId(79);

/// The row with this number; `None` for one that this version does not know.
#[must_use]
pub fn field(id: FieldId) -> Option<&'static Field> {
    FIELDS
        .binary_search_by_key(&id, |f| f.id)
        .ok()
        .and_then(|i| FIELDS.get(i))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{FIRST_FIELD, HeapsterMetric};

    #[test]
    fn numbers_are_sorted_unique_and_above_the_stamps() {
        assert!(FIELDS.is_sorted_by(|a, b| a.id < b.id));
        assert!(FIELDS.iter().all(|f| f.id.0 >= FIRST_FIELD));
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = FIELDS
            .iter()
            .flat_map(|f| [Some(f.name), f.heapster, f.heapster_rate.map(|r| r.0)])
            .flatten()
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn names_of_the_oldest_clients_are_understood() {
        for (old, new) in [("cpu-usage", CPU), ("memory-usage", MEMORY_USAGE)] {
            assert_eq!(HeapsterMetric::find(old).map(|m| m.field().id), Some(new));
        }
        assert!(HeapsterMetric::find("no/such").is_none());
    }
}

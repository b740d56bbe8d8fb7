//! Details of cgroups that the summary has not: throttling, block I/O, parts of memory.
//!
//! The load average is not among them: the kubelet keeps cAdvisor's load reader off, so it is always 0.

use super::CGROUPS;
use super::row::{counter, gauge};
use crate::catalogue::{EntityKind, Field, FieldId, Group, Source, Unit};

/// Periods in which a CPU quota was enforced.
pub const CFS_PERIODS: FieldId = FieldId(220);
/// Those of them in which the quota ran out.
pub const CFS_THROTTLED_PERIODS: FieldId = FieldId(221);
/// Time for which work was held back by a CPU quota.
pub const CFS_THROTTLED_TIME: FieldId = FieldId(222);
/// Page cache.
pub const MEMORY_CACHE: FieldId = FieldId(223);
/// Memory-mapped files.
pub const MEMORY_MAPPED_FILE: FieldId = FieldId(224);
/// Processes that were killed for want of memory.
pub const OOM_EVENTS: FieldId = FieldId(225);
/// Open file descriptors.
pub const FILE_DESCRIPTORS: FieldId = FieldId(226);
/// Threads.
pub const THREADS: FieldId = FieldId(227);
/// Bytes read from a device.
pub const IO_READ_BYTES: FieldId = FieldId(230);
/// Bytes written to a device.
pub const IO_WRITE_BYTES: FieldId = FieldId(231);
/// Reads of a device.
pub const IO_READS: FieldId = FieldId(232);
/// Writes to a device.
pub const IO_WRITES: FieldId = FieldId(233);
/// Packets that an interface received.
pub const NETWORK_RX_PACKETS: FieldId = FieldId(234);
/// Received packets that were dropped.
pub const NETWORK_RX_DROPPED: FieldId = FieldId(235);
/// Packets that an interface sent.
pub const NETWORK_TX_PACKETS: FieldId = FieldId(236);
/// Outgoing packets that were dropped.
pub const NETWORK_TX_DROPPED: FieldId = FieldId(237);

const fn of_cgroups(field: Field) -> Field {
    field.of(CGROUPS, Group::Detail, &[Source::Cgroup, Source::Cadvisor])
}

const fn of_devices(field: Field) -> Field {
    field.of(
        &[EntityKind::BlockDevice],
        Group::Detail,
        &[Source::Cgroup, Source::Cadvisor],
    )
}

const fn of_interfaces(field: Field) -> Field {
    field.of(&[EntityKind::Interface], Group::Detail, &[Source::Cadvisor])
}

pub(super) const DETAIL_ROWS: &[Field] = &[
    of_cgroups(counter(
        CFS_PERIODS,
        "cpu_cfs_periods",
        Unit::Count,
        "container_cpu_cfs_periods_total",
        "periods in which a CPU quota was enforced; absent without a quota",
    )),
    of_cgroups(counter(
        CFS_THROTTLED_PERIODS,
        "cpu_cfs_throttled_periods",
        Unit::Count,
        "container_cpu_cfs_throttled_periods_total",
        "periods in which the CPU quota ran out; absent without a quota",
    )),
    of_cgroups(counter(
        CFS_THROTTLED_TIME,
        "cpu_cfs_throttled_nanos",
        Unit::CpuNanos,
        "container_cpu_cfs_throttled_seconds_total",
        "time for which work was held back by the CPU quota; absent without a quota",
    )),
    of_cgroups(gauge(
        MEMORY_CACHE,
        "memory_cache_bytes",
        Unit::Bytes,
        "container_memory_cache",
        "page cache",
    )),
    of_cgroups(gauge(
        MEMORY_MAPPED_FILE,
        "memory_mapped_file_bytes",
        Unit::Bytes,
        "container_memory_mapped_file",
        "memory-mapped files",
    )),
    of_cgroups(counter(
        OOM_EVENTS,
        "oom_events",
        Unit::Count,
        "container_oom_events_total",
        "processes that the kernel killed for want of memory",
    )),
    of_cgroups(gauge(
        FILE_DESCRIPTORS,
        "file_descriptors",
        Unit::Count,
        "container_file_descriptors",
        "open file descriptors",
    ))
    .of(CGROUPS, Group::Detail, &[Source::Cadvisor]),
    of_cgroups(gauge(
        THREADS,
        "thread_count",
        Unit::Count,
        "container_threads",
        "threads",
    )),
    of_devices(counter(
        IO_READ_BYTES,
        "io_read_bytes",
        Unit::Bytes,
        "container_fs_reads_bytes_total",
        "bytes that a pod or container read from the device",
    )),
    of_devices(counter(
        IO_WRITE_BYTES,
        "io_write_bytes",
        Unit::Bytes,
        "container_fs_writes_bytes_total",
        "bytes that a pod or container wrote to the device",
    )),
    of_devices(counter(
        IO_READS,
        "io_reads",
        Unit::Count,
        "container_fs_reads_total",
        "reads of the device by a pod or container",
    )),
    of_devices(counter(
        IO_WRITES,
        "io_writes",
        Unit::Count,
        "container_fs_writes_total",
        "writes to the device by a pod or container",
    )),
    of_interfaces(counter(
        NETWORK_RX_PACKETS,
        "network_rx_packets",
        Unit::Count,
        "container_network_receive_packets_total",
        "packets that the interface received",
    )),
    of_interfaces(counter(
        NETWORK_RX_DROPPED,
        "network_rx_dropped",
        Unit::Count,
        "container_network_receive_packets_dropped_total",
        "received packets that were dropped",
    )),
    of_interfaces(counter(
        NETWORK_TX_PACKETS,
        "network_tx_packets",
        Unit::Count,
        "container_network_transmit_packets_total",
        "packets that the interface sent",
    )),
    of_interfaces(counter(
        NETWORK_TX_DROPPED,
        "network_tx_dropped",
        Unit::Count,
        "container_network_transmit_packets_dropped_total",
        "outgoing packets that were dropped",
    )),
];

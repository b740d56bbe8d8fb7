//! The host's disks and interfaces from /proc, and accelerators of containers.

use super::row::{counter, gauge};
use crate::catalogue::{EntityKind, Field, FieldId, Group, Source, Unit};

/// Memory of an accelerator.
pub const ACCELERATOR_MEMORY_TOTAL: FieldId = FieldId(126);
/// Memory of an accelerator in use.
pub const ACCELERATOR_MEMORY_USED: FieldId = FieldId(127);
/// Time that an accelerator was busy.
pub const ACCELERATOR_DUTY_CYCLE: FieldId = FieldId(128);
/// Reads that were completed.
pub const DISK_READS: FieldId = FieldId(200);
/// Writes that were completed.
pub const DISK_WRITES: FieldId = FieldId(201);
/// Bytes read.
pub const DISK_READ_BYTES: FieldId = FieldId(202);
/// Bytes written.
pub const DISK_WRITE_BYTES: FieldId = FieldId(203);
/// Time of all reads together.
pub const DISK_READ_TIME: FieldId = FieldId(204);
/// Time of all writes together.
pub const DISK_WRITE_TIME: FieldId = FieldId(205);
/// Time in which anything was under way.
pub const DISK_IO_TIME: FieldId = FieldId(206);
/// Time of all requests together, waiting included.
pub const DISK_WEIGHTED_IO_TIME: FieldId = FieldId(207);
/// Requests under way.
pub const DISK_IO_IN_PROGRESS: FieldId = FieldId(208);
/// Bytes received.
pub const INTERFACE_RX_BYTES: FieldId = FieldId(210);
/// Packets received.
pub const INTERFACE_RX_PACKETS: FieldId = FieldId(211);
/// Receive errors.
pub const INTERFACE_RX_ERRORS: FieldId = FieldId(212);
/// Received packets that were dropped.
pub const INTERFACE_RX_DROPPED: FieldId = FieldId(213);
/// Bytes sent.
pub const INTERFACE_TX_BYTES: FieldId = FieldId(214);
/// Packets sent.
pub const INTERFACE_TX_PACKETS: FieldId = FieldId(215);
/// Send errors.
pub const INTERFACE_TX_ERRORS: FieldId = FieldId(216);
/// Outgoing packets that were dropped.
pub const INTERFACE_TX_DROPPED: FieldId = FieldId(217);

const fn accelerator(field: Field, heapster: &'static str) -> Field {
    field
        .of(
            &[EntityKind::Accelerator],
            Group::Memory,
            &[Source::Summary],
        )
        .heapster(heapster)
}

const fn disk(field: Field) -> Field {
    field.of(&[EntityKind::BlockDevice], Group::Host, &[Source::Procfs])
}

const fn interface(field: Field) -> Field {
    field.of(&[EntityKind::Interface], Group::Host, &[Source::Procfs])
}

pub(super) const ACCELERATOR_ROWS: &[Field] = &[
    accelerator(
        gauge(
            ACCELERATOR_MEMORY_TOTAL,
            "accelerator_memory_total_bytes",
            Unit::Bytes,
            "container_accelerator_memory_total_bytes",
            "memory of the accelerator",
        ),
        "accelerator/memory_total",
    ),
    accelerator(
        gauge(
            ACCELERATOR_MEMORY_USED,
            "accelerator_memory_used_bytes",
            Unit::Bytes,
            "container_accelerator_memory_used_bytes",
            "memory of the accelerator in use",
        ),
        "accelerator/memory_used",
    ),
    accelerator(
        gauge(
            ACCELERATOR_DUTY_CYCLE,
            "accelerator_duty_cycle_percent",
            Unit::Percent,
            "container_accelerator_duty_cycle",
            "share of the time in which the accelerator was busy",
        ),
        "accelerator/duty_cycle",
    ),
];

pub(super) const DEVICE_ROWS: &[Field] = &[
    disk(counter(
        DISK_READS,
        "disk_reads",
        Unit::Count,
        "node_disk_reads_completed_total",
        "reads that were completed",
    )),
    disk(counter(
        DISK_WRITES,
        "disk_writes",
        Unit::Count,
        "node_disk_writes_completed_total",
        "writes that were completed",
    )),
    disk(counter(
        DISK_READ_BYTES,
        "disk_read_bytes",
        Unit::Bytes,
        "node_disk_read_bytes_total",
        "bytes read",
    )),
    disk(counter(
        DISK_WRITE_BYTES,
        "disk_write_bytes",
        Unit::Bytes,
        "node_disk_written_bytes_total",
        "bytes written",
    )),
    disk(counter(
        DISK_READ_TIME,
        "disk_read_millis",
        Unit::Millis,
        "node_disk_read_time_seconds_total",
        "time of all reads together",
    )),
    disk(counter(
        DISK_WRITE_TIME,
        "disk_write_millis",
        Unit::Millis,
        "node_disk_write_time_seconds_total",
        "time of all writes together",
    )),
    disk(counter(
        DISK_IO_TIME,
        "disk_io_millis",
        Unit::Millis,
        "node_disk_io_time_seconds_total",
        "time in which anything was under way",
    )),
    disk(counter(
        DISK_WEIGHTED_IO_TIME,
        "disk_weighted_io_millis",
        Unit::Millis,
        "node_disk_io_time_weighted_seconds_total",
        "time of all requests together, waiting included",
    )),
    disk(gauge(
        DISK_IO_IN_PROGRESS,
        "disk_io_in_progress",
        Unit::Count,
        "node_disk_io_now",
        "requests under way",
    )),
    interface(counter(
        INTERFACE_RX_BYTES,
        "interface_rx_bytes",
        Unit::Bytes,
        "node_network_receive_bytes_total",
        "bytes received",
    )),
    interface(counter(
        INTERFACE_RX_PACKETS,
        "interface_rx_packets",
        Unit::Count,
        "node_network_receive_packets_total",
        "packets received",
    )),
    interface(counter(
        INTERFACE_RX_ERRORS,
        "interface_rx_errors",
        Unit::Count,
        "node_network_receive_errs_total",
        "receive errors",
    )),
    interface(counter(
        INTERFACE_RX_DROPPED,
        "interface_rx_dropped",
        Unit::Count,
        "node_network_receive_drop_total",
        "received packets that were dropped",
    )),
    interface(counter(
        INTERFACE_TX_BYTES,
        "interface_tx_bytes",
        Unit::Bytes,
        "node_network_transmit_bytes_total",
        "bytes sent",
    )),
    interface(counter(
        INTERFACE_TX_PACKETS,
        "interface_tx_packets",
        Unit::Count,
        "node_network_transmit_packets_total",
        "packets sent",
    )),
    interface(counter(
        INTERFACE_TX_ERRORS,
        "interface_tx_errors",
        Unit::Count,
        "node_network_transmit_errs_total",
        "send errors",
    )),
    interface(counter(
        INTERFACE_TX_DROPPED,
        "interface_tx_dropped",
        Unit::Count,
        "node_network_transmit_drop_total",
        "outgoing packets that were dropped",
    )),
];

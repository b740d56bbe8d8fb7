//! Network of nodes, pods and their interfaces, as the kubelet counts it.

use super::row::counter;
use crate::catalogue::{EntityKind, Field, FieldId, Group, RateUnit, Source, Unit};

/// Bytes received.
pub const NETWORK_RX: FieldId = FieldId(68);
/// Bytes sent.
pub const NETWORK_TX: FieldId = FieldId(69);
/// Receive errors.
pub const NETWORK_RX_ERRORS: FieldId = FieldId(70);
/// Send errors.
pub const NETWORK_TX_ERRORS: FieldId = FieldId(71);

const NETWORKS: &[EntityKind] = &[
    EntityKind::Node,
    EntityKind::System,
    EntityKind::Pod,
    EntityKind::Interface,
];

const fn network(
    id: FieldId,
    name: &'static str,
    unit: Unit,
    heapster: (&'static str, &'static str),
    prometheus: &'static str,
) -> Field {
    let help = "of an interface; of a node, pod or container outside of pods, its default \
                interface's, absent where none is named";
    counter(id, name, unit, prometheus, help)
        .of(
            NETWORKS,
            Group::Network,
            &[Source::Summary, Source::Cadvisor],
        )
        .heapster(heapster.0)
        .rated(heapster.1, RateUnit::PerSecond)
}

pub(super) const NETWORK_ROWS: &[Field] = &[
    network(
        NETWORK_RX,
        "network_rx_bytes",
        Unit::Bytes,
        ("network/rx", "network/rx_rate"),
        "container_network_receive_bytes_total",
    ),
    network(
        NETWORK_TX,
        "network_tx_bytes",
        Unit::Bytes,
        ("network/tx", "network/tx_rate"),
        "container_network_transmit_bytes_total",
    ),
    network(
        NETWORK_RX_ERRORS,
        "network_rx_errors",
        Unit::Count,
        ("network/rx_errors", "network/rx_errors_rate"),
        "container_network_receive_errors_total",
    ),
    network(
        NETWORK_TX_ERRORS,
        "network_tx_errors",
        Unit::Count,
        ("network/tx_errors", "network/tx_errors_rate"),
        "container_network_transmit_errors_total",
    ),
];

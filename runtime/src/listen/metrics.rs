//! What listeners count.

use std::fmt;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Why a connection was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The listener has as many connections as it may.
    Limit,
    /// The peer has as many connections as it may.
    PerPeer,
    /// The TLS handshake took too long, or waited too long for its turn.
    HandshakeTimeout,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// No request arrived in time.
    HeaderTimeout,
    /// Accepting failed, for example for want of descriptors.
    Accept,
}

impl EncodeLabelValue for Refused {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let value = match self {
            Self::Limit => "limit",
            Self::PerPeer => "per_peer",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::HeaderTimeout => "header_timeout",
            Self::Accept => "accept",
        };
        EncodeLabelValue::encode(&value, encoder)
    }
}

/// Why a connection that was served was closed by this side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// It asked nothing for too long.
    Idle,
    /// It took nothing of its answer for too long.
    Stalled,
    /// It asked nothing while another one found no place.
    Displaced,
    /// It took back too many of its requests.
    Resets,
    /// What it sent breaks the protocol, or its bounds.
    Malformed,
}

impl EncodeLabelValue for Closed {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        let value = match self {
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Displaced => "displaced",
            Self::Resets => "resets",
            Self::Malformed => "malformed",
        };
        EncodeLabelValue::encode(&value, encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refusal {
    listener: &'static str,
    reason: Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closing {
    listener: &'static str,
    reason: Closed,
}

/// The counters of all listeners of a process, by listener name.
#[derive(Debug, Default)]
pub struct ListenMetrics {
    connections: Family<Listener, Gauge>,
    accepted: Family<Listener, Counter>,
    refused: Family<Refusal, Counter>,
    closed: Family<Closing, Counter>,
    aborted: Family<Listener, Counter>,
    unanswered: Family<Listener, Counter>,
}

impl ListenMetrics {
    /// Registers the metrics as `<prefix>_listener_...`; a prefix is such as `cairn_agent`.
    pub fn register(&self, registry: &mut Registry, prefix: &str) {
        let registry = registry.sub_registry_with_prefix(format!("{prefix}_listener"));
        registry.register(
            "connections",
            "Connections being served, by listener",
            self.connections.clone(),
        );
        registry.register(
            "accepted_connections",
            "Connections taken, by listener",
            self.accepted.clone(),
        );
        registry.register(
            "refused_connections",
            "Connections not served, by listener and reason",
            self.refused.clone(),
        );
        registry.register(
            "closed_connections",
            "Connections closed by this side while served, by listener and reason",
            self.closed.clone(),
        );
        registry.register(
            "aborted_connections",
            "Connections aborted at the end of a drain, by listener",
            self.aborted.clone(),
        );
        registry.register(
            "unanswered_requests",
            "Requests given up because their body, or their answer, did not come in time, by listener",
            self.unanswered.clone(),
        );
    }

    /// Returns how many connections a listener refused for one reason.
    #[must_use]
    pub fn refused(&self, listener: &'static str, reason: Refused) -> u64 {
        self.refused
            .get_or_create(&Refusal { listener, reason })
            .get()
    }

    /// Returns how many connections a listener closed for one reason.
    #[must_use]
    pub fn closed(&self, listener: &'static str, reason: Closed) -> u64 {
        self.closed
            .get_or_create(&Closing { listener, reason })
            .get()
    }

    /// Returns how many connections a listener serves now.
    #[must_use]
    pub fn connections(&self, listener: &'static str) -> i64 {
        self.connections.get_or_create(&Listener { listener }).get()
    }

    pub(super) fn count_refused(&self, listener: &'static str, reason: Refused) {
        self.refused
            .get_or_create(&Refusal { listener, reason })
            .inc();
    }

    pub(super) fn count_closed(&self, listener: &'static str, reason: Closed) {
        self.closed
            .get_or_create(&Closing { listener, reason })
            .inc();
    }

    /// Returns how many requests a listener gave up.
    #[must_use]
    pub fn unanswered(&self, listener: &'static str) -> u64 {
        self.unanswered.get_or_create(&Listener { listener }).get()
    }

    pub(super) fn count_unanswered(&self, listener: &'static str) {
        self.unanswered.get_or_create(&Listener { listener }).inc();
    }

    pub(super) fn count_aborted(&self, listener: &'static str, aborted: usize) {
        let aborted = u64::try_from(aborted).unwrap_or(u64::MAX);
        self.aborted
            .get_or_create(&Listener { listener })
            .inc_by(aborted);
    }

    /// Counts a connection taken; it is open until the returned guard is dropped.
    pub(super) fn open(&self, listener: &'static str) -> Open {
        self.accepted.get_or_create(&Listener { listener }).inc();
        let gauge = self
            .connections
            .get_or_create(&Listener { listener })
            .clone();
        gauge.inc();
        Open(gauge)
    }
}

/// An open connection in the gauge.
#[derive(Debug)]
pub(super) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

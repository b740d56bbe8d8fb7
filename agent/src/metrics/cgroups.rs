//! Of the node's cgroups.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::ByKind;

/// Of the node's cgroups (`--cgroup-root`).
#[derive(Clone, Debug, Default)]
pub struct Cgroups {
    /// Pods and containers that are read, by kind: `pod`, `container`.
    pub read: Family<ByKind, Gauge>,
    /// Pods and containers that are there and that nobody named, by the same kinds.
    pub unnamed: Family<ByKind, Gauge>,
    /// Descriptors that are held.
    pub descriptors: Gauge,
    /// Times that a cgroup was left out, by kind: `too_many`, `no_descriptor`.
    pub left_out: Family<ByKind, Counter>,
    /// Times that a cgroup's block I/O was read at a later tick, for it takes the kernel long to add up.
    pub put_off: Counter,
}

impl Cgroups {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "cgroups_read",
            "Cgroups of pods and containers that are read, by kind",
            new.read.clone(),
        );
        registry.register(
            "cgroups_unnamed",
            "Cgroups of pods and containers that nobody named yet, by kind",
            new.unnamed.clone(),
        );
        registry.register(
            "cgroups_descriptors",
            "File descriptors held for cgroups",
            new.descriptors.clone(),
        );
        registry.register(
            "cgroups_left_out",
            "Times that a cgroup was not read, or the cgroups below one were not listed, by kind",
            new.left_out.clone(),
        );
        registry.register(
            "cgroups_put_off",
            "Times that a cgroup's block I/O was left to the next row",
            new.put_off.clone(),
        );
        new
    }
}

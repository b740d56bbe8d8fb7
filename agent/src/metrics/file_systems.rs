//! Of the host's file systems.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::ByKind;

/// Of the host's file systems (`--host-root`).
#[derive(Clone, Debug, Default)]
pub struct FileSystems {
    /// Those that were asked ten seconds ago or earlier and have not answered.
    pub hanging: Gauge,
    /// Times that one was passed over or gave nothing, by kind: `hanging`, `no_thread`, `failed`.
    pub passed_over: Family<ByKind, Counter>,
}

impl FileSystems {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "file_systems_hanging",
            "File systems of the host that do not answer",
            new.hanging.clone(),
        );
        registry.register(
            "file_systems_passed_over",
            "Times that a file system of the host gave no values, by kind",
            new.passed_over.clone(),
        );
        new
    }
}

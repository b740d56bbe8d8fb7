//! Of the file that says which runs there were.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::ByKind;

/// Of the file in `--state-dir`.
#[derive(Clone, Debug, Default)]
pub struct Marker {
    /// Rows at which it could not be written.
    pub write_failures: Counter,
    /// Files that were not believed at a start, by kind: `unreadable`, `owner`, `broken`, `version`,
    /// `node`, `future`.
    pub refused: Family<ByKind, Counter>,
}

impl Marker {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "state_write_failures",
            "Rows at which the file in --state-dir could not be written",
            new.write_failures.clone(),
        );
        registry.register(
            "state_refused_files",
            "Files in --state-dir that were not believed at the start, by kind",
            new.refused.clone(),
        );
        new
    }
}

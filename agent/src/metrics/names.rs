//! Of names that aggregators are asked for.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::ByKind;

/// Of names that aggregators are asked for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Pods and containers that were asked for, each as often as it was.
    pub asked: Counter,
    /// Names that came, by kind: `taken`, of which `misplaced` were of no use and `doubled` had another one too;
    /// `not_asked` and `malformed` were not taken. And answers that did not come in time, `late`.
    pub told: Family<ByKind, Counter>,
}

impl Names {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let new = Self::default();
        registry.register(
            "names_asked",
            "Pods and containers whose names aggregators were asked for",
            new.asked.clone(),
        );
        registry.register(
            "names_told",
            "Names that aggregators told, by what became of them (misplaced and doubled ones are among the taken), and late answers",
            new.told.clone(),
        );
        new
    }
}

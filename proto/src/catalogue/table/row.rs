//! How a row is written down.

use crate::catalogue::{
    EntityKind, Field, FieldId, Group, Kind, Origin, RateUnit, Source, Sum, Unit, table,
};

/// A gauge that nobody measures yet: everything else is said behind it.
pub(super) const fn gauge(
    id: FieldId,
    name: &'static str,
    unit: Unit,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    Field {
        id,
        name,
        kind: Kind::Gauge,
        unit,
        group: Group::Memory,
        entities: &[],
        sources: &[],
        origin: Origin::Measured,
        heapster: None,
        heapster_rate: None,
        prometheus,
        sum: Sum::None,
        help,
    }
}

/// The same for a counter.
pub(super) const fn counter(
    id: FieldId,
    name: &'static str,
    unit: Unit,
    prometheus: &'static str,
    help: &'static str,
) -> Field {
    Field {
        kind: Kind::Counter,
        ..gauge(id, name, unit, prometheus, help)
    }
}

impl Field {
    /// Says who carries it, who measures it, and with what.
    pub(super) const fn of(
        self,
        entities: &'static [EntityKind],
        group: Group,
        sources: &'static [Source],
    ) -> Self {
        Self {
            entities,
            group,
            sources,
            ..self
        }
    }

    /// Names the value in the Heapster API.
    pub(super) const fn heapster(self, name: &'static str) -> Self {
        Self {
            heapster: Some(name),
            ..self
        }
    }

    /// Names the rate in the Heapster API.
    pub(super) const fn rated(self, name: &'static str, unit: RateUnit) -> Self {
        Self {
            heapster_rate: Some((name, unit)),
            ..self
        }
    }

    /// Says that namespaces and the cluster have it as a sum over pods.
    pub(super) const fn summed(self) -> Self {
        Self {
            sum: Sum::Pods,
            ..self
        }
    }

    /// The field whose rows this one is read from: its own, or that of the usage that it is a part of.
    #[must_use]
    pub fn read_as(&self) -> &Self {
        match self.origin {
            Origin::Utilization { usage, .. } => table::field(usage).unwrap_or(self),
            _ => self,
        }
    }

    /// True for what the Heapster API tells apart by labels.
    #[must_use]
    pub fn is_labeled(&self) -> bool {
        self.entities.iter().any(|kind| kind.is_labeled())
    }
}

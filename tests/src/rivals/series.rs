//! What a series is called outside of Cairn: its entity by names, and its metric.

use std::collections::HashMap;

use cairn_proto::catalogue::{FIRST_FIELD, Field, FieldId, table};
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Snapshot};

use super::fields::KINDS;

/// An entity by its names; those that it does not have are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Whose {
    /// The node.
    pub(super) node: String,
    /// The namespace of the pod.
    pub(super) namespace: String,
    /// The pod.
    pub(super) pod: String,
    /// The container.
    pub(super) container: String,
}

impl Whose {
    /// What it is, in one word.
    #[must_use]
    pub(super) fn kind(&self) -> &'static str {
        match (self.pod.is_empty(), self.container.is_empty()) {
            (true, _) => "node",
            (false, true) => "pod",
            (false, false) => "container",
        }
    }

    /// Its names with their labels, in the order of the labels; without the empty ones.
    pub(super) fn labels(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("container", self.container.as_str()),
            ("namespace", self.namespace.as_str()),
            ("node", self.node.as_str()),
            ("pod", self.pod.as_str()),
        ];
        all.into_iter().filter(|(_, name)| !name.is_empty())
    }
}

/// The values of one entity at one tick.
#[derive(Clone, Debug)]
pub(super) struct Reading<'a> {
    /// Of what.
    pub(super) whose: &'a Whose,
    /// What was read, in the order of the catalogue.
    pub(super) values: Vec<(&'static Field, u64)>,
}

/// The entities of one node that are in the comparison.
#[derive(Clone, Debug, Default)]
pub(super) struct Names(HashMap<EntityId, Whose>);

impl Names {
    /// Takes definitions, parents before their children as rows bring them. Those that are not in
    /// the comparison are passed over.
    pub(super) fn add(&mut self, node: &str, defs: &[EntityDef]) {
        for def in defs.iter().filter(|def| KINDS.contains(&def.kind)) {
            let parent = def.parent.and_then(|id| self.0.get(&id)).cloned();
            let mut whose = parent.unwrap_or_default();
            node.clone_into(&mut whose.node);
            match def.kind {
                EntityKind::Pod => {
                    def.name.clone_into(&mut whose.pod);
                    def.namespace.clone_into(&mut whose.namespace);
                }
                EntityKind::Container => def.name.clone_into(&mut whose.container),
                _ => {}
            }
            self.0.insert(def.id, whose);
        }
    }

    /// Who an entity is; `None` for one that is not in the comparison.
    #[must_use]
    pub(super) fn get(&self, id: EntityId) -> Option<&Whose> {
        self.0.get(&id)
    }

    /// The values of a row, entity after entity.
    #[must_use]
    pub(super) fn readings(&self, row: &Snapshot) -> Vec<Reading<'_>> {
        let mut readings: Vec<Option<Reading<'_>>> = row
            .entities()
            .iter()
            .map(|id| {
                let whose = self.get(*id)?;
                let values = Vec::new();
                Some(Reading { whose, values })
            })
            .collect();
        let fields = row.columns().iter().filter(|one| one.id().0 >= FIRST_FIELD);
        for column in fields {
            let Some(field) = table::field(FieldId(column.id().0)) else {
                continue;
            };
            for (place, value) in column.cells() {
                let reading = usize::try_from(place)
                    .ok()
                    .and_then(|at| readings.get_mut(at));
                if let Some(Some(reading)) = reading {
                    reading.values.push((field, value));
                }
            }
        }
        readings.into_iter().flatten().collect()
    }
}

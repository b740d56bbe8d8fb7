//! From entity ids to paths of the model API.

use std::collections::HashMap;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};

/// The definitions of one run.
#[derive(Debug, Default)]
pub(super) struct Names {
    defs: HashMap<EntityId, EntityDef>,
}

impl Names {
    pub(super) fn learn(&mut self, defs: &[EntityDef]) {
        self.defs
            .extend(defs.iter().map(|def| (def.id, def.clone())));
    }

    /// The path of a series below `/api/v1/model/`, with the labels that tell a part of something
    /// apart; `None` when the API has no place for it, as for interfaces and for file systems
    /// without a label.
    pub(super) fn path(&self, id: EntityId, metric: &str) -> Option<String> {
        let def = self.defs.get(&id)?;
        if !def.kind.is_labeled() {
            return Some(format!("{}/metrics/{metric}", self.entity(id)?));
        }
        let label = |key: &&str| {
            let found = def.labels.iter().find(|(name, _)| name == key);
            found.map(|(name, value)| format!("{name}:{value}"))
        };
        let labels = def.kind.heapster_labels().iter().map(label);
        let labels = labels.collect::<Option<Vec<_>>>()?.join(",");
        let within = self.entity(def.parent?)?;
        Some(format!("{within}/metrics/{metric}?labels={labels}"))
    }

    fn entity(&self, id: EntityId) -> Option<String> {
        let def = self.defs.get(&id)?;
        let within = || self.entity(def.parent?);
        match def.kind {
            EntityKind::Node => Some(format!("nodes/{}", def.name)),
            EntityKind::System => Some(format!("{}/freecontainers/{}", within()?, def.name)),
            EntityKind::Pod => Some(format!("namespaces/{}/pods/{}", def.namespace, def.name)),
            EntityKind::Container => Some(format!("{}/containers/{}", within()?, def.name)),
            _ => None,
        }
    }
}

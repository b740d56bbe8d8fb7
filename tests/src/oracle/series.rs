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

    /// The path of a series below `/api/v1/model/`; `None` when the API has no place for it.
    pub(super) fn path(&self, id: EntityId, metric: &str) -> Option<String> {
        Some(format!("{}/metrics/{metric}", self.entity(id)?))
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

//! Names as other aggregators give and get them.

use std::collections::HashSet;

use cairn_proto::limits;
use cairn_proto::model::{EntityDef, EntityId};

use super::Names;
use crate::store::entity::same_identity;
use crate::store::{Error, Named};

impl Names {
    /// These entities, each behind what it is a part of.
    pub(in crate::store::packed) fn named(&self, ids: &[EntityId]) -> Vec<Named> {
        let (mut told, mut out) = (HashSet::new(), Vec::new());
        for id in ids {
            let mut chain = Vec::new();
            let mut above = Some(*id);
            // Parents that go in circles end at the first one that was told.
            while let Some(id) = above.filter(|id| told.insert(*id)) {
                chain.push(id);
                above = self.parent(id);
            }
            let names = chain.into_iter().rev();
            out.extend(names.map(|id| match self.told(id) {
                Some(def) => Named::Def(def),
                None => Named::Refused(id),
            }));
        }
        out
    }

    fn told(&self, id: EntityId) -> Option<EntityDef> {
        let labels = self.labels(id);
        Some(EntityDef {
            labels,
            ..self.def(id)?
        })
    }

    /// Says what is wrong with names that another aggregator gave, before any is taken.
    pub(in crate::store::packed) fn check(&self, names: &[Named]) -> Result<(), Error> {
        let mut count = self.len();
        for named in names {
            let entity = named.id().0;
            if !self.knows(named.id()) {
                count += 1;
                if count > limits::MAX_ENTITIES {
                    return Err(Error::TooManyEntities { entity });
                }
            }
            if let Named::Def(def) = named
                && self
                    .def(def.id)
                    .is_some_and(|old| !same_identity(&old, def))
            {
                return Err(Error::Redefined { entity });
            }
        }
        Ok(())
    }

    /// Takes names that are not known; what the agent itself said stays.
    pub(in crate::store::packed) fn learn(&mut self, names: &[Named]) -> Result<(), Error> {
        for named in names {
            match named {
                named if self.knows(named.id()) => {}
                // Of one that was not known there is none before.
                Named::Def(def) => drop(self.define(def)?),
                Named::Refused(id) => self.refuse(*id)?,
            }
        }
        Ok(())
    }
}

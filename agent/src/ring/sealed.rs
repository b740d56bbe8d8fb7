//! A full block as one chunk.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_proto::codec;
use cairn_proto::model::{EntityDef, EntityId, Run};

use super::{Defs, OfBlock, wire};

/// A sealed block. A clone shares everything.
#[derive(Clone, Debug)]
pub struct Sealed {
    /// All of its rows, in the newest codec.
    pub chunk: Arc<[u8]>,
    /// The definition of every entity that is in any of its rows, in the newest form that was known
    /// when the block was full.
    pub defs: Defs,
}

/// A full block that is to be sealed.
#[derive(Debug)]
pub(super) struct Full {
    /// The run that it is of.
    pub(super) run: Run,
    /// Its number.
    pub(super) block: u64,
    /// Its rows, all of them.
    pub(super) rows: Vec<OfBlock>,
    /// The definitions of the block before.
    pub(super) before: Option<Defs>,
}

impl Full {
    /// Makes a chunk of it; `None` when its rows cannot be read, which is a defect.
    pub(super) fn seal(&self) -> Option<Sealed> {
        Some(Sealed {
            chunk: wire::chunk(codec::DENSE, &self.rows)?,
            defs: self.defs(),
        })
    }

    /// The definitions of all rows, the later one of each entity; shared with the block before or
    /// with the last row where they are the same.
    fn defs(&self) -> Defs {
        let mut lists: Vec<&Defs> = self.rows.iter().map(|row| &row.defs).collect();
        lists.dedup_by(|one, other| Arc::ptr_eq(one, other));
        let mut newest: BTreeMap<EntityId, &Arc<EntityDef>> = BTreeMap::new();
        for def in lists.iter().flat_map(|list| list.iter()) {
            newest.insert(def.id, def);
        }
        let mut known = self.before.iter().chain(lists.last().copied());
        let same = known.find(|known| are_same(known, newest.values().copied()));
        match same {
            Some(same) => Arc::clone(same),
            None => newest.into_values().map(Arc::clone).collect(),
        }
    }
}

/// True when a list holds these very definitions.
pub(super) fn are_same<'a>(
    list: &[Arc<EntityDef>],
    defs: impl ExactSizeIterator<Item = &'a Arc<EntityDef>>,
) -> bool {
    list.len() == defs.len()
        && list
            .iter()
            .zip(defs)
            .all(|(one, other)| Arc::ptr_eq(one, other))
}

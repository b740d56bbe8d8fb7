//! The entity ids of one node's run, given out in the order of first appearance.

use std::collections::{BTreeMap, HashMap};

use cairn_proto::model::{EntityDef, EntityId, EntityKind};

/// An entity that no row had for so long is forgotten, ms: the window, after which nobody can ask
/// for a row with it. One that comes back then gets a new id, as from an agent.
const FORGET_MS: u64 = 900_000;

/// What an entity is, beside its id.
#[derive(Clone, Copy, Debug)]
pub(super) struct What<'a> {
    pub(super) kind: EntityKind,
    pub(super) parent: Option<EntityId>,
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) uid: &'a str,
    pub(super) labels: &'a [(String, String)],
}

#[derive(Debug)]
struct Entry {
    id: EntityId,
    seen_ms: u64,
}

/// All entities of a run.
#[derive(Debug, Default)]
pub(super) struct Dictionary {
    entries: HashMap<(EntityKind, Option<EntityId>, String), Entry>,
    defs: BTreeMap<EntityId, EntityDef>,
    fresh: Vec<EntityDef>,
    last_id: u32,
}

impl Dictionary {
    /// The id of an entity that is in the row of this tick. A pod is known by its UID, everything
    /// else by its name within its parent.
    pub(super) fn id(&mut self, tick_ms: u64, what: What<'_>) -> EntityId {
        let own = if what.kind == EntityKind::Pod {
            what.uid
        } else {
            what.name
        };
        let key = (what.kind, what.parent, own.to_owned());
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.seen_ms = tick_ms;
            return entry.id;
        }
        // From 1, as agents count.
        self.last_id += 1;
        let id = EntityId(self.last_id);
        let def = EntityDef {
            id,
            kind: what.kind,
            parent: what.parent,
            name: what.name.to_owned(),
            namespace: what.namespace.to_owned(),
            uid: what.uid.to_owned(),
            runtime_id: String::new(),
            labels: what.labels.to_vec(),
        };
        self.fresh.push(def.clone());
        self.defs.insert(id, def);
        self.entries.insert(
            key,
            Entry {
                id,
                seen_ms: tick_ms,
            },
        );
        id
    }

    /// The id of the node itself.
    pub(super) fn node(&mut self, tick_ms: u64, name: &str) -> EntityId {
        let (kind, parent) = (EntityKind::Node, None);
        self.id(
            tick_ms,
            What {
                kind,
                parent,
                name,
                namespace: "",
                uid: "",
                labels: &[],
            },
        )
    }

    /// Takes the definitions that came since the last call, and forgets what is long gone.
    pub(super) fn take_fresh(&mut self, tick_ms: u64) -> Vec<EntityDef> {
        let defs = &mut self.defs;
        self.entries.retain(|_, entry| {
            let kept = entry.seen_ms.saturating_add(FORGET_MS) >= tick_ms;
            if !kept {
                defs.remove(&entry.id);
            }
            kept
        });
        std::mem::take(&mut self.fresh)
    }

    /// What an entity is; `None` of one that is forgotten or never was.
    pub(super) fn kind(&self, id: EntityId) -> Option<EntityKind> {
        self.defs.get(&id).map(|def| def.kind)
    }

    /// Every definition that is not forgotten.
    pub(super) fn all(&self) -> Vec<EntityDef> {
        self.defs.values().cloned().collect()
    }
}

//! What is measured, and its small number on the wire.

use crate::catalogue::EntityKind;

/// Number of an entity within one run; never used again in that run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub u32);

/// Names an entity id for one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityDef {
    /// The number that rows use.
    pub id: EntityId,
    /// What it is.
    pub kind: EntityKind,
    /// The entity that it belongs to; `None` for the node.
    pub parent: Option<EntityId>,
    /// Its name within its parent.
    pub name: String,
    /// Namespace of a pod; empty for other kinds.
    pub namespace: String,
    /// UID of a pod as the kubelet knows it; empty for other kinds.
    pub uid: String,
    /// Runtime id of a container; empty until known.
    pub runtime_id: String,
    /// Further labels of the entity, sorted by key.
    pub labels: Vec<(String, String)>,
}

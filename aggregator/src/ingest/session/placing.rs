//! Whether what an agent names is on its node. A pod is, when the cluster's watch places it there; one that
//! the watch does not know yet is held apart, and neither shown nor counted to anybody until it does.
//!
//! An agent may be ahead of the watch for a moment, at the start of a pod and while the aggregator hears of
//! the cluster for the first time. What was held apart is named to the store then, and its values of the rows
//! that are still as they came are there with it.
//!
//! Bounds of a stream: [`MOST_PODS`] pods with [`MOST_PARTS`] parts in all.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};
use tokio::time::Instant;

use crate::cluster::{Cluster, Known};

/// Pods that are held apart at once. More than start on a node within a minute.
const MOST_PODS: usize = 200;

/// The same until the cluster was heard of as a whole: the pods of the largest node.
const MOST_PODS_AT_START: usize = 1_024;

/// Containers and other parts of them.
const MOST_PARTS: usize = 8_192;

/// How long a pod is held apart before it is told and counted, once the cluster is known. It stays apart.
const HELD_FOR: Duration = Duration::from_secs(60);

/// Why an entity is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The watch has the pod on another node.
    Elsewhere,
    /// The watch has another pod of this name, or has none, and not only for a moment.
    Unknown,
    /// Too many are held apart.
    TooMany,
    /// The pod has no container of this name.
    NoContainer,
}

impl Refused {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Elsewhere => "elsewhere",
            Self::Unknown => "unknown_pod",
            Self::TooMany => "too_many_unknown",
            Self::NoContainer => "unknown_container",
        }
    }
}

/// What is to be done with a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It is named to the store.
    Here,
    /// Its values are passed over for now.
    Held,
    /// Its values are passed over.
    Refused(Refused),
}

/// What one stream named and is not in the store.
#[derive(Debug, Default)]
pub(super) struct Placing {
    // In the order in which they came: a parent before its parts.
    held: Vec<EntityDef>,
    held_ids: HashSet<EntityId>,
    // Pods among them, and since when.
    since: HashMap<EntityId, Instant>,
    refused: HashMap<EntityId, Refused>,
    // Held so long that it was told; it is still waited for.
    told: HashSet<EntityId>,
    // Those that are in the store, so that their containers can be judged.
    here: HashMap<EntityId, Identity>,
}

/// Namespace, name and UID of a pod.
type Identity = (Box<str>, Box<str>, Box<str>);

impl Placing {
    /// Judges a definition of a stream of this node. A pod that the store has of this node already was
    /// placed here when it came, and stays: it may be gone from the cluster and not from the window.
    pub(super) fn judge(
        &mut self,
        cluster: &Cluster,
        node: &str,
        def: &EntityDef,
        is_held_of: impl FnOnce(&EntityDef) -> bool,
    ) -> Judged {
        let Some(known) = cluster.known() else {
            return Judged::Here;
        };
        self.forget(def.id);
        let judged = match def.kind {
            EntityKind::Pod => self.judge_pod(known, node, def, is_held_of),
            _ => self.judge_part(known, def),
        };
        match judged {
            Judged::Here => self.arrived(def),
            Judged::Held => self.hold(def.clone()),
            // The pod's object may get it a moment later.
            Judged::Refused(Refused::NoContainer) if self.has_room() => self.hold(def.clone()),
            Judged::Refused(refused) => {
                self.refused.insert(def.id, refused);
            }
        }
        judged
    }

    /// True while something waits for the watch.
    pub(super) fn is_waiting(&self) -> bool {
        !self.held.is_empty()
    }

    /// Looks again at what is held apart: gives what is to be named to the store now, in order, and what
    /// is not waited for any more.
    pub(super) fn settle(
        &mut self,
        cluster: &Cluster,
        node: &str,
    ) -> (Vec<EntityDef>, Vec<(EntityDef, Refused)>) {
        let (mut named, mut gone) = (Vec::new(), Vec::new());
        let Some(known) = cluster.known() else {
            return (named, gone);
        };
        let is_synced = known.is_synced();
        self.held_ids.clear();
        for def in std::mem::take(&mut self.held) {
            let judged = match def.kind {
                EntityKind::Pod => place(known, node, &def),
                _ => self.judge_part(known, &def),
            };
            match judged {
                Judged::Here => {
                    self.arrived(&def);
                    named.push(def);
                }
                Judged::Held => {
                    // Told once, and waited for all the same: the watch may be late by more than that.
                    if self.is_overdue(def.id, is_synced) && self.told.insert(def.id) {
                        gone.push((def.clone(), Refused::Unknown));
                    }
                    self.hold(def);
                }
                Judged::Refused(Refused::NoContainer) => {
                    if self.told.insert(def.id) {
                        gone.push((def.clone(), Refused::NoContainer));
                    }
                    self.hold(def);
                }
                Judged::Refused(refused) => {
                    self.since.remove(&def.id);
                    self.refused.insert(def.id, refused);
                    gone.push((def, refused));
                }
            }
        }
        (named, gone)
    }

    fn has_room(&self) -> bool {
        self.held.len() < MOST_PODS_AT_START + MOST_PARTS
    }

    fn hold(&mut self, def: EntityDef) {
        self.held_ids.insert(def.id);
        self.held.push(def);
    }

    fn judge_pod(
        &mut self,
        known: &Known,
        node: &str,
        def: &EntityDef,
        is_held_of: impl FnOnce(&EntityDef) -> bool,
    ) -> Judged {
        let judged = place(known, node, def);
        if judged == Judged::Held && is_held_of(def) {
            return Judged::Here;
        }
        if judged == Judged::Held {
            let most = if known.is_synced() {
                MOST_PODS
            } else {
                MOST_PODS_AT_START
            };
            if self.since.len() >= most {
                return Judged::Refused(Refused::TooMany);
            }
            self.since.insert(def.id, Instant::now());
        }
        judged
    }

    fn judge_part(&self, known: &Known, def: &EntityDef) -> Judged {
        let Some(parent) = def.parent else {
            return Judged::Here;
        };
        if let Some(refused) = self.refused.get(&parent) {
            return Judged::Refused(*refused);
        }
        // A pod that was named again stands behind its parts.
        if self.since.contains_key(&parent) || self.held_ids.contains(&parent) {
            return if self.has_room() {
                Judged::Held
            } else {
                Judged::Refused(Refused::TooMany)
            };
        }
        let pod = self.here.get(&parent);
        let pod = pod.and_then(|(namespace, name, uid)| {
            let pod = known.pod(namespace, name)?;
            pod.is_called(uid).then_some(pod)
        });
        let is_stranger = def.kind == EntityKind::Container
            && pod.is_some_and(|pod| {
                let containers = pod.containers.iter().map(|container| &container.name);
                !containers
                    .chain(&pod.others)
                    .any(|name| **name == *def.name)
            });
        if is_stranger {
            return Judged::Refused(Refused::NoContainer);
        }
        Judged::Here
    }

    /// An id that is named again begins anew.
    fn forget(&mut self, id: EntityId) {
        self.refused.remove(&id);
        self.told.remove(&id);
        self.here.remove(&id);
        if self.held_ids.remove(&id) {
            self.held.retain(|held| held.id != id);
        }
        self.since.remove(&id);
    }

    /// It is named to the store.
    fn arrived(&mut self, def: &EntityDef) {
        if def.kind == EntityKind::Pod {
            self.since.remove(&def.id);
            self.here.insert(def.id, identity(def));
        }
    }

    /// True of a pod that is held for too long; the time begins when the cluster is known.
    fn is_overdue(&mut self, id: EntityId, is_synced: bool) -> bool {
        let now = Instant::now();
        let Some(since) = self.since.get_mut(&id) else {
            return false;
        };
        if !is_synced {
            *since = now;
        }
        now.duration_since(*since) >= HELD_FOR
    }
}

fn identity(pod: &EntityDef) -> Identity {
    let text = |text: &String| text.as_str().into();
    (text(&pod.namespace), text(&pod.name), text(&pod.uid))
}

/// Where the watch has a pod; it is held where that is not known.
fn place(known: &Known, node: &str, def: &EntityDef) -> Judged {
    let Some(pod) = known.pod(&def.namespace, &def.name) else {
        return Judged::Held;
    };
    let is_it = pod.is_called(&def.uid);
    match (is_it, &*pod.node) {
        (true, placed) if *placed == *node => Judged::Here,
        (true, placed) if !placed.is_empty() => Judged::Refused(Refused::Elsewhere),
        // Another pod of this name, which may be the one before or after.
        _ => Judged::Held,
    }
}

#[cfg(test)]
mod tests;

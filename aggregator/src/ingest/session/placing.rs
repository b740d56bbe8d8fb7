//! Whether what an agent names is on its node. A pod is, when the cluster's watch places it there; one that
//! the watch does not know yet is held apart, and neither shown nor counted to anybody until it does.
//!
//! An agent may be ahead of the watch for a moment, at the start of a pod and while the aggregator hears of
//! the cluster for the first time. What was held apart is named to the store then, and its values of the rows
//! that are still as they came are there with it.
//!
//! Bounds of a stream: [`MOST_PODS`] pods, [`MOST_BYTES`] with their parts, for [`HELD_FOR`]. Of a pod that was
//! held for so long its names stay, and nothing below it.

use std::collections::{BTreeMap, HashMap};
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::model::{EntityDef, EntityId, EntityKind};
use tokio::time::Instant;

use crate::cluster::{Cluster, Known, Pod};

/// Pods that are held apart at once. More than start on a node within a minute.
const MOST_PODS: usize = 200;

/// The same until the cluster was heard of as a whole: the pods of the largest node.
const MOST_PODS_AT_START: usize = 1_024;

/// Bytes of what is held apart: 110 pods with four containers, five volumes and interfaces, and two file systems
/// of each container are 450,000.
const MOST_BYTES: usize = 512 << 10;

/// The same until the cluster was heard of as a whole: the largest node names 1,024 pods with a container and five
/// parts each, and its window is still empty. Each node has a share of so much at least.
const MOST_BYTES_AT_START: usize = 2 << 20;

/// What a place for an id and a text takes beside them: of a table a part is free, and an allocation has a head.
const PLACE_BYTES: usize = 32;
const TEXT_BYTES: usize = 16;

/// How long a pod is held apart before it is told and counted, once the cluster is known.
const HELD_FOR: Duration = Duration::from_secs(60);

/// Pods whose names are kept so that their containers can be judged: four times those of the largest node.
const MOST_HERE: usize = 4_096;

/// Those that are gone from the cluster are looked for each time that as many came as are kept, and this many.
const SWEEP_AFTER: usize = 256;

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
    // Pods, and containers that their pods' objects do not have; in the order of their ids.
    waiting: BTreeMap<EntityId, Waiting>,
    // Below which of them each of their parts is.
    parts: HashMap<EntityId, EntityId>,
    // What both are counted as.
    bytes: usize,
    refused: HashMap<EntityId, Refused>,
    // Those that are in the store, so that their containers can be judged.
    here: HashMap<EntityId, Identity>,
    // Since they were looked through, and what was left of them then.
    came: usize,
    kept: usize,
}

/// One that waits for the watch.
#[derive(Debug)]
struct Waiting {
    def: EntityDef,
    since: Instant,
    // In the order in which they came: a parent before its parts.
    parts: Vec<EntityDef>,
    // It was held for too long: its parts are refused.
    is_late: bool,
}

/// What became of those that waited.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// To be named to the store, in order.
    pub(super) named: Vec<EntityDef>,
    /// Not waited for any more, or told for the first time.
    pub(super) gone: Vec<(EntityDef, Refused)>,
    /// It is there after all, and its parts were let go: the agent has to name them again.
    pub(super) late: Option<EntityDef>,
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
        let before = self.forget(def.id);
        let judged = match def.kind {
            // Its parts come after it: they are judged together, at the next row.
            _ if before.is_some() => Judged::Held,
            EntityKind::Pod => match place(known, node, def) {
                Judged::Held if is_held_of(def) => Judged::Here,
                judged => judged,
            },
            _ => self.judge_part(known, def),
        };
        self.take_note(known, (def, before), judged)
    }

    /// True while something waits for the watch.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Looks again at what is held apart. Parts are looked at when something becomes of what they are below.
    pub(super) fn settle(&mut self, cluster: &Cluster, node: &str) -> Settled {
        let mut settled = Settled::default();
        let Some(known) = cluster.known() else {
            return settled;
        };
        let now = Instant::now();
        if !known.is_synced() {
            // The time begins when the cluster is known.
            for one in self.waiting.values_mut() {
                one.since = now;
            }
        }
        let decided = self.waiting.iter().filter_map(|(id, one)| {
            let judged = match one.def.kind {
                EntityKind::Pod => place(known, node, &one.def),
                _ => self.judge_part(known, &one.def),
            };
            let is_undecided =
                matches!(judged, Judged::Held | Judged::Refused(Refused::NoContainer));
            let is_overdue = !one.is_late && now.duration_since(one.since) >= HELD_FOR;
            (!is_undecided || is_overdue).then_some((*id, judged))
        });
        for (id, judged) in decided.collect::<Vec<_>>() {
            if let Some(one) = self.take(id) {
                self.decide(known, (one, judged), &mut settled);
            }
        }
        settled
    }

    fn decide(&mut self, known: &Known, (one, judged): (Waiting, Judged), settled: &mut Settled) {
        match judged {
            Judged::Here if one.is_late && self.is_told_of(known, &one.def) => {
                settled.late = Some(one.def);
            }
            // Its pod has gone, and nobody ever told of it.
            Judged::Here if one.is_late => {
                self.refused.insert(one.def.id, Refused::NoContainer);
            }
            Judged::Here => {
                for def in [one.def].into_iter().chain(one.parts) {
                    self.follow(known, def, settled);
                }
            }
            Judged::Held => {
                settled.gone.push((one.def.clone(), Refused::Unknown));
                self.let_go(one, Refused::Unknown);
            }
            // That was told when it was found.
            Judged::Refused(Refused::NoContainer) => self.let_go(one, Refused::NoContainer),
            Judged::Refused(refused) => {
                for def in [one.def].into_iter().chain(one.parts) {
                    self.refused.insert(def.id, refused);
                    settled.gone.push((def, refused));
                }
            }
        }
    }

    /// It was waited for long enough, and its parts go. It may come all the same, when the watch is late by
    /// more than that.
    fn let_go(&mut self, mut one: Waiting, why: Refused) {
        let parts = mem::take(&mut one.parts);
        self.refused.extend(parts.iter().map(|part| (part.id, why)));
        (one.def.labels, one.def.runtime_id) = (Vec::new(), String::new());
        one.is_late = true;
        self.put(one);
    }

    /// One that has arrived, and each of its parts after it.
    fn follow(&mut self, known: &Known, def: EntityDef, settled: &mut Settled) {
        let judged = match def.kind {
            EntityKind::Pod => Judged::Here,
            _ => self.judge_part(known, &def),
        };
        match self.take_note(known, (&def, None), judged) {
            Judged::Here => settled.named.push(def),
            Judged::Held => {}
            Judged::Refused(refused) => settled.gone.push((def, refused)),
        }
    }

    /// Does what was judged; with no room for it, it is refused.
    fn take_note(
        &mut self,
        known: &Known,
        (def, before): (&EntityDef, Option<Waiting>),
        judged: Judged,
    ) -> Judged {
        let had_room = match judged {
            Judged::Here => self.arrived(known, def),
            // The pod's object may get it a moment later.
            Judged::Held | Judged::Refused(Refused::NoContainer) => self.hold(known, def, before),
            Judged::Refused(refused) => {
                self.refused.insert(def.id, refused);
                return judged;
            }
        };
        if had_room {
            return judged;
        }
        self.refused.insert(def.id, Refused::TooMany);
        Judged::Refused(Refused::TooMany)
    }

    /// Holds it apart, with the parts that were held by its id before; false when there is no room.
    fn hold(&mut self, known: &Known, def: &EntityDef, before: Option<Waiting>) -> bool {
        let (most, most_bytes) = if known.is_synced() {
            (MOST_PODS, MOST_BYTES)
        } else {
            (MOST_PODS_AT_START, MOST_BYTES_AT_START)
        };
        // A pod is a part of nothing: it is judged by itself.
        let parent = def.parent.filter(|_| def.kind != EntityKind::Pod);
        let root = parent.and_then(|parent| self.root(parent));
        let one = match before {
            Some(mut before) => {
                before.def = def.clone();
                before
            }
            None => Waiting {
                def: def.clone(),
                since: Instant::now(),
                parts: Vec::new(),
                is_late: false,
            },
        };
        let is_place = root.is_some() || self.waiting.len() < most;
        if !is_place || self.bytes + one.bytes() > most_bytes {
            let parts = one.parts.iter().map(|part| (part.id, Refused::TooMany));
            self.refused.extend(parts);
            return false;
        }
        match root.and_then(|root| Some((root, self.waiting.get_mut(&root)?))) {
            Some((root, above)) => {
                for def in [one.def].into_iter().chain(one.parts) {
                    self.bytes += weight(&def);
                    self.parts.insert(def.id, root);
                    above.parts.push(def);
                }
            }
            None => self.put(one),
        }
        true
    }

    fn put(&mut self, one: Waiting) {
        self.bytes += one.bytes();
        let root = one.def.id;
        self.parts
            .extend(one.parts.iter().map(|part| (part.id, root)));
        self.waiting.insert(root, one);
    }

    fn take(&mut self, id: EntityId) -> Option<Waiting> {
        let one = self.waiting.remove(&id)?;
        self.bytes -= one.bytes();
        for part in &one.parts {
            self.parts.remove(&part.id);
        }
        Some(one)
    }

    /// Below which of those that wait this one is, or whether it is one of them.
    fn root(&self, id: EntityId) -> Option<EntityId> {
        let is_one = self.waiting.contains_key(&id);
        is_one
            .then_some(id)
            .or_else(|| self.parts.get(&id).copied())
    }

    fn judge_part(&self, known: &Known, def: &EntityDef) -> Judged {
        let Some(parent) = def.parent else {
            return Judged::Here;
        };
        if let Some(refused) = self.refused.get(&parent) {
            return Judged::Refused(*refused);
        }
        match self.root(parent).and_then(|root| self.waiting.get(&root)) {
            Some(one) if one.is_late => Judged::Refused(Refused::Unknown),
            Some(_) => Judged::Held,
            None => self.judge_container(known, def, parent),
        }
    }

    /// Whether a part is one of a pod in the store. What is no container is, and all of a pod that is gone.
    fn judge_container(&self, known: &Known, def: &EntityDef, parent: EntityId) -> Judged {
        let pod = self.here.get(&parent);
        let pod = pod.and_then(|identity| known_pod(known, identity));
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

    /// Whether the cluster has it, or what it is a part of.
    fn is_told_of(&self, known: &Known, def: &EntityDef) -> bool {
        let pod = def.parent.and_then(|parent| self.here.get(&parent));
        def.kind == EntityKind::Pod
            || pod.is_some_and(|identity| known_pod(known, identity).is_some())
    }

    /// An id that is named again begins anew; of one with parts they stay.
    fn forget(&mut self, id: EntityId) -> Option<Waiting> {
        self.refused.remove(&id);
        self.here.remove(&id);
        if let Some(root) = self.parts.remove(&id)
            && let Some(one) = self.waiting.get_mut(&root)
            && let Some(at) = one.parts.iter().position(|part| part.id == id)
        {
            self.bytes -= weight(&one.parts.remove(at));
        }
        self.take(id)
    }

    /// It is named to the store; false when there is no room for what its containers are judged by.
    fn arrived(&mut self, known: &Known, def: &EntityDef) -> bool {
        if def.kind != EntityKind::Pod {
            return true;
        }
        self.came += 1;
        if self.came >= self.kept.max(SWEEP_AFTER) {
            // One that is gone has no containers that could be judged.
            let is_there = |identity: &Identity| known_pod(known, identity).is_some();
            self.here.retain(|_, identity| is_there(identity));
            (self.came, self.kept) = (0, self.here.len());
        }
        if self.here.len() >= MOST_HERE {
            return false;
        }
        self.here.insert(def.id, identity(def));
        true
    }
}

impl Waiting {
    fn bytes(&self) -> usize {
        let parts = self.parts.iter().map(weight).sum::<usize>();
        size_of::<Self>() + weight(&self.def) + parts
    }
}

/// What a definition is counted as: its texts, and the places of all in memory.
fn weight(def: &EntityDef) -> usize {
    let EntityDef {
        name,
        namespace,
        uid,
        runtime_id,
        labels,
        ..
    } = def;
    let labels = labels.iter().flat_map(|(key, value)| [key, value]);
    let own = [name, namespace, uid, runtime_id].into_iter();
    let texts = own.chain(labels).filter(|text| text.capacity() > 0);
    let texts = texts
        .map(|text| text.capacity() + TEXT_BYTES)
        .sum::<usize>();
    let pairs = def.labels.capacity() * size_of::<(String, String)>();
    size_of::<EntityDef>() + PLACE_BYTES + texts + pairs
}

fn identity(pod: &EntityDef) -> Identity {
    let text = |text: &String| text.as_str().into();
    (text(&pod.namespace), text(&pod.name), text(&pod.uid))
}

/// The pod's object, while it is this pod's.
fn known_pod(known: &Known, (namespace, name, uid): &Identity) -> Option<Arc<Pod>> {
    let pod = known.pod(namespace, name)?;
    pod.is_called(uid).then_some(pod)
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

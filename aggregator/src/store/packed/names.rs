//! The names of one run's entities, found by id and by path.

mod exchange;
mod paths;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod uid;
mod words;

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, Hasher};

use cairn_proto::limits;
use cairn_proto::model::{EntityDef, EntityId, EntityKind};

use crate::store::Error;
use crate::store::entity::{EntityPath, Face, PodName, same_identity};
use paths::Paths;
use table::{Put, Table};
use text::Name;

/// How deep parts of parts may lie: a file system of a container of a pod of a node.
const MAX_DEPTH: usize = 4;

/// What an id without a name, or in no row yet, is counted as.
const REFUSED_BYTES: usize = 32;

/// Names are kept though no row uses them while they are no more than this part of those in use: to
/// forget one costs as much as to forget all, since the others are written anew.
const SPARE_PART: usize = 32;

/// Names beyond which the unused ones are forgotten in any case: the rest is for those to come.
const MANY_NAMES: usize = limits::MAX_ENTITIES / 2;

/// The dictionary of one run.
#[derive(Debug, Default)]
pub(super) struct Names {
    by_id: Table,
    by_path: Paths,
    state: RandomState,
    refused: HashSet<EntityId>,
    // Since names were looked through, whatever came of it: rows that went, and ids that were named
    // and are in no row.
    gone_rows: u64,
    fresh: HashSet<EntityId>,
}

impl Names {
    pub(super) fn knows(&self, id: EntityId) -> bool {
        self.by_id.has(id) || self.refused.contains(&id)
    }

    fn len(&self) -> usize {
        self.by_id.len() + self.refused.len()
    }

    /// Bytes that all names are counted as.
    pub(super) fn bytes(&self) -> usize {
        let ids = self.refused.len() + self.fresh.len();
        self.by_id.bytes() + self.by_path.bytes() + ids * REFUSED_BYTES
    }

    /// See [`Door::define`](crate::store::Door::define). Returns the namespace that a pod had before, when
    /// that was another one.
    pub(super) fn define(&mut self, def: &EntityDef) -> Result<Option<String>, Error> {
        let (id, entity) = (def.id, def.id.0);
        let is_pod = def.kind == EntityKind::Pod;
        if !self.knows(id) && self.len() >= limits::MAX_ENTITIES {
            return Err(Error::TooManyEntities { entity });
        }
        let old = self.def(id);
        if old.as_ref().is_some_and(|old| !same_identity(old, def)) {
            return Err(Error::Redefined { entity });
        }
        let before = old.map(|old| old.namespace);
        let before = before.filter(|before| *before != def.namespace);
        self.refused.remove(&id);
        self.fresh.insert(id);
        let name = Name::of(def);
        match self.hash(&name) {
            Some(hash) => self.call(hash, (id, &name), &def.labels),
            None => {
                // A part of something unknown has no identity: its cells are skipped.
                self.remove(id);
                self.refused.insert(id);
            }
        }
        Ok(before.filter(|_| is_pod))
    }

    /// See [`Door::refuse`](crate::store::Door::refuse).
    pub(super) fn refuse(&mut self, id: EntityId) -> Result<(), Error> {
        if !self.knows(id) && self.len() >= limits::MAX_ENTITIES {
            return Err(Error::TooManyEntities { entity: id.0 });
        }
        self.fresh.insert(id);
        self.refused.insert(id);
        Ok(())
    }

    fn remove(&mut self, id: EntityId) {
        self.uncall(id);
        if let Some(at) = self.by_id.remove(id) {
            self.by_path.shift_down(at);
        }
    }

    /// Lets no path lead to the id.
    fn uncall(&mut self, id: EntityId) {
        let hash = self.by_id.get(id).and_then(|name| self.hash(&name));
        if let Some((hash, at)) = hash.zip(self.by_id.place(id)) {
            self.by_path.remove(hash, at);
        }
    }

    /// Names a thing, and lets its path, of this hash, lead to it. Of two ids with one path it leads to
    /// the later.
    fn call(&mut self, hash: u64, (id, name): (EntityId, &Name<'_>), labels: &[(String, String)]) {
        self.uncall(id);
        let Put { at, moves } = self.by_id.put(id, name, labels);
        if moves {
            self.by_path.shift_up(at);
        }
        let others: Vec<u16> = self.by_path.of(hash).collect();
        if !others.is_empty()
            && let Some(path) = self.path(id)
        {
            for other in others {
                if self.leads_to(other, &path).is_some() {
                    self.by_path.remove(hash, other);
                }
            }
        }
        self.by_path.put(hash, at);
    }

    fn def(&self, id: EntityId) -> Option<EntityDef> {
        let name = self.by_id.get(id)?;
        Some(EntityDef {
            id,
            kind: name.kind,
            parent: name.parent,
            name: name.name.with(str::to_owned),
            namespace: name.namespace.to_owned(),
            uid: name.uid.with(str::to_owned),
            runtime_id: name.runtime_id.to_owned(),
            labels: Vec::new(),
        })
    }

    /// How things of some kinds look to a selector, rising by id.
    pub(super) fn faces(
        &self,
        is_one: impl Fn(EntityKind) -> bool,
    ) -> impl Iterator<Item = (EntityId, Face<'_>)> {
        let all = self.by_id.all(is_one);
        all.map(|(id, name)| (id, face(name)))
    }

    /// The pods of a namespace, rising.
    pub(super) fn pods_of(&self, namespace: &str) -> Vec<EntityId> {
        self.by_id.all_in(EntityKind::Pod, namespace)
    }

    /// The containers, rising, each with its pod: one that is in no pod has no name.
    pub(super) fn containers(&self) -> impl Iterator<Item = (EntityId, EntityId)> {
        self.by_id.parts(EntityKind::Container)
    }

    /// How a thing looks to a selector.
    pub(super) fn face(&self, id: EntityId) -> Option<Face<'_>> {
        self.by_id.get(id).map(face)
    }

    pub(super) fn has_pod(&self, pod: &PodName<'_>) -> bool {
        let is_it = |name: Name<'_>| {
            name.namespace == pod.namespace
                && name.name.with(|name| name == pod.name)
                && name.uid.with(|uid| uid == pod.uid)
        };
        self.pods().any(|(_, name)| is_it(name))
    }

    fn pods(&self) -> impl Iterator<Item = (EntityId, Name<'_>)> {
        self.by_id.all(|kind| kind == EntityKind::Pod)
    }

    /// The UID of a thing; empty when it has none.
    pub(super) fn uid<T: for<'a> From<&'a str>>(&self, id: EntityId) -> T {
        let name = self.by_id.get(id);
        name.map_or_else(|| "".into(), |name| name.uid.with(|uid| uid.into()))
    }

    pub(super) fn labels(&self, id: EntityId) -> Vec<(String, String)> {
        self.by_id.labels(id)
    }

    pub(super) fn parent(&self, id: EntityId) -> Option<EntityId> {
        self.by_id.link(id)?.1
    }

    /// The nearest thing of a kind above this one.
    pub(super) fn enclosing(&self, id: EntityId, kind: EntityKind) -> Option<EntityId> {
        let mut above = self.parent(id);
        for _ in 0..MAX_DEPTH {
            let (own, parent) = self.by_id.link(above?)?;
            if own == kind {
                return above;
            }
            above = parent;
        }
        None
    }

    /// What an entity is called outside of the run.
    pub(super) fn path(&self, id: EntityId) -> Option<EntityPath> {
        self.path_within(id, MAX_DEPTH)
    }

    /// A path of so many steps at most: parents that go in circles lead nowhere.
    fn path_within(&self, id: EntityId, depth: usize) -> Option<EntityPath> {
        let name = self.by_id.get(id)?;
        let above = |parent: EntityId| self.path_within(parent, depth.checked_sub(1)?);
        match name.kind {
            EntityKind::Node => Some(EntityPath::Node),
            EntityKind::Pod => Some(EntityPath::Pod(name.uid.with(|uid| uid.into()))),
            EntityKind::Container => match name.parent.and_then(above)? {
                EntityPath::Pod(pod) => Some(EntityPath::Container {
                    pod,
                    name: name.name.with(|name| name.into()),
                    runtime_id: name.runtime_id.into(),
                }),
                _ => None,
            },
            kind => {
                let parent = name.parent.map_or(Some(EntityPath::Node), above)?;
                Some(EntityPath::Part {
                    kind,
                    parent: Box::new(parent),
                    name: name.name.with(|name| name.into()),
                })
            }
        }
    }

    /// The id of a path, if the run has it.
    pub(super) fn find(&self, path: &EntityPath) -> Option<EntityId> {
        let mut hasher = self.state.build_hasher();
        hash_path(&mut hasher, path);
        let mut found = self.by_path.of(hasher.finish());
        found.find_map(|at| self.leads_to(at, path))
    }

    /// The id at a place, if a path leads to it.
    fn leads_to(&self, at: u16, path: &EntityPath) -> Option<EntityId> {
        let (id, name) = self.by_id.at(at)?;
        self.is_called(&name, path).then_some(id)
    }

    fn is_called(&self, name: &Name<'_>, path: &EntityPath) -> bool {
        let above = || name.parent.and_then(|parent| self.by_id.get(parent));
        match path {
            EntityPath::Node => name.kind == EntityKind::Node,
            EntityPath::Pod(uid) => name.kind == EntityKind::Pod && name.uid.is(uid),
            EntityPath::Container {
                pod,
                name: own,
                runtime_id,
            } => {
                name.kind == EntityKind::Container
                    && name.name.is(own)
                    && name.runtime_id == &**runtime_id
                    && above().is_some_and(|above| above.uid.is(pod))
            }
            EntityPath::Part {
                kind,
                parent,
                name: own,
            } => {
                let is_in = || match name.parent {
                    Some(_) => above().is_some_and(|above| self.is_called(&above, parent)),
                    None => **parent == EntityPath::Node,
                };
                name.kind == *kind && name.name.is(own) && is_in()
            }
        }
    }

    /// The hash of the path of what is called so; `None` when it has none.
    fn hash(&self, name: &Name<'_>) -> Option<u64> {
        let mut hasher = self.state.build_hasher();
        self.hash_name(&mut hasher, name, MAX_DEPTH)?;
        Some(hasher.finish())
    }

    fn hash_name(&self, hasher: &mut impl Hasher, name: &Name<'_>, depth: usize) -> Option<()> {
        match name.kind {
            EntityKind::Node => hash_words(hasher, EntityKind::Node, &[]),
            EntityKind::Pod => name
                .uid
                .with(|uid| hash_words(hasher, EntityKind::Pod, &[uid])),
            EntityKind::Container => {
                let pod = self.by_id.get(name.parent?)?;
                if pod.kind != EntityKind::Pod {
                    return None;
                }
                let words = |uid: &str, own: &str, hasher: &mut _| {
                    hash_words(hasher, EntityKind::Container, &[uid, own, name.runtime_id]);
                };
                pod.uid
                    .with(|uid| name.name.with(|own| words(uid, own, hasher)));
            }
            kind => {
                name.name.with(|own| hash_words(hasher, kind, &[own]));
                match name.parent {
                    Some(above) => {
                        let above = self.by_id.get(above)?;
                        self.hash_name(hasher, &above, depth.checked_sub(1)?)?;
                    }
                    None => hash_words(hasher, EntityKind::Node, &[]),
                }
            }
        }
        Some(())
    }

    /// Takes note of the entities of a row that is kept.
    pub(super) fn used(&mut self, entities: &[EntityId]) {
        if !self.fresh.is_empty() {
            for id in entities {
                self.fresh.remove(id);
            }
            if self.fresh.is_empty() {
                self.fresh = HashSet::new();
            }
        }
    }

    /// Takes note that so many rows went.
    pub(super) fn gone(&mut self, rows: u64) {
        self.gone_rows += rows;
    }

    /// Forgets ids that no held row uses, so that names seen long ago cost nothing. `used` gives the ids
    /// of all rows, `last` those of the row that the living session sent last, rising: an agent uses
    /// these without naming them again, and names again what comes back after an absence. What was
    /// named since the last look and not used is kept for a row or a block that is still to come; the next
    /// look does not know it from others, whether this one forgets anything or not.
    ///
    /// It looks at every id of every block, so it waits until a block of rows has gone, and does nothing
    /// where all that has a name is in the last row. Returns the namespaces of the pods whose names
    /// went.
    pub(super) fn sweep(
        &mut self,
        last: &[EntityId],
        used: impl FnOnce() -> Vec<EntityId>,
    ) -> BTreeSet<String> {
        let names = self.len();
        let early = self.gone_rows < limits::BLOCK_ROWS && names <= MANY_NAMES;
        if names <= last.len() || early {
            return BTreeSet::new();
        }
        self.gone_rows = 0;
        let mut used = used();
        used.extend(last);
        used.extend(std::mem::take(&mut self.fresh));
        self.add_parents(&mut used);
        if names <= MANY_NAMES.min(used.len() + used.len() / SPARE_PART) {
            return BTreeSet::new();
        }
        let is_used = |id: EntityId| used.binary_search(&id).is_ok();
        let pods = self.pods();
        let went = namespaces(pods.filter(|(id, _)| !is_used(*id)));
        let went = went.into_iter().map(str::to_owned).collect();
        let moved = self.by_id.retain(is_used);
        self.by_path.moved(&moved);
        self.refused.retain(|id| is_used(*id));
        went
    }

    /// Adds what these are parts of, and puts all in rising order, each once.
    fn add_parents(&self, ids: &mut Vec<EntityId>) {
        let mut from = 0;
        ids.sort_unstable();
        ids.dedup();
        for _ in 0..MAX_DEPTH {
            let level = ids.get(from..).unwrap_or_default().iter();
            let above: Vec<EntityId> = level.filter_map(|id| self.parent(*id)).collect();
            from = ids.len();
            ids.extend(above);
        }
        ids.sort_unstable();
        ids.dedup();
    }

    /// The namespaces of all pods.
    pub(super) fn namespaces(&self) -> BTreeSet<&str> {
        namespaces(self.pods())
    }
}

fn face(name: Name<'_>) -> Face<'_> {
    Face {
        kind: name.kind,
        name: name.name,
        namespace: name.namespace,
    }
}

fn namespaces<'a>(pods: impl Iterator<Item = (EntityId, Name<'a>)>) -> BTreeSet<&'a str> {
    pods.map(|(_, pod)| pod.namespace).collect()
}

/// Puts one more into a list and gives it little more room than it needs: there is such a list for
/// each node, and few grow.
fn push<T>(list: &mut Vec<T>, at: usize, one: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 4);
    }
    list.insert(at, one);
}

/// The two bytes of a hash that are kept.
fn short(hash: u64) -> u32 {
    u32::try_from(hash >> 48).unwrap_or(0)
}

fn hash_path(hasher: &mut impl Hasher, path: &EntityPath) {
    match path {
        EntityPath::Node => hash_words(hasher, EntityKind::Node, &[]),
        EntityPath::Pod(uid) => hash_words(hasher, EntityKind::Pod, &[uid]),
        EntityPath::Container {
            pod,
            name,
            runtime_id,
        } => hash_words(hasher, EntityKind::Container, &[pod, name, runtime_id]),
        EntityPath::Part { kind, parent, name } => {
            hash_words(hasher, *kind, &[name]);
            hash_path(hasher, parent);
        }
    }
}

fn hash_words(hasher: &mut impl Hasher, kind: EntityKind, words: &[&str]) {
    hasher.write_u8(kind as u8);
    for word in words {
        hasher.write(word.as_bytes());
        hasher.write_u8(0xff);
    }
}

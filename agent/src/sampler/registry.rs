//! The small numbers of entities.
//!
//! An id belongs to a key for the whole run and is never given to another. A key that was not seen
//! for longer than the window is forgotten; when it comes back it gets a new id.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;

use cairn_proto::catalogue::{Group, Source};
use cairn_proto::limits::MAX_ENTITIES;
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind};
use cairn_proto::{v1, wire};

use crate::sources::hashed::Index;

/// What an entity is, beside its id.
///
/// A pod is the same pod by its UID; anything else by its kind, what it belongs to and its name.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// What it is.
    pub kind: EntityKind,
    /// What it belongs to.
    pub parent: Option<EntityId>,
    /// Its name.
    pub name: &'a str,
    /// Namespace of a pod, else empty.
    pub namespace: &'a str,
    /// UID of a pod, else empty.
    pub uid: &'a str,
    /// What else is said of it, sorted by key.
    pub labels: &'a [(String, String)],
}

impl<'a> Description<'a> {
    /// What tells it apart from others of its kind and parent.
    fn key(&self) -> &'a str {
        if self.kind == EntityKind::Pod {
            self.uid
        } else {
            self.name
        }
    }
}

/// What is kept of an entity.
#[derive(Debug)]
pub struct Entry {
    def: Arc<EntityDef>,
    seen_tick: u64,
    // The newest measurement time of each group, and its source; in two lists, which take little more
    // than half of what one would.
    times_ms: [u64; Group::ALL.len()],
    sources: [Option<Source>; Group::ALL.len()],
    // Of what tells it apart.
    hash: u64,
    // Another entry of the same hash.
    next: Option<u32>,
    // The place of the one that was seen after it the last time.
    follower: u32,
}

impl Entry {
    /// The definition; the same `Arc` as long as nothing in it changes.
    #[must_use]
    pub fn def(&self) -> &Arc<EntityDef> {
        &self.def
    }

    /// Takes note of a measurement; true when it is earlier than the one before of the same source.
    pub fn is_late(&mut self, group: Group, source: Source, time_ms: u64) -> bool {
        let at = group as usize;
        let (Some(by), Some(before)) = (self.sources.get_mut(at), self.times_ms.get_mut(at)) else {
            return false;
        };
        let late = *by == Some(source) && time_ms < *before;
        (*by, *before) = (Some(source), time_ms);
        late
    }
}

/// All entities of a run.
#[derive(Debug)]
pub struct Registry {
    entries: Vec<Entry>,
    // By the hash of what tells it apart, so that looking up makes nothing: the last entry of it.
    index: Index,
    keys: RandomState,
    next_id: u32,
    limit: usize,
    builder: Builder,
    // The place of the one that was seen last. Rows have their entities in the same order from tick to tick, so
    // the next one is nearly always its follower: a comparison says so, without hashing and looking up.
    last: usize,
}

impl Default for Registry {
    fn default() -> Self {
        Self::with_limit(MAX_ENTITIES)
    }
}

impl Registry {
    /// Makes a registry of at most `limit` entities at a time.
    #[must_use]
    pub fn with_limit(limit: usize) -> Self {
        Self {
            entries: Vec::new(),
            index: Index::default(),
            keys: RandomState::new(),
            next_id: 1,
            limit,
            builder: Builder::default(),
            last: 0,
        }
    }

    /// What rows of these entities are collected in; it is empty between two of them and keeps the room
    /// that one takes.
    pub fn builder(&mut self) -> &mut Builder {
        &mut self.builder
    }

    /// Number of entities known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sees an entity at a tick. `None` when it is refused: there are too many, the ids are used up,
    /// or its names are such that no aggregator would take them.
    pub fn see(&mut self, tick: u64, what: Description<'_>) -> Option<&mut Entry> {
        let at = match self.follower(what) {
            Some(at) => at,
            None => {
                let at = self.look_up(tick, what)?;
                if let Some(before) = self.entries.get_mut(self.last) {
                    before.follower = u32::try_from(at).ok()?;
                }
                at
            }
        };
        self.last = at;
        let entry = self.entries.get_mut(at)?;
        entry.seen_tick = tick;
        Some(entry)
    }

    /// Where the follower of the one that was seen last is, if it is described.
    fn follower(&self, what: Description<'_>) -> Option<usize> {
        let at = self.entries.get(self.last)?.follower as usize;
        let is_it = is_described(&self.entries.get(at)?.def, what);
        is_it.then_some(at)
    }

    /// Where an entity is, which has the definition that is described then, and may be new.
    fn look_up(&mut self, tick: u64, what: Description<'_>) -> Option<usize> {
        let hash = self.hash(what);
        let at = match self.find(hash, what) {
            Some(at) => {
                let entry = self.entries.get_mut(at)?;
                if !is_described(&entry.def, what) {
                    entry.def = define(entry.def.id, what)?;
                }
                at
            }
            None if self.entries.len() >= self.limit => return None,
            None => {
                let def = define(EntityId(self.next_id), what)?;
                self.next_id = self.next_id.checked_add(1)?;
                let at = u32::try_from(self.entries.len()).ok()?;
                self.entries.push(Entry {
                    def,
                    seen_tick: tick,
                    times_ms: [0; Group::ALL.len()],
                    sources: [None; Group::ALL.len()],
                    hash,
                    next: self.index.insert(hash, at),
                    follower: 0,
                });
                at as usize
            }
        };
        Some(at)
    }

    /// Gives an entity that is known by one name another one; it keeps its id. Nothing happens when it is
    /// not known, the other name is, or no aggregator would take it.
    pub fn rename(&mut self, parent: EntityId, kind: EntityKind, from: &str, to: &str) {
        let named = |name| Description {
            kind,
            parent: Some(parent),
            name,
            namespace: "",
            uid: "",
            labels: &[],
        };
        let hash = self.hash(named(to));
        if self.find(hash, named(to)).is_some() {
            return;
        }
        let Some(at) = self.find(self.hash(named(from)), named(from)) else {
            return;
        };
        let def = self
            .entries
            .get(at)
            .and_then(|entry| define(entry.def.id, named(to)));
        let (Some(def), Ok(place)) = (def, u32::try_from(at)) else {
            return;
        };
        self.unlink(place);
        if let Some(entry) = self.entries.get_mut(at) {
            entry.def = def;
            entry.hash = hash;
            entry.next = self.index.insert(hash, place);
        }
    }

    /// Takes an entry out of those of its hash.
    fn unlink(&mut self, at: u32) {
        let Some((hash, next)) = self.entries.get(at as usize).map(|of| (of.hash, of.next)) else {
            return;
        };
        let mut before = self.index.get(&hash).copied();
        if before == Some(at) {
            match next {
                Some(next) => self.index.insert(hash, next),
                None => self.index.remove(&hash),
            };
            return;
        }
        while let Some(entry) = before.and_then(|at| self.entries.get_mut(at as usize)) {
            if entry.next == Some(at) {
                entry.next = next;
                return;
            }
            before = entry.next;
        }
    }

    fn hash(&self, what: Description<'_>) -> u64 {
        let parent = what.parent.map_or(0, |parent| u64::from(parent.0) + 1);
        let mut hasher = self.keys.build_hasher();
        hasher.write_u64(parent << 8 | what.kind as u64);
        hasher.write(what.key().as_bytes());
        hasher.finish()
    }

    fn find(&self, hash: u64, what: Description<'_>) -> Option<usize> {
        let mut next = self.index.get(&hash).copied();
        while let Some(at) = next {
            let entry = self.entries.get(at as usize)?;
            if is_it(&entry.def, what) {
                return Some(at as usize);
            }
            next = entry.next;
        }
        None
    }

    /// Forgets what was last seen before `tick`.
    pub fn forget_before(&mut self, tick: u64) {
        let count = self.entries.len();
        self.entries.retain(|entry| entry.seen_tick >= tick);
        if self.entries.len() == count {
            return;
        }
        self.index.clear();
        for (entry, at) in self.entries.iter_mut().zip(0..) {
            entry.next = self.index.insert(entry.hash, at);
        }
    }

    /// Forgets everything but which ids were given: a new run begins. When the wall clock was set
    /// back, what was seen before would be newer than the window for as long as it was set back.
    pub fn begin_run(&mut self) {
        self.entries = Vec::new();
        self.index = Index::default();
    }
}

/// True of the definition of what is described, whatever else has changed of it.
fn is_it(def: &EntityDef, what: Description<'_>) -> bool {
    let key = if def.kind == EntityKind::Pod {
        &def.uid
    } else {
        &def.name
    };
    def.parent == what.parent && def.kind == what.kind && key == what.key()
}

fn is_described(def: &EntityDef, what: Description<'_>) -> bool {
    def.kind == what.kind
        && def.parent == what.parent
        && def.name == what.name
        && def.namespace == what.namespace
        && def.uid == what.uid
        && def.labels == what.labels
}

/// `None` when no aggregator would take its names.
fn define(id: EntityId, what: Description<'_>) -> Option<Arc<EntityDef>> {
    let def = EntityDef {
        id,
        kind: what.kind,
        parent: what.parent,
        name: what.name.to_owned(),
        namespace: what.namespace.to_owned(),
        uid: what.uid.to_owned(),
        // Neither the summary nor the resource endpoint tells it.
        runtime_id: String::new(),
        labels: what.labels.to_vec(),
    };
    wire::define(v1::Define::from(&def)).ok()?;
    Some(Arc::new(def))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod<'a>(name: &'a str, uid: &'a str) -> Description<'a> {
        let parent = Some(EntityId(1));
        Description {
            kind: EntityKind::Pod,
            parent,
            name,
            namespace: "shop",
            uid,
            labels: &[],
        }
    }

    fn see(registry: &mut Registry, tick: u64, name: &str, uid: &str) -> Option<EntityId> {
        registry
            .see(tick, pod(name, uid))
            .map(|entry| entry.def().id)
    }

    #[test]
    fn an_entity_that_comes_back_has_its_id_and_its_definition_again() {
        let mut registry = Registry::default();
        let first = Arc::clone(registry.see(10, pod("crasher", "u1")).unwrap().def());
        see(&mut registry, 20, "other", "u2");
        let again = registry.see(30, pod("crasher", "u1")).unwrap().def();
        assert!(Arc::ptr_eq(&first, again));
    }

    #[test]
    fn ids_are_never_given_again() {
        let mut registry = Registry::default();
        let first = see(&mut registry, 10, "a", "u1");
        registry.forget_before(11);
        assert!(registry.is_empty());
        let second = see(&mut registry, 20, "a", "u1");
        assert!(first.is_some() && second > first);
    }

    #[test]
    fn a_new_run_holds_nothing_of_the_ones_before() {
        let mut registry = Registry::with_limit(1);
        let first = see(&mut registry, 50_000, "a", "u1");
        // The wall clock was set back: no tick of the new run is later than the old one's.
        registry.begin_run();
        assert!(registry.is_empty());
        let second = see(&mut registry, 10, "b", "u2");
        assert!(first.is_some() && second > first, "{second:?}");
    }

    #[test]
    fn a_changed_name_is_a_new_definition_under_the_same_id() {
        let mut registry = Registry::default();
        let old = see(&mut registry, 10, "a", "u1");
        let entry = registry.see(20, pod("b", "u1")).unwrap();
        assert_eq!(
            (Some(entry.def().id), entry.def().name.as_str()),
            (old, "b")
        );
    }

    #[test]
    fn what_gets_a_name_keeps_its_id_unless_the_name_is_taken() {
        let of_kind = |name| Description {
            kind: EntityKind::Container,
            uid: "",
            namespace: "",
            ..pod(name, "")
        };
        let mut registry = Registry::default();
        let id = |registry: &mut Registry, name| registry.see(10, of_kind(name)).unwrap().def().id;
        let (first, other) = (id(&mut registry, "abc1"), id(&mut registry, "abc2"));
        let rename = |registry: &mut Registry, from| {
            registry.rename(EntityId(1), EntityKind::Container, from, "httpd");
        };
        rename(&mut registry, "unknown");
        rename(&mut registry, "abc1");
        assert_eq!(id(&mut registry, "httpd"), first);
        rename(&mut registry, "abc2");
        assert_eq!(
            (id(&mut registry, "httpd"), id(&mut registry, "abc2")),
            (first, other)
        );
        assert_eq!(registry.len(), 2);
    }

    #[test]
    fn one_is_taken_out_of_those_of_its_hash_and_the_others_stay() {
        const ALL: [&str; 3] = ["a", "b", "c"];
        for (gone, place) in (0..ALL.len()).zip(0..) {
            let mut registry = Registry::default();
            for uid in ALL {
                see(&mut registry, 10, uid, uid);
            }
            registry.index.clear();
            for (entry, at) in registry.entries.iter_mut().zip(0..) {
                entry.hash = 7;
                entry.next = registry.index.insert(7, at);
            }
            registry.unlink(place);
            for (at, uid) in ALL.into_iter().enumerate() {
                let found = registry.find(7, pod(uid, uid));
                assert_eq!(found, (at != gone).then_some(at), "{uid} without {gone}");
            }
        }
    }

    #[test]
    fn beyond_the_limit_the_newcomer_is_refused_and_the_others_stay() {
        let mut registry = Registry::with_limit(2);
        assert!(see(&mut registry, 10, "a", "u1").is_some());
        assert!(see(&mut registry, 10, "b", "u2").is_some());
        assert_eq!(see(&mut registry, 10, "c", "u3"), None);
        assert!(see(&mut registry, 20, "a", "u1").is_some());
        registry.forget_before(20);
        assert!(see(&mut registry, 20, "c", "u3").is_some());
    }

    #[test]
    fn names_that_no_aggregator_takes_are_refused_here() {
        let mut registry = Registry::default();
        assert_eq!(see(&mut registry, 10, "A b", "u1"), None);
        assert_eq!(see(&mut registry, 10, "a", &"u".repeat(600)), None);
        assert_eq!(see(&mut registry, 10, "a", "u\u{202e}1"), None);
        assert!(registry.is_empty());
    }

    #[test]
    fn late_is_earlier_than_before_from_the_same_source() {
        let mut registry = Registry::default();
        let entry = registry.see(10, pod("a", "u1")).unwrap();
        assert!(!entry.is_late(Group::Cpu, Source::Resource, 100));
        assert!(!entry.is_late(Group::Cpu, Source::Resource, 100));
        assert!(!entry.is_late(Group::Memory, Source::Summary, 50));
        assert!(entry.is_late(Group::Cpu, Source::Resource, 99));
        assert!(!entry.is_late(Group::Cpu, Source::Summary, 50));
    }
}

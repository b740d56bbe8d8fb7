//! The small numbers of entities.
//!
//! An id belongs to a key for the whole run and is never given to another. A key that was not seen
//! for longer than the window is forgotten; when it comes back it gets a new id.

use std::collections::HashMap;
use std::sync::Arc;

use cairn_proto::catalogue::{Group, Source};
use cairn_proto::limits::MAX_ENTITIES;
use cairn_proto::model::{EntityDef, EntityId, EntityKind};
use cairn_proto::{v1, wire};

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
    // The newest measurement time of each group, with its source.
    measured: [Option<(Source, u64)>; Group::ALL.len()],
}

impl Entry {
    /// The definition; the same `Arc` as long as nothing in it changes.
    #[must_use]
    pub fn def(&self) -> &Arc<EntityDef> {
        &self.def
    }

    /// Takes note of a measurement; true when it is earlier than the one before of the same source.
    pub fn is_late(&mut self, group: Group, source: Source, time_ms: u64) -> bool {
        let Some(slot) = self.measured.get_mut(group as usize) else {
            return false;
        };
        let late = slot.is_some_and(|(by, before)| by == source && time_ms < before);
        *slot = Some((source, time_ms));
        late
    }
}

/// Boxed, because nearly all of these maps hold one entry or two and have room for four.
type Siblings = HashMap<Box<str>, Box<Entry>>;

/// All entities of a run.
#[derive(Debug)]
pub struct Registry {
    // In two steps, so that looking up allocates nothing.
    entries: HashMap<(Option<EntityId>, EntityKind), Siblings>,
    count: usize,
    next_id: u32,
    limit: usize,
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
            entries: HashMap::new(),
            count: 0,
            next_id: 1,
            limit,
        }
    }

    /// Number of entities known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Sees an entity at a tick. `None` when it is refused: there are too many, the ids are used up,
    /// or its names are such that no aggregator would take them.
    pub fn see(&mut self, tick: u64, what: Description<'_>) -> Option<&mut Entry> {
        let siblings = self.entries.entry((what.parent, what.kind)).or_default();
        let known = siblings.get(what.key()).map(|entry| &entry.def);
        let id = match known {
            Some(def) => def.id,
            None if self.count >= self.limit => return None,
            None => EntityId(self.next_id),
        };
        if !known.is_some_and(|def| is_described(def, what)) {
            let def = define(id, what);
            wire::define(v1::Define::from(&def)).ok()?;
            let def = Arc::new(def);
            if let Some(entry) = siblings.get_mut(what.key()) {
                entry.def = def;
            } else {
                self.next_id = self.next_id.checked_add(1)?;
                self.count += 1;
                let entry = Box::new(Entry {
                    def,
                    seen_tick: tick,
                    measured: [None; Group::ALL.len()],
                });
                return Some(siblings.entry(what.key().into()).or_insert(entry));
            }
        }
        let entry = siblings.get_mut(what.key())?;
        entry.seen_tick = tick;
        Some(entry)
    }

    /// Gives an entity that is known by one key another one; it keeps its id. Nothing happens when it is
    /// not known, or the other key is.
    pub fn rename(&mut self, parent: EntityId, kind: EntityKind, from: &str, to: &str) {
        let Some(siblings) = self.entries.get_mut(&(Some(parent), kind)) else {
            return;
        };
        if !siblings.contains_key(to)
            && let Some(entry) = siblings.remove(from)
        {
            siblings.insert(to.into(), entry);
        }
    }

    /// Forgets what was last seen before `tick`.
    pub fn forget_before(&mut self, tick: u64) {
        let mut count = 0;
        self.entries.retain(|_, siblings| {
            siblings.retain(|_, entry| entry.seen_tick >= tick);
            count += siblings.len();
            !siblings.is_empty()
        });
        self.count = count;
    }

    /// Forgets everything but which ids were given: a new run begins. When the wall clock was set
    /// back, what was seen before would be newer than the window for as long as it was set back.
    pub fn begin_run(&mut self) {
        self.entries = HashMap::new();
        self.count = 0;
    }
}

fn is_described(def: &EntityDef, what: Description<'_>) -> bool {
    def.kind == what.kind
        && def.parent == what.parent
        && def.name == what.name
        && def.namespace == what.namespace
        && def.uid == what.uid
        && def.labels == what.labels
}

fn define(id: EntityId, what: Description<'_>) -> EntityDef {
    EntityDef {
        id,
        kind: what.kind,
        parent: what.parent,
        name: what.name.to_owned(),
        namespace: what.namespace.to_owned(),
        uid: what.uid.to_owned(),
        // Neither the summary nor the resource endpoint tells it.
        runtime_id: String::new(),
        labels: what.labels.to_vec(),
    }
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

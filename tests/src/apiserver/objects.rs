//! What there is, and every change of it in order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

/// Changes that a watch may begin before; older ones are gone, as after a compaction.
const MOST_CHANGES: usize = 50_000;

/// Lists that are being read page by page.
const MOST_SNAPSHOTS: usize = 16;

/// Where an object stands among those of its resource: namespace and name; no namespace for nodes.
type Key = (String, String);

/// One change, as a watch tells it.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) resource: &'static str,
    /// `ADDED`, `MODIFIED` or `DELETED`.
    pub(super) kind: &'static str,
    pub(super) object: Arc<Value>,
}

/// What is left of a list: the objects of its version.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) version: u64,
    pub(super) objects: Arc<[Arc<Value>]>,
}

/// All objects, by resource.
#[derive(Debug, Default)]
pub(super) struct Objects {
    version: u64,
    /// Versions up to this one cannot be watched from.
    forgotten: u64,
    held: BTreeMap<(&'static str, Key), Arc<Value>>,
    changes: VecDeque<Change>,
    snapshots: VecDeque<Snapshot>,
}

impl Objects {
    /// The version of the last change.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// Adds an object or takes the place of the one of its name, and says its version.
    pub(super) fn put(&mut self, resource: &'static str, mut object: Value) -> u64 {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let (object, key) = (Arc::new(object.clone()), key(&object));
        let before = self.held.insert((resource, key), Arc::clone(&object));
        let kind = if before.is_some() {
            "MODIFIED"
        } else {
            "ADDED"
        };
        self.changed(resource, kind, object);
        self.version
    }

    /// Removes an object; false when there is none of this name.
    pub(super) fn delete(&mut self, resource: &'static str, namespace: &str, name: &str) -> bool {
        let key = (resource, (namespace.to_owned(), name.to_owned()));
        let Some(held) = self.held.remove(&key) else {
            return false;
        };
        self.version += 1;
        let mut object = Value::clone(&held);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.changed(resource, "DELETED", Arc::new(object));
        true
    }

    /// The object of this name.
    pub(super) fn get(
        &self,
        resource: &'static str,
        namespace: &str,
        name: &str,
    ) -> Option<&Value> {
        let key = (resource, (namespace.to_owned(), name.to_owned()));
        self.held.get(&key).map(|held| &**held)
    }

    /// The objects of a resource, of one namespace or of all, by namespace and name.
    pub(super) fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let held = self.held.iter().filter(|((of, (within, _)), _)| {
            *of == resource && namespace.is_none_or(|wanted| wanted == within)
        });
        held.map(|(_, object)| Arc::clone(object)).collect()
    }

    /// How many objects of a resource there are.
    pub(super) fn count(&self, resource: &str) -> usize {
        self.held.keys().filter(|(of, _)| *of == resource).count()
    }

    /// Keeps the objects of a list for its further pages.
    pub(super) fn keep(&mut self, objects: Vec<Arc<Value>>) -> Snapshot {
        let snapshot = Snapshot {
            version: self.version,
            objects: objects.into(),
        };
        if self.snapshots.len() == MOST_SNAPSHOTS {
            self.snapshots.pop_front();
        }
        self.snapshots.push_back(snapshot.clone());
        snapshot
    }

    /// A list that was begun at this version and has so many objects; `None` when it was forgotten.
    pub(super) fn kept(&self, version: u64, count: usize) -> Option<Snapshot> {
        let mut kept = self.snapshots.iter();
        kept.find(|kept| kept.version == version && kept.objects.len() == count)
            .cloned()
    }

    /// Forgets all changes so far: whoever watches from before has to list anew.
    pub(super) fn forget(&mut self) {
        self.changes.clear();
        self.snapshots.clear();
        self.forgotten = self.version;
    }

    /// The changes of a resource after a version; `None` when they are forgotten.
    pub(super) fn after(&self, version: u64, resource: &str) -> Option<Vec<Change>> {
        if version < self.forgotten {
            return None;
        }
        let from = self.changes.partition_point(|c| c.version <= version);
        let later = self.changes.range(from..);
        Some(later.filter(|c| c.resource == resource).cloned().collect())
    }

    fn changed(&mut self, resource: &'static str, kind: &'static str, object: Arc<Value>) {
        if self.changes.len() == MOST_CHANGES {
            let gone = self.changes.pop_front();
            self.forgotten = gone.map_or(self.forgotten, |gone| gone.version);
        }
        self.changes.push_back(Change {
            version: self.version,
            resource,
            kind,
            object,
        });
    }
}

fn key(object: &Value) -> Key {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
    (text("namespace").to_owned(), text("name").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str) -> Value {
        json!({"metadata": {"namespace": "shop", "name": name}})
    }

    #[test]
    fn a_watch_sees_what_changed_after_its_version() {
        let mut objects = Objects::default();
        objects.put("pods", pod("web"));
        let listed = objects.version();
        objects.put("pods", pod("web"));
        objects.put("nodes", json!({"metadata": {"name": "node1"}}));
        assert!(objects.delete("pods", "shop", "web"));
        assert!(!objects.delete("pods", "shop", "web"));
        let seen = objects.after(listed, "pods").unwrap();
        let kinds: Vec<_> = seen.iter().map(|change| change.kind).collect();
        assert_eq!(kinds, ["MODIFIED", "DELETED"]);
        objects.forget();
        assert!(objects.after(listed, "pods").is_none());
        assert!(objects.after(objects.version(), "pods").is_some());
    }

    #[test]
    fn a_list_in_pages_is_of_one_version() {
        let mut objects = Objects::default();
        objects.put("pods", pod("a"));
        let kept = objects.keep(objects.list("pods", None));
        objects.put("pods", pod("b"));
        let (version, count) = (kept.version, kept.objects.len());
        assert_eq!(objects.kept(version, count).unwrap().objects.len(), 1);
        objects.forget();
        assert!(objects.kept(version, count).is_none());
    }
}

//! A small node on which everything comes and goes, a pure function of the tick's number.

use cairn_proto::model::EntityKind;

/// Ticks that the pods of each place live; shorter than a window and longer.
const LIVES: [u64; 6] = [3, 7, 13, 40, 101, 997];

/// Something of a node, by its path there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) kind: EntityKind,
    /// Path of its parent; empty for the node.
    pub(crate) parent: String,
    /// What tells it apart there: a pod's UID, else its name.
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) claim: String,
}

impl Thing {
    pub(crate) fn path(&self) -> String {
        format!("{}/{}:{}", self.parent, self.kind as u8, self.key)
    }

    fn new(kind: EntityKind, parent: &str, name: String) -> Self {
        Self {
            kind,
            parent: parent.to_owned(),
            key: name.clone(),
            name,
            claim: String::new(),
        }
    }
}

/// All that is there at a tick; parents come first.
pub(crate) fn things(node: &str, n: u64) -> Vec<Thing> {
    let root = Thing::new(EntityKind::Node, "", node.to_owned());
    let top = root.path();
    let mut all = vec![root];
    all.push(Thing::new(
        EntityKind::System,
        &top,
        format!("system-{}", n / 20),
    ));
    all.push(Thing::new(
        EntityKind::Interface,
        &top,
        format!("veth{}", n / 3),
    ));
    // Refused by its name, under another id each few ticks.
    all.push(Thing::new(
        EntityKind::Container,
        &top,
        format!("No Name {}", n / 9),
    ));
    let count = 3 + n / 50 % 4;
    for (place, life) in (0..count).zip(LIVES) {
        let number = (n + place * 5) / life;
        // Every other place gives its pods a new name each, the others the same again.
        let name = if place % 2 == 0 {
            format!("web-{place}-{number}")
        } else {
            format!("db-{place}")
        };
        let mut pod = Thing::new(EntityKind::Pod, &top, name);
        pod.key = format!("uid-{place}-{number}");
        let path = pod.path();
        all.push(pod);
        let app = Thing::new(EntityKind::Container, &path, "app".to_owned());
        let rootfs = Thing::new(EntityKind::Filesystem, &app.path(), "rootfs".to_owned());
        let mut cache = Thing::new(EntityKind::Volume, &path, "cache".to_owned());
        cache.claim = format!("claim-{}", n / 12);
        let data = Thing::new(EntityKind::Volume, &path, format!("data-{}", n / 6));
        let interface = Thing::new(EntityKind::Interface, &path, format!("eth{}", n / 8));
        all.extend([app, rootfs, cache, data, interface]);
    }
    all
}

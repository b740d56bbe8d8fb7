use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::model::{EntityDef, EntityId, EntityKind};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Names, SPARE_PART};
use crate::store::EntityPath;
use crate::store::entity::same_identity;

/// A pod, or a container of pod 1, whose text differs in length; some have labels.
fn def() -> impl Strategy<Value = EntityDef> {
    let kind = prop_oneof![Just(EntityKind::Pod), Just(EntityKind::Container)];
    (2_u32..500, kind, 0_usize..40, 0_u8..4).prop_map(|(id, kind, length, life)| {
        let is_pod = kind == EntityKind::Pod;
        let labels = [("zone".to_owned(), "a".repeat(length))];
        EntityDef {
            id: EntityId(id),
            kind,
            parent: (!is_pod).then_some(EntityId(1)),
            name: format!("name-{}", id / 2),
            namespace: "n".repeat(length),
            uid: if is_pod && length % 2 == 0 {
                format!("117a9601-bda9-419d-88d9-{:012x}", id / 2)
            } else if is_pod {
                format!("uid-{}", id / 2)
            } else {
                String::new()
            },
            runtime_id: if is_pod {
                String::new()
            } else {
                format!("life-{life}")
            },
            labels: labels.into_iter().filter(|_| length % 7 == 0).collect(),
        }
    })
}

fn path_of(def: &EntityDef) -> EntityPath {
    match def.kind {
        EntityKind::Pod => EntityPath::Pod(def.uid.as_str().into()),
        _ => EntityPath::Container {
            pod: "uid-0".into(),
            name: def.name.as_str().into(),
            runtime_id: def.runtime_id.as_str().into(),
        },
    }
}

/// What is kept is what was said last of each id; a path leads to the id that was given it last.
fn check(
    names: &Names,
    all: &BTreeMap<EntityId, EntityDef>,
    latest: &BTreeMap<EntityPath, EntityId>,
) {
    assert_eq!(
        names.faces(|_| true).map(|(id, _)| id).collect::<Vec<_>>(),
        all.keys().copied().collect::<Vec<_>>()
    );
    for (id, def) in all {
        let face = names.face(*id).unwrap();
        assert_eq!(face.kind, def.kind);
        assert!(face.name.is(&def.name));
        assert_eq!(face.namespace, &*def.namespace);
        assert_eq!(names.uid::<String>(*id), def.uid);
        assert_eq!(names.labels(*id), def.labels);
        assert_eq!(names.parent(*id), def.parent);
        assert_eq!(names.path(*id), Some(path_of(def)));
    }
    for (path, id) in latest {
        assert_eq!(names.find(path), Some(*id));
    }
}

fn pod(id: u32) -> EntityDef {
    EntityDef {
        id: EntityId(id),
        kind: EntityKind::Pod,
        parent: None,
        name: format!("name-{id}"),
        namespace: "shop".to_owned(),
        uid: format!("uid-{id}"),
        runtime_id: String::new(),
        labels: Vec::new(),
    }
}

#[test]
fn what_was_named_and_not_used_outlives_one_look() {
    let mut names = Names::default();
    let ids: Vec<EntityId> = (1..=100).map(EntityId).collect();
    for id in 1..=100 {
        names.define(&pod(id)).unwrap();
    }
    names.used(&ids);
    names.define(&pod(500)).unwrap();
    // Too few are unused to forget them; the one that was named is among those that are kept.
    names.gone(16);
    assert_eq!(names.sweep(&[], || ids.clone()), BTreeSet::new());
    assert!(names.knows(EntityId(500)));
    // Nothing came of it until the next look.
    names.gone(16);
    assert_eq!(names.sweep(&[], || ids[..50].to_vec()).len(), 1);
    assert!(!names.knows(EntityId(500)));
    assert!(names.knows(EntityId(50)) && !names.knows(EntityId(51)));
    // Named just before a look that does forget.
    names.define(&pod(501)).unwrap();
    names.gone(16);
    assert_eq!(names.sweep(&[], || ids[..10].to_vec()).len(), 1);
    assert!(names.knows(EntityId(501)));
}

#[test]
fn a_pod_tells_the_namespace_that_it_had_before() {
    let mut names = Names::default();
    let moved = |namespace: &str| EntityDef {
        namespace: namespace.to_owned(),
        ..pod(1)
    };
    assert_eq!(names.define(&moved("one")), Ok(None));
    assert_eq!(names.define(&moved("one")), Ok(None));
    assert_eq!(names.define(&moved("two")), Ok(Some("one".to_owned())));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn names_are_what_was_said_last(defs in vec(def(), 1..2_500), used in vec(prop::bool::weighted(0.2), 500)) {
        let mut names = Names::default();
        let (mut all, mut latest) = (BTreeMap::new(), BTreeMap::new());
        let pod = EntityDef { id: EntityId(1), kind: EntityKind::Pod, uid: "uid-0".to_owned(), parent: None, ..defs[0].clone() };
        let pod = EntityDef { runtime_id: String::new(), ..pod };
        for def in std::iter::once(pod).chain(defs) {
            let old: Option<&EntityDef> = all.get(&def.id);
            let is_same = old.is_none_or(|old| same_identity(old, &def));
            prop_assert_eq!(names.define(&def).is_ok(), is_same);
            if is_same {
                latest.retain(|_, id| *id != def.id);
                latest.insert(path_of(&def), def.id);
                all.insert(def.id, def);
            }
        }
        check(&names, &all, &latest);

        // All were used once, and of them some still are.
        let ids: Vec<EntityId> = all.keys().copied().collect();
        names.used(&ids);
        names.gone(16);
        let is_used = |id: EntityId| id.0 == 1 || used.get(id.0 as usize) == Some(&true);
        let used: Vec<EntityId> = ids.into_iter().filter(|id| is_used(*id)).collect();
        // The row that was sent last may have fewer than the window.
        let last: Vec<EntityId> = used.iter().copied().step_by(2).collect();
        let many = all.len() > used.len() + used.len() / SPARE_PART;
        let pods = all.values().filter(|def| def.kind == EntityKind::Pod && !is_used(def.id));
        let gone: BTreeSet<String> = pods.map(|def| def.namespace.clone()).collect();
        let told = names.sweep(&last, || used);
        prop_assert_eq!(told, if many { gone } else { BTreeSet::new() });
        if many {
            all.retain(|id, _| is_used(*id));
            latest.retain(|_, id| is_used(*id));
        }
        check(&names, &all, &latest);
    }
}

/// A pod of an owner that made many, as Kubernetes names it.
fn made(id: u32, name: &str) -> EntityDef {
    EntityDef {
        name: name.to_owned(),
        uid: format!("117a9601-bda9-419d-88d9-{id:012x}"),
        ..pod(id)
    }
}

#[test]
fn what_pods_of_one_owner_have_in_common_is_told_once() {
    let mut names = Names::default();
    for id in (1..=1_000).step_by(2) {
        names
            .define(&made(id, &format!("web-7ffcbbddf7-x{id:04}")))
            .unwrap();
        let container = EntityDef {
            kind: EntityKind::Container,
            parent: Some(EntityId(id)),
            name: "httpd".to_owned(),
            namespace: String::new(),
            uid: String::new(),
            ..pod(id + 1)
        };
        names.define(&container).unwrap();
    }
    names.used(&(1..=1_000).map(EntityId).collect::<Vec<_>>());
    // 16 bytes of a UID, 12 of what else is said of a pod, 3 of a container, and 12 to find each; and an
    // eighth of room.
    let most = (16 + 12 + 3 + 2 * 12) * 500 * 9 / 8 + 500;
    assert!(names.bytes() < most, "{} of {most}", names.bytes());
    let face = names.face(EntityId(999)).unwrap();
    assert!(face.name.is("web-7ffcbbddf7-x0999"));
}

#[test]
fn names_made_up_to_be_alike_are_kept_as_they_are() {
    let mut names = Names::default();
    let text = |id: u32| match id % 3 {
        // They differ within a character, where no text can be parted.
        0 => format!("alike-{id}\u{fc}"),
        1 => format!("alike-{}\u{fd}{id}", id / 7),
        _ => format!("{id}-alike"),
    };
    // More than can be referred to, and the other way round: each comes before all others.
    let ids = || (1..=6_000).rev();
    for id in ids() {
        let name = text(id);
        let labels = vec![(name.clone(), name.clone())];
        let namespace = name.clone();
        let def = EntityDef {
            labels,
            namespace,
            ..made(id, &name)
        };
        names.define(&def).unwrap();
    }
    for id in ids() {
        let (name, face) = (text(id), names.face(EntityId(id)).unwrap());
        assert!(face.name.is(&name));
        assert_eq!(face.namespace, name);
        assert_eq!(names.labels(EntityId(id)), [(name.clone(), name.clone())]);
        let path = EntityPath::Pod(made(id, &name).uid.into());
        assert_eq!(names.find(&path), Some(EntityId(id)));
    }
}

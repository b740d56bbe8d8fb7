//! Pods that an agent names, against what the watch has.

use std::sync::Arc;

use tokio::time::advance;

use super::*;
use crate::cluster::{Change, Container, Pod};

const NODE: &str = "node-a";

fn watched(known: &Arc<Known>) -> Cluster {
    known.set_synced();
    Cluster::watched(Arc::clone(known))
}

fn put(known: &Known, name: &str, uid: &str, node: &str) {
    known.apply(Change::Pod(Pod {
        namespace: "shop".into(),
        name: name.into(),
        uid: uid.into(),
        node: node.into(),
        containers: [Container {
            name: "app".into(),
            ..Container::default()
        }]
        .into(),
        ..Pod::default()
    }));
}

fn pod(id: u32, name: &str, uid: &str) -> EntityDef {
    EntityDef {
        id: EntityId(id),
        kind: EntityKind::Pod,
        parent: Some(EntityId(1)),
        name: name.to_owned(),
        namespace: "shop".to_owned(),
        uid: uid.to_owned(),
        runtime_id: String::new(),
        labels: Vec::new(),
    }
}

fn container(id: u32, parent: u32, name: &str) -> EntityDef {
    EntityDef {
        kind: EntityKind::Container,
        parent: Some(EntityId(parent)),
        namespace: String::new(),
        ..pod(id, name, "")
    }
}

fn judge(placing: &mut Placing, cluster: &Cluster, def: &EntityDef) -> Judged {
    placing.judge(cluster, NODE, def, |_| false)
}

fn named(placing: &mut Placing, cluster: &Cluster) -> (Vec<u32>, Vec<(u32, Refused)>) {
    let Settled { named, gone, .. } = placing.settle(cluster, NODE);
    let gone = gone.into_iter().map(|(def, refused)| (def.id.0, refused));
    (
        named.into_iter().map(|def| def.id.0).collect(),
        gone.collect(),
    )
}

#[tokio::test(start_paused = true)]
async fn without_a_watch_everything_is_here() {
    let mut placing = Placing::default();
    let judged = judge(&mut placing, &Cluster::off(), &pod(2, "web", "u"));
    assert_eq!(judged, Judged::Here);
}

#[tokio::test(start_paused = true)]
async fn a_pod_is_here_when_the_watch_places_it_here() {
    let known = Arc::new(Known::default());
    put(&known, "web", "u1", NODE);
    put(&known, "db", "u2", "node-b");
    known.apply(Change::Pod(Pod {
        namespace: "shop".into(),
        name: "static".into(),
        uid: "of-the-api".into(),
        mirror_of: "of-the-kubelet".into(),
        node: NODE.into(),
        ..Pod::default()
    }));
    let cluster = watched(&known);
    let mut placing = Placing::default();
    let mut judge = |def: EntityDef| judge(&mut placing, &cluster, &def);
    assert_eq!(judge(pod(2, "web", "u1")), Judged::Here);
    assert_eq!(judge(container(3, 2, "app")), Judged::Here);
    let stranger = Judged::Refused(Refused::NoContainer);
    assert_eq!(judge(container(4, 2, "miner")), stranger);
    let elsewhere = Judged::Refused(Refused::Elsewhere);
    assert_eq!(judge(pod(5, "db", "u2")), elsewhere);
    assert_eq!(judge(container(6, 5, "app")), elsewhere, "its parts too");
    assert_eq!(judge(pod(7, "static", "of-the-kubelet")), Judged::Here);
    assert_eq!(
        judge(pod(8, "static", "foreign")),
        Judged::Held,
        "a foreign hash"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_watch_does_not_know_yet_waits_with_its_parts() {
    let known = Arc::new(Known::default());
    let cluster = watched(&known);
    let mut placing = Placing::default();
    for def in [
        pod(2, "web", "u1"),
        container(3, 2, "app"),
        container(4, 2, "miner"),
    ] {
        assert_eq!(judge(&mut placing, &cluster, &def), Judged::Held);
    }
    assert_eq!(named(&mut placing, &cluster), (vec![], vec![]));
    put(&known, "web", "u1", NODE);
    let gone = vec![(4, Refused::NoContainer)];
    assert_eq!(named(&mut placing, &cluster), (vec![2, 3], gone));
    // Told once; it may come into the pod's object.
    assert_eq!(named(&mut placing, &cluster), (vec![], vec![]));
    assert!(placing.is_waiting());
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_a_name_that_another_has_is_never_shown() {
    let known = Arc::new(Known::default());
    put(&known, "web", "theirs", "node-b");
    let cluster = watched(&known);
    let mut placing = Placing::default();
    let forged = pod(2, "web", "forged");
    assert_eq!(judge(&mut placing, &cluster, &forged), Judged::Held);
    assert_eq!(
        judge(&mut placing, &cluster, &container(3, 2, "app")),
        Judged::Held
    );
    advance(HELD_FOR - Duration::from_secs(1)).await;
    assert_eq!(named(&mut placing, &cluster), (vec![], vec![]));
    advance(Duration::from_secs(1)).await;
    let gone = vec![(2, Refused::Unknown)];
    assert_eq!(named(&mut placing, &cluster), (vec![], gone), "told");
    advance(10 * HELD_FOR).await;
    assert_eq!(named(&mut placing, &cluster), (vec![], vec![]), "once");
    put(&known, "web", "forged", NODE);
    let Settled { named, late, .. } = placing.settle(&cluster, NODE);
    let late = late.map(|def| def.id.0);
    assert_eq!((named, late), (vec![], Some(2)), "it was there after all");
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_the_window_that_is_gone_from_the_cluster_stays() {
    let known = Arc::new(Known::default());
    let cluster = watched(&known);
    let mut placing = Placing::default();
    let def = pod(2, "web", "u1");
    let judged = placing.judge(&cluster, NODE, &def, |held| held.uid == "u1");
    assert_eq!(judged, Judged::Here);
    // What the watch has elsewhere does not, whatever was held.
    put(&known, "db", "u2", "node-b");
    let judged = placing.judge(&cluster, NODE, &pod(3, "db", "u2"), |_| true);
    assert_eq!(judged, Judged::Refused(Refused::Elsewhere));
}

#[tokio::test(start_paused = true)]
async fn until_the_cluster_is_known_all_of_a_node_may_wait_and_then_few() {
    let known = Arc::new(Known::default());
    let cluster = Cluster::watched(Arc::clone(&known));
    let mut placing = Placing::default();
    for id in 2..302 {
        let def = pod(id, &format!("web-{id}"), "u");
        assert_eq!(judge(&mut placing, &cluster, &def), Judged::Held);
    }
    advance(10 * HELD_FOR).await;
    assert_eq!(
        named(&mut placing, &cluster),
        (vec![], vec![]),
        "not known yet"
    );
    known.set_synced();
    let def = pod(400, "more", "u");
    let too_many = Judged::Refused(Refused::TooMany);
    assert_eq!(judge(&mut placing, &cluster, &def), too_many);
    advance(HELD_FOR).await;
    assert_eq!(named(&mut placing, &cluster).1.len(), 300);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_is_named_again_begins_anew() {
    let known = Arc::new(Known::default());
    let cluster = watched(&known);
    let mut placing = Placing::default();
    for _ in 0..1_000 {
        assert_eq!(
            judge(&mut placing, &cluster, &pod(2, "web", "u")),
            Judged::Held
        );
    }
    put(&known, "web", "u", NODE);
    assert_eq!(named(&mut placing, &cluster).0, [2]);
    put(&known, "web", "v", NODE);
    assert_eq!(
        judge(&mut placing, &cluster, &pod(2, "web", "v")),
        Judged::Here
    );
}

/// A container of which everything is as long as a definition may be.
fn long(id: u32, parent: u32) -> EntityDef {
    let label = |n: u32| (format!("key-{n:04}"), format!("value-{n:02}"));
    EntityDef {
        namespace: "n".repeat(63),
        uid: "u".repeat(36),
        runtime_id: "r".repeat(64),
        labels: (0..16).map(label).collect(),
        ..container(id, parent, &format!("app-{id}"))
    }
}

/// Scenario: an agent makes up a pod and names thousands of containers below it, as long as they may be.
/// Guarantees: what is held of them has its bytes, and nothing of it is held a minute later but the pod's names.
#[tokio::test(start_paused = true)]
async fn parts_of_a_pod_that_is_made_up_have_little_room_and_a_minute() {
    let known = Arc::new(Known::default());
    let cluster = watched(&known);
    let mut placing = Placing::default();
    let forged = pod(2, "web", "forged");
    assert_eq!(judge(&mut placing, &cluster, &forged), Judged::Held);
    let parts = (3..9_218).map(|id| judge(&mut placing, &cluster, &long(id, 2)));
    let parts: Vec<Judged> = parts.collect();
    let held = parts.iter().filter(|one| **one == Judged::Held).count();
    // At least its texts, and each of their places.
    let least = 163 + 16 * 15 + 35 * size_of::<String>();
    assert!(held * least <= 512 << 10, "{held} are held");
    assert!(held > 100, "{held} are held");
    let too_many = Judged::Refused(Refused::TooMany);
    assert!(parts[held..].iter().all(|one| *one == too_many));
    let full = placing.bytes;
    assert!((MOST_BYTES - 4_096..=MOST_BYTES).contains(&full), "{full}");
    advance(HELD_FOR).await;
    let gone = vec![(2, Refused::Unknown)];
    assert_eq!(named(&mut placing, &cluster), (vec![], gone));
    assert!(placing.bytes < 1_024, "{}", placing.bytes);
    assert!(placing.parts.is_empty());
    let unknown = Judged::Refused(Refused::Unknown);
    assert_eq!(judge(&mut placing, &cluster, &long(3, 2)), unknown);
}

/// Scenario: the watch is behind when 110 pods of many parts come to a node, or 1,024 pods before it was heard of.
/// Guarantees: all have room, and all are named, parents first, when the watch has them.
#[tokio::test(start_paused = true)]
async fn a_node_full_of_pods_has_room_while_the_watch_is_behind() {
    let uid = |n: u32| format!("0f8fad5b-d9cb-469f-a165-7086{n:08}");
    let name = |n: u32| format!("checkout-frontend-7c9d8f6b5d-{n:05}");
    for (is_synced, pods, containers, others) in [(true, 110, 4, 5), (false, 1_024, 1, 3)] {
        let known = Arc::new(Known::default());
        let cluster = Cluster::watched(Arc::clone(&known));
        if is_synced {
            known.set_synced();
        }
        let mut placing = Placing::default();
        let mut defs: Vec<EntityDef> = Vec::new();
        let mut id = 1;
        let mut add = |defs: &mut Vec<EntityDef>, def: EntityDef| {
            id += 1;
            defs.push(EntityDef {
                id: EntityId(id),
                ..def
            });
            id
        };
        for n in 0..pods {
            let of = add(&mut defs, pod(0, &name(n), &uid(n)));
            for _ in 0..containers {
                let app = EntityDef {
                    runtime_id: "c".repeat(64),
                    ..container(0, of, "app")
                };
                let app = add(&mut defs, app);
                for part in ["rootfs", "logs"].map(|name| container(0, app, name)) {
                    let kind = EntityKind::Filesystem;
                    add(&mut defs, EntityDef { kind, ..part });
                }
            }
            for other in 0..others {
                let kind = EntityKind::Filesystem;
                let part = container(0, of, &format!("kube-api-access-{other}"));
                add(&mut defs, EntityDef { kind, ..part });
            }
        }
        for def in &defs {
            assert_eq!(judge(&mut placing, &cluster, def), Judged::Held, "{def:?}");
        }
        for n in 0..pods {
            put(&known, &name(n), &uid(n), NODE);
        }
        let (named, gone) = named(&mut placing, &cluster);
        assert!(
            named.iter().copied().eq((2..).take(defs.len())),
            "{named:?}"
        );
        assert_eq!((gone, placing.bytes), (vec![], 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_the_pods_object_never_gets_is_held_for_a_minute() {
    let known = Arc::new(Known::default());
    put(&known, "web", "u1", NODE);
    let cluster = watched(&known);
    let mut placing = Placing::default();
    assert_eq!(
        judge(&mut placing, &cluster, &pod(2, "web", "u1")),
        Judged::Here
    );
    let stranger = Judged::Refused(Refused::NoContainer);
    assert_eq!(
        judge(&mut placing, &cluster, &container(3, 2, "miner")),
        stranger
    );
    let part = EntityDef {
        kind: EntityKind::Filesystem,
        ..container(4, 3, "rootfs")
    };
    assert_eq!(judge(&mut placing, &cluster, &part), Judged::Held);
    advance(HELD_FOR).await;
    assert_eq!(
        named(&mut placing, &cluster),
        (vec![], vec![]),
        "it was told before"
    );
    assert!(placing.parts.is_empty());
    let unknown = Judged::Refused(Refused::Unknown);
    assert_eq!(judge(&mut placing, &cluster, &part), unknown);
}

/// Guarantees: a pod that is named as a part of another is judged as a pod.
#[tokio::test(start_paused = true)]
async fn no_pod_comes_in_as_a_part_of_another() {
    let known = Arc::new(Known::default());
    put(&known, "db", "u2", "node-b");
    let cluster = watched(&known);
    let mut placing = Placing::default();
    let below = |id, name: &str| EntityDef {
        parent: Some(EntityId(2)),
        ..pod(id, name, "u2")
    };
    assert_eq!(
        judge(&mut placing, &cluster, &pod(2, "web", "u1")),
        Judged::Held
    );
    assert_eq!(
        judge(&mut placing, &cluster, &below(3, "cache")),
        Judged::Held
    );
    let elsewhere = Judged::Refused(Refused::Elsewhere);
    assert_eq!(judge(&mut placing, &cluster, &below(4, "db")), elsewhere);
    put(&known, "web", "u1", NODE);
    put(&known, "cache", "u2", "node-b");
    let gone = vec![(3, Refused::Elsewhere)];
    assert_eq!(named(&mut placing, &cluster), (vec![2], gone));
}

/// Guarantees: of pods that come and go for the whole life of a stream no more is kept than of those that are there.
#[tokio::test(start_paused = true)]
async fn of_pods_that_are_gone_nothing_is_kept() {
    let known = Arc::new(Known::default());
    let cluster = watched(&known);
    let mut placing = Placing::default();
    put(&known, "web", "u", NODE);
    assert_eq!(
        judge(&mut placing, &cluster, &pod(2, "web", "u")),
        Judged::Here
    );
    for id in 3..10_003 {
        put(&known, "job", &format!("u{id}"), NODE);
        let job = pod(id, "job", &format!("u{id}"));
        assert_eq!(judge(&mut placing, &cluster, &job), Judged::Here);
    }
    assert!(
        placing.here.len() <= 2 * SWEEP_AFTER,
        "{}",
        placing.here.len()
    );
    let stranger = Judged::Refused(Refused::NoContainer);
    let miner = container(20_000, 2, "miner");
    assert_eq!(judge(&mut placing, &cluster, &miner), stranger);
}

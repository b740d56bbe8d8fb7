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
    let (named, gone) = placing.settle(cluster, NODE);
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
    assert_eq!(
        named(&mut placing, &cluster).0,
        [2, 3],
        "it was there after all"
    );
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

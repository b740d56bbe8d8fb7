//! How long there is no answer, by a clock that is driven.

use std::time::Duration;

use cairn_proto::catalogue::EntityKind;

use super::*;
use crate::api::tests::window::{USUAL, def, report};
use crate::api::tests::{T0, with_store};
use crate::api::{MetricsApi, Terms};
use crate::cluster::{Change, Cluster, Node, Phase, Pod};
use crate::store::PackedStore;

const AGENT: &str = "system:serviceaccount:cairn:cairn-agent";

/// A cluster of so many nodes, of which the first `agents` run one; the first `reporting` have told three rows.
pub(super) fn metrics(nodes: usize, agents: usize, reporting: usize) -> MetricsApi {
    let metrics = unlisted(nodes, agents, reporting);
    metrics.api.cluster.known().unwrap().set_synced();
    metrics
}

/// The same, of which the API server's list has not ended.
pub(super) fn unlisted(nodes: usize, agents: usize, reporting: usize) -> MetricsApi {
    let api = with_store(Arc::new(PackedStore::new(900_000, 0)));
    let known = Known::default();
    for n in 0..nodes {
        known.apply(Change::Node(Node {
            name: format!("node{n}").into(),
            ..Node::default()
        }));
    }
    for n in 0..agents {
        known.apply(Change::Pod(agent(n, Phase::Running)));
    }
    for n in 0..reporting {
        tell(&api, n);
    }
    MetricsApi {
        api: Api {
            terms: Terms {
                span_ms: 10_000,
                start: Start::new(&api.clock, Some(AGENT)),
            },
            cluster: Cluster::watched(Arc::new(known)),
            ..api
        },
    }
}

fn agent(n: usize, phase: Phase) -> Pod {
    Pod {
        namespace: "cairn".into(),
        name: format!("agent-{n}").into(),
        uid: format!("uid-of-agent-{n}").into(),
        node: format!("node{n}").into(),
        service_account: "cairn-agent".into(),
        phase,
        ready: phase == Phase::Running,
        ..Pod::default()
    }
}

pub(super) fn tell(api: &Api, n: usize) {
    let name = format!("node{n}");
    let things = [(def(1, EntityKind::Node, 0, &name), USUAL)];
    report(&api.store, &name, &[&things[..]; 3]);
}

impl MetricsApi {
    fn is_over(&self) -> bool {
        self.api.terms.start.look(&self.api);
        self.api.terms.start.is_over()
    }

    fn stand_beside(&self, is_beside: bool) {
        let inner = &self.api.terms.start.inner;
        inner.is_beside.store(is_beside, Ordering::Relaxed);
    }

    pub(super) async fn pass(&self, seconds: u64) {
        let to_ms = self.api.clock.unix_ms() + seconds * 1_000;
        let deadline = Duration::from_secs(10);
        self.api.clock.step(to_ms, deadline).await.unwrap();
    }
}

#[test]
fn answers_begin_when_nine_in_ten_of_the_nodes_with_an_agent_were_measured() {
    // Ten more have none, and nobody waits for those.
    let metrics = metrics(30, 20, 17);
    assert!(!metrics.is_over());
    let note = metrics.api.terms.start.note().unwrap();
    assert_eq!(
        note,
        "metrics.k8s.io answers 503: 17 of 20 nodes that run an agent have been measured twice, 18 are \
         awaited; it answers then, and in 45 s in any case"
    );
    tell(&metrics.api, 17);
    assert!(metrics.is_over());
    assert_eq!(metrics.api.terms.start.note(), None);
}

#[test]
fn an_agent_that_is_to_come_up_counts_and_one_that_has_ended_does_not() {
    let metrics = metrics(10, 4, 4);
    let known = metrics.api.cluster.known().unwrap();
    known.apply(Change::Pod(agent(4, Phase::Pending)));
    assert!(!metrics.is_over());
    known.apply(Change::Pod(agent(4, Phase::Failed)));
    assert!(metrics.is_over());
}

#[test]
fn where_no_agent_is_known_all_nodes_are_awaited() {
    let metrics = metrics(10, 0, 8);
    assert!(!metrics.is_over());
    let note = metrics.api.terms.start.note().unwrap();
    assert!(note.contains("8 of 10 nodes of the cluster"), "{note}");
    tell(&metrics.api, 8);
    assert!(metrics.is_over());
}

#[test]
fn one_row_of_a_node_is_not_enough() {
    let metrics = metrics(1, 1, 0);
    let things = [(def(1, EntityKind::Node, 0, "node0"), USUAL)];
    report(&metrics.api.store, "node0", &[&things[..]]);
    assert!(!metrics.is_over());
}

#[tokio::test]
async fn a_rollout_where_three_in_ten_nodes_have_no_agent_is_over_after_45_seconds() {
    // All have one by their pods, and three never come up.
    let metrics = metrics(10, 10, 7);
    assert!(!metrics.is_over());
    metrics.pass(44).await;
    assert!(!metrics.api.terms.start.is_over());
    let note = metrics.api.terms.start.note().unwrap();
    assert!(note.ends_with("in 1 s in any case"), "{note}");
    metrics.pass(1).await;
    assert!(metrics.api.terms.start.is_over());
    let note = metrics.api.terms.start.note().unwrap();
    assert!(
        note.contains("without the pods of some nodes: 7 of 10"),
        "{note}"
    );
}

#[tokio::test]
async fn beside_a_ready_replica_agents_that_do_not_come_up_are_awaited_15_seconds() {
    let metrics = metrics(10, 10, 7);
    let known = metrics.api.cluster.known().unwrap();
    (7..10).for_each(|n| known.apply(Change::Pod(agent(n, Phase::Pending))));
    metrics.stand_beside(true);
    assert!(!metrics.is_over());
    metrics.pass(14).await;
    assert!(!metrics.is_over());
    metrics.pass(1).await;
    assert!(metrics.is_over());
    let note = metrics.api.terms.start.note().unwrap();
    let without = "metrics.k8s.io answers without the pods of some nodes: 7 of 7 nodes that run an agent have been \
                   measured twice, 7 are awaited; on 3 more the agent's pod is not ready, and they are not awaited";
    assert!(note.starts_with(without), "{note}");
    // One that comes up later takes nothing back, and when all have, nothing is told.
    known.apply(Change::Pod(agent(7, Phase::Running)));
    assert!(metrics.is_over());
    assert!(metrics.api.terms.start.note().is_some());
    for n in 7..10 {
        known.apply(Change::Pod(agent(n, Phase::Running)));
        tell(&metrics.api, n);
    }
    assert!(metrics.is_over());
    assert_eq!(metrics.api.terms.start.note(), None);
}

#[tokio::test]
async fn an_agent_that_was_ready_meanwhile_is_awaited_anew() {
    let metrics = metrics(10, 10, 7);
    let known = metrics.api.cluster.known().unwrap();
    metrics.stand_beside(true);
    for phase in [Phase::Pending, Phase::Running, Phase::Pending] {
        (7..10).for_each(|n| known.apply(Change::Pod(agent(n, phase))));
        assert!(!metrics.is_over());
        metrics.pass(14).await;
        assert!(!metrics.is_over(), "{phase:?}");
    }
}

#[tokio::test]
async fn alone_and_where_no_agent_is_up_all_are_awaited() {
    for (up, is_beside) in [(7, false), (0, true)] {
        let metrics = metrics(10, 10, up);
        let known = metrics.api.cluster.known().unwrap();
        (up..10).for_each(|n| known.apply(Change::Pod(agent(n, Phase::Pending))));
        metrics.stand_beside(is_beside);
        assert!(!metrics.is_over());
        metrics.pass(44).await;
        assert!(!metrics.is_over(), "{up} {is_beside}");
        let note = metrics.api.terms.start.note().unwrap();
        assert!(note.contains(&format!("{up} of 10 nodes")), "{note}");
    }
}

#[tokio::test]
async fn who_had_enough_once_stays_so() {
    let metrics = metrics(1, 1, 1);
    assert!(metrics.is_over());
    let known = metrics.api.cluster.known().unwrap();
    (1..10).for_each(|n| known.apply(Change::Pod(agent(n, Phase::Running))));
    assert!(metrics.is_over());
    // Not even a clock that is set back matters.
    let deadline = Duration::from_secs(10);
    metrics.api.clock.step(T0, deadline).await.unwrap();
    assert!(metrics.is_over());
}

#[test]
fn nothing_is_judged_before_the_cluster_is_known_and_nothing_is_awaited_without_one() {
    let mut metrics = metrics(1, 1, 1);
    metrics.api.cluster = Cluster::watched(Arc::default());
    assert!(!metrics.is_over());
    assert!(
        metrics
            .api
            .terms
            .start
            .note()
            .unwrap()
            .contains("not all known yet")
    );
    metrics.api.cluster = Cluster::off();
    assert!(metrics.is_over());
}

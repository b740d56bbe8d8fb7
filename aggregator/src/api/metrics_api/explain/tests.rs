use std::sync::Arc;
use std::time::Duration;

use cairn_proto::catalogue::{EntityKind, table};
use cairn_proto::model::Run;
use http::Method;
use serde_json::Value;

use super::*;
use crate::api::tests::window::{Says, USUAL, def, pod, window};
use crate::api::tests::{T0, ask_of};
use crate::cluster::{Change, Cluster, Container as Status, Known, Node};
use crate::query::{Names, Visible};
use crate::store::{Opening, SourceState};

const WEB: &str = "namespace=shop&pod=web";

/// What its answer says.
async fn explain(api: &Api, query: &str) -> Value {
    let path = format!("/api/cairn/v1/explain?{query}");
    let (status, body) = ask_of(api.clone(), Method::GET, &path, &[]).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The word, and the rest as text.
async fn why(api: &Api, query: &str) -> (String, String) {
    let told = explain(api, query).await;
    assert_eq!(told["served"], told["why"] == "served", "{told}");
    // Whatever keeps it away, there is something to do about it, unless it has ended well.
    let is_over = told["reason"]
        .as_str()
        .is_some_and(|r| r.contains("Succeeded"));
    let is_told = told["next"].as_str().is_some_and(|next| !next.is_empty());
    assert_eq!(is_told, told["why"] != "served" && !is_over, "{told}");
    (told["why"].as_str().unwrap().to_owned(), told.to_string())
}

/// `web` as the Kubernetes API knows it, with a container that runs.
fn object(phase: Phase) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: "web".into(),
        uid: "uid-of-web".into(),
        node: "node1".into(),
        phase,
        containers: Box::new([Status {
            name: "app".into(),
            state: ContainerState::Running,
            ..Status::default()
        }]),
        ..Pod::default()
    }
}

fn beside(mut api: Api, pods: &[Pod]) -> Api {
    let known = Known::default();
    for name in ["node1", "node9"] {
        known.apply(Change::Node(Node {
            name: name.into(),
            ..Node::default()
        }));
    }
    for pod in pods {
        known.apply(Change::Pod(pod.clone()));
    }
    known.set_synced();
    api.cluster = Cluster::watched(Arc::new(known));
    api
}

/// A node with the pod, and its container as it says; `None` where it is not told.
fn told(says: Option<Says>) -> Api {
    let mut things = vec![
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (pod(2, "shop", "web"), USUAL),
    ];
    things.extend(says.map(|says| (def(3, EntityKind::Container, 2, "app"), says)));
    window(&things)
}

async fn pass(api: &Api, ms: u64) {
    let later = api.clock.unix_ms() + ms;
    let deadline = Duration::from_secs(10);
    api.clock.step(later, deadline).await.unwrap();
}

#[tokio::test]
async fn what_is_served_is_told_with_its_values() {
    for api in [
        told(Some(USUAL)),
        beside(told(Some(USUAL)), &[object(Phase::Running)]),
    ] {
        let web = explain(&api, WEB).await;
        assert_eq!(
            (&web["why"], &web["served"]),
            (&"served".into(), &true.into()),
            "{web}"
        );
        assert_eq!(web["node"], "node1");
        let app = &web["containers"][0];
        assert_eq!(
            (&app["name"], &app["usage"]["window_ms"]),
            (&"app".into(), &10_000.into())
        );
        assert_eq!(app["usage"]["cpu_nanocores"], 500_000_000);
        assert_eq!(app["usage"]["memory_bytes"], 1 << 20);
        assert_eq!(why(&api, "node=node1").await.0, "served");
    }
}

/// What is said of `web`, and a part of the answer.
async fn are_told<const N: usize>(cases: [(Api, &str, &str); N]) {
    for (api, expected, part) in cases {
        let (word, text) = why(&api, WEB).await;
        assert_eq!(word, expected, "{text}");
        assert!(text.contains(part), "{expected}: {text}");
    }
}

fn nothing() -> Api {
    window(&[(def(1, EntityKind::Node, 0, "node1"), USUAL)])
}

/// Scenario: each step of a pod's way to metrics.k8s.io, before its containers are looked at, ends it once.
/// Guarantees: the step is named, with what is so.
#[tokio::test]
async fn of_a_pod_that_is_not_served_the_step_is_named_at_which_its_way_ends() {
    let runs = || object(Phase::Running);
    let elsewhere = Pod {
        node: "node9".into(),
        ..runs()
    };
    let again = Pod {
        uid: "uid-of-another".into(),
        ..runs()
    };
    let (pending, over) = (object(Phase::Pending), object(Phase::Succeeded));
    let usual = || told(Some(USUAL));
    are_told([
        (beside(usual(), &[]), "no-pod", "runs, or you may not"),
        (beside(nothing(), &[pending]), "not-running", "Pending"),
        (beside(nothing(), &[over]), "not-running", "Succeeded"),
        (
            beside(usual(), &[elsewhere]),
            "no-agent",
            "an agent of node9",
        ),
        (beside(nothing(), &[runs()]), "pod-untold", "tells nothing"),
        (beside(usual(), &[again]), "other-life", "uid-of-web"),
        // Where no Kubernetes API is watched.
        (nothing(), "no-pod", "no agent has told of a pod web"),
    ])
    .await;
}

/// Scenario: a pod runs, and its container waits, is not told, or is told without CPU or memory.
/// Guarantees: which container it is is said, and what of it is missing.
#[tokio::test]
async fn of_a_pod_that_is_not_whole_it_is_said_which_container_lacks_what() {
    let runs = || object(Phase::Running);
    let memory_alone = Says::of(table::MEMORY_USAGE, 1);
    let no_memory = Says {
        working_set: None,
        ..USUAL
    };
    let rests = Pod {
        containers: Box::new([Status {
            name: "app".into(),
            state: ContainerState::Waiting,
            ..Status::default()
        }]),
        ..runs()
    };
    let (no_cpu, no_bytes) = ("tells its CPU time", "tells its working set");
    // One that has ended is told all the same, without CPU.
    let ended = || told(Some(memory_alone));
    are_told([
        (
            beside(ended(), std::slice::from_ref(&rests)),
            "no-container",
            "none of its",
        ),
        (beside(told(None), &[rests]), "no-container", "none of its"),
        (
            beside(told(None), &[runs()]),
            "unmeasured",
            "app: it runs by",
        ),
        (
            beside(told(Some(memory_alone)), &[runs()]),
            "unmeasured",
            no_cpu,
        ),
        (
            beside(told(Some(no_memory)), &[runs()]),
            "unmeasured",
            no_bytes,
        ),
        (told(Some(memory_alone)), "unmeasured", no_cpu),
    ])
    .await;
}

#[tokio::test]
async fn cpu_that_was_not_measured_for_long_enough_says_how_long_it_was() {
    let mut api = told(Some(USUAL));
    api.terms.span_ms = 30_000;
    for query in [WEB, "node=node1"] {
        let (word, text) = why(&api, query).await;
        assert_eq!(word, "unmeasured", "{text}");
        let part = "measured for 20 s since it began or was begun again, and 30 s are awaited";
        // A container that old is measured since its start, unless nobody has looked for a span before.
        assert!(text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn a_node_that_is_silent_is_named_for_its_pods_too() {
    for api in [
        told(Some(USUAL)),
        beside(told(Some(USUAL)), &[object(Phase::Running)]),
    ] {
        pass(&api, 60_000).await;
        assert_eq!(why(&api, WEB).await.0, "served");
        pass(&api, 140_000).await;
        for query in [WEB, "node=node1"] {
            let (word, text) = why(&api, query).await;
            // Before that what is missing is missing for it, too.
            assert_eq!(word, "silent", "{text}");
            assert!(
                text.contains("is connected, but its newest row is 200 s old"),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn what_is_missing_on_a_node_that_is_late_is_missing_for_that() {
    let api = told(Some(Says::of(table::MEMORY_USAGE, 1)));
    assert_eq!(why(&api, WEB).await.0, "unmeasured");
    pass(&api, 60_000).await;
    let (word, text) = why(&api, WEB).await;
    assert_eq!(word, "silent", "{text}");
    assert!(text.contains("its newest row is 60 s old"), "{text}");
}

#[tokio::test]
async fn nodes_that_told_nothing_are_told_from_those_that_are_not_there() {
    let api = beside(told(Some(USUAL)), &[]);
    assert_eq!(why(&api, "node=node9").await.0, "no-agent");
    assert_eq!(why(&api, "node=nosuch").await.0, "no-node");
    drop(api.store.open("node9", opening()));
    assert_eq!(why(&api, "node=node9").await.0, "no-row");
    let api = told(None);
    assert_eq!(why(&api, "node=node9").await.0, "no-node");
    drop(api.store.open("node9", opening()));
    assert_eq!(why(&api, "node=node9").await.0, "no-row");
}

fn opening() -> Opening {
    let run = Run {
        epoch_ms: 1,
        boot_id: [0; 16],
        clock_stepped: false,
    };
    Opening {
        run,
        interval_ms: 10_000,
        sent_ms: T0 + 20_000,
        now_ms: T0 + 20_000,
    }
}

#[tokio::test]
async fn a_source_that_fails_is_told_with_its_reason() {
    let api = beside(
        window(&[(def(1, EntityKind::Node, 0, "node1"), USUAL)]),
        &[object(Phase::Running)],
    );
    let session = api.store.open("node1", opening());
    api.store.source(
        &session,
        SourceState {
            name: "summary".to_owned(),
            ok: false,
            since_ms: 1,
            reason: "the kubelet answered 403".to_owned(),
        },
    );
    let web = explain(&api, WEB).await;
    assert_eq!(web["why"], "pod-untold", "{web}");
    assert_eq!(
        web["sources"][0]["reason"], "the kubelet answered 403",
        "{web}"
    );
    let next = web["next"].as_str().unwrap();
    assert!(next.contains("sources of its node"), "{web}");
}

#[tokio::test]
async fn while_all_data_waits_it_says_for_what() {
    let mut api = beside(told(Some(USUAL)), &[object(Phase::Running)]);
    api.terms.start = crate::api::Start::new(&api.clock, None);
    for query in [WEB, "node=node1"] {
        assert_eq!(why(&api, query).await.0, "starting");
    }
    api.cluster = Cluster::watched(Arc::new(Known::default()));
    for query in [WEB, "node=node1"] {
        assert_eq!(why(&api, query).await.0, "listing");
    }
}

#[tokio::test]
async fn a_reader_is_told_no_more_than_they_may_see() {
    let silent = beside(told(Some(USUAL)), &[object(Phase::Running)]);
    pass(&silent, 200_000).await;
    let pending = beside(told(Some(USUAL)), &[object(Phase::Pending)]);
    // Its container runs by its status, and is not told.
    let bare = beside(told(None), &[object(Phase::Running)]);
    let narrowed = |api: &Api, namespaces: &[&str]| Api {
        visible: Visible {
            nodes: Names::none(),
            namespaces: Names::only(namespaces.iter().map(|name| Arc::from(*name))),
            specs: false,
        },
        ..api.clone()
    };
    for (api, namespaces, query, expected) in [
        // What keeps its node away is not theirs to know.
        (&silent, &["shop"][..], WEB, "pod-untold"),
        (&silent, &["shop"], "node=node1", "no-node"),
        // Nor phases.
        (&pending, &["shop"], WEB, "no-pod"),
        (&silent, &["other"], WEB, "no-pod"),
        (&bare, &["shop"], WEB, "unmeasured"),
    ] {
        let (word, text) = why(&narrowed(api, namespaces), query).await;
        assert_eq!(word, expected, "{text}");
        assert!(!text.contains("app"), "{text}");
    }
}

#[tokio::test]
async fn questions_that_name_nothing_or_too_much_are_told_what_to_name() {
    for query in [
        "",
        "?pod=web",
        "?namespace=shop",
        "?node=node1&namespace=shop&pod=web",
    ] {
        let path = format!("/api/cairn/v1/explain{query}");
        let (status, body) = ask_of(told(None), Method::GET, &path, &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert!(
            body.contains("?namespace=NAMESPACE&pod=POD, or ?node=NODE"),
            "{body}"
        );
    }
}

//! Lists of everything at one tick, while a node is ahead of it or a name has two lives.

use std::collections::BTreeMap;

use cairn_proto::model::EntityDef;
use serde_json::Value;

use super::window::{Says, USUAL, def, pod, report};
use super::*;

type Thing = (EntityDef, Says);

/// A pod with one container; the ids are `id` and the one after it.
fn web(id: u32, name: &str) -> [Thing; 2] {
    let container = def(id + 1, EntityKind::Container, id, "httpd");
    [(pod(id, "shop", name), USUAL), (container, USUAL)]
}

fn node(name: &str) -> Thing {
    (def(1, EntityKind::Node, 0, name), USUAL)
}

/// A node's things with those of pods and others.
fn row(node: Thing, others: &[&[Thing]]) -> Vec<Thing> {
    [&[node], others.concat().as_slice()].concat()
}

/// One node has delivered the tick after the published one: a pod is gone in it, one is new.
fn ahead() -> Api {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    let before = row(node("node1"), &[&web(2, "stays"), &web(4, "goes")]);
    let after = row(node("node1"), &[&web(2, "stays"), &web(6, "comes")]);
    report(&store, "node1", &[&before, &before, &before, &after]);
    let other = row(node("node2"), &[&web(2, "other")]);
    report(&store, "node2", &[&other, &other, &other]);
    with_store(store)
}

async fn json(api: Api, path: &str) -> Value {
    let (status, body) = ask_of(api, Method::GET, path, &[]).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_dump_has_what_was_there_at_its_tick_when_a_node_is_ahead() {
    let dump = json(ahead(), "/api/v1/metric-export").await;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for one in dump.as_array().unwrap() {
        assert!(!one["metrics"].as_object().unwrap().is_empty(), "{one}");
        let label = |name: &str| one["labels"][name].as_str().unwrap_or_default().to_owned();
        let of = found.entry(label("pod_name")).or_default();
        of.push(label("container_name"));
    }
    let pods = |name: &str| found.get(name).map(|of| of.join(" "));
    assert_eq!(pods(""), Some("machine machine".to_owned()));
    for name in ["stays", "goes", "other"] {
        assert_eq!(pods(name), Some("/pod httpd".to_owned()), "{name}");
    }
    assert_eq!(found.len(), 4, "{found:?}");
}

#[tokio::test]
async fn resource_metrics_have_what_was_there_at_their_tick_when_a_node_is_ahead() {
    let root = "/apis/metrics/v1alpha1";
    let list = json(ahead(), &format!("{root}/pods")).await;
    let items = list["items"].as_array().unwrap();
    let names: Vec<&Value> = items.iter().map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["goes", "other", "stays"]);
    for item in items {
        assert_eq!(item["containers"].as_array().unwrap().len(), 1, "{item}");
    }
    let path = format!("{root}/namespaces/shop/pods/comes");
    let (status, _) = ask_of(ahead(), Method::GET, &path, &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_node_that_lacks_the_tick_is_there_with_held_values() {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    let things = row(node("node1"), &[&web(2, "web")]);
    report(&store, "node1", &[&things, &things]);
    let api = Api {
        clock: Clock::driven(T0 + 25_000),
        ..with_store(store)
    };
    let list = json(api.clone(), "/apis/metrics/v1alpha1/pods").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(
        json(api, "/api/v1/metric-export")
            .await
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

/// A node with two pods of one name in its rows, of which the later has the older container.
fn two_lives() -> Api {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    let life = |id: u32, uid: &str, start_ms: u64, container_start_ms: u64, bytes: u64| {
        let [(pod, _), (container, _)] = web(id, "web");
        let pod = EntityDef {
            uid: uid.into(),
            ..pod
        };
        let says = |start_ms| Says {
            working_set: Some(bytes),
            start_ms,
            ..USUAL
        };
        [(pod, says(start_ms)), (container, says(container_start_ms))]
    };
    let earlier = life(2, "earlier", T0 - 90_000, T0 - 10_000, 1_024);
    let later = life(4, "later", T0 - 50_000, T0 - 40_000, 2_048);
    let things = row(node("node1"), &[&earlier, &later]);
    report(&store, "node1", &[&things, &things, &things]);
    with_store(store)
}

#[tokio::test]
async fn a_pod_has_its_own_containers_and_not_those_of_another_life() {
    let list = json(two_lives(), "/apis/metrics/v1alpha1/pods").await;
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{list}");
    assert_eq!(items[0]["containers"][0]["usage"]["memory"], "2Ki");
    let dump = json(two_lives(), "/api/v1/metric-export").await;
    let of_pods = dump.as_array().unwrap().iter().skip(1);
    let found: Vec<(&Value, &Value)> = of_pods
        .map(|one| (&one["labels"]["pod_id"], &one["labels"]["container_name"]))
        .collect();
    let (uid, whole, own) = ("later".into(), "/pod".into(), "httpd".into());
    assert_eq!(found, [(&uid, &whole), (&uid, &own)]);
}

#[tokio::test]
async fn a_counter_starts_with_the_life_of_its_tick_when_a_newer_row_tells_another() {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    let kubelet = |start_ms| {
        let says = Says { start_ms, ..USUAL };
        (def(2, EntityKind::System, 1, "kubelet"), says)
    };
    let before = row(node("node1"), &[&[kubelet(T0 - 70_000)]]);
    let after = row(node("node1"), &[&[kubelet(T0 + 25_000)]]);
    report(&store, "node1", &[&before, &before, &before, &after]);
    let other = row(node("node2"), &[]);
    report(&store, "node2", &[&other, &other, &other]);
    let dump = json(with_store(store), "/api/v1/metric-export").await;
    let mut things = dump.as_array().unwrap().iter();
    let kubelet = things.find(|one| one["labels"]["container_name"] == "kubelet");
    for name in ["cpu/usage", "uptime"] {
        let point = &kubelet.unwrap()["metrics"][name][0];
        assert_eq!(point["start"], "2026-11-22T07:24:20Z", "{name}");
        assert_eq!(point["end"], "2026-11-22T07:25:50Z", "{name}");
    }
    assert_eq!(kubelet.unwrap()["metrics"]["uptime"][0]["value"], 90_000);
}

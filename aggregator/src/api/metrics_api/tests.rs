//! Lists and objects against those of metrics-server, and the rules of what is there.

mod forms;
mod long;
mod whole;

use std::sync::Arc;

use cairn_proto::catalogue::{EntityKind, table};
use cairn_proto::model::EntityDef;
use serde_json::{Value, json};

use super::items::MeasuredNode;
use super::*;
use crate::api::secure::tests::{Listener, recorded};
use crate::api::secure::{Message, Sink as _};
use crate::api::tests::window::{Says, USUAL, def, pod, window};
use crate::cluster::{Change, Cluster, Known, Labels, Node, Phase, Pod};
use crate::query::Usage;

const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";
const TABLE: (&str, &str) = (
    "accept",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
);
const PROTOBUF: (&str, &str) = ("accept", "application/vnd.kubernetes.protobuf, */*");

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let owned = pairs
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()));
    owned.collect()
}

fn container(id: u32, pod: u32, name: &str) -> EntityDef {
    def(id, EntityKind::Container, pod, name)
}

const BURNERS: [&str; 2] = ["burner-6cb655c9bf-2gkn9", "burner-6cb655c9bf-vd7bl"];
const WEBS: [&str; 2] = ["web-7ffcbbddf7-4kxhb", "web-7ffcbbddf7-djszf"];

/// The recorded cluster: its nodes and pods as the Kubernetes API knows them.
fn cluster() -> Arc<Known> {
    let known = Known::default();
    known.set_synced();
    for name in ["node1", "node2"] {
        known.apply(Change::Node(Node {
            name: name.into(),
            labels: labels(&[
                ("beta.kubernetes.io/arch", "amd64"),
                ("beta.kubernetes.io/os", "linux"),
                ("kubernetes.io/arch", "amd64"),
                ("kubernetes.io/hostname", name),
                ("kubernetes.io/os", "linux"),
            ]),
            ..Node::default()
        }));
    }
    let burner = [
        ("app", "burner"),
        ("pod-template-hash", "6cb655c9bf"),
        ("tier", "backend"),
    ];
    let web = [("app", "web"), ("pod-template-hash", "7ffcbbddf7")];
    let burners = BURNERS.map(|name| (name, labels(&burner)));
    for (name, labels) in burners
        .into_iter()
        .chain(WEBS.map(|name| (name, labels(&web))))
    {
        known.apply(Change::Pod(running(name, labels)));
    }
    Arc::new(known)
}

fn running(name: &str, labels: Labels) -> Pod {
    Pod {
        namespace: "shop".into(),
        name: name.into(),
        uid: format!("uid-of-{name}").into(),
        node: "node1".into(),
        labels,
        phase: Phase::Running,
        ..Pod::default()
    }
}

/// What the agents of the recorded cluster say; all of it on one node, but for the other node.
fn listener() -> Listener {
    let mut things = vec![(def(1, EntityKind::Node, 0, "node1"), USUAL)];
    for (name, id) in BURNERS.into_iter().zip([10, 20]) {
        things.push((pod(id, "shop", name), USUAL));
        things.push((container(id + 1, id, "disk"), USUAL));
        things.push((container(id + 2, id, "cpu"), USUAL));
    }
    for (name, id) in WEBS.into_iter().zip([30, 40]) {
        let idle = Says {
            millicores: Some(0),
            ..USUAL
        };
        things.push((pod(id, "shop", name), USUAL));
        things.push((container(id + 1, id, "httpd"), idle));
    }
    let mut api = window(&things);
    let other = [(def(1, EntityKind::Node, 0, "node2"), USUAL)];
    crate::api::tests::window::report(&api.store, "node2", &[&other[..]; 3]);
    api.cluster = Cluster::watched(cluster());
    Listener::of(api)
}

/// A body with a `V` for each text that is a value and begins with a digit: quantities, times and spans.
fn masked(body: &[u8]) -> String {
    let text = std::str::from_utf8(body).unwrap();
    let mut out = String::new();
    for (nth, part) in text.trim_end().split('"').enumerate() {
        let is_text = nth % 2 == 1;
        let is_masked = is_text && part.starts_with(|c: char| c.is_ascii_digit());
        out.push_str(if is_masked { "V" } else { part });
        out.push('"');
    }
    out
}

#[tokio::test]
async fn every_answer_is_the_recorded_one_but_for_times_and_values() {
    let listener = listener();
    let curl = ("user-agent", "curl/8.5.0");
    let table = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
    for (path, headers, name) in [
        ("nodes", &[][..], "nodes.json"),
        ("nodes/node1", &[], "node.json"),
        ("pods", &[], "pods.json"),
        ("namespaces/shop/pods", &[], "pods.json"),
        ("pods?labelSelector=app%3Dburner", &[], "pods_selected.json"),
        (
            "namespaces/shop/pods?labelSelector=tier",
            &[],
            "pods_selected.json",
        ),
        ("nodes", &[table, curl], "nodes_table.json"),
        ("namespaces/shop/pods", &[table, curl], "pods_table.json"),
    ] {
        let told = listener.get(&format!("{ROOT}/{path}"), headers).await;
        assert_eq!(told.status, 200, "{path}: {}", told.text());
        assert_eq!(masked(&told.body), masked(&recorded(name)), "{path}");
        assert_eq!(told.headers["content-type"], "application/json");
        assert_eq!(told.headers["cache-control"], "no-cache, private");
    }
}

#[test]
fn protobuf_is_the_recorded_one_byte_for_byte() {
    let known = cluster();
    let item = |name: &str, time_s: u64, window_ms, cpu_nanocores, memory_kib: u64| {
        let usage = Usage {
            cpu_nanocores,
            over_ms: window_ms,
            time_ms: time_s * 1_000,
            memory_bytes: memory_kib * 1_024,
            swap_bytes: None,
        };
        MeasuredNode::of(known.node(name).unwrap(), usage)
    };
    let items = [
        item("node1", RECORDED[0].0, RECORDED[0].1, 89_850_126, 675_212),
        item("node2", RECORDED[1].0, RECORDED[1].1, 70_740_999, 104_052),
    ];
    let writing = Writing {
        what: What::Nodes,
        form: Form {
            media: Media::Protobuf,
            shape: Shape::Whole,
        },
        include: Include::default(),
        now_ms: RECORDED_NOW_S * 1_000,
        now: String::new(),
    };
    let mut list = Message::default();
    list.raw(&protobuf::list_metadata());
    let mut pen = protobuf::Pen::new(&writing);
    for item in &items {
        pen.put(&mut list, &item.item());
    }
    let body = envelope(GROUP_VERSION, "NodeMetricsList", &list);
    assert_eq!(body, recorded("nodes.protobuf"));
}

/// Of both nodes of the recording: the measurement, Unix s, and its span, ms.
const RECORDED: [(u64, u64); 2] = [(1_795_332_698, 10_015), (1_795_332_704, 20_041)];
const RECORDED_NOW_S: u64 = 1_795_332_710;

#[tokio::test]
async fn values_are_those_of_the_newest_rows() {
    let listener = listener();
    let node = listener
        .get(&format!("{ROOT}/nodes/node1"), &[])
        .await
        .json();
    assert_eq!(node["usage"], json!({"cpu": "500m", "memory": "1Mi"}));
    assert_eq!(
        (&node["window"], &node["timestamp"]),
        (&json!("10s"), &json!("2026-11-22T07:25:50Z"))
    );
    let path = format!("{ROOT}/namespaces/shop/pods/{}", WEBS[0]);
    let web = listener.get(&path, &[]).await.json();
    let containers = json!([{"name": "httpd", "usage": {"cpu": "0", "memory": "1Mi"}}]);
    assert_eq!(web["containers"], containers);
    assert_eq!(web["metadata"]["creationTimestamp"], "2026-11-22T07:25:50Z");
    let table = listener
        .get(
            &format!("{ROOT}/namespaces/shop/pods/{}", BURNERS[0]),
            &[TABLE],
        )
        .await;
    // Cells are of the whole pod.
    let cells = json!([BURNERS[0], "1", "2Mi", "10s"]);
    assert_eq!(table.json()["rows"][0]["cells"], cells);
}

fn names(body: &Value) -> Vec<&str> {
    let items = body["items"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn until_the_cluster_is_known_lists_wait_and_discovery_does_not() {
    let mut listener = listener();
    listener.secure.metrics.api.cluster = Cluster::watched(Arc::new(Known::default()));
    for path in ["nodes", "nodes/node1", "pods", "namespaces/shop/pods"] {
        let told = listener.get(&format!("{ROOT}/{path}"), &[]).await;
        assert_eq!(told.status, 503, "{path}: {}", told.text());
        assert_eq!(told.json()["details"]["retryAfterSeconds"], 2, "{path}");
    }
    assert_eq!(listener.get(ROOT, &[]).await.status, 200);
}

#[tokio::test]
async fn selectors_of_labels_and_fields_select() {
    let listener = listener();
    let web = WEBS.as_slice();
    let all = [BURNERS, WEBS].concat();
    for (query, expected) in [
        ("labelSelector=", &*all),
        ("labelSelector=app%3Dweb", web),
        ("labelSelector=app+in+(web,db)", web),
        ("labelSelector=!tier", web),
        ("labelSelector=app%21%3Dburner,pod-template-hash", web),
        ("labelSelector=app+notin+(web,burner)", &[]),
        (
            "fieldSelector=metadata.name%3Dweb-7ffcbbddf7-4kxhb",
            &web[..1],
        ),
        ("fieldSelector=metadata.namespace%3Dbase", &[]),
        (
            "fieldSelector=metadata.namespace!%3Dbase&labelSelector=app%3Dweb",
            web,
        ),
        // Lists are whole.
        ("limit=1&resourceVersion=0", &*all),
    ] {
        for path in ["pods", "namespaces/shop/pods"] {
            let told = listener.get(&format!("{ROOT}/{path}?{query}"), &[]).await;
            assert_eq!(told.status, 200, "{query}: {}", told.text());
            assert_eq!(names(&told.json()), expected, "{path}?{query}");
        }
    }
    let node = listener
        .get(
            &format!("{ROOT}/nodes?fieldSelector=metadata.name%3Dnode2"),
            &[],
        )
        .await;
    assert_eq!(names(&node.json()), ["node2"]);
    let told = listener
        .get(
            &format!("{ROOT}/nodes?fieldSelector=spec.nodeName%3Da"),
            &[],
        )
        .await;
    let message = "\"spec.nodeName\" is not a known field selector: only \"metadata.name\", \
                   \"metadata.namespace\"";
    assert_eq!(
        (told.status, &told.json()["message"]),
        (400, &json!(message))
    );
    let told = listener
        .get(&format!("{ROOT}/pods?labelSelector=a%3D%3D%3Db"), &[])
        .await;
    let body = told.json();
    assert_eq!((told.status, &body["reason"]), (400, &json!("BadRequest")));
}

#[tokio::test]
async fn a_watch_is_refused() {
    let told = listener()
        .get(&format!("{ROOT}/namespaces/shop/pods?watch=true"), &[])
        .await;
    let expected = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "watch is not supported on resources of kind \"pods.metrics.k8s.io\"",
        "reason": "MethodNotAllowed", "details": {"group": "metrics.k8s.io", "kind": "pods"}, "code": 405});
    assert_eq!((told.status, told.json()), (405, expected));
}

#[tokio::test]
async fn a_pod_is_whole_or_absent_and_swap_is_told_where_it_is_known() {
    let without = Says {
        millicores: None,
        ..USUAL
    };
    let swapping = Says {
        other: Some((table::SWAP_USAGE, 33_554_432)),
        ..USUAL
    };
    let young = Says {
        start_ms: crate::api::tests::T0 + 15_000,
        ..without
    };
    let api = window(&[
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (pod(2, "shop", "half"), USUAL),
        (container(3, 2, "a"), USUAL),
        (container(4, 2, "b"), without),
        (pod(5, "shop", "bare"), USUAL),
        (pod(6, "shop", "swaps"), USUAL),
        (container(7, 6, "c"), swapping),
        (pod(8, "shop", "young"), USUAL),
        (container(9, 8, "d"), young),
    ]);
    let listener = Listener::of(api);
    let list = listener.get(&format!("{ROOT}/pods"), &[]).await.json();
    assert_eq!(names(&list), ["swaps"]);
    let usage = json!({"cpu": "500m", "memory": "1Mi", "swap": "32Mi"});
    assert_eq!(list["items"][0]["containers"][0]["usage"], usage);
    // Without a watched cluster nothing has labels, and what has none is told without.
    assert_eq!(list["items"][0]["metadata"].get("labels"), None);
    for name in ["half", "bare", "young"] {
        let told = listener
            .get(&format!("{ROOT}/namespaces/shop/pods/{name}"), &[])
            .await;
        let body = told.json();
        let message = format!("podmetrics.metrics.k8s.io \"shop/{name}\" not found");
        assert_eq!((told.status, &body["message"]), (404, &json!(message)));
        let details = json!({"name": format!("shop/{name}"), "group": "metrics.k8s.io", "kind": "podmetrics"});
        assert_eq!(body["details"], details);
    }
}

#[tokio::test]
async fn only_pods_that_run_where_the_cluster_says_are_there() {
    let listener = listener();
    let known = listener.secure.metrics.api.cluster.known().unwrap();
    let ended = Pod {
        phase: Phase::Succeeded,
        ..running(WEBS[0], Labels::default())
    };
    let elsewhere = Pod {
        node: "node2".into(),
        ..running(WEBS[1], Labels::default())
    };
    let again = Pod {
        uid: "another".into(),
        ..running(BURNERS[0], Labels::default())
    };
    let mirror = Pod {
        uid: "of-the-mirror".into(),
        mirror_of: format!("uid-of-{}", BURNERS[1]).into(),
        ..running(BURNERS[1], Labels::default())
    };
    for pod in [ended, elsewhere, again, mirror] {
        known.apply(Change::Pod(pod));
    }
    let list = listener.get(&format!("{ROOT}/pods"), &[]).await.json();
    assert_eq!(names(&list), [BURNERS[1]]);
    for (name, message) in [
        (WEBS[0], format!("pods \"{}\" not found", WEBS[0])),
        (
            WEBS[1],
            format!("podmetrics.metrics.k8s.io \"shop/{}\" not found", WEBS[1]),
        ),
        (
            BURNERS[0],
            format!(
                "podmetrics.metrics.k8s.io \"shop/{}\" not found",
                BURNERS[0]
            ),
        ),
    ] {
        let told = listener
            .get(&format!("{ROOT}/namespaces/shop/pods/{name}"), &[])
            .await;
        assert_eq!(
            (told.status, &told.json()["message"]),
            (404, &json!(message))
        );
    }
    known.apply(Change::NodeGone("node2".into()));
    let list = listener.get(&format!("{ROOT}/nodes"), &[]).await.json();
    assert_eq!(names(&list), ["node1"]);
    known.apply(Change::Node(Node {
        name: "node3".into(),
        ..Node::default()
    }));
    let told = listener.get(&format!("{ROOT}/nodes/node3"), &[]).await;
    let message = "nodemetrics.metrics.k8s.io \"node3\" not found";
    assert_eq!(
        (told.status, &told.json()["message"]),
        (404, &json!(message))
    );
}

#[tokio::test]
async fn a_silent_node_is_withdrawn_with_its_pods_after_ninety_seconds() {
    let listener = listener();
    let clock = listener.secure.metrics.api.clock.clone();
    let (nodes, pods) = (format!("{ROOT}/nodes"), format!("{ROOT}/pods"));
    let newest = crate::api::tests::T0 + 20_000;
    for (after_ms, expected) in [(90_000, (2, 4)), (100_000, (0, 0))] {
        let soon = std::time::Duration::from_secs(5);
        clock.step(newest + after_ms + 4_000, soon).await.unwrap();
        let nodes = listener.get(&nodes, &[]).await.json();
        let pods = listener.get(&pods, &[]).await.json();
        assert_eq!(
            (names(&nodes).len(), names(&pods).len()),
            expected,
            "{after_ms}"
        );
    }
}

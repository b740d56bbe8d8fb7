//! What the cluster's objects say of what agents report, through every API, and sums over workloads.

use cairn_proto::catalogue::EntityKind;
use serde_json::{Value, json};

use super::window::{Says, USUAL, def, pod, report, window};
use super::*;
use crate::cluster::{Change, Known, Resource};

/// Requests and limits of the containers of the two webs: of one as much as may be, of the other little.
fn object(name: &str, uid: &str, containers: &Value) -> Value {
    json!({
        "metadata": {
            "namespace": "shop", "name": name, "uid": uid, "creationTimestamp": "2026-11-22T07:20:00Z",
            "labels": {"app": "web", "pod-template-hash": "7ff"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-7ff", "controller": true}],
        },
        "spec": {"nodeName": "node1", "containers": containers},
        "status": {"phase": "Running", "containerStatuses": [{"name": "httpd", "restartCount": 3}]},
    })
}

fn known() -> Arc<Known> {
    let known = Arc::new(Known::default());
    let put = |resource: Resource, object: &Value| {
        known.apply(resource.present(object.to_string().as_bytes()).unwrap());
    };
    put(
        Resource::Nodes,
        &json!({
            "metadata": {"name": "node1", "uid": "n"},
            "status": {"capacity": {"cpu": "2", "memory": "8Mi", "ephemeral-storage": "2G"},
                       "allocatable": {"cpu": "1500m", "memory": "4Mi", "ephemeral-storage": "1G"}},
        }),
    );
    let asks = json!([
        {"name": "httpd", "resources": {
            "requests": {"cpu": "250m", "memory": "1Mi", "nvidia.com/gpu": "2"}, "limits": {"cpu": "1"}}},
        {"name": "proxy", "resources": {"requests": {"cpu": "50m"}}},
    ]);
    put(Resource::Pods, &object("web-0", "uid-of-web-0", &asks));
    put(
        Resource::Pods,
        &object("web-1", "uid-of-web-1", &json!([{"name": "httpd"}])),
    );
    // Of the name that is reported, and not the pod that is reported.
    put(Resource::Pods, &object("other", "another", &asks));
    known.set_synced();
    known
}

/// Three webs, of which the last is another one than the watch knows, and half a core and a MiB of each.
fn api_beside(cluster: Cluster) -> Api {
    let api = window(&[
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (pod(2, "shop", "web-0"), USUAL),
        (def(3, EntityKind::Container, 2, "httpd"), USUAL),
        (pod(4, "shop", "web-1"), USUAL),
        (pod(5, "shop", "other"), USUAL),
    ]);
    Api { cluster, ..api }
}

async fn get(api: &Api, path: &str) -> Value {
    let (status, body) = ask_of(api.clone(), Method::GET, path, &[]).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// The value at the newest of the ticks; none when there is no tick with a value.
async fn newest(api: &Api, metric: &str) -> Option<(u64, Option<f64>)> {
    let found = get(api, &format!("/api/v1/model/{metric}")).await;
    let last = found["metrics"].as_array().unwrap().last()?.clone();
    Some((last["value"].as_u64().unwrap(), last["floatValue"].as_f64()))
}

#[tokio::test]
async fn requests_limits_and_restarts_are_told_of_what_sets_them() {
    let api = api_beside(Cluster::watched(known()));
    let (pods, of) = ("namespaces/shop/pods", "metrics");
    for (path, expected) in [
        (format!("{pods}/web-0/{of}/cpu/request"), Some(300)),
        (format!("{pods}/web-0/{of}/cpu-limit"), Some(1_000)),
        (format!("{pods}/web-0/{of}/memory/request"), Some(1 << 20)),
        (format!("{pods}/web-0/{of}/memory/limit"), None),
        (format!("{pods}/web-0/{of}/restart_count"), Some(3)),
        (format!("{pods}/web-0/{of}/nvidia.com/gpu/request"), Some(2)),
        (format!("{pods}/web-0/{of}/nvidia.com/other/request"), None),
        (
            format!("{pods}/web-0/containers/httpd/{of}/cpu/request"),
            Some(250),
        ),
        (format!("{pods}/web-1/{of}/cpu/request"), None),
        (format!("{pods}/other/{of}/cpu/request"), None),
        (format!("{pods}/other/{of}/restart_count"), None),
        (format!("namespaces/shop/{of}/cpu/request"), Some(300)),
        (format!("{of}/memory/request"), Some(1 << 20)),
        (format!("nodes/node1/{of}/cpu/request"), Some(600)),
        (format!("nodes/node1/{of}/memory/limit"), None),
    ] {
        let found = newest(&api, &path).await;
        assert_eq!(found, expected.map(|value| (value, None)), "{path}");
    }
    let list = "/api/v1/model/namespaces/shop/pod-list/web-1,web-0/metrics";
    for (metric, values) in [("cpu/request", [0, 3]), ("nvidia.com/gpu/request", [0, 3])] {
        let found = get(&api, &format!("{list}/{metric}")).await;
        let lengths = [0, 1].map(|nth: usize| {
            let metrics = found["items"][nth]["metrics"].as_array();
            metrics.map_or(0, Vec::len)
        });
        assert_eq!(lengths, values, "{metric}");
    }
    let names = get(&api, "/api/v1/model/namespaces/shop/pods/web-0/metrics").await;
    for name in ["cpu/limit", "nvidia.com/gpu/request", "restart_count"] {
        assert!(names.as_array().unwrap().contains(&json!(name)), "{names}");
    }
    let names = get(&api, "/api/v1/model/namespaces/shop/metrics").await;
    let expected = [
        "cpu/limit",
        "cpu/request",
        "cpu/usage_rate",
        "memory/request",
    ];
    assert_eq!(names, json!(expected));
}

#[tokio::test]
async fn a_node_has_what_it_can_give_and_how_much_of_it_is_asked_for_and_used() {
    let api = api_beside(Cluster::watched(known()));
    for (metric, value, float) in [
        ("cpu/node_capacity", 2_000, 2_000.0),
        ("cpu/node_allocatable", 1_500, 1_500.0),
        ("cpu/node_reservation", 0, 0.4),
        ("cpu/node_utilization", 0, 0.333_333),
        ("memory/node_capacity", 8 << 20, 8_388_608.0),
        ("memory/node_reservation", 0, 0.5),
        ("ephemeral_storage/node_allocatable", 1_000_000_000, 1e9),
        ("ephemeral_storage/node_reservation", 0, 0.0),
    ] {
        let found = newest(&api, &format!("nodes/node1/metrics/{metric}")).await;
        assert_eq!(found, Some((value, Some(float))), "{metric}");
    }
    // Without the usage no part of it is known.
    for metric in [
        "memory/node_utilization",
        "ephemeral_storage/node_utilization",
    ] {
        let found = newest(&api, &format!("nodes/node1/metrics/{metric}")).await;
        assert_eq!(found, None, "{metric}");
    }
    // A rate has no first point, and so has what is made of it.
    let path = "/api/cairn/v1/range?kind=node&metric=cpu_utilization_millionths";
    let range = get(&api, path).await;
    let values = range["series"][0]["values"].as_array().unwrap();
    assert_eq!(values[88..], [json!(null), json!(333_333), json!(333_333)]);
}

#[tokio::test]
async fn what_is_known_now_stands_at_every_tick_with_a_row() {
    let known = known();
    let api = api_beside(Cluster::watched(Arc::clone(&known)));
    let path = "/api/cairn/v1/range?namespace=shop&metric=cpu_request_millicores";
    let requests = async |api: &Api| -> Vec<(String, Value)> {
        let range = get(api, path).await;
        let series = range["series"].as_array().unwrap().iter();
        series
            .map(|one| {
                let values = one["values"].as_array().unwrap();
                (one["pod"].as_str().unwrap().to_owned(), values[88..].into())
            })
            .collect()
    };
    let of_web_0 = |value: u64| vec![("web-0".to_owned(), json!([value, value, value]))];
    assert_eq!(requests(&api).await, of_web_0(300));
    let asks = json!([{"name": "httpd", "resources": {"requests": {"cpu": "2"}}}]);
    let changed = object("web-0", "uid-of-web-0", &asks).to_string();
    known.apply(Resource::Pods.present(changed.as_bytes()).unwrap());
    assert_eq!(requests(&api).await, of_web_0(2_000));
    known.apply(Change::PodGone(
        "shop".into(),
        "web-0".into(),
        "uid-of-web-0".into(),
    ));
    assert_eq!(requests(&api).await, []);
    assert_eq!(requests(&api_beside(Cluster::off())).await, []);
    let api = api_beside(Cluster::watched(known));
    let values = get(&api, "/api/cairn/v1/values?node=node1").await;
    let mut entities = values["entities"].as_array().unwrap().iter();
    let web_1 = entities.find(|one| one["name"] == "web-1").unwrap();
    let phase = web_1["metrics"]["pod_phase"]["values"].as_array().unwrap();
    assert_eq!(phase[87..], [json!(null), json!(2), json!(2), json!(2)]);
    assert!(web_1["metrics"].get("pod_count").is_none());
}

#[tokio::test]
async fn a_silent_node_says_nothing_of_its_objects() {
    let api = api_beside(Cluster::watched(known()));
    let later = Api {
        clock: Clock::driven(T0 + 20_000 + 100_000),
        ..api
    };
    let path = "/api/cairn/v1/range?namespace=shop&metric=cpu_request_millicores";
    let range = get(&later, path).await;
    let values = range["series"][0]["values"].as_array().unwrap();
    let there = values.iter().filter(|value| !value.is_null()).count();
    // Its rows, and as long after them as a value is held.
    assert_eq!((values.len(), there), (91, 3 + 9));
}

#[tokio::test]
async fn a_workload_is_the_sum_of_its_pods() {
    let api = api_beside(Cluster::watched(known()));
    let list = get(&api, "/api/cairn/v1/workloads").await;
    let expected = json!([{
        "namespace": "shop", "workload_kind": "Deployment", "workload": "web", "derived": true, "pods": 2,
        "values": {
            "cpu_usage_core_nanos": 1_000_000_000, "memory_working_set_bytes": 2 << 20,
            "cpu_request_millicores": 300, "cpu_limit_millicores": 1_000, "memory_request_bytes": 1 << 20,
        },
    }]);
    assert_eq!(list["workloads"], expected);
    assert_eq!(list["tick_ms"], T0 + 20_000);
    assert!(list.get("reason").is_none(), "{list}");
    let range =
        "/api/cairn/v1/range?kind=workload&namespace=shop&workload_kind=deployment&workload=web";
    let series = get(
        &api,
        &format!("{range}&metric=cpu_usage_core_nanos&rate=true"),
    )
    .await;
    let values = &series["series"][0]["values"];
    assert_eq!(values[90], json!(1_000_000_000));
    let pods = get(&api, &format!("{range}&metric=pod_count")).await;
    assert_eq!(pods["series"][0]["values"][90], json!(2));
    for nothing in ["&workload=web-7ff", "&workload_kind=Job", "&namespace=base"] {
        let list = get(&api, &format!("/api/cairn/v1/workloads?{nothing}")).await;
        assert_eq!(list["workloads"], json!([]), "{nothing}");
    }
}

#[tokio::test]
async fn pods_that_went_count_for_their_workload_where_they_were() {
    let known = known();
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    let node = (def(1, EntityKind::Node, 0, "node1"), USUAL);
    let one = |id, name: &str| (pod(id, "shop", name), USUAL);
    let both = [node.clone(), one(2, "web-0"), one(3, "web-1")];
    report(&store, "node1", &[&both, &both, &both[..2]]);
    known.apply(Change::PodGone(
        "shop".into(),
        "web-1".into(),
        "uid-of-web-1".into(),
    ));
    let api = Api {
        cluster: Cluster::watched(known),
        ..with_store(store)
    };
    let range = "/api/cairn/v1/range?kind=workload&metric=memory_working_set_bytes";
    let values = get(&api, range).await["series"][0]["values"].clone();
    let mib = 1_u64 << 20;
    assert_eq!(
        values.as_array().unwrap()[88..],
        [2 * mib, 2 * mib, mib].map(Value::from)
    );
    let list = get(&api, "/api/cairn/v1/workloads").await;
    assert_eq!(list["workloads"][0]["pods"], 1);
}

#[tokio::test]
async fn what_is_asked_of_workloads_in_vain_is_explained() {
    let api = api_beside(Cluster::watched(known()));
    let range = "/api/cairn/v1/range?kind=workload";
    for (path, why) in [
        (format!("{range}&metric=nothing"), "docs/metrics.md"),
        (format!("{range}&metric=pod_phase"), "no sum of pod_phase"),
        (
            format!("{range}&metric=cpu_usage_core_nanos"),
            "ask with rate=true",
        ),
        (format!("{range}&metric=pod_count&rate=true"), "has no rate"),
        (
            format!("{range}&metric=pod_count&workload_kind=Node"),
            "CronJob, DaemonSet",
        ),
        (
            "/api/cairn/v1/workloads?workload_kind=x".to_owned(),
            "StatefulSet",
        ),
    ] {
        let (status, body) = ask_of(api.clone(), Method::GET, &path, &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
        assert!(body.contains(why), "{path}: {body}");
    }
    let off = get(&api_beside(Cluster::off()), "/api/cairn/v1/workloads").await;
    assert_eq!(off["workloads"], json!([]));
    assert!(
        off["reason"].as_str().unwrap().contains("--kubernetes"),
        "{off}"
    );
    let new = Cluster::watched(Arc::new(Known::default()));
    let listing = get(&api_beside(new), "/api/cairn/v1/workloads").await;
    assert!(
        listing["reason"]
            .as_str()
            .unwrap()
            .contains("still being listed")
    );
}

#[tokio::test]
async fn the_page_is_told_what_its_graphs_are_read_against() {
    let api = api_beside(Cluster::watched(known()));
    let overview = get(&api, "/api/cairn/v1/overview?node=node1").await;
    let capacity = json!({"cpu_capacity": 2.0, "memory_capacity": 8_388_608.0});
    assert_eq!(overview["nodes"][0]["levels"], capacity);
    let pods = overview["pods"].as_array().unwrap();
    let levels = |name: &str| {
        let mut pods = pods.iter();
        pods.find(|pod| pod["name"] == name)
            .unwrap()
            .get("levels")
            .cloned()
    };
    let asks = json!({"cpu_request": 0.3, "cpu_limit": 1.0, "memory_request": 1_048_576.0});
    assert_eq!(levels("web-0"), Some(asks));
    assert_eq!((levels("web-1"), levels("other")), (None, None));
}

#[tokio::test]
async fn the_dump_has_limits_and_nothing_else_of_objects() {
    let api = api_beside(Cluster::watched(known()));
    let dump = get(&api, "/api/v1/metric-export").await;
    let mut things = dump.as_array().unwrap().iter();
    let web = things
        .find(|one| {
            one["labels"]["pod_name"] == "web-0" && one["labels"]["container_name"] == "/pod"
        })
        .unwrap();
    assert_eq!(web["metrics"]["cpu/limit"][0]["value"], 1_000);
    let metrics = web["metrics"].as_object().unwrap();
    assert!(!metrics.contains_key("cpu/request") && !metrics.contains_key("restart_count"));
    let forged = window(&[
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (pod(2, "shop", "web-0"), Says::of(table::CPU_LIMIT, 7)),
    ]);
    // An agent's word is not taken for what objects say.
    assert_eq!(
        newest(&forged, "namespaces/shop/pods/web-0/metrics/cpu/limit").await,
        None
    );
}

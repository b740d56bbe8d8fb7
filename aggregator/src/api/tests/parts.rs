//! Parts told apart by labels, the names of system containers, and every value of a node.

use cairn_proto::catalogue::table::Storage;
use cairn_proto::catalogue::{EntityKind, table};
use cairn_proto::model::EntityDef;
use serde_json::{Value, json};

use super::window::{Says, USUAL, def, pod, window};
use super::*;

fn labeled(
    id: u32,
    kind: EntityKind,
    parent: u32,
    name: &str,
    labels: &[(&str, &str)],
) -> EntityDef {
    let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    EntityDef {
        labels: labels.collect(),
        ..def(id, kind, parent, name)
    }
}

/// A node with a file system, and a pod with a volume and a container with two file systems.
fn with_parts() -> Api {
    let filesystem = |bytes| Says::of(table::filesystem(Storage::Usage), bytes);
    let volume = |bytes| Says::of(table::volume(Storage::Usage), bytes);
    let volume_labels = [("pvc_name", "claim"), ("resource_id", "Volume:data")];
    let root = [("resource_id", "/")];
    window(&[
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (def(2, EntityKind::System, 1, "runtime"), USUAL),
        (pod(3, "shop", "web"), USUAL),
        (def(4, EntityKind::Container, 3, "httpd"), USUAL),
        (
            labeled(5, EntityKind::Filesystem, 1, "/", &root),
            filesystem(11),
        ),
        (
            labeled(6, EntityKind::Filesystem, 4, "/", &root),
            filesystem(12),
        ),
        (
            labeled(
                7,
                EntityKind::Filesystem,
                4,
                "logs",
                &[("resource_id", "logs")],
            ),
            filesystem(13),
        ),
        (
            labeled(8, EntityKind::Volume, 3, "data", &volume_labels),
            volume(14),
        ),
        (def(9, EntityKind::Filesystem, 1, "imagefs"), filesystem(15)),
    ])
}

async fn get(path: &str) -> String {
    let (status, body) = ask_of(with_parts(), Method::GET, path, &[]).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

async fn values(path: &str) -> Vec<u64> {
    let body: Value = serde_json::from_str(&get(path).await).unwrap();
    let metrics = body["metrics"].as_array().unwrap();
    metrics
        .iter()
        .map(|m| m["value"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn a_part_is_found_by_all_of_its_labels_below_what_it_belongs_to() {
    let pod = "/api/v1/model/namespaces/shop/pods/web";
    for (of, labels, expected) in [
        ("/api/v1/model/nodes/node1".to_owned(), "resource_id:/", 11),
        (format!("{pod}/containers/httpd"), "resource_id:/", 12),
        (format!("{pod}/containers/httpd"), "resource_id:logs", 13),
        (pod.to_owned(), "resource_id:Volume:data", 14),
    ] {
        let path = format!("{of}/metrics/filesystem/usage?labels={labels}");
        assert_eq!(values(&path).await, [expected; 3], "{path}");
    }
    for (of, metric, labels) in [
        (pod, "filesystem/usage", "resource_id:/"),
        (
            pod,
            "filesystem/usage",
            "pvc_name:claim,resource_id:Volume:data",
        ),
        (pod, "filesystem/limit", "resource_id:Volume:data"),
        (pod, "memory/working_set", "resource_id:Volume:data"),
        ("/api/v1/model", "filesystem/usage", "resource_id:/"),
        (
            "/api/v1/model/namespaces/shop",
            "filesystem/usage",
            "resource_id:/",
        ),
    ] {
        let path = format!("{of}/metrics/{metric}?labels={labels}");
        assert!(values(&path).await.is_empty(), "{path}");
    }
    // Without labels there is no saying which one is meant.
    assert!(
        values(&format!("{pod}/metrics/filesystem/usage"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_pod_list_answers_for_the_part_that_the_labels_mean() {
    let path = "/api/v1/model/namespaces/shop/pod-list/web,none,web/metrics/filesystem/usage\
                ?labels=resource_id:Volume:data";
    let body: Value = serde_json::from_str(&get(path).await).unwrap();
    let counts: Vec<usize> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["metrics"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [3, 0, 3]);
}

#[tokio::test]
async fn labeled_metrics_are_in_no_list_of_names_and_the_uptime_is() {
    let names = get("/api/v1/model/nodes/node1/metrics/").await;
    assert!(
        names.contains("\"uptime\"") && !names.contains("filesystem"),
        "{names}"
    );
    let uptime = values("/api/v1/model/nodes/node1/metrics/uptime").await;
    assert_eq!(uptime, [60_000, 70_000, 80_000]);
}

#[tokio::test]
async fn the_dump_has_each_part_with_its_own_labels() {
    let all: Vec<Value> = serde_json::from_str(&get("/api/v1/metric-export").await).unwrap();
    let of = |name: &str| {
        let one = all
            .iter()
            .find(|one| one["labels"]["container_name"] == name);
        let points = one.unwrap()["metrics"]["filesystem/usage"]
            .as_array()
            .unwrap();
        let told = points
            .iter()
            .map(|p| (p["labels"].clone(), p["value"].clone()));
        told.collect::<Vec<_>>()
    };
    let resource = |id: &str, bytes: u64| (json!({ "resource_id": id }), json!(bytes));
    assert_eq!(of("machine"), [resource("/", 11)]);
    assert_eq!(of("httpd"), [resource("/", 12), resource("logs", 13)]);
    assert_eq!(of("/pod"), [resource("Volume:data", 14)]);
}

#[tokio::test]
async fn system_containers_have_the_names_that_heapster_gave_them() {
    let list = get("/api/v1/model/nodes/node1/freecontainers/").await;
    assert_eq!(list, "[\n  \"docker-daemon\"\n ]");
    for name in ["docker-daemon", "runtime"] {
        let path =
            format!("/api/v1/model/nodes/node1/freecontainers/{name}/metrics/memory/working_set");
        assert_eq!(values(&path).await.len(), 3, "{path}");
    }
    let keys = get("/api/v1/model/debug/allkeys").await;
    assert!(
        keys.contains("\"node:node1/container:docker-daemon\""),
        "{keys}"
    );
}

#[tokio::test]
async fn every_value_of_a_node_is_there_under_its_own_name() {
    let body: Value = serde_json::from_str(&get("/api/cairn/v1/values?node=node1").await).unwrap();
    assert_eq!(
        body["ticks"].as_array().unwrap().last(),
        Some(&json!(T0 + 20_000))
    );
    let entities = body["entities"].as_array().unwrap();
    let named = |kind: &str, name: &str, container: &str| {
        let is = |e: &&Value| e["kind"] == kind && e["name"] == name && e["container"] == container;
        entities.iter().find(is).unwrap()
    };
    let logs = named("filesystem", "logs", "httpd");
    assert_eq!(
        (&logs["namespace"], &logs["pod"]),
        (&json!("shop"), &json!("web"))
    );
    assert_eq!(logs["pod_uid"], "uid-of-web");
    let newest = |values: &Value| values.as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        newest(&logs["metrics"]["filesystem_usage_bytes"]["values"]),
        13
    );
    assert_eq!(named("volume", "data", "")["labels"]["pvc_name"], "claim");
    let cpu = &named("pod", "web", "")["metrics"]["cpu_usage_core_nanos"];
    assert_eq!(newest(&cpu["rates"]), 1e6 * 500.0);
    assert_eq!(
        newest(&named("node", "node1", "")["metrics"]["uptime_ms"]["values"]),
        80_000
    );
}

#[tokio::test]
async fn what_is_asked_of_values_in_vain_is_explained() {
    for (query, status, says) in [
        ("", StatusCode::BAD_REQUEST, "?node=NAME"),
        ("?node=none", StatusCode::NOT_FOUND, "no such node"),
        (
            "?node=node1&metric=none",
            StatusCode::BAD_REQUEST,
            "docs/metrics.md",
        ),
        ("?node=node1&start=bad", StatusCode::BAD_REQUEST, "RFC 3339"),
    ] {
        let path = format!("/api/cairn/v1/values{query}");
        let (found, body) = ask_of(with_parts(), Method::GET, &path, &[]).await;
        assert!(
            found == status && body.contains(says),
            "{path}: {found} {body}"
        );
    }
    let one = get("/api/cairn/v1/values?node=node1&metric=uptime_ms").await;
    assert!(
        !one.contains("cpu_usage") && one.contains("uptime_ms"),
        "{one}"
    );
}

use cairn_proto::catalogue::EntityKind;
use http::Method;
use serde_json::{Value, json};

use super::super::LabelRules;
use super::super::tests::window::{USUAL, def, pod, window};
use super::super::tests::{ask_of, with_store};
use super::*;
use crate::store::PackedStore;

fn api() -> Api {
    window(&[
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (def(2, EntityKind::System, 1, "kubelet"), USUAL),
        (pod(3, "shop", "web"), USUAL),
        (def(4, EntityKind::Container, 3, "httpd"), USUAL),
    ])
}

async fn ask(api: Api, path: &str) -> String {
    let (status, body) = ask_of(api, Method::GET, path, &[]).await;
    assert_eq!(status.as_u16(), 200, "{path}: {body}");
    body
}

#[tokio::test]
async fn everything_is_there_once_with_the_labels_of_its_kind() {
    let body = ask(api(), "/api/v1/metric-export/").await;
    assert!(
        body.starts_with("[{\"metrics\":{\"cpu/usage\":[{\"start\":"),
        "{body}"
    );
    assert!(
        body.ends_with("}]\n") && body.lines().count() == 1,
        "{body}"
    );
    let all: Vec<Value> = serde_json::from_str(&body).unwrap();
    let labels: Vec<&Value> = all.iter().map(|one| &one["labels"]).collect();
    assert_eq!(
        labels,
        [
            &json!({"container_name": "machine", "host_id": "", "hostname": "node1",
                    "labels": "", "nodename": "node1"}),
            &json!({"container_name": "kubelet", "host_id": "", "hostname": "node1",
                    "nodename": "node1"}),
            &json!({"container_name": "/pod", "host_id": "", "hostname": "node1",
                    "labels": "", "namespace_id": "", "nodename": "node1",
                    "pod_id": "uid-of-web", "pod_name": "web"}),
            &json!({"container_base_image": "", "container_name": "httpd", "host_id": "",
                    "hostname": "node1", "labels": "", "namespace_id": "",
                    "nodename": "node1", "pod_id": "uid-of-web", "pod_name": "web"}),
        ]
    );
}

#[tokio::test]
async fn a_counter_begins_with_the_life_and_a_gauge_with_the_tick() {
    let body = ask(api(), "/api/v1/metric-export").await;
    let cpu = "\"cpu/usage\":[{\"start\":\"2026-11-22T07:24:30Z\",\"end\":\"2026-11-22T07:25:50Z\",\
               \"value\":510000000000}]";
    let memory = "\"memory/working_set\":[{\"start\":\"2026-11-22T07:25:50Z\",\
                  \"end\":\"2026-11-22T07:25:50Z\",\"value\":1048576}]";
    for part in [cpu, memory] {
        assert_eq!(body.matches(part).count(), 4, "{part} in {body}");
    }
    assert!(!body.contains("_rate"), "{body}");
}

#[tokio::test]
async fn before_the_first_row_there_is_no_batch_and_no_key() {
    let nothing = with_store(Arc::new(PackedStore::new(1, 0)));
    let dump = ask(nothing.clone(), "/api/v1/metric-export").await;
    assert_eq!(dump, "null\n");
    let keys = ask(nothing, "/api/v1/model/debug/allkeys").await;
    assert_eq!(keys, "[]");
}

#[tokio::test]
async fn the_schema_names_what_the_dump_holds() {
    let body = ask(api(), "/api/v1/metric-export-schema").await;
    let first = "{\n  \"metrics\": [\n   {\n    \"name\": \"uptime\",\n    \"description\": ";
    assert!(body.starts_with(first), "{body}");
    let kinds = "    \"type\": \"cumulative\",\n    \"value_type\": \"int64\",\n    \
                 \"units\": \"ns\"\n   }";
    assert!(body.contains(kinds), "{body}");
    let schema: Value = serde_json::from_str(&body).unwrap();
    let metrics = schema["metrics"].as_array().unwrap();
    let names: Vec<&str> = metrics.iter().filter_map(|m| m["name"].as_str()).collect();
    let exported = FIELDS.iter().filter(is_exported);
    for one in exported.filter_map(|field| field.heapster) {
        assert_eq!(
            names.iter().filter(|name| **name == one).count(),
            1,
            "{one}"
        );
    }
    assert!(names.contains(&"memory/limit") && !names.contains(&"memory/request"));
    let errors = metrics.iter().find(|m| m["name"] == "network/rx_errors");
    assert_eq!(errors.map(|m| &m["units"]), Some(&Value::Null));
    assert_eq!(schema["common_labels"][0]["key"], "nodename");
    assert_eq!(schema["pod_labels"][3]["key"], "labels");
}

#[test]
fn a_part_adds_its_points_beside_those_of_the_whole() {
    let api = api();
    let view = api.view();
    let moment = Moment::newest(&view);
    let export = Export::new(&api, &moment);
    let node = &moment.entities(&Selector::Nodes)[0];
    let labels = Labels::from([("resource_id".to_owned(), "/".to_owned())]);
    let mut metrics = BTreeMap::new();
    export.add(&mut metrics, node, &Labels::new());
    export.add(&mut metrics, node, &labels);
    let text = serde_json::to_string(&metrics["memory/working_set"]).unwrap();
    let (tick, value) = ("2026-11-22T07:25:50Z", 1 << 20);
    let times = format!("\"start\":\"{tick}\",\"end\":\"{tick}\"");
    assert_eq!(
        text,
        format!(
            "[{{{times},\"value\":{value}}},\
             {{{times},\"labels\":{{\"resource_id\":\"/\"}},\"value\":{value}}}]"
        )
    );
}

#[test]
fn labels_of_every_thing_win_over_stored_ones() {
    let mut api = api();
    api.labels = Arc::new(LabelRules {
        stored: vec![("zone".to_owned(), "nodename".to_owned())],
        ..LabelRules::default()
    });
    let view = api.view();
    let moment = Moment::newest(&view);
    let node = &moment.entities(&Selector::Nodes)[0];
    let zone = [("zone".to_owned(), "z1".to_owned())];
    let stored = api.labels.exported(&zone);
    assert_eq!(stored["nodename"], "z1");
    let one = Export::new(&api, &moment).one(node, stored, MACHINE);
    assert_eq!(one.labels["nodename"], "node1");
    assert_eq!(one.labels["labels"], "zone:z1");
}

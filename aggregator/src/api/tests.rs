//! Routes over a small window: shapes of answers, unknown names, refusals.

mod anything;
mod asking;
pub(super) mod jam;
pub(super) mod looks;
mod moments;
mod objects;
mod parts;
mod unread;
pub(super) mod window;

use axum::body::Body;
use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Run, Stamp};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tower_service::Service as _;

use super::*;
use crate::store::{Opening, PackedStore, WireRow};

pub(super) const T0: u64 = 1_795_332_330_000;

/// A node with one pod over three ticks: 100 ms of CPU and 1000 bytes of memory more at each.
pub(super) fn api() -> Api {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    let run = Run {
        epoch_ms: 1,
        boot_id: [0; 16],
        clock_stepped: false,
    };
    let session = store.open(
        "node1",
        Opening {
            run,
            interval_ms: 10_000,
            sent_ms: T0,
            now_ms: T0,
        },
    );
    let names = [
        (1, EntityKind::Node, "node1", ""),
        (2, EntityKind::Pod, "web", "shop"),
    ];
    for (id, kind, name, namespace) in names {
        let def = EntityDef {
            id: EntityId(id),
            kind,
            parent: (id > 1).then_some(EntityId(1)),
            name: name.into(),
            namespace: namespace.into(),
            uid: if id > 1 { "u".into() } else { String::new() },
            runtime_id: String::new(),
            labels: Vec::new(),
        };
        store.define(&session, def).unwrap();
    }
    for n in 0..3u64 {
        let tick_ms = T0 + n * 10_000;
        let mut builder = Builder::default();
        for id in [1, 2] {
            let stamp = Stamp {
                time_ms: tick_ms,
                start_ms: None,
                source: Source::Resource,
            };
            builder.value(EntityId(id), table::CPU, n * 1_500_000_000);
            builder.stamp(EntityId(id), Group::Cpu, stamp);
            builder.value(EntityId(id), table::MEMORY_USAGE, 5_000 + n * 1_000);
            builder.value(EntityId(id), table::MEMORY_WORKING_SET, 4_000 + n * 1_000);
            builder.stamp(EntityId(id), Group::Memory, stamp);
            builder.value(EntityId(id), table::NETWORK_RX, n * 25);
            builder.stamp(EntityId(id), Group::Network, stamp);
        }
        let payload = row::keyframe(DENSE, tick_ms, &builder.build());
        let (sent_ms, now_ms) = (tick_ms, tick_ms);
        let row = WireRow {
            seq: n,
            base_seq: None,
            tick_ms,
            payload: &payload,
            sent_ms,
            now_ms,
        };
        store.append(&session, row).unwrap();
    }
    with_store(store)
}

/// The routes over a store, a moment after its newest tick.
pub(super) fn with_store(store: Arc<dyn Door>) -> Api {
    let clock = Clock::driven(T0 + 20_100);
    let start = Start::new(&clock, None);
    // What each of these tests has told is all there is.
    start.end();
    let terms = Terms {
        span_ms: 10_000,
        start,
    };
    Api::alone(store, clock, terms, (10_000, 900_000))
}

async fn ask(method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    ask_of(api(), method, path, headers).await
}

/// Everything is served.
fn gate() -> Gate {
    Gate {
        loopback: true,
        dumps: false,
        hosts: Arc::default(),
    }
}

pub(super) async fn ask_of(
    api: Api,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, String) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if headers.iter().all(|(name, _)| *name != "host") {
        request = request.header("host", "localhost");
    }
    let request = request.body(Body::empty()).unwrap();
    let response = router(api, gate(), Router::new())
        .call(request)
        .await
        .unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_ok(path: &str) -> String {
    let (status, body) = ask(Method::GET, path, &[]).await;
    assert_eq!(status, StatusCode::OK, "{path}: {body}");
    body
}

#[tokio::test]
async fn a_metric_is_printed_to_the_space_as_the_reference_prints_it() {
    let body = get_ok("/api/v1/model/nodes/node1/metrics/memory/usage").await;
    let expected = "{\n  \"metrics\": [\n   {\n    \"timestamp\": \"2026-11-22T07:25:30Z\",\n    \"value\": 5000\n   },\n   {\n    \"timestamp\": \"2026-11-22T07:25:40Z\",\n    \"value\": 6000\n   },\n   {\n    \"timestamp\": \"2026-11-22T07:25:50Z\",\n    \"value\": 7000\n   }\n  ],\n  \"latestTimestamp\": \"2026-11-22T07:25:50Z\"\n }";
    assert_eq!(body, expected);
}

#[tokio::test]
async fn unknown_names_are_empty_answers() {
    let empty = "{\n  \"metrics\": [],\n  \"latestTimestamp\": \"0001-01-01T00:00:00Z\"\n }";
    for path in [
        "/api/v1/model/nodes/nobody/metrics/cpu/usage_rate",
        "/api/v1/model/nodes/node1/metrics/no/such",
        "/api/v1/model/namespaces/none/metrics/cpu/usage_rate",
    ] {
        assert_eq!(get_ok(path).await, empty, "{path}");
    }
    assert_eq!(get_ok("/api/v1/model/namespaces/none/pods/").await, "[]");
}

#[tokio::test]
async fn a_pod_list_has_an_item_for_each_name_in_order() {
    let path = "/api/v1/model/namespaces/shop/pod-list/none,web,web/metrics/memory-usage";
    let body = get_ok(path).await;
    assert!(body.ends_with("]}\n") && !body.contains(' '), "{body}");
    let items = serde_json::from_str::<serde_json::Value>(&body).unwrap()["items"].clone();
    let lengths: Vec<usize> = items
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["metrics"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [0, 3, 3]);
}

#[tokio::test]
async fn rates_and_their_sums_are_whole_millicores_and_fractions_have_both_values() {
    for path in [
        "/api/v1/model/metrics/cpu/usage_rate",
        "/api/v1/model/namespaces/shop/metrics/cpu/usage_rate",
        "/api/v1/model/namespaces/shop/pods/web/metrics/cpu%2Fusage_rate/",
        "/api/v1/model/nodes/node1/metrics/cpu-usage",
    ] {
        let body = get_ok(path).await;
        assert_eq!(
            body.matches("\"value\": 150\n").count(),
            2,
            "{path}: {body}"
        );
    }
    let body = get_ok("/api/v1/model/namespaces/shop/pods/web/metrics/network/rx_rate").await;
    assert!(
        body.contains("\"value\": 2,\n    \"floatValue\": 2.5\n"),
        "{body}"
    );
}

#[tokio::test]
async fn lists_name_what_is_there() {
    assert_eq!(get_ok("/api/v1/model/nodes/").await, "[\n  \"node1\"\n ]");
    assert_eq!(
        get_ok("/api/v1/model/namespaces").await,
        "[\n  \"shop\"\n ]"
    );
    assert_eq!(
        get_ok("/api/v1/model/namespaces/shop/pods").await,
        "[\n  \"web\"\n ]"
    );
    let names = get_ok("/api/v1/model/metrics").await;
    assert_eq!(names, "[\n  \"cpu/usage_rate\",\n  \"memory/usage\"\n ]");
}

#[tokio::test]
async fn start_and_end_are_inclusive_and_a_bad_one_says_what_is_expected() {
    let path = "/api/v1/model/nodes/node1/metrics/memory/usage?start=2026-11-22T07:25:40Z&end=2026-11-22T08:25:40%2B01:00";
    assert_eq!(get_ok(path).await.matches("\"value\"").count(), 1);
    let (status, body) = ask(
        Method::GET,
        "/api/v1/model/metrics/cpu/usage_rate?start=bad",
        &[],
    )
    .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body.starts_with("timestamp argument cannot be parsed: "),
        "{body}"
    );
}

#[tokio::test]
async fn other_methods_paths_types_and_hosts_are_refused() {
    let model = "/api/v1/model/nodes/";
    assert_eq!(
        ask(Method::POST, model, &[]).await,
        (
            StatusCode::METHOD_NOT_ALLOWED,
            "405: Method Not Allowed".into()
        )
    );
    assert_eq!(
        ask(Method::HEAD, model, &[]).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        ask(Method::GET, "/api/v1/model/", &[]).await,
        (StatusCode::NOT_FOUND, "404: Page Not Found".into())
    );
    assert_eq!(
        ask(Method::GET, "/nothing", &[]).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        ask(Method::GET, model, &[("accept", "text/html")]).await.0,
        StatusCode::NOT_ACCEPTABLE
    );
    assert_eq!(
        ask(Method::GET, model, &[("host", "evil.example")]).await.0,
        StatusCode::MISDIRECTED_REQUEST
    );
    assert_eq!(
        ask(Method::GET, "/api//v1", &[]).await.0,
        StatusCode::MOVED_PERMANENTLY
    );
    assert_eq!(ask(Method::HEAD, "/healthz/healthz/", &[]).await.0, 200);
    assert_eq!(
        ask(Method::GET, "/healthz/ping", &[]).await,
        (StatusCode::NOT_FOUND, "404 page not found\n".into())
    );
}

#[tokio::test]
async fn the_scrapers_client_finds_items_by_name_with_integers_only() {
    let body = get_ok("/api/v1/dashboard/nodes/node1/metrics/memory/usage").await;
    assert_eq!(
        body,
        "{\"items\":[{\"dataPoints\":[],\"metricPoints\":[{\"timestamp\":\"2026-11-22T07:25:30Z\",\"value\":4000},{\"timestamp\":\"2026-11-22T07:25:40Z\",\"value\":5000},{\"timestamp\":\"2026-11-22T07:25:50Z\",\"value\":6000}],\"metricName\":\"memory\",\"uids\":[\"node1\"]}]}\n"
    );
    assert_eq!(
        get_ok("/api/v1/dashboard/nodes/node1/metrics/memory%2Fusage").await,
        body
    );
    let path = "/api/v1/dashboard/namespaces/shop/pod-list/none,web/metrics/cpu/usage_rate";
    let body = get_ok(path).await;
    assert!(
        body.contains("\"value\":150}") && body.contains("\"uids\":[\"web\"]"),
        "{body}"
    );
    assert!(!body.contains("none"), "{body}");
    assert_eq!(
        get_ok("/api/v1/dashboard/nodes/nobody/metrics/cpu/x").await,
        "{\"items\":[]}\n"
    );
    assert_eq!(
        get_ok("/api/v1/dashboard/other").await,
        "URL: /api/v1/dashboard/other"
    );
}

#[tokio::test]
async fn the_overview_is_one_frame_of_the_newest_tick() {
    let body = get_ok("/api/cairn/v1/overview?node=node1").await;
    let frame: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(frame["ticks"], serde_json::json!([T0 + 20_000]));
    assert_eq!(
        frame["nodes"][0]["series"]["cpu"],
        serde_json::json!([0.15])
    );
    assert_eq!(frame["nodes"][0]["series"]["rx"], serde_json::json!([2.5]));
    assert_eq!(
        frame["pods"][0]["series"]["memory"],
        serde_json::json!([6000.0])
    );
    assert_eq!(frame["cluster"]["memory"], serde_json::json!([6000.0]));
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_room_is_refused_and_counted_until_another_is_sent() {
    let mut api = api();
    api.room = Room::of(500);
    let ask = || {
        let path = "/api/v1/model/nodes/node1/metrics/memory/usage";
        let request = Request::builder().uri(path).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        router(api.clone(), gate(), Router::new()).call(request)
    };
    // Nobody reads it yet.
    let waiting = ask().await.unwrap();
    assert_eq!(waiting.status(), StatusCode::OK);
    let refused = ask().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(api.metrics.no_room.get(), 1);
    assert_eq!(api.turns.available_permits(), TURNS);
    waiting.into_body().collect().await.unwrap();
    assert_eq!(ask().await.unwrap().status(), StatusCode::OK);
}

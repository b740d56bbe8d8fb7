//! How things are asked for: spellings of paths, parameters, headers.

use cairn_proto::catalogue::{EntityKind, HeapsterMetric};

use super::window::{USUAL, def, window};
use super::*;

const EMPTY: &str = "{\n  \"metrics\": [],\n  \"latestTimestamp\": \"0001-01-01T00:00:00Z\"\n }";

const METRICS: [&str; 3] = [
    "/api/v1/model/nodes/node1/metrics/memory/usage",
    "/api/v1/model/metrics/memory/usage",
    "/api/v1/model/namespaces/shop/pod-list/web/metrics/memory/usage",
];

#[tokio::test]
async fn labels_are_read_on_every_route_of_values() {
    for path in METRICS {
        let asked = format!("{path}?labels=resource_id:/,");
        let (status, body) = ask(Method::GET, &asked, &[]).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}");
        assert_eq!(body, "invalid label pair \"\"", "{path}");
        assert_eq!(
            get_ok(&format!("{path}?labels="))
                .await
                .matches("value")
                .count(),
            3,
            "{path}"
        );
    }
    // A metric without parts has nothing to say of one.
    let body = get_ok(&format!("{}?labels=resource_id%3A%2F", METRICS[0])).await;
    assert_eq!(body, EMPTY);
    let body = get_ok(&format!("{}?labels=resource_id:logs", METRICS[2])).await;
    assert_eq!(
        body,
        "{\"items\":[{\"metrics\":[],\"latestTimestamp\":\"0001-01-01T00:00:00Z\"}]}\n"
    );
}

#[tokio::test]
async fn ranges_are_exact_and_none_is_an_error() {
    for (query, expected) in [
        ("start=2026-11-22T07:25:40Z", 2),
        ("start=2026-11-22T07:25:40.0000001Z", 1),
        ("end=2026-11-22T07:25:40.0000001Z", 2),
        ("end=2026-11-22T07:25:39.999999Z", 1),
        ("start=2026-11-22T07:25:50Z&end=2026-11-22T07:25:30Z", 0),
        ("start=0001-01-01T00:00:00Z&end=9999-12-31T23:59:59Z", 3),
        ("start=9999-12-31T23:59:59Z", 0),
        ("end=0001-01-01T00:00:00Z", 0),
    ] {
        for path in METRICS {
            let body = get_ok(&format!("{path}?{query}")).await;
            assert_eq!(body.matches("value").count(), expected, "{path}?{query}");
        }
    }
}

#[tokio::test]
async fn slashes_may_be_spelt_either_way_anywhere() {
    for path in [
        "/api/v1/model%2Fnodes",
        "/api%2Fv1%2Fmodel%2Fnodes%2F",
        "/api/v1/%6dodel/nodes",
    ] {
        assert_eq!(get_ok(path).await, "[\n  \"node1\"\n ]", "{path}");
    }
    for path in [
        "/api/v1/model/namespaces/shop/pods/web%2Fmetrics/memory%2Fusage",
        "/api/v1/model/namespaces%2Fshop/pods/web/metrics/memory/usage/",
        "/api/v1/model/namespaces/shop%2Fpods%2Fweb/metrics/memory/usage",
    ] {
        assert_eq!(get_ok(path).await.matches("value").count(), 3, "{path}");
    }
}

#[tokio::test]
async fn a_name_with_a_slash_is_one_segment_when_it_is_spelt() {
    let name = "system.slice/docker.service";
    let api = window(&[
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (def(2, EntityKind::System, 1, name), USUAL),
    ]);
    let path = "/api/v1/model/nodes/node1/freecontainers/system.slice%2Fdocker.service/metrics";
    let (_, body) = ask_of(api.clone(), Method::GET, &format!("{path}/"), &[]).await;
    assert!(body.contains("\"memory/working_set\""), "{body}");
    for rest in ["cpu%2Fusage_rate", "cpu/usage_rate"] {
        let path = format!("{path}/{rest}");
        let (_, body) = ask_of(api.clone(), Method::GET, &path, &[]).await;
        assert_eq!(body.matches("\"value\": 500").count(), 2, "{body}");
    }
}

#[tokio::test]
async fn paths_that_are_not_clean_redirect_with_their_query() {
    for (path, to) in [
        ("/api//v1/model/nodes/?a=b", "/api/v1/model/nodes/?a=b"),
        ("/api/v1/x/../model/./nodes", "/api/v1/model/nodes"),
    ] {
        let request = Request::builder().uri(path).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        let response = router(api(), gate(), Router::new())
            .call(request)
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY, "{path}");
        assert_eq!(response.headers()[http::header::LOCATION], to, "{path}");
    }
}

#[tokio::test]
async fn known_paths_refuse_other_verbs_and_unknown_ones_do_not_exist() {
    for method in [Method::HEAD, Method::PUT, Method::DELETE, Method::OPTIONS] {
        // An answer to HEAD has no body.
        let answer = |status: StatusCode, text: &str| {
            let text = if method == Method::HEAD { "" } else { text };
            (status, text.to_owned())
        };
        let refused = answer(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
        for path in METRICS {
            assert_eq!(ask(method.clone(), path, &[]).await, refused, "{path}");
        }
        let unknown = answer(StatusCode::NOT_FOUND, "404: Page Not Found");
        for path in [
            "/api/v1/model",
            "/api/v1/model/",
            "/api/v1/model/nope",
            "/api/v1/metric-export/nope",
            "/api/v1/metric-export-schema/nope",
        ] {
            assert_eq!(ask(method.clone(), path, &[]).await, unknown, "{path}");
        }
    }
}

#[tokio::test]
async fn one_accept_that_allows_json_is_enough() {
    let (json, html) = (
        ("accept", "application/json;q=0.1"),
        ("accept", "text/html"),
    );
    let any = ("accept", "text/html, */*;q=0.8");
    for (headers, expected) in [
        (vec![json], 200),
        (vec![any], 200),
        (vec![("accept", "")], 200),
        (vec![html, json], 200),
        (vec![html], 406),
        (vec![html, ("accept", "image/png")], 406),
    ] {
        let (status, body) = ask(Method::GET, METRICS[0], &headers).await;
        assert_eq!(status.as_u16(), expected, "{headers:?}");
        assert!(expected == 200 || body == "406: Not Acceptable", "{body}");
    }
}

#[tokio::test]
async fn the_model_is_compressed_for_who_asks_and_the_rest_is_not() {
    for (path, expected) in [
        (METRICS[0], Some("gzip")),
        (METRICS[2], Some("gzip")),
        ("/api/v1/model/nope", Some("gzip")),
        ("/healthz", None),
        ("/api/cairn/v1/overview", None),
        ("/api/v1/dashboard/nodes/node1/metrics/cpu/usage_rate", None),
    ] {
        let request = Request::builder().uri(path).header("host", "localhost");
        let request = request.header("accept-encoding", "gzip, deflate");
        let request = request.body(Body::empty()).unwrap();
        let response = router(api(), gate(), Router::new())
            .call(request)
            .await
            .unwrap();
        let coding = response.headers().get(http::header::CONTENT_ENCODING);
        assert_eq!(coding.map(|c| c.to_str().unwrap()), expected, "{path}");
    }
}

#[tokio::test]
async fn the_five_names_of_the_oldest_clients_mean_the_newer_ones() {
    for (old, new, is_known) in [
        ("cpu-usage", "cpu/usage_rate", true),
        ("memory-usage", "memory/usage", true),
        ("memory-working", "memory/working_set", true),
        // These come with the cluster's objects.
        ("cpu-limit", "cpu/limit", false),
        ("memory-limit", "memory/limit", false),
    ] {
        assert_eq!(HeapsterMetric::current_name(old), new);
        let node = "/api/v1/model/nodes/node1/metrics";
        let body = get_ok(&format!("{node}/{old}")).await;
        assert_eq!(body, get_ok(&format!("{node}/{new}")).await, "{old}");
        assert_eq!(body != EMPTY, is_known, "{old}");
    }
}

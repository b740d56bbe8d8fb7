use cairn_proto::catalogue::EntityKind;
use cairn_proto::model::EntityDef;
use http::Method;

use super::super::tests::window::{Says, USUAL, def, pod, window};
use super::super::tests::{ask_of, with_store};
use super::*;

const ROOTS: [&str; 2] = ["/apis/metrics/v1alpha1", "/apis/metrics.k8s.io/v1alpha1"];

fn container(id: u32, pod: u32, name: &str) -> EntityDef {
    def(id, EntityKind::Container, pod, name)
}

/// One whole pod, one that lacks CPU of a container, one without containers.
fn api() -> Api {
    let half = Says {
        millicores: None,
        ..USUAL
    };
    let odd = Says {
        millicores: Some(89),
        working_set: Some(691_417_088),
        ..USUAL
    };
    window(&[
        (def(1, EntityKind::Node, 0, "node1"), odd),
        (pod(2, "shop", "web"), USUAL),
        (container(3, 2, "httpd"), USUAL),
        (container(4, 2, "cache"), odd),
        (pod(5, "shop", "half"), USUAL),
        (container(6, 5, "a"), USUAL),
        (container(7, 5, "b"), half),
        (pod(8, "bank", "bare"), USUAL),
    ])
}

async fn ask(path: &str) -> (u16, String) {
    let (status, body) = ask_of(api(), Method::GET, path, &[]).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn nodes_are_printed_as_the_reference_prints_them() {
    for root in ROOTS {
        let (status, body) = ask(&format!("{root}/nodes/?labelSelector=")).await;
        assert_eq!(status, 200);
        assert_eq!(
            body,
            "{\n  \"metadata\": {},\n  \"items\": [\n   {\n    \"metadata\": {\n     \
             \"name\": \"node1\",\n     \"creationTimestamp\": \"2026-11-22T07:25:50Z\"\n    \
             },\n    \"timestamp\": \"2026-11-22T07:25:50Z\",\n    \"window\": \"1m0s\",\n    \
             \"usage\": {\n     \"cpu\": \"89m\",\n     \"memory\": \"675212Ki\"\n    }\n   \
             }\n  ]\n }"
        );
        let (status, one) = ask(&format!("{root}/nodes/node1")).await;
        assert_eq!(status, 200);
        assert!(one.starts_with("{\n  \"metadata\": {\n   \"name\": \"node1\",\n"));
        assert!(
            one.ends_with("   \"memory\": \"675212Ki\"\n  }\n }"),
            "{one}"
        );
    }
}

#[tokio::test]
async fn a_pod_is_whole_or_not_there() {
    for path in ["pods", "namespaces/shop/pods/", "namespaces%2Fshop/pods"] {
        let (status, body) = ask(&format!("{}/{path}", ROOTS[0])).await;
        assert_eq!(status, 200);
        let list: serde_json::Value = serde_json::from_str(&body).unwrap();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{path}: {body}");
        let metadata = &items[0]["metadata"];
        assert_eq!(
            (&metadata["name"], &metadata["namespace"]),
            (&"web".into(), &"shop".into())
        );
        let containers = serde_json::json!([
            {"name": "cache", "usage": {"cpu": "89m", "memory": "675212Ki"}},
            {"name": "httpd", "usage": {"cpu": "500m", "memory": "1Mi"}},
        ]);
        assert_eq!(items[0]["containers"], containers);
    }
    let (status, body) = ask("/apis/metrics/v1alpha1/namespaces/shop/pods/web").await;
    assert_eq!(status, 200);
    assert!(body.contains("\"namespace\": \"shop\",\n"), "{body}");
}

#[tokio::test]
async fn an_empty_list_is_null() {
    let empty = "{\n  \"metadata\": {},\n  \"items\": null\n }".to_owned();
    for path in ["namespaces/bank/pods", "namespaces/none/pods"] {
        let asked = format!("{}/{path}", ROOTS[0]);
        assert_eq!(ask(&asked).await, (200, empty.clone()), "{path}");
    }
    let nothing = with_store(std::sync::Arc::new(crate::store::PackedStore::new(1, 0)));
    for path in ["nodes", "pods"] {
        let asked = format!("{}/{path}", ROOTS[1]);
        let (_, body) = ask_of(nothing.clone(), Method::GET, &asked, &[]).await;
        assert_eq!(body, empty, "{path}");
    }
}

#[tokio::test]
async fn what_is_unknown_or_incomplete_has_its_text() {
    for (path, status, text) in [
        ("nodes/nobody", 404, "No metrics for node nobody"),
        (
            "namespaces/shop/pods/none",
            500,
            "Error while getting pod none: pod \"none\" not found",
        ),
        (
            "namespaces/shop/pods/half",
            404,
            "No metrics availalble for pod shop/half",
        ),
        (
            "namespaces/bank/pods/bare",
            404,
            "No metrics availalble for pod bank/bare",
        ),
        ("", 404, "404: Page Not Found"),
        ("namespaces", 404, "404: Page Not Found"),
        ("nodes/a/b", 404, "404: Page Not Found"),
    ] {
        let asked = format!("{}/{path}", ROOTS[0]);
        assert_eq!(ask(&asked).await, (status, text.to_owned()), "{path}");
    }
    let other = "/apis/metrics/v1beta1/nodes";
    assert_eq!(ask(other).await, (404, "404 page not found\n".to_owned()));
}

#[tokio::test]
async fn selectors_select_and_bad_ones_are_refused() {
    for path in ["nodes", "pods", "namespaces/shop/pods"] {
        let asked = format!("{}/{path}?labelSelector=app%3Dweb%20db", ROOTS[0]);
        let (status, body) = ask(&asked).await;
        assert_eq!(status, 400, "{path}");
        let begins = "Error while parsing selector app=web db: ";
        assert!(body.starts_with(begins), "{body}");
        // Nothing here has labels.
        for (selector, nothing) in [("!app", false), ("app", true), ("app+notin+(web)", false)] {
            let asked = format!("{}/{path}?labelSelector={selector}", ROOTS[0]);
            let (status, body) = ask(&asked).await;
            assert_eq!(status, 200, "{selector}");
            assert_eq!(body.contains("null"), nothing, "{path} {selector}: {body}");
        }
    }
}

#[tokio::test]
async fn selectors_look_at_the_labels_that_are_known() {
    let labeled = |def: EntityDef, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        EntityDef {
            labels: labels.collect(),
            ..def
        }
    };
    let pods = [
        ("web-1", [("app", "web"), ("tier", "front")]),
        ("web-2", [("app", "web"), ("tier", "back")]),
        ("db", [("app", "db"), ("tier", "back")]),
    ];
    let mut things = vec![(def(1, EntityKind::Node, 0, "node1"), USUAL)];
    for ((name, labels), id) in pods.into_iter().zip([10, 20, 30]) {
        things.push((labeled(pod(id, "shop", name), &labels), USUAL));
        things.push((container(id + 1, id, "c"), USUAL));
    }
    for (selector, expected) in [
        ("app=web", vec!["web-1", "web-2"]),
        ("app=web,tier!=back", vec!["web-1"]),
        ("tier+in+(back),app", vec!["db", "web-2"]),
        ("app+notin+(web)", vec!["db"]),
        ("!tier", vec![]),
    ] {
        let path = format!("{}/pods?labelSelector={selector}", ROOTS[0]);
        let (status, body) = ask_of(window(&things), Method::GET, &path, &[]).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let items = body["items"].as_array().into_iter().flatten();
        let mut names: Vec<&str> = items
            .filter_map(|i| i["metadata"]["name"].as_str())
            .collect();
        names.sort_unstable();
        assert_eq!((status.as_u16(), names), (200, expected), "{selector}");
    }
}

#[tokio::test]
async fn only_gets_of_who_takes_json() {
    let path = "/apis/metrics/v1alpha1/nodes";
    let (status, _) = ask_of(api(), Method::HEAD, path, &[]).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    let html = [("accept", "text/html")];
    let (status, body) = ask_of(api(), Method::GET, path, &html).await;
    assert_eq!(
        (status.as_u16(), body.as_str()),
        (406, "406: Not Acceptable")
    );
}

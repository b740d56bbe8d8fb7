//! What objects look like.

use serde_json::{Value, json};

use super::*;

/// Every reference of a document.
fn references(of: &Value, into: &mut Vec<String>) {
    match of {
        Value::Object(of) => {
            for (key, value) in of {
                match value.as_str().filter(|_| key == "$ref") {
                    Some(target) => into.push(target.to_owned()),
                    None => references(value, into),
                }
            }
        }
        Value::Array(of) => of.iter().for_each(|one| references(one, into)),
        _ => {}
    }
}

#[tokio::test]
async fn objects_are_described_in_both_versions_and_every_reference_leads_somewhere() {
    let listener = nobody_reports();
    let index = listener.get("/openapi/v3", &[]).await.json();
    let path = "apis/metrics.k8s.io/v1beta1";
    let url = index["paths"][path]["serverRelativeURL"].as_str().unwrap();
    let v3 = listener.get(url, &[]).await;
    assert_eq!(v3.headers["cache-control"], "public, immutable");
    for (told, schemas) in [
        (v3.json(), "/components/schemas"),
        (
            listener.get("/openapi/v2", &[]).await.json(),
            "/definitions",
        ),
    ] {
        let mut targets = Vec::new();
        references(&told, &mut targets);
        assert!(targets.len() > 10, "{told}");
        for target in targets {
            let at = target.strip_prefix('#').unwrap();
            assert!(told.pointer(at).is_some(), "{target}");
        }
        let name = "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics";
        let node = told.pointer(&format!("{schemas}/{name}")).unwrap();
        let gvk = json!(
            {"group": "metrics.k8s.io", "version": "v1beta1", "kind": "NodeMetrics"}
        );
        assert_eq!(node["x-kubernetes-group-version-kind"][0], gvk);
        let list = &told["paths"]["/apis/metrics.k8s.io/v1beta1/nodes"]["get"];
        assert_eq!(list["x-kubernetes-group-version-kind"], gvk);
    }
    // What an older index led to leads to this one, and nothing is sent twice.
    let (at, _) = url.split_once('?').unwrap();
    let old = listener.get(&format!("{at}?hash=00"), &[]).await;
    assert_eq!(
        (old.status, old.headers["location"].to_str().unwrap()),
        (301, url)
    );
    let etag = v3.headers["etag"].to_str().unwrap();
    for path in [at, url] {
        let again = listener.get(path, &[("if-none-match", etag)]).await;
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
}

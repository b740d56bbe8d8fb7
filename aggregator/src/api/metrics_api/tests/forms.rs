//! Tables, metadata alone, protobuf, and what cannot be had.

use super::*;

#[tokio::test]
async fn nothing_is_a_list_without_items() {
    let listener = Listener::of(window(&[]));
    for (path, kind) in [
        ("nodes", "NodeMetrics"),
        ("pods", "PodMetrics"),
        ("namespaces/x/pods", "PodMetrics"),
    ] {
        let told = listener.get(&format!("{ROOT}/{path}"), &[]).await;
        let expected = format!(
            "{{\"kind\":\"{kind}List\",\"apiVersion\":\"metrics.k8s.io/v1beta1\",\"metadata\":{{}},\"items\":[]}}\n"
        );
        assert_eq!((told.status, told.text()), (200, &*expected));
        let table = listener
            .get(&format!("{ROOT}/{path}"), &[TABLE])
            .await
            .json();
        assert_eq!(table["rows"], json!([]));
    }
}

#[tokio::test]
async fn tables_have_what_is_asked_for_beside_their_cells() {
    let listener = listener();
    let path = |include: &str| format!("{ROOT}/nodes?includeObject={include}");
    let row = async |include: &str| {
        let table = listener.get(&path(include), &[TABLE]).await.json();
        table["rows"][0]["object"].clone()
    };
    assert_eq!(row("None").await, Value::Null);
    assert_eq!(row("Metadata").await["kind"], "PartialObjectMetadata");
    let object = row("Object").await;
    assert_eq!(
        (&object["kind"], &object["usage"]["cpu"]),
        (&json!("NodeMetrics"), &json!("500m"))
    );
    assert_eq!(listener.get(&path("Some"), &[TABLE]).await.status, 400);
    let older = (
        "accept",
        "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
    );
    let table = listener.get(&path("None"), &[older]).await.json();
    assert_eq!(table["apiVersion"], "meta.k8s.io/v1beta1");
}

#[tokio::test]
async fn metadata_alone_and_other_forms_are_given_and_what_cannot_be_is_refused() {
    let listener = listener();
    let list = (
        "accept",
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    );
    let told = listener.get(&format!("{ROOT}/nodes"), &[list]).await.json();
    assert_eq!(told["kind"], "PartialObjectMetadataList");
    assert_eq!(told["items"][1]["metadata"]["name"], "node2");
    assert_eq!(told["items"][1].get("usage"), None);
    let one = (
        "accept",
        "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    );
    let told = listener
        .get(&format!("{ROOT}/nodes/node1"), &[one])
        .await
        .json();
    assert_eq!(
        (&told["kind"], told.get("usage")),
        (&json!("PartialObjectMetadata"), None)
    );
    let told = listener.get(&format!("{ROOT}/nodes"), &[PROTOBUF]).await;
    assert_eq!(
        told.headers["content-type"],
        "application/vnd.kubernetes.protobuf"
    );
    assert!(told.body.starts_with(b"k8s\0"));
    let told = listener
        .get(&format!("{ROOT}/nodes/none"), &[PROTOBUF])
        .await;
    assert_eq!(told.status, 404);
    let has = |text: &[u8]| told.body.windows(text.len()).any(|part| part == text);
    assert!(told.body.starts_with(b"k8s\0") && has(b"node \"none\" not found"));
    let yaml = listener
        .get(&format!("{ROOT}/nodes"), &[("accept", "application/yaml")])
        .await;
    assert_eq!(yaml.headers["content-type"], "application/yaml");
    let html = listener
        .get(&format!("{ROOT}/nodes"), &[("accept", "text/html")])
        .await;
    let message = "only the following media types are accepted: application/json, application/yaml, \
                   application/vnd.kubernetes.protobuf";
    assert_eq!(
        (html.status, &html.json()["message"]),
        (406, &json!(message))
    );
}

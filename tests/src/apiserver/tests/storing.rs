//! Objects of any kind, over HTTP.

use serde_json::{Value, json};

use super::{client, json_of, started};
use crate::http1::Target;

const APPS: &str = "/apis/apps/v1/namespaces/cairn/deployments";

fn send(
    client: &Target,
    (method, path): (&str, &str),
    (media_type, body): (&str, &Value),
) -> (u16, Value) {
    let sent = (media_type, body.to_string().into_bytes());
    let answer = client.send(method, path, (sent.0, &sent.1)).unwrap();
    (answer.status, json_of(&answer))
}

fn deployment() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
           "spec": {"replicas": 1}, "status": {"replicas": 7}})
}

#[test]
fn an_object_is_created_once_and_in_a_namespace_that_there_is() {
    let (_dir, server) = started();
    let (client, json) = (client(&server), "application/json");
    let create = || send(&client, ("POST", APPS), (json, &deployment()));
    let (status, told) = create();
    assert_eq!(
        (status, &told["reason"]),
        (404, &json!("NotFound")),
        "{told}"
    );
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cairn"}});
    let (status, _) = send(&client, ("POST", "/api/v1/namespaces"), (json, &namespace));
    assert_eq!(status, 201);
    let (status, made) = create();
    assert_eq!(status, 201);
    let meta = &made["metadata"];
    assert_eq!(
        (&meta["namespace"], &meta["generation"]),
        (&json!("cairn"), &json!(1))
    );
    assert!(meta["uid"].is_string() && meta["creationTimestamp"].is_string());
    // What a controller says is not for others to say.
    assert!(made.get("status").is_none(), "{made}");
    let read = json_of(&client.get(&format!("{APPS}/a")).unwrap());
    assert_eq!(read, made);
    let (status, told) = create();
    assert_eq!((status, &told["reason"]), (409, &json!("AlreadyExists")));
    assert_eq!(told["message"], "deployments.apps \"a\" already exists");
    let list = json_of(
        &client
            .get(&format!("{APPS}?fieldSelector=metadata.name%3Da"))
            .unwrap(),
    );
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("DeploymentList"), &json!("apps/v1"))
    );
    assert_eq!(list["items"], json!([made]));
}

#[test]
fn writes_keep_what_is_not_theirs_and_patches_are_of_three_kinds() {
    let (_dir, server) = started();
    let client = client(&server);
    let path = format!("{APPS}/a");
    let control = server.control();
    let mut held = deployment();
    held["metadata"] = json!({"name": "a", "namespace": "cairn", "uid": "u", "generation": 4});
    control.put("deployments", held);
    let patch =
        |media_type: &str, body: &Value| send(&client, ("PATCH", &path), (media_type, body));
    let (status, merged) = patch(
        "application/merge-patch+json",
        &json!({"spec": {"paused": true}, "status": null}),
    );
    assert_eq!(
        (status, &merged["spec"]),
        (200, &json!({"replicas": 1, "paused": true}))
    );
    assert_eq!(merged["metadata"]["generation"], 5);
    assert_eq!(merged["status"], json!({"replicas": 7}));
    let strategic = json!({"metadata": {"labels": {"a": "b"}}});
    let (status, labelled) = patch("application/strategic-merge-patch+json", &strategic);
    // Only the spec counts.
    assert_eq!(
        (status, &labelled["metadata"]["generation"]),
        (200, &json!(5))
    );
    let steps = json!([{"op": "test", "path": "/spec/replicas", "value": 2}]);
    assert_eq!(patch("application/json-patch+json", &steps).0, 422);
    assert_eq!(patch("application/apply-patch+yaml", &json!({})).0, 415);
    // By the version that was read.
    let put = |body: &Value| send(&client, ("PUT", &path), ("application/json", body));
    let (status, told) = put(&merged);
    assert_eq!((status, &told["reason"]), (409, &json!("Conflict")));
    let (status, written) = put(&labelled);
    assert_eq!((status, &written["metadata"]["uid"]), (200, &json!("u")));
    let (status, told) = send(
        &client,
        ("PATCH", &format!("{APPS}/b")),
        ("application/merge-patch+json", &json!({})),
    );
    assert_eq!(
        (status, &told["message"]),
        (404, &json!("deployments.apps \"b\" not found"))
    );
}

#[test]
fn a_namespace_takes_what_is_in_it_along() {
    let (_dir, server) = started();
    let client = client(&server);
    let control = server.control();
    let object =
        |namespace: &str| json!({"metadata": {"namespace": namespace, "name": "a", "uid": "u"}});
    control.put(
        "namespaces",
        json!({"metadata": {"name": "cairn", "uid": "n"}}),
    );
    control.put("deployments", object("cairn"));
    control.put("deployments", object("other"));
    let delete = |path: &str| send(&client, ("DELETE", path), ("application/json", &json!({})));
    let (status, told) = delete("/api/v1/namespaces/cairn");
    assert_eq!(
        (status, &told["status"], &told["details"]["uid"]),
        (200, &json!("Success"), &json!("n"))
    );
    assert_eq!(delete(&format!("{APPS}/a")).0, 404);
    assert_eq!(control.list("deployments").len(), 1);
}

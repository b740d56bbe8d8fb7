//! Over real TLS sockets: the simulator on its own thread, a blocking client in the test.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{ApiServer, Fault, Minted, Permit, SERVER_NAME, TOKEN};
use crate::deadline::Deadline;
use crate::http1::{Answer, Target};

mod storing;

const SOON: Duration = Duration::from_secs(20);

const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

const ACCESS_REVIEWS: &str = "/apis/authorization.k8s.io/v1/subjectaccessreviews";

fn started() -> (tempfile::TempDir, ApiServer) {
    let dir = tempfile::tempdir().unwrap();
    let server = ApiServer::start(dir.path()).unwrap();
    (dir, server)
}

fn stranger(server: &ApiServer) -> Target {
    Target::tls(server.addr, SERVER_NAME, &server.ca).unwrap()
}

fn client(server: &ApiServer) -> Target {
    stranger(server).bearer(TOKEN)
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

fn names(list: &Value) -> Vec<String> {
    let items = list["items"].as_array().unwrap();
    let names = items
        .iter()
        .map(|item| item["metadata"]["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn recorded(name: &str) -> Value {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/apiserver-1.36");
    serde_json::from_slice(&std::fs::read(dir.join(name)).unwrap()).unwrap()
}

#[test]
fn the_recorded_objects_are_listed_in_pages_of_one_version() {
    let (_dir, server) = started();
    let client = client(&server);
    assert_eq!(
        names(&json_of(&client.get("/api/v1/nodes").unwrap())),
        ["node1", "node2"]
    );
    let first = json_of(&client.get("/api/v1/pods?limit=3").unwrap());
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    server.control().put(
        "pods",
        json!({"metadata": {"namespace": "shop", "name": "zero"}}),
    );
    let next = first["metadata"]["continue"].as_str().unwrap();
    let rest = json_of(
        &client
            .get(&format!("/api/v1/pods?limit=3&continue={next}"))
            .unwrap(),
    );
    assert_eq!(names(&rest), ["web-7ffcbbddf7-4kxhb"]);
    assert_eq!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
    assert!(rest["metadata"]["continue"].is_null());
    assert_eq!(server.control().requests("list", "pods"), 2);
    server.control().forget();
    let gone = client
        .get(&format!("/api/v1/pods?limit=3&continue={next}"))
        .unwrap();
    assert_eq!(
        (gone.status, &json_of(&gone)["reason"]),
        (410, &json!("Expired"))
    );
}

#[test]
fn a_watch_tells_what_changes_and_ends_in_time() {
    let (_dir, server) = started();
    let listed = json_of(&client(&server).get("/api/v1/pods").unwrap());
    let version = listed["metadata"]["resourceVersion"].as_str().unwrap();
    let control = server.control().clone();
    control.put(
        "pods",
        json!({"metadata": {"namespace": "shop", "name": "new"}}),
    );
    assert!(
        control.change("pods", ("shop", "new"), |pod| pod["spec"]["nodeName"] =
            "node1".into())
    );
    assert!(control.delete("pods", "shop", "new"));
    let path = format!("/api/v1/pods?watch=true&resourceVersion={version}&timeoutSeconds=1");
    let watched = client(&server).get(&path).unwrap().text();
    let events = watched
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let kinds: Vec<String> = events
        .map(|event| event["type"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
    control.forget();
    let gone = client(&server).get(&path).unwrap().text();
    let gone: Value = serde_json::from_str(gone.trim()).unwrap();
    assert_eq!(
        (&gone["type"], &gone["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
}

#[test]
fn faults_last_for_the_requests_asked_for_and_strangers_stay_out() {
    let (_dir, server) = started();
    assert_eq!(stranger(&server).get("/api/v1/nodes").unwrap().status, 401);
    server
        .control()
        .fault("list", "nodes", Fault::TooMany(7), 1);
    let refused = client(&server).get("/api/v1/nodes").unwrap();
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("7"))
    );
    assert_eq!(client(&server).get("/api/v1/nodes").unwrap().status, 200);
    server.go_away();
    let within = Deadline::after(SOON);
    let away = || client(&server).get("/api/v1/nodes").is_err().then_some(());
    within.poll(away).expect("it is still there");
    server.come_back();
    let back = || client(&server).get("/api/v1/nodes").ok();
    assert_eq!(within.poll(back).expect("it is not back").status, 200);
}

#[test]
fn tokens_are_reviewed_as_the_real_server_does() {
    let (_dir, server) = started();
    let (control, client) = (server.control(), client(&server));
    let pod = control.get("pods", "shop", "web-7ffcbbddf7-2fgtl").unwrap();
    let token = control.mint(Minted::of_pod(&pod, "cairn-aggregator"));
    let review = |token: &str, audience: &str| {
        let spec = json!({"token": token, "audiences": [audience]});
        let body =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec});
        let answer = client
            .post(TOKEN_REVIEWS, body.to_string().as_bytes())
            .unwrap();
        assert_eq!(answer.status, 201);
        json_of(&answer)["status"].clone()
    };
    let good = review(&token, "cairn-aggregator");
    let kept = recorded("tokenreview_node_bound.json");
    assert_eq!(good["authenticated"], kept["status"]["authenticated"]);
    assert_eq!(good["audiences"], kept["status"]["audiences"]);
    let node = "authentication.kubernetes.io/node-name";
    assert_eq!(
        good["user"]["extra"][node],
        kept["status"]["user"]["extra"][node]
    );
    assert_eq!(
        good["user"]["username"],
        "system:serviceaccount:shop:default"
    );
    let bad = recorded("tokenreview_bad.json")["status"].clone();
    assert_eq!(review(&token, "somebody-else"), bad);
    assert_eq!(review("nonsense", "cairn-aggregator"), bad);
    assert!(control.delete("pods", "shop", "web-7ffcbbddf7-2fgtl"));
    assert_eq!(review(&token, "cairn-aggregator"), bad);
}

#[test]
fn rights_are_reviewed() {
    let (_dir, server) = started();
    let (control, client) = (server.control(), client(&server));
    let ask = |name: &str| {
        let mut asked = recorded(name);
        let expected = asked["status"].take();
        let answer = client
            .post(ACCESS_REVIEWS, asked.to_string().as_bytes())
            .unwrap();
        (json_of(&answer)["status"].clone(), expected)
    };
    for name in ["sar_allowed.json", "sar_denied.json"] {
        let (answered, expected) = ask(name);
        assert_eq!(answered, expected, "{name}");
    }
    let permit = Permit {
        who: "system:authenticated".into(),
        verb: "delete".into(),
        group: "metrics.k8s.io".into(),
        resource: "pods".into(),
        namespace: "*".into(),
    };
    control.permit(permit.clone());
    assert_eq!(ask("sar_denied.json").0, json!({"allowed": true}));
    control.forbid(&permit);
    assert_eq!(ask("sar_denied.json").0, json!({"allowed": false}));
}

#[test]
fn objects_are_written_by_the_version_that_was_read() {
    let (_dir, server) = started();
    let control = server.control();
    let path = "/api/v1/namespaces/cairn/configmaps/cairn-ca";
    assert_eq!(client(&server).get(path).unwrap().status, 404);
    let named = json!({"metadata": {"namespace": "cairn", "name": "cairn-ca"}});
    control.put("configmaps", named);
    let read = json_of(&client(&server).get(path).unwrap());
    assert!(read["metadata"]["resourceVersion"].is_string());
    assert!(
        control.write_as("argo", "configmaps", ("cairn", "cairn-ca"), |object| {
            object["data"] = json!({"ca.crt": "pem"});
        })
    );
    let later = json_of(&client(&server).get(path).unwrap());
    assert_ne!(
        later["metadata"]["resourceVersion"],
        read["metadata"]["resourceVersion"]
    );
    assert_eq!(later["metadata"]["managedFields"][0]["manager"], "argo");
    // By a clock that a test sets.
    control.set_clock_ahead_ms(-3_600_000_000);
    assert!(
        control.write_as("argo", "configmaps", ("cairn", "cairn-ca"), |object| {
            object["data"] = json!({"ca.crt": "other"});
        })
    );
    let answer = client(&server).get(path).unwrap();
    let time = json_of(&answer)["metadata"]["managedFields"][0]["time"].clone();
    let at_ms = crate::rfc3339::parse(time.as_str().unwrap()).unwrap();
    let behind_ms = cairn_runtime::clock::Clock::system().unix_ms() - at_ms;
    assert!(
        (3_600_000_000..3_660_000_000).contains(&behind_ms),
        "{behind_ms}"
    );
    let date = answer.header("date").unwrap();
    let expected: Vec<String> = (0..60)
        .map(|late| crate::rfc3339::date(at_ms / 1000 + late))
        .collect();
    assert!(
        expected.iter().any(|one| one == date),
        "{date} {expected:?}"
    );
}

//! Cairn's own answers to readers: what each of them finds, for how long, and what nobody finds.

mod many;
mod namespaces;
mod played;
mod shares;
mod streams;

use tokio::time::{Duration, advance};

use super::*;
use crate::api::native;
use crate::cluster::{
    Amounts, Change, Cluster, Container, Known, Node, Owner, Phase, Pod, Requirements,
};
use played::Played;

fn object(namespace: &str, name: &str) -> Pod {
    Pod {
        namespace: namespace.into(),
        name: name.into(),
        uid: format!("uid-of-{name}").into(),
        node: "node1".into(),
        phase: Phase::Running,
        owner: Some(Arc::new(Owner {
            kind: "StatefulSet".into(),
            name: format!("set-of-{name}").into(),
        })),
        containers: Box::new([Container {
            name: "app".into(),
            requirements: Arc::new(Requirements {
                requests: Amounts {
                    cpu_milli: Some(125),
                    ..Amounts::default()
                },
                ..Requirements::default()
            }),
            ..Container::default()
        }]),
        ..Pod::default()
    }
}

/// A node with a pod in namespace `a`, and perhaps one in `b`.
fn cluster(has_b: bool) -> Api {
    let mut things = vec![
        (def(1, EntityKind::Node, 0, "node1"), USUAL),
        (def(2, EntityKind::System, 1, "kubelet"), USUAL),
        (pod(3, "a", "web"), USUAL),
        (def(4, EntityKind::Container, 3, "app"), USUAL),
    ];
    let known = Known::default();
    known.set_synced();
    known.apply(Change::Node(Node {
        name: "node1".into(),
        ..Node::default()
    }));
    known.apply(Change::Pod(object("a", "web")));
    if has_b {
        things.push((pod(5, "b", "bank"), USUAL));
        things.push((def(6, EntityKind::Container, 5, "app"), USUAL));
        known.apply(Change::Pod(object("b", "bank")));
    }
    Api {
        cluster: Cluster::watched(Arc::new(known)),
        ..window(&things)
    }
}

/// Every kind of question, about what there is, what there is not and what is another's.
const QUESTIONS: [&str; 58] = [
    "/",
    "/api/v1/model/debug/allkeys",
    "/api/v1/model/nodes/",
    "/api/v1/model/nodes/node1/freecontainers",
    "/api/v1/model/nodes/node1/metrics/memory/working_set",
    "/api/v1/model/nodes/node1/freecontainers/kubelet/metrics/memory/working_set",
    "/api/v1/model/namespaces/",
    "/api/v1/model/metrics",
    "/api/v1/model/metrics/memory/working_set",
    "/api/v1/model/metrics/cpu/usage_rate",
    "/api/v1/model/namespaces/a/pods",
    "/api/v1/model/namespaces/a/metrics/cpu/usage_rate",
    "/api/v1/model/namespaces/a/pods/web/metrics/cpu/usage_rate",
    "/api/v1/model/namespaces/a/pods/bank/metrics/cpu/usage_rate",
    "/api/v1/model/namespaces/a/pods/web/containers",
    "/api/v1/model/namespaces/a/pods/web/containers/app/metrics/memory/working_set",
    "/api/v1/model/namespaces/a/pod-list/web,bank/metrics/memory/working_set",
    "/api/v1/model/namespaces/b/pods",
    "/api/v1/model/namespaces/b/metrics/cpu/usage_rate",
    "/api/v1/model/namespaces/b/pods/bank/metrics/cpu/usage_rate",
    "/api/v1/model/namespaces/b/pods/bank/containers/app/metrics",
    "/api/v1/model/namespaces/b/pod-list/web,bank/metrics/memory/working_set",
    "/api/v1/model%2Fnamespaces%2Fb/pods",
    "/api/v1/metric-export",
    "/api/v1/metric-export-schema",
    "/api/v1/dashboard/nodes/node1/metrics/cpu/x",
    "/api/v1/dashboard/namespaces/a/pod-list/web,bank/metrics/cpu/x",
    "/api/v1/dashboard/namespaces/b/pod-list/web,bank/metrics/cpu/x",
    "/api/cairn/v1/overview",
    "/api/cairn/v1/overview?node=node1",
    "/api/cairn/v1/values?node=node1",
    "/api/cairn/v1/values?node=nosuch",
    "/api/cairn/v1/explain?node=node1",
    "/api/cairn/v1/explain?namespace=a&pod=web",
    "/api/cairn/v1/explain?namespace=a&pod=bank",
    "/api/cairn/v1/explain?namespace=b&pod=bank",
    "/api/cairn/v1/range?metric=memory_working_set_bytes",
    "/api/cairn/v1/range?metric=memory_working_set_bytes&kind=container",
    "/api/cairn/v1/range?metric=memory_working_set_bytes&kind=node",
    "/api/cairn/v1/range?metric=memory_working_set_bytes&kind=system",
    "/api/cairn/v1/range?metric=memory_working_set_bytes&namespace=b",
    "/api/cairn/v1/range?metric=memory_working_set_bytes&pod=bank",
    "/api/cairn/v1/range?metric=memory_working_set_bytes&node=node1",
    "/api/cairn/v1/workloads",
    "/api/cairn/v1/workloads?kind=workload",
    "/api/cairn/v1/workloads?namespace=a",
    "/api/cairn/v1/workloads?namespace=b",
    "/api/cairn/v1/range?kind=workload&metric=memory_working_set_bytes",
    "/api/cairn/v1/range?kind=workload&metric=cpu_request_millicores&namespace=b",
    "/api/cairn/v1/range?metric=cpu_request_millicores",
    "/api/v1/model/namespaces/b/metrics/cpu/request",
    "/apis/metrics.k8s.io/v1beta1/nodes",
    "/apis/metrics.k8s.io/v1beta1/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/a/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/b/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/b/pods/bank",
    "/apis",
    "/version",
];

impl Listener {
    /// As somebody with this token.
    async fn tells(&self, token: &str, path: &str) -> Told {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer)];
        self.ask(Method::GET, path, &headers, None).await
    }
}

/// All that an answer says.
fn all(told: &Told) -> (u16, String, &[u8]) {
    (told.status, format!("{:?}", told.headers), &told.body)
}

#[tokio::test]
async fn a_reader_of_namespace_a_finds_no_byte_that_depends_on_namespace_b() {
    let played = Played::with(&[("jane", "pods", "a"), ("admin", "*", "")]);
    let (with, without) = (
        played.listener(cluster(true)),
        played.listener(cluster(false)),
    );
    let mut differing = 0;
    for path in QUESTIONS {
        let (one, other) = (
            with.tells("jane", path).await,
            without.tells("jane", path).await,
        );
        assert_eq!(all(&one), all(&other), "{path}");
        let found = String::from_utf8_lossy(&one.body).into_owned();
        let is_named = path.contains("bank");
        assert!(is_named || !found.contains("bank"), "{path}: {found}");
        let (one, other) = (
            with.tells("admin", path).await,
            without.tells("admin", path).await,
        );
        differing += usize::from(all(&one) != all(&other));
    }
    // What is compared does depend on what there is, for who may see it.
    assert!(differing > 20, "{differing}");
}

#[tokio::test]
async fn a_reader_finds_all_of_their_namespace_and_is_told_of_what_sums_are() {
    let played = Played::with(&[("jane", "pods", "a"), ("admin", "*", "")]);
    let listener = played.listener(cluster(true));
    let sum = "/api/v1/model/metrics/cpu/usage_rate";
    let (mine, everything) = (
        listener.tells("jane", sum).await,
        listener.tells("admin", sum).await,
    );
    assert_eq!(mine.headers["cairn-of"], "what you may see");
    assert!(!everything.headers.contains_key("cairn-of"));
    // Half a core a pod.
    let newest = |told: &Told| told.json()["metrics"][1]["value"].as_u64();
    assert_eq!(newest(&mine), Some(500));
    assert_eq!(newest(&everything), Some(1_000));
    let path = "/api/v1/model/namespaces/a/pods";
    let pods = listener.tells("jane", path).await;
    assert_eq!(pods.text(), "[\n  \"web\"\n ]");
    assert!(!pods.headers.contains_key("cairn-of"), "it is all of it");
    let frame = listener
        .tells("jane", "/api/cairn/v1/overview?node=node1")
        .await;
    let frame = frame.json();
    assert_eq!(frame["of"], "what you may see");
    assert_eq!(frame["pods"][0]["name"], "web");
    assert_eq!(frame["nodes"], serde_json::json!([]));
    assert_eq!(frame["cluster"]["memory"][0], 1_048_576.0);
    let values = listener
        .tells("jane", "/api/cairn/v1/values?node=node1")
        .await;
    let kinds = values.json()["entities"].as_array().unwrap().len();
    assert_eq!(kinds, 2, "{}", values.text());
    let range = "/api/cairn/v1/range?metric=memory_working_set_bytes&namespace=a";
    let range = listener.tells("jane", range).await.json();
    assert_eq!(range["series"][0]["pod"], "web");
    for path in ["/", "/api/v1/metric-export-schema"] {
        assert_eq!(listener.tells("jane", path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn what_pods_ask_for_is_for_who_may_list_the_pods_themselves() {
    let played = Played::with(&[
        ("jane", "pods", "a"),
        ("dev", "pods", "a"),
        ("dev", "core/pods", "a"),
        ("admin", "*", ""),
    ]);
    let listener = played.listener(cluster(true));
    let of_a = "/api/cairn/v1/range?metric=cpu_request_millicores&namespace=a";
    let of_all = "/api/cairn/v1/range?metric=cpu_request_millicores";
    let workloads = "/api/cairn/v1/workloads?namespace=a";
    for (who, path, is_shown) in [
        ("jane", of_a, false),
        ("dev", of_a, true),
        ("admin", of_a, true),
        // Of all of them: who may list all.
        ("dev", of_all, false),
        ("admin", of_all, true),
        ("jane", workloads, false),
        ("dev", workloads, true),
    ] {
        let told = listener.tells(who, path).await;
        assert_eq!(told.status, 200, "{who} {path}");
        assert_eq!(
            told.text().contains("125"),
            is_shown,
            "{who} {path} {}",
            told.text()
        );
    }
    let of_jane = listener.tells("jane", workloads).await;
    assert!(of_jane.text().contains("set-of-web"), "{}", of_jane.text());
}

#[tokio::test]
async fn nodes_are_for_who_may_list_them_or_get_the_one_that_is_named() {
    let played = Played::with(&[("ops", "nodes", ""), ("one", "nodes/node1", "")]);
    let listener = played.listener(cluster(true));
    let values = "/api/v1/model/nodes/node1/metrics/memory/working_set";
    for (who, path, status) in [
        ("ops", "/api/v1/model/nodes/", 200),
        ("ops", values, 200),
        ("one", values, 200),
        ("one", "/api/v1/model/nodes/", 403),
        ("one", "/api/v1/model/nodes/node2/metrics/memory/usage", 403),
        ("ops", "/api/v1/model/namespaces/a/pods", 403),
        ("ops", "/api/v1/model/metrics/memory/working_set", 403),
    ] {
        assert_eq!(
            listener.tells(who, path).await.status,
            status,
            "{who} {path}"
        );
    }
    let frame = listener
        .tells("ops", "/api/cairn/v1/overview?node=node1")
        .await;
    let frame = frame.json();
    assert_eq!(frame["nodes"][0]["name"], "node1");
    assert_eq!(frame["pods"], serde_json::json!([]));
    assert_eq!(frame["cluster"]["memory"], serde_json::json!([null]));
    let dump = listener.tells("ops", "/api/v1/metric-export").await;
    assert!(dump.text().contains("node1") && !dump.text().contains("web"));
}

#[tokio::test]
async fn unknown_and_forbidden_look_the_same() {
    let played = Played::with(&[("jane", "pods", "a")]);
    let listener = played.listener(cluster(true));
    for path in [
        "/api/v1/model/namespaces/b/pods",
        "/api/v1/model/namespaces/b/metrics/memory/working_set",
        "/api/cairn/v1/range?metric=memory_working_set_bytes&namespace=b",
        "/api/v1/dashboard/namespaces/b/pod-list/p/metrics/cpu/x",
        "/api/v1/model/nodes/node1/metrics/memory/working_set",
        "/api/v1/dashboard/nodes/node1/metrics/cpu/x",
    ] {
        let told = listener.tells("jane", path).await;
        let other = path
            .replace("namespaces/b", "namespaces/nosuch")
            .replace("namespace=b", "namespace=nosuch")
            .replace("nodes/node1", "nodes/nosuch");
        let unknown = listener.tells("jane", &other).await;
        let renamed = unknown.text().replace("\"nosuch\"", "\"b\"");
        let renamed = renamed.replace("\"node1\"", "\"b\"");
        let text = told.text().replace("\"node1\"", "\"b\"");
        assert_eq!((told.status, &*text), (403, &*renamed), "{path}");
        assert!(
            text.contains("cannot") && text.contains("ask for a role"),
            "{text}"
        );
    }
    let missing = listener
        .tells("jane", "/api/cairn/v1/values?node=nosuch")
        .await;
    assert_eq!(missing.status, 404);
}

#[tokio::test]
async fn who_has_no_right_and_who_is_nobody_sees_nothing() {
    let played = Played::with(&[]);
    let listener = played.listener(cluster(true));
    let spoofed = [
        ("x-remote-user", "admin"),
        ("x-remote-group", "system:masters"),
    ];
    for native in native::tests::ALL {
        let path = native::tests::example(native);
        if native == native::Native::Health {
            continue;
        }
        let is_page = native == native::Native::Page;
        let told = listener.tells("jane", path).await;
        assert_eq!(told.status, if is_page { 200 } else { 403 }, "{path}");
        assert!(is_page || !told.text().contains("web"), "{path}");
        let denied = if matches!(native, native::Native::Large(native::Large::Resource)) {
            // What this listener has not is answered as by any API server.
            403
        } else {
            401
        };
        for headers in [&[][..], &spoofed] {
            let told = listener.ask(Method::GET, path, headers, None).await;
            assert_eq!(told.status, denied, "{path}: {}", told.text());
            assert!(!told.text().contains("web"), "{path}");
        }
        let told = listener.tells("bad", path).await;
        assert_eq!(told.status, 401, "{path}: {}", told.text());
    }
    let told = listener.ask(Method::GET, "/", &[], None).await;
    assert_eq!(told.headers["www-authenticate"], "Bearer");
    // Nobody was asked for those who did not say who they are, but of what is Kubernetes' own.
    let other = listener.others.leaf("jane").client().write().unwrap();
    let path = "/api/cairn/v1/overview";
    let told = listener
        .ask(Method::GET, path, &spoofed, Some(shown(&other)))
        .await;
    assert_eq!(told.status, 401);
}

#[tokio::test]
async fn the_front_proxy_reads_for_others_and_masters_need_no_api_server() {
    let mut listener = Listener::of(cluster(true));
    let path = "/api/v1/model/metrics/memory/working_set";
    let told = listener.get(path, &[]).await;
    assert_eq!(told.status, 200);
    assert!(!told.headers.contains_key("cairn-of"));
    let jane = [("x-remote-user", "jane")];
    let told = listener
        .ask(Method::GET, path, &jane, listener.proxy())
        .await;
    assert_eq!(told.status, 403);
    // By a client certificate.
    listener.secure.authenticators.clients = Some(trust(&listener.others.cert_pem));
    let admin = listener.others.leaf("admin").organization("system:masters");
    let admin = shown(&admin.client().write().unwrap());
    let told = listener.ask(Method::GET, path, &[], Some(admin)).await;
    assert_eq!(told.status, 200);
    let told = listener.tells("any", path).await;
    assert_eq!(told.status, 401, "nobody reviews tokens");
}

/// Scenario: the API server is away for ten minutes.
/// Guarantees: what is known is answered for ten seconds, nothing is answered then but what needs nobody, and
/// everything once it is back.
#[tokio::test(start_paused = true)]
async fn without_the_api_server_what_is_kept_goes_on_and_the_rest_fails_closed() {
    let played = Played::with(&[("jane", "pods", "a"), ("joe", "pods", "a")]);
    let listener = played.listener(cluster(true));
    let path = "/api/v1/model/namespaces/a/pods";
    assert_eq!(listener.tells("jane", path).await.status, 200);
    played.set_away(true);
    assert_eq!(listener.tells("jane", path).await.status, 200);
    assert_eq!(listener.tells("joe", path).await.status, 401);
    advance(Duration::from_secs(11)).await;
    for _ in 0..10 {
        let told = listener.tells("jane", path).await;
        assert!([401, 503].contains(&told.status), "{}", told.status);
        let found = listener.ask(Method::GET, "/livez", &[], None).await;
        assert_eq!(found.status, 200);
        let jane = [("x-remote-user", "jane")];
        let apis = listener.ask(Method::GET, "/apis", &jane, listener.proxy());
        assert_eq!(apis.await.status, 200);
        let told = listener
            .ask(Method::GET, path, &jane, listener.proxy())
            .await;
        assert_eq!(told.status, 503, "{}", told.text());
        assert_eq!(told.headers["retry-after"], "1");
        advance(Duration::from_secs(59)).await;
    }
    played.set_away(false);
    assert_eq!(listener.tells("jane", path).await.status, 200);
    assert_eq!(listener.tells("joe", path).await.status, 200);
}

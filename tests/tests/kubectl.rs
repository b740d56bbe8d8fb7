//! Stock clients read metrics.k8s.io through the API server's front proxy and show, to the last digit, what the
//! kubelets said: a current kubectl, an old one, and the client of Python. Who is not that front proxy sees
//! nothing.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

#[path = "kubectl/bed.rs"]
mod bed;
#[path = "kubectl/client.rs"]
mod client;
#[path = "kubectl/expected.rs"]
mod expected;

use std::time::Duration;

use bed::{Bed, SWAP_BYTES, SWAPPING};
use client::{Client, python};
use expected::{Expected, Row, timeless};
use serde_json::{Value, json};
use testkit::system::at;
use testkit::usage;

const ADMIN: &str = "token-of-admin";
const JANE: &str = "token-of-jane";
const ROOT: &str = "/apis/metrics.k8s.io/v1beta1";

/// How long anything may take to come about.
const SOON: Duration = Duration::from_secs(60);

/// The least span of CPU when no flag says another, ms.
const SPAN_MS: u64 = 30_000;

/// From this tick on there are answers, and until that one is looked at every list. Pods come and go between
/// them, and a container begins again.
const TICKS: std::ops::RangeInclusive<u64> = 5..=14;

/// What a client shows of the namespace `shop`.
fn in_shop(namespace: &str, _: &str) -> bool {
    namespace == "shop"
}

/// Scenario: the recorded kubelets are read tick by tick, and stock clients ask through the front proxy.
/// Guarantees: every object, quantity, span, time and label is what the written rules make of the recording.
#[test]
fn stock_clients_show_exactly_what_the_kubelets_said() {
    let bed = Bed::watched();
    let proxy = bed.proxy();
    let kubectl = Client::kubectl(&proxy, ADMIN);
    discovery(&kubectl);
    for k in 0..*TICKS.start() {
        bed.system.tick(at(k)).unwrap();
    }
    let mut seen = Vec::new();
    for k in TICKS {
        bed.system.tick(at(k)).unwrap();
        let expected = expected(&bed, k);
        lists(&kubectl, &expected);
        seen.push(expected.usages.pods.len());
    }
    // Not the same ones all the while.
    seen.dedup();
    assert!(seen.len() >= 3, "{seen:?}");
    let expected = expected(&bed, *TICKS.end());
    objects(&kubectl, &expected);
    top(&kubectl, &expected);
    swap(&kubectl, &expected);
    old(&Client::debians(&proxy, ADMIN), &expected);
    of_python(&kubectl, &expected);
    // Who may not is told so, and not by kubectl alone.
    let jane = Client::kubectl(&proxy, JANE);
    let (ok, _, err) = jane.says(&["top", "pods", "-n", "shop"]);
    let why = "User \"jane\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the \
               namespace \"shop\"";
    assert!(!ok && err.contains(why), "{err}");
    assert!(jane.run(&["get", "--raw", ROOT]).contains("\"PodMetrics\""));
}

fn expected(bed: &Bed, k: u64) -> Expected<'_> {
    Expected {
        usages: bed.recorded.usages(at(k), SPAN_MS),
        core: &bed.core,
    }
}

/// What is served is told without any data.
fn discovery(kubectl: &Client) {
    let verbs = ["get", "list"];
    let resource = |name: &str, namespaced: bool, kind: &str| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs});
    let version = json!({"groupVersion": "metrics.k8s.io/v1beta1", "version": "v1beta1"});
    let group =
        json!({"name": "metrics.k8s.io", "versions": [version], "preferredVersion": version});
    let mut alone = group.clone();
    alone["kind"] = json!("APIGroup");
    alone["apiVersion"] = json!("v1");
    let resources = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [resource("nodes", false, "NodeMetrics"), resource("pods", true, "PodMetrics")],
    });
    let groups = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]});
    for (path, expected) in [
        ("/apis", groups),
        ("/apis/metrics.k8s.io", alone),
        (ROOT, resources),
    ] {
        assert_eq!(kubectl.json(&["get", "--raw", path]), expected, "{path}");
    }
    let head = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
    let table = kubectl.table(&["api-resources", "--api-group=metrics.k8s.io"]);
    assert_eq!(
        table,
        [
            &head[..],
            &["nodes", "metrics.k8s.io/v1beta1", "false", "NodeMetrics"],
            &["pods", "metrics.k8s.io/v1beta1", "true", "PodMetrics"],
        ]
    );
    let version = "--api-version=metrics.k8s.io/v1beta1";
    for (what, parts) in [
        (
            "nodes",
            &["KIND:       NodeMetrics", "usage", "window", "-required-"][..],
        ),
        (
            "pods.containers",
            &["The name of the container in its pod.", "usage"],
        ),
    ] {
        let explained = kubectl.run(&["explain", what, version]);
        let missing = parts.iter().find(|part| !explained.contains(**part));
        assert_eq!(missing, None, "{explained}");
    }
    // Of data there is none yet, and autoscalers are told to wait.
    let (ok, _, err) = kubectl.says(&["get", "--raw", &format!("{ROOT}/pods")]);
    assert!(!ok && err.contains("ServiceUnavailable"), "{err}");
}

/// Every object of every list.
fn lists(kubectl: &Client, expected: &Expected<'_>) {
    let raw = |path: &str| timeless(kubectl.json(&["get", "--raw", &format!("{ROOT}/{path}")]));
    assert_eq!(raw("nodes"), expected.node_list());
    assert_eq!(raw("pods"), expected.pod_list(|_, _| true));
    assert_eq!(raw("namespaces/shop/pods"), expected.pod_list(in_shop));
}

/// Single objects, tables and YAML.
fn objects(kubectl: &Client, expected: &Expected<'_>) {
    let yaml = kubectl.run(&["get", "nodes.metrics.k8s.io", "-o", "yaml"]);
    let (created, kept): (Vec<&str>, Vec<&str>) = yaml
        .split_inclusive('\n')
        .partition(|line| line.contains("creationTimestamp: "));
    assert_eq!((created.len(), kept.concat()), (2, expected.node_yaml()));
    let head = ["NAME", "CPU", "MEMORY", "WINDOW"];
    same(
        kubectl,
        &["get", "nodes.metrics.k8s.io"],
        &head,
        &expected.node_table(),
    );
    let head = ["NAMESPACE", "NAME", "CPU", "MEMORY", "WINDOW"];
    let pods = expected.with_namespaces(expected.pod_table());
    same(kubectl, &["get", "pods.metrics.k8s.io", "-A"], &head, &pods);
    let one = format!("--field-selector=metadata.name={}", pods[0][1]);
    let args = ["get", "pods.metrics.k8s.io", "-A", &one];
    same(kubectl, &args, &head, &pods[..1]);
    let (ok, _, err) = kubectl.says(&["get", "nodes.metrics.k8s.io", "none"]);
    assert!(!ok && err.contains("node \"none\" not found"), "{err}");
}

/// What people read.
fn top(kubectl: &Client, expected: &Expected<'_>) {
    let head = ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"];
    same(kubectl, &["top", "nodes"], &head, &expected.top_nodes());
    top_pods(kubectl, expected);
    let head = ["NAME", "CPU(cores)", "MEMORY(bytes)"];
    let is_web = |namespace: &str, name: &str| in_shop(namespace, name) && name.starts_with("web-");
    let webs = expected.top_pods(is_web);
    assert!(webs.len() >= 4, "{webs:?}");
    same(
        kubectl,
        &["top", "pod", "-n", "shop", "-l", "app=web"],
        &head,
        &webs,
    );
    let one = webs[..1].to_vec();
    same(
        kubectl,
        &["top", "pod", "-n", "shop", &webs[0][0]],
        &head,
        &one,
    );
    let others =
        expected.top_pods(|namespace, name| in_shop(namespace, name) && !is_web(namespace, name));
    same(
        kubectl,
        &["top", "pod", "-n", "shop", "-l", "app notin (web)"],
        &head,
        &others,
    );
}

/// The lists of pods that both kubectls show alike.
fn top_pods(kubectl: &Client, expected: &Expected<'_>) {
    let head = ["NAMESPACE", "NAME", "CPU(cores)", "MEMORY(bytes)"];
    let all = expected.with_namespaces(expected.top_pods(|_, _| true));
    same(kubectl, &["top", "pods", "-A"], &head, &all);
    let containers = expected.with_namespaces(expected.top_containers(|_, _| true));
    let head = ["NAMESPACE", "POD", "NAME", "CPU(cores)", "MEMORY(bytes)"];
    let mut shown = kubectl.table(&["top", "pods", "-A", "--containers"]);
    assert_eq!(shown.remove(0), head);
    // An old one shows the containers of a pod in any order.
    shown.sort();
    assert_eq!(shown, containers);
}

/// Swap: the first machine has and uses some, the other has none.
fn swap(kubectl: &Client, expected: &Expected<'_>) {
    let head = [
        "NAME",
        "CPU(cores)",
        "CPU(%)",
        "MEMORY(bytes)",
        "MEMORY(%)",
        "SWAP(bytes)",
        "SWAP(%)",
    ];
    let mut nodes = expected.top_nodes();
    for row in &mut nodes {
        let used = expected.usages.nodes[&row[0]].swap_bytes.unwrap();
        row.extend(if row[0] == SWAPPING {
            [usage::mebibytes(used), usage::percent(used, SWAP_BYTES)]
        } else {
            assert_eq!(used, 0);
            // Where the machine has no swap it shows neither.
            ["<unknown>", "<unknown>"].map(str::to_owned)
        });
    }
    assert!(!nodes[0].contains(&"0Mi".to_owned()), "{nodes:?}");
    same(kubectl, &["top", "nodes", "--show-swap"], &head, &nodes);
    let head = [
        "NAMESPACE",
        "NAME",
        "CPU(cores)",
        "MEMORY(bytes)",
        "SWAP(bytes)",
    ];
    let mut pods = expected.with_namespaces(expected.top_pods(|_, _| true));
    for row in &mut pods {
        let pod = &expected.usages.pods[&(row[0].clone(), row[1].clone())];
        let used = pod.containers.values().map(|one| one.swap_bytes.unwrap());
        row.push(usage::mebibytes(used.sum()));
    }
    let swapping = pods.iter().filter(|row| row[4] != "0Mi").count();
    assert!((1..pods.len()).contains(&swapping), "{pods:?}");
    same(kubectl, &["top", "pods", "-A", "--show-swap"], &head, &pods);
    let head = ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)", "SWAP(bytes)"];
    let mut containers = expected.top_containers(in_shop);
    for row in &mut containers {
        let pod = &expected.usages.pods[&("shop".to_owned(), row[0].clone())];
        row.push(usage::mebibytes(
            pod.containers[&row[1]].swap_bytes.unwrap(),
        ));
    }
    let args = ["top", "pods", "-n", "shop", "--containers", "--show-swap"];
    same(kubectl, &args, &head, &containers);
}

/// A kubectl that is years old, and asks what is served by the older discovery.
fn old(kubectl: &Client, expected: &Expected<'_>) {
    let mut nodes = kubectl.table(&["top", "nodes"]);
    let head = nodes.remove(0).join(" ").replace(['(', ')'], "");
    assert_eq!(head, "NAME CPUcores CPU% MEMORYbytes MEMORY%");
    assert_eq!(nodes, expected.top_nodes());
    top_pods(kubectl, expected);
    lists(kubectl, expected);
    let head = ["NAME", "CPU", "MEMORY", "WINDOW"];
    same(
        kubectl,
        &["get", "nodes.metrics.k8s.io"],
        &head,
        &expected.node_table(),
    );
    let head = ["NAMESPACE", "NAME", "CPU", "MEMORY", "WINDOW"];
    let pods = expected.with_namespaces(expected.pod_table());
    same(kubectl, &["get", "pods.metrics.k8s.io", "-A"], &head, &pods);
}

/// The client of programs.
fn of_python(of: &Client, expected: &Expected<'_>) {
    let mut read = python(of);
    let mut take = |name: &str| read[name].take();
    assert_eq!(take("resources"), json!(["nodes", "pods"]));
    assert_eq!(timeless(take("nodes")), expected.node_list());
    assert_eq!(timeless(take("pods")), expected.pod_list(|_, _| true));
    let webs =
        expected.pod_list(|namespace, name| in_shop(namespace, name) && name.starts_with("web-"));
    assert_eq!(timeless(take("webs")), webs);
    let mut node = timeless(json!({"items": [take("node")]}))["items"][0].take();
    let named = node.as_object_mut().unwrap();
    assert_eq!(named.remove("kind"), Some(Value::from("NodeMetrics")));
    assert_eq!(
        named.remove("apiVersion"),
        Some(Value::from("metrics.k8s.io/v1beta1"))
    );
    assert_eq!(node, expected.node_list()["items"][0]);
    assert_eq!(
        take("none"),
        json!({"status": 404, "message": "node \"none\" not found"})
    );
}

/// A table must have this head and these lines.
fn same(kubectl: &Client, args: &[&str], head: &[&str], expected: &[Row]) {
    let mut shown = kubectl.table(args);
    assert_eq!(shown.remove(0), head, "{args:?}");
    assert_eq!(shown, expected, "{args:?}");
}

#[test]
fn who_is_not_the_front_proxy_sees_nothing() {
    let mut bed = Bed::alone();
    let path = format!("{ROOT}/nodes");
    let forbidden = "nodes.metrics.k8s.io is forbidden: User \\\"system:anonymous\\\" cannot list \
                     resource \\\"nodes\\\" in API group \\\"metrics.k8s.io\\\" at the cluster scope";
    let spoofed = bed
        .direct()
        .header("X-Remote-User", "kubernetes-admin")
        .header("X-Remote-Group", "system:masters");
    for target in [bed.direct(), spoofed] {
        let answer = target.get(&path).unwrap();
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains(forbidden), "{}", answer.text());
    }
    let token = bed.direct().bearer("abc").get(&path).unwrap();
    assert_eq!(
        (token.status, token.text().contains("\"Unauthorized\"")),
        (401, true)
    );
    // Probes are for everybody.
    assert_eq!(bed.direct().get("/livez").unwrap().text(), "ok");
    // More than a listener takes of headers ends that request alone.
    let long = "x".repeat(8 * 1024);
    let mut bomb = bed.direct();
    for _ in 0..8 {
        bomb = bomb.header("X-Remote-Group", &long);
    }
    if let Ok(answer) = bomb.get("/livez") {
        assert_eq!(answer.status, 431, "{}", answer.text());
    }
    let mut bomb = bed.direct();
    for n in 0..500 {
        bomb = bomb.header(&format!("X-Remote-Extra-{n}"), "x");
    }
    if let Ok(answer) = bomb.get(&path) {
        assert!([403, 431].contains(&answer.status), "{}", answer.text());
    }
    assert_eq!(bed.direct().get("/livez").unwrap().text(), "ok");
    // A certificate of another CA, and one of the right CA under another name.
    let pki = testkit::pki::Pki::new(bed.identity.client.cert_pem.parent().unwrap()).unwrap();
    let other = pki.ca("other-ca").unwrap();
    let leaf = other
        .leaf("other")
        .common_name("front-proxy-client")
        .client();
    let named = bed
        .identity
        .proxies
        .leaf("named")
        .common_name("somebody")
        .client();
    for client in [leaf.write().unwrap(), named.write().unwrap()] {
        bed.identity.client = client;
        let proxy = bed.proxy();
        let (ok, _, err) = Client::kubectl(&proxy, ADMIN).says(&["get", "--raw", &path]);
        assert!(!ok && err.contains("Unauthorized"), "{err}");
    }
}

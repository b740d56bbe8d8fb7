//! The corpus of hostile names through every output: refused where Kubernetes has a grammar, shown
//! escaped where names are free; nothing acts on a terminal, a page or a line of a log.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::fmt::Write as _;
use std::time::Duration;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityId, Snapshot, Stamp};
use cairn_proto::v1::{self, agent_frame::Kind, aggregator_frame::Kind as Answer};
use serde_json::{Value, json};
use testkit::deadline::Deadline;
use testkit::hostile_names::{acting, all};
use testkit::raw::RawAgent;
use testkit::rfc3339;
use testkit::system::{Options, System, at};

const SOON: Duration = Duration::from_secs(10);

/// Every answer in which a name can stand.
const OUTPUTS: [&str; 14] = [
    "/api/v1/model/nodes/",
    "/api/v1/model/namespaces/",
    "/api/v1/model/namespaces/shop/pods/",
    "/api/v1/model/namespaces/shop/pods/good/containers/",
    "/api/v1/model/nodes/node1/freecontainers/",
    "/api/v1/model/nodes/node2/freecontainers/",
    "/api/v1/model/debug/allkeys",
    "/api/v1/metric-export",
    "/api/cairn/v1/values?node=node1",
    "/api/cairn/v1/values?node=node2",
    "/api/cairn/v1/overview",
    "/api/cairn/v1/overview?node=node1",
    "/apis/metrics/v1alpha1/pods",
    "/apis/metrics/v1alpha1/nodes",
];

fn metric(process: Option<&testkit::proc::Proc>, name: &str) -> f64 {
    System::metric(process.unwrap(), name, "").unwrap()
}

fn assert_harmless(what: &str, text: &str) {
    let found = acting(text);
    assert_eq!(found, None, "{what}: {text}");
}

/// Looks at everything that anybody can read: answers, readiness, metrics, logs.
fn assert_every_output_is_harmless(system: &System) {
    for path in OUTPUTS {
        let answer = system.get(path).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/json"), "{path}");
        assert_harmless(path, &answer.text());
        let parsed: Result<Value, _> = serde_json::from_slice(&answer.body);
        assert!(parsed.is_ok(), "{path}: {}", answer.text());
    }
    let agents = system.nodes.iter().filter_map(|node| node.agent.as_ref());
    for process in agents.chain(system.aggregator.as_ref()) {
        for path in ["/readyz?verbose", "/metrics"] {
            assert_harmless(path, &process.get("admin", path).unwrap().text());
        }
        assert_harmless("stderr", &process.stderr());
    }
}

fn memory(k: u64) -> Value {
    let time = rfc3339::format(at(k) - 1_000);
    json!({"time": time, "usageBytes": 5, "workingSetBytes": 5})
}

fn pod(k: u64, name: &str, namespace: &str, uid: &str) -> Value {
    json!({
        "podRef": {"name": name, "namespace": namespace, "uid": uid},
        "memory": memory(k),
        "containers": [{"name": "app", "memory": memory(k)}],
    })
}

/// A summary that has each hostile name at every place where a name can stand.
fn hostile_summary(k: u64, node_name: &str) -> String {
    let names = all();
    let texts: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
    let mut pods = Vec::new();
    for (n, text) in texts.iter().enumerate() {
        pods.push(pod(k, text, "shop", &format!("name-{n}")));
        pods.push(pod(k, &format!("namespace-{n}"), text, &format!("ns-{n}")));
        pods.push(pod(k, &format!("uid-{n}"), "other", text));
    }
    let mut good = pod(k, "good", "shop", "good");
    let time = rfc3339::format(at(k) - 1_000);
    let named = |text: &&str| json!({"name": text, "memory": memory(k)});
    let mut containers: Vec<Value> = texts.iter().map(named).collect();
    containers.push(named(&"app"));
    let volume = |text: &&str| json!({"name": text, "time": time, "usedBytes": 5});
    let volumes: Vec<Value> = texts.iter().map(volume).collect();
    let interface = |text: &&str| json!({"name": text, "rxBytes": 5, "txBytes": 5});
    let interfaces: Vec<Value> = texts.iter().map(interface).collect();
    good["containers"] = json!(containers);
    good["volume"] = json!(volumes);
    good["network"] = json!({"time": time, "rxBytes": 5, "interfaces": interfaces});
    pods.push(good);
    let system: Vec<Value> = texts.iter().map(named).collect();
    let node = json!({"nodeName": node_name, "memory": memory(k), "systemContainers": system});
    json!({"node": node, "pods": pods}).to_string()
}

/// Scenario: a kubelet that gives every hostile name to pods, namespaces, UIDs, containers, volumes,
/// interfaces, system containers, and itself.
/// Guarantees: what Kubernetes would not take is refused and counted, the good pod among it is there
/// with its own values, and no output carries what acts.
#[test]
fn hostile_names_of_a_kubelet_act_in_no_output() {
    let system = System::start(Options::default()).unwrap();
    let names = all();
    for (k, name) in (0..).step_by(2).zip(&names) {
        let text = hostile_summary(k, &name.text);
        let fault = json!({"kind": "body", "text": text});
        let order = json!({"endpoint": "summary", "fault": fault}).to_string();
        let kubelet = &system.nodes[0].kubelet;
        let answer = kubelet.post("admin", "/debug/fault", &order).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        // Twice: what is said of a name is said once.
        system.tick(at(k)).unwrap();
        system.tick(at(k + 1)).unwrap();
        let agent = system.nodes[0].agent.as_ref().unwrap();
        let ready = agent.get("admin", "/readyz?verbose").unwrap().text();
        assert_harmless(name.what, &ready);
        // The kubelet says that it is another node's; an empty name says nothing.
        let is_told = ready.lines().any(|line| line.starts_with("[!]node name"));
        assert_eq!(is_told, !name.text.is_empty(), "{}: {ready}", name.what);
    }
    let stderr = system.nodes[0].agent.as_ref().unwrap().stderr();
    let told = stderr.lines().filter(|line| line.contains("two names"));
    assert_eq!(told.count(), names.len() - 1, "each name once: {stderr}");
    assert_every_output_is_harmless(&system);
    let list = |path: &str| system.json(&format!("/api/v1/model/{path}")).unwrap();
    assert_eq!(list("namespaces/shop/pods/"), {
        let node2 = list("namespaces/shop/pods/");
        let of_node2 = node2.as_array().unwrap().iter();
        let recorded = |name: &&Value| {
            let name = name.as_str().unwrap();
            name.starts_with("web-7ff") || name.starts_with("burner-6cb") || name == "good"
        };
        json!(of_node2.filter(recorded).collect::<Vec<_>>())
    });
    assert_eq!(
        list("namespaces/shop/pods/good/containers/"),
        json!(["app"])
    );
    assert_eq!(list("namespaces/"), json!(["shop"]));
    let agent = system.nodes[0].agent.as_ref();
    // For each name that is one: three pods with a container each, and a container of the good pod.
    let refused = metric(agent, "cairn_agent_sampler_refused_entities");
    let least = 7.0 * (names.len() - 1) as f64;
    assert!(refused >= least, "{refused} of {least}");
    // An empty name is none at all: those pods and containers were not understood, at each tick.
    let odd = metric(agent, "cairn_agent_scrape_odd_values_total");
    let least = 4.0 * names.len() as f64;
    assert!(odd >= least, "{odd} of {least}");
    // Volumes are named freely: what is harmless comes out as it went in.
    let values = system.json("/api/cairn/v1/values?node=node1").unwrap();
    let entities = values["entities"].as_array().unwrap();
    for kept in [
        "../../../etc/passwd",
        "<script>alert(1)</script>",
        "web\"',\"a\":\"b",
    ] {
        let is_there = entities
            .iter()
            .any(|e| e["kind"] == "volume" && e["name"] == kept);
        assert!(is_there, "{kept}: {values}");
    }
}

async fn connect(system: &System) -> RawAgent {
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let token = "agent-token-of-node2";
    RawAgent::connect(addr, &ca, token, at(0) + 500)
        .await
        .unwrap()
}

fn define(id: u32, kind: v1::EntityKind, parent: u32, names: [&str; 3]) -> v1::Define {
    let [name, namespace, uid] = names.map(str::to_owned);
    v1::Define {
        id,
        kind: kind.into(),
        parent,
        name,
        namespace,
        uid,
        ..v1::Define::default()
    }
}

/// All that one hostile name can be to an aggregator, below a node of id 1 and a pod of id 2.
fn definitions(n: usize, text: &str) -> Vec<v1::Define> {
    let own = format!("p{n}");
    let labeled = |end: &str, key: &str, value: &str| v1::Define {
        labels: [(key.to_owned(), value.to_owned())].into(),
        ..define(
            0,
            v1::EntityKind::Volume,
            2,
            [&format!("{own}{end}"), "", ""],
        )
    };
    vec![
        define(0, v1::EntityKind::Pod, 1, [text, "shop", &own]),
        define(0, v1::EntityKind::Pod, 1, [&own, text, &own]),
        define(0, v1::EntityKind::Pod, 1, [&own, "shop", text]),
        define(0, v1::EntityKind::Container, 2, [text, "", ""]),
        define(0, v1::EntityKind::System, 1, [text, "", ""]),
        define(0, v1::EntityKind::Filesystem, 1, [text, "", ""]),
        define(0, v1::EntityKind::Volume, 2, [text, "", ""]),
        define(0, v1::EntityKind::Interface, 1, [text, "", ""]),
        labeled("v", "resource_id", text),
        labeled("w", text, "x"),
    ]
}

/// Five bytes of memory, used by each of the ids up to this one.
fn used_by_all(ids: u32) -> Snapshot {
    let mut builder = Builder::default();
    for id in (1..=ids).map(EntityId) {
        for field in [table::MEMORY_USAGE, table::MEMORY_WORKING_SET] {
            builder.value(id, field, 5);
        }
        let stamp = Stamp {
            time_ms: at(0),
            start_ms: None,
            source: Source::Summary,
        };
        builder.stamp(id, Group::Memory, stamp);
    }
    builder.build()
}

/// Scenario: an agent that checks nothing defines, labels, reports and says goodbye with every
/// hostile name.
/// Guarantees: its row is taken without what is refused, each refusal is counted, and no output
/// carries what acts: the aggregator does not rely on its agents.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn hostile_names_of_an_agent_act_in_no_output() {
    let mut system = System::start(Options::default()).unwrap();
    system.nodes[1].agent = None;
    system.tick(at(0)).unwrap();
    let names = all();
    let mut agent = connect(&system).await;
    agent.hello("node2", 1).await.unwrap();
    let mut ids = 2;
    let node = define(1, v1::EntityKind::Node, 0, ["node2", "", ""]);
    let pod = define(2, v1::EntityKind::Pod, 1, ["fine", "shop", "fine"]);
    for one in [node, pod] {
        agent.send(Kind::Define(one)).await;
    }
    for (n, name) in names.iter().enumerate() {
        for one in definitions(n, &name.text) {
            ids += 1;
            agent
                .send(Kind::Define(v1::Define { id: ids, ..one }))
                .await;
        }
        let status = v1::SourceStatus {
            source: name.text.clone(),
            state: v1::SourceState::Failing.into(),
            reason: name.text.clone(),
            missing_right: name.text.clone(),
            ..v1::SourceStatus::default()
        };
        agent.send(Kind::SourceStatus(status)).await;
    }
    let row = v1::Row {
        seq: 0,
        base_seq: None,
        tick: at(0),
        payload: row::keyframe(DENSE, at(0), &used_by_all(ids)),
    };
    agent.send(Kind::Row(row)).await;
    let applied = Deadline::after(SOON).poll(|| {
        let nodes = system.json("/api/v1/model/nodes/").ok()?;
        (nodes == json!(["node1", "node2"])).then_some(())
    });
    assert!(applied.is_some(), "{}", system.stderr());
    let refused = metric(
        system.aggregator.as_ref(),
        "cairn_aggregator_ingest_refused_entities_total",
    );
    assert!(refused >= 4.0 * names.len() as f64, "{refused}");
    assert_every_output_is_harmless(&system);
    let reason = names.last().unwrap().text.clone();
    agent.send(Kind::Bye(v1::Bye { reason })).await;
    let answered = agent.receive().await;
    assert!(matches!(answered, Ok(Some(Answer::Ack(_)))), "{answered:?}");
    for name in &names {
        let mut agent = connect(&system).await;
        let hello = agent.hello_frame(&name.text, 2);
        agent.send(Kind::Hello(hello)).await;
        let refused = agent.receive().await.unwrap_err();
        assert_harmless(name.what, refused.message());
        agent = connect(&system).await;
        let hello = v1::Hello {
            version: name.text.clone(),
            ..agent.hello_frame("node2", 2)
        };
        agent.send(Kind::Hello(hello)).await;
        drop(agent.receive().await);
        let reason = name.text.clone();
        agent.send(Kind::Bye(v1::Bye { reason })).await;
        drop(agent.receive().await);
    }
    assert_every_output_is_harmless(&system);
}

/// A name as a part of a path.
fn spelt(text: &str) -> String {
    text.bytes().fold(String::new(), |mut path, byte| {
        if byte.is_ascii_alphanumeric() {
            path.push(char::from(byte));
        } else {
            write!(path, "%{byte:02x}").unwrap();
        }
        path
    })
}

/// Scenario: a client that asks for every hostile name, wherever a path or query takes one.
/// Guarantees: the answer is one of the API's own, nothing in it acts, no redirect leads to another
/// host, and what was asked for beside it is answered.
#[test]
fn hostile_names_in_requests_act_in_no_answer() {
    let system = System::start(Options::default()).unwrap();
    system.tick(at(0)).unwrap();
    let pod = "web-7ffcbbddf7-djszf";
    let page = system.get("/").unwrap().text();
    for name in all() {
        let it = spelt(&name.text);
        let paths = [
            format!("/api/v1/model/nodes/{it}/metrics/memory/usage"),
            format!("/api/v1/model/nodes/node1/metrics/{it}"),
            format!("/api/v1/model/nodes/node1/metrics/filesystem/usage?labels=resource_id:{it}"),
            format!("/api/v1/model/nodes/node1/metrics/memory/usage?start={it}"),
            format!("/api/v1/model/namespaces/{it}/pods/{it}/metrics/memory/usage"),
            format!("/api/v1/dashboard/nodes/{it}/metrics/memory/usage"),
            format!("/api/v1/dashboard/{it}"),
            format!("/api/cairn/v1/values?node={it}"),
            format!("/api/cairn/v1/values?node=node1&metric={it}"),
            format!("/api/cairn/v1/overview?node={it}"),
            format!("/apis/metrics/v1alpha1/nodes/{it}"),
            format!("/apis/metrics/v1alpha1/namespaces/{it}/pods/{it}"),
            format!("/apis/metrics/v1alpha1/pods?labelSelector={it}"),
            format!("/{it}"),
        ];
        for path in paths {
            let answer = system.get(&path).unwrap();
            let what = format!("{}: {path}", name.what);
            assert_harmless(&what, &answer.text());
            let kind = answer.header("content-type").unwrap_or_default();
            // The page itself is HTML, and is the same for everybody.
            let is_page = kind.starts_with("text/html");
            assert!(!is_page || answer.text() == page, "{what}");
            let to = answer.header("location").unwrap_or("/");
            assert!(
                to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\"),
                "{what}: {to}"
            );
        }
        let path =
            format!("/api/v1/dashboard/namespaces/shop/pod-list/{it},{pod}/metrics/memory/usage");
        if name.text.contains('/') {
            // Spelt or not, a slash ends a part of the path: this is another one.
            let answer = system.get(&path).unwrap();
            assert!(answer.text().starts_with("URL: "), "{}", answer.text());
            assert_harmless(&path, &answer.text());
            continue;
        }
        let answer = system.json(&path).unwrap();
        assert_eq!(
            answer["items"].as_array().unwrap().len(),
            1,
            "{}: {answer}",
            name.what
        );
        assert_eq!(answer["items"][0]["uids"], json!([pod]), "{}", name.what);
    }
}

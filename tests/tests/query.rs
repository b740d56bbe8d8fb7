//! The gRPC service and the JSON range: what they say is what `/api/cairn/v1/values` says, whose
//! every value is held against an independent computation elsewhere.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityId, Stamp};
use cairn_proto::v1;
use cairn_proto::v1::agent_frame::Kind;
use serde_json::Value;
use testkit::raw::RawAgent;
use testkit::reader::{Line, Reader};
use testkit::system::{Options, System, at};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

const SOON: Duration = Duration::from_secs(10);

/// Two nodes with the first quarter of the recording, and somebody who asks.
async fn system(ticks: usize) -> (System, Reader) {
    let system = System::start(Options::default()).unwrap();
    for k in 0..ticks {
        system.tick(at(k as u64)).unwrap();
    }
    let reader = reader(&system).await;
    (system, reader)
}

async fn reader(system: &System) -> Reader {
    let addr = system.aggregator().unwrap().addr("http").unwrap();
    Reader::plain(addr).await.unwrap()
}

/// Of one kind: by node, namespace, UID and name of pod, container.
type Lines = BTreeMap<[String; 5], Line>;

fn name(entity: &v1::Entity) -> [String; 5] {
    let v1::Entity {
        node,
        namespace,
        pod_uid,
        pod,
        container,
        ..
    } = entity;
    [node, namespace, pod_uid, pod, container].map(Clone::clone)
}

/// The same of a series of the JSON range.
fn name_of(series: &Value) -> [String; 5] {
    ["node", "namespace", "pod_uid", "pod", "container"]
        .map(|word| series[word].as_str().unwrap().to_owned())
}

/// To nine digits: what parses JSON here is off in the last one at times.
fn rounded(line: &Line) -> Line {
    let mut line = line.clone();
    for rate in line.rates.values_mut() {
        *rate = format!("{rate:.8e}").parse().unwrap();
    }
    line
}

/// A line of each list of values and rates: those that are there.
fn on_ticks(ticks: &Value, values: &Value, rates: &Value) -> Line {
    let ticks = ticks.as_array().unwrap().iter().filter_map(Value::as_u64);
    let at = |list: &Value, nth: usize| list.as_array().and_then(|list| list.get(nth).cloned());
    let mut line = Line::default();
    for (nth, tick_ms) in ticks.enumerate() {
        if let Some(value) = at(values, nth).and_then(|v| v.as_u64()) {
            line.values.insert(tick_ms, value);
        }
        if let Some(rate) = at(rates, nth).and_then(|v| v.as_f64()) {
            line.rates.insert(tick_ms, rate);
        }
    }
    rounded(&line)
}

/// What `/api/cairn/v1/values` has of a field and a kind, on both nodes.
fn expected(system: &System, kind: &str, field: &str) -> Lines {
    let mut lines = Lines::new();
    for node in &system.nodes {
        let path = format!("/api/cairn/v1/values?node={}&metric={field}", node.name);
        let answer = system.json(&path).unwrap();
        for entity in answer["entities"].as_array().unwrap() {
            if entity["kind"] != kind {
                continue;
            }
            let word = |name: &str| entity[name].as_str().unwrap().to_owned();
            let (pod, container) = match kind {
                "node" => (String::new(), String::new()),
                "pod" => (word("name"), String::new()),
                _ => (word("pod"), word("name")),
            };
            let names = [
                node.name.clone(),
                word("namespace"),
                word("pod_uid"),
                pod,
                container,
            ];
            let series = &entity["metrics"][field];
            let line = on_ticks(&answer["ticks"], &series["values"], &series["rates"]);
            lines.insert(names, line);
        }
    }
    lines
}

fn selector(kind: v1::EntityKind) -> v1::Selector {
    v1::Selector {
        kind: kind.into(),
        ..v1::Selector::default()
    }
}

fn range(kind: v1::EntityKind, field: &str, rate: bool) -> v1::RangeRequest {
    v1::RangeRequest {
        selector: Some(selector(kind)),
        field: field.to_owned(),
        rate,
        ..v1::RangeRequest::default()
    }
}

const KINDS: [(&str, v1::EntityKind); 4] = [
    ("node", v1::EntityKind::Node),
    ("system", v1::EntityKind::System),
    ("pod", v1::EntityKind::Pod),
    ("container", v1::EntityKind::Container),
];

/// Scenario: 13 ticks of two nodes; one field after the other is asked for, of every kind.
/// Guarantees: the gRPC range, the JSON range and the values of each node are the same to the last
/// digit, values and rates, with nothing too much and nothing missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_range_says_what_the_values_of_each_node_say() {
    let (system, mut reader) = system(13).await;
    let mut seen = 0;
    for (field, is_counter) in [
        ("cpu_usage_core_nanos", true),
        ("memory_working_set_bytes", false),
        ("network_rx_bytes", true),
    ] {
        for (word, kind) in KINDS {
            if !table::by_name(field).is_some_and(|f| f.entities.iter().any(|k| k.as_str() == word))
            {
                continue;
            }
            let expected = expected(&system, word, field);
            for rate in [false, true] {
                if rate && !is_counter {
                    continue;
                }
                let asked = reader.range(range(kind, field, rate)).await.unwrap();
                let found: Lines = asked
                    .iter()
                    .map(|(e, line)| (name(e), rounded(line)))
                    .collect();
                assert_eq!(found.len(), asked.len(), "a name twice");
                let path = format!("/api/cairn/v1/range?kind={word}&metric={field}&rate={rate}");
                let answer = system.json(&path).unwrap();
                let series = answer["series"].as_array().unwrap().iter();
                let json: Lines = series
                    .map(|s| {
                        let (values, rates) = match rate {
                            true => (&Value::Null, &s["values"]),
                            false => (&s["values"], &Value::Null),
                        };
                        (name_of(s), on_ticks(&answer["ticks"], values, rates))
                    })
                    .filter(|(_, line)| *line != Line::default())
                    .collect();
                let of_this = expected.iter().map(|(name, line)| {
                    let mut line = line.clone();
                    if rate {
                        line.values.clear();
                    } else {
                        line.rates.clear();
                    }
                    (name.clone(), line)
                });
                let of_this: Lines = of_this.filter(|(_, l)| *l != Line::default()).collect();
                assert_eq!(found, of_this, "{field} of {word}, rate {rate}");
                assert_eq!(json, of_this, "{field} of {word}, rate {rate}");
                seen += found
                    .values()
                    .map(|l| l.values.len() + l.rates.len())
                    .sum::<usize>();
            }
        }
    }
    assert!(seen > 1_000, "{seen} values");
}

/// Scenario: lists, newest values and the highest of them, of every kind.
/// Guarantees: they agree with each other and with the range.
#[tokio::test(flavor = "multi_thread")]
async fn lists_newest_and_highest_values_agree() {
    let (system, mut reader) = system(6).await;
    let field = "cpu_usage_core_nanos";
    for (word, kind) in KINDS {
        let entities = reader
            .entities(v1::ListEntitiesRequest {
                selector: Some(selector(kind)),
                all: false,
            })
            .await
            .unwrap();
        assert!(
            entities
                .iter()
                .all(|e| e.alive && e.kind == i32::from(kind))
        );
        let expected = expected(&system, word, field);
        let all = reader
            .entities(v1::ListEntitiesRequest {
                selector: Some(selector(kind)),
                all: true,
            })
            .await
            .unwrap();
        let names: Vec<[String; 5]> = all.iter().map(name).collect();
        assert!(expected.keys().all(|name| names.contains(name)), "{word}");
        assert!(entities.iter().all(|entity| all.contains(entity)));
        let latest = reader
            .latest(v1::LatestRequest {
                selector: Some(selector(kind)),
                fields: vec![field.to_owned()],
            })
            .await
            .unwrap();
        let mut rates = Vec::new();
        for one in &latest {
            let name = name(one.entity.as_ref().unwrap());
            let line = &expected[&name];
            assert_eq!(one.tick_ms, at(5));
            assert_eq!(one.values[0].value, line.values.get(&at(5)).copied());
            let rate = one.values[0].rate.map(|rate| format!("{rate:.8e}"));
            let expected = line.rates.get(&at(5)).map(|rate| format!("{rate:.8e}"));
            assert_eq!(rate, expected);
            rates.extend(one.values[0].rate);
        }
        rates.sort_by(|a, b| b.total_cmp(a));
        let top = reader
            .top(v1::TopRequest {
                selector: Some(selector(kind)),
                field: field.to_owned(),
                limit: 3,
            })
            .await
            .unwrap();
        assert_eq!((top.tick_ms, top.nodes_missing), (at(5), 0));
        let highest: Vec<f64> = top.entries.iter().map(|entry| entry.value).collect();
        rates.truncate(3);
        assert_eq!(highest, rates, "{word}");
    }
    let pods = reader
        .entities(v1::ListEntitiesRequest::default())
        .await
        .unwrap();
    let model = system.json("/api/v1/model/namespaces/").unwrap();
    for namespace in model.as_array().unwrap() {
        let namespace = namespace.as_str().unwrap();
        let path = format!("/api/v1/model/namespaces/{namespace}/pods/");
        let count = system.json(&path).unwrap().as_array().unwrap().len();
        let of_it = pods.iter().filter(|pod| pod.namespace == namespace);
        assert_eq!(of_it.count(), count, "{namespace}");
    }
}

async fn next(watch: &mut Streaming<v1::WatchResponse>) -> v1::WatchResponse {
    let next = timeout(SOON, watch.message()).await.unwrap();
    next.unwrap().unwrap()
}

/// The agent of node2, driven by hand, with one pod.
async fn second_node(system: &System) -> RawAgent {
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let token = "agent-token-of-node2";
    let connected = RawAgent::connect(addr, &ca, token, at(0) + 500).await;
    let mut agent = connected.unwrap();
    agent.hello("node2", 1).await.unwrap();
    for (id, kind, name) in [
        (1, v1::EntityKind::Node, "node2"),
        (2, v1::EntityKind::Pod, "late"),
    ] {
        let namespace = if id == 2 { "shop" } else { "" };
        let define = v1::Define {
            id,
            kind: kind.into(),
            parent: id - 1,
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            uid: namespace.to_owned(),
            ..v1::Define::default()
        };
        agent.send(Kind::Define(define)).await;
    }
    agent
}

fn second_row(seq: u64, tick_ms: u64, bytes: u64) -> Kind {
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms: tick_ms,
        start_ms: None,
        source: Source::Summary,
    };
    for id in [1, 2] {
        builder.value(EntityId(id), table::MEMORY_USAGE, bytes);
        builder.stamp(EntityId(id), Group::Memory, stamp);
    }
    Kind::Row(v1::Row {
        seq,
        base_seq: None,
        tick: tick_ms,
        payload: row::keyframe(DENSE, tick_ms, &builder.build()),
    })
}

/// Scenario: two nodes are watched; one of them is late with a tick.
/// Guarantees: the tick is published without its row after the wait and says so; when the row comes,
/// the tick is sent again, marked as revised, with the right sum, and no other tick is.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_row_revises_the_tick_that_was_published_without_it() {
    let mut system = System::start(Options::default()).unwrap();
    system.nodes[1].agent = None;
    system.tick(at(0)).unwrap();
    let mut agent = second_node(&system).await;
    agent.send(second_row(0, at(0), 1_000)).await;
    let mut reader = reader(&system).await;
    let request = v1::WatchRequest {
        selector: Some(selector(v1::EntityKind::Pod)),
        fields: vec!["memory_usage_bytes".to_owned()],
    };
    let mut watch = reader.watch(request).await.unwrap();
    let mut first = next(&mut watch).await;
    // The row may come just before the watch or just after it.
    while first.nodes_missing > 0 || first.tick_ms < at(0) {
        first = next(&mut watch).await;
    }
    let alone = first.sums[0].value.unwrap() - 1_000;
    system.tick(at(1)).unwrap();
    system.aggregator().unwrap().step(at(1) + 3_500).unwrap();
    let published = next(&mut watch).await;
    assert_eq!((published.tick_ms, published.revised), (at(1), false));
    assert_eq!(published.nodes_missing, 1);
    assert_eq!(published.sums[0].entities, first.sums[0].entities);
    let held = published.sums[0].value.unwrap();
    agent.set_clock(at(1) + 3_500);
    agent.send(second_row(1, at(1), 5_000)).await;
    let revised = next(&mut watch).await;
    assert_eq!((revised.tick_ms, revised.revised), (at(1), true));
    assert_eq!(revised.nodes_missing, 0);
    assert_eq!(revised.sums[0].value, Some(held + 4_000), "{alone}");
    system.tick(at(2)).unwrap();
    agent.set_clock(at(2) + 500);
    agent.send(second_row(2, at(2), 6_000)).await;
    let after = next(&mut watch).await;
    assert_eq!((after.tick_ms, after.revised), (at(2), false));
    assert_eq!(after.nodes_missing, 0);
}

fn code(error: &anyhow::Error) -> (Code, String) {
    let status = error.downcast_ref::<Status>().unwrap();
    (status.code(), status.message().to_owned())
}

/// Scenario: requests that mean nothing, and one on the listener of the agents.
/// Guarantees: each is refused with what to do instead.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_explained() {
    let (system, mut reader) = system(1).await;
    let pod = v1::EntityKind::Pod;
    for (request, part) in [
        (range(pod, "no_such", false), "docs/metrics.md"),
        (
            range(v1::EntityKind::Volume, "cpu_usage_core_nanos", false),
            "kind",
        ),
        (range(pod, "host_load1", false), "not measured of a pod"),
        (range(pod, "memory_usage_bytes", true), "gauge"),
    ] {
        let (code, why) = code(&reader.range(request).await.unwrap_err());
        assert_eq!(code, Code::InvalidArgument, "{why}");
        assert!(why.contains(part), "{part}: {why}");
    }
    for (query, part) in [
        ("", "metric is missing"),
        ("metric=no_such", "docs/metrics.md"),
        ("metric=memory_usage_bytes&rate=true", "gauge"),
        ("metric=memory_usage_bytes&rate=1", "rate is true or false"),
        ("metric=memory_usage_bytes&kind=disk", "kind is node"),
        ("metric=memory_usage_bytes&start=now", "start must be"),
    ] {
        let answer = system.get(&format!("/api/cairn/v1/range?{query}")).unwrap();
        assert_eq!(answer.status, 400, "{query}");
        assert!(answer.text().contains(part), "{query}: {}", answer.text());
    }
    let grpc = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let mut stranger = Reader::tls(grpc, &ca).await.unwrap();
    let request = range(pod, "memory_usage_bytes", false);
    let (code, why) = code(&stranger.range(request).await.unwrap_err());
    assert_eq!(code, Code::PermissionDenied, "{why}");
    assert!(why.contains("--http-listen"), "{why}");
}

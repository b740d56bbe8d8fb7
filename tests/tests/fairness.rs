//! No node takes memory, time or history from the others, and short memory costs windows before it
//! costs anything else.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::{Path, PathBuf};

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityId, Snapshot, Stamp};
use cairn_proto::v1::{self, agent_frame::Kind, aggregator_frame::Kind as Answer};
use cairn_runtime::tasks;
use serde_json::Value;
use testkit::deadline::Deadline;
use testkit::raw::RawAgent;
use testkit::rfc3339;
use testkit::system::{Options, System, at};
use tokio::sync::oneshot;
use tonic::Code;

const MIB: u64 = 1 << 20;
const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// What the aggregator is told about its own memory.
struct Gauge {
    dir: tempfile::TempDir,
}

impl Gauge {
    fn new() -> Self {
        let gauge = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        gauge.set(MIB);
        gauge
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("status")
    }

    /// In one step: the aggregator reads it when it likes.
    fn set(&self, bytes: u64) {
        let next = self.dir.path().join("next");
        std::fs::write(&next, format!("RssAnon:\t{} kB\n", bytes / 1024)).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }
}

/// Two honest nodes, a token for a guest, and an aggregator of so many bytes.
fn system(limit: &str, status: &Path, more: &[&str]) -> System {
    let status = status.display().to_string();
    let args = ["--memory-limit", limit, "--process-status", &status];
    let args = args.iter().chain(more).map(|arg| (*arg).to_owned());
    let options = Options {
        extra_aggregator_args: args.collect(),
        guests: vec!["guest".to_owned()],
        ..Options::default()
    };
    System::start(options).unwrap()
}

async fn guest(system: &System, k: u64) -> RawAgent {
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let agent = RawAgent::connect(addr, &ca, "agent-token-of-guest", at(k) + 500);
    agent.await.unwrap()
}

fn count(system: &System, name: &str, labels: &str) -> f64 {
    let name = format!("cairn_aggregator_{name}");
    System::metric(system.aggregator().unwrap(), &name, labels).unwrap()
}

fn readyz(system: &System) -> String {
    let aggregator = system.aggregator().unwrap();
    let answer = aggregator.get("admin", "/readyz?verbose").unwrap();
    assert_eq!(answer.status, 200, "memory never makes it unready");
    answer.text()
}

/// A node, as the page is told of it.
fn shown(system: &System, name: &str) -> Value {
    let overview = system.overview().unwrap();
    let mut nodes = overview["nodes"].as_array().unwrap().iter();
    let node = nodes.find(|node| node["name"] == name);
    node.unwrap().clone()
}

/// Why a node is not as it should be, as the page says it.
fn reason(system: &System, name: &str) -> Value {
    shown(system, name)["reason"].clone()
}

/// The ticks at which a node has a value, held ones too.
fn ticks(system: &System, node: &str, last: u64) -> usize {
    let (start, end) = (rfc3339::format(at(0)), rfc3339::format(at(last)));
    let path = format!("/api/v1/model/nodes/{node}/metrics/memory/usage?start={start}&end={end}");
    let answer = system.json(&path).unwrap();
    answer["metrics"].as_array().unwrap().len()
}

fn define(id: u32, kind: v1::EntityKind, name: &str) -> Kind {
    let is_pod = kind == v1::EntityKind::Pod;
    let only_pods = |text: String| if is_pod { text } else { String::new() };
    Kind::Define(v1::Define {
        id,
        kind: kind.into(),
        parent: u32::from(is_pod),
        name: name.to_owned(),
        namespace: only_pods("shop".to_owned()),
        uid: only_pods(format!("uid-{id}")),
        ..v1::Define::default()
    })
}

/// A row of so many entities.
fn wide(ids: u32, tick_ms: u64) -> Snapshot {
    let mut builder = Builder::default();
    for id in 1..=ids {
        let stamp = Stamp {
            time_ms: tick_ms,
            start_ms: None,
            source: Source::Summary,
        };
        builder.value(EntityId(id), table::MEMORY_USAGE, u64::from(id) * 4096);
        builder.stamp(EntityId(id), Group::Memory, stamp);
    }
    builder.build()
}

/// Names things without end as fast as they are taken, and once that was seen sends wide rows, most of
/// them of the future, until the stream ends.
async fn flood(mut agent: RawAgent, seen: oneshot::Receiver<()>) -> tonic::Status {
    agent.hello("guest", 1).await.unwrap();
    agent.send(define(1, v1::EntityKind::Node, "guest")).await;
    for id in 2..=12_000 {
        // What names have in common is told once: these have nothing.
        let name = format!(
            "{:032x}",
            u128::from(id).wrapping_mul(u128::MAX / 0x9e37_79b9)
        );
        agent.send(define(id, v1::EntityKind::Pod, &name)).await;
    }
    seen.await.unwrap();
    for seq in 0..64 {
        let tick = at(0) + seq * 10_000;
        let payload = row::keyframe(DENSE, tick, &wide(12_000, tick));
        let row = v1::Row {
            seq,
            base_seq: None,
            tick,
            payload,
        };
        agent.send(Kind::Row(row)).await;
    }
    agent.end().await.unwrap()
}

/// Scenario: beside two honest nodes one names 12,000 things at line rate and then sends wide rows,
/// most of them of the future.
/// Guarantees: each row of the honest nodes arrives at its tick, stays, and none is too old or goes for
/// memory; the other is read more slowly, refused what is new beyond its share, and ended for rows
/// that are none of the present; the page says why its window is short.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_makes_things_up_costs_nobody_else_anything() {
    let gauge = Gauge::new();
    let system = system("3Mi", &gauge.path(), &["--node-budget", "512Ki"]);
    system.tick(at(0)).unwrap();
    let agent = guest(&system, 0).await;
    let (tell, told) = oneshot::channel();
    let ticks_pass = tasks::blocking("ticks", move || {
        // Steps of the clock pay for names as well, so time stands still until these were too many.
        let slowed = || count(&system, "ingest_slowed_total", "what=\"entities\"") > 0.5;
        let slowed = Deadline::after(SOON).poll(|| slowed().then_some(()));
        assert!(slowed.is_some(), "{}", system.stderr());
        (1..=8).for_each(|k| system.tick(at(k)).unwrap());
        let refused = Deadline::after(SOON).poll(|| {
            let reason = reason(&system, "guest");
            reason.as_str()?.contains("were refused").then_some(())
        });
        assert!(refused.is_some(), "{}", system.stderr());
        system.tick(at(9)).unwrap();
        assert!(readyz(&system).contains("1 nodes hold more than their share"));
        tell.send(()).unwrap();
        (10..=28).for_each(|k| system.tick(at(k)).unwrap());
        system
    });
    let (status, system) = tokio::join!(flood(agent, told), ticks_pass);
    let system = system.unwrap();
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    assert!(status.message().contains("clock"), "{status:?}");

    assert!(count(&system, "store_refused_entities_total", "") > 0.5);
    assert!(count(&system, "store_shortened_rows_total", "why=\"limit\"") < 0.5);
    assert!(count(&system, "ingest_rows_total", "result=\"too_old\"") < 0.5);
    assert!((count(&system, "nodes_limited", "") - 1.0).abs() < 0.5);
    let said = system.aggregator().unwrap().stderr();
    assert!(said.contains("node holds more than its share"), "{said}");
    assert!(said.contains("its stream is read more slowly"), "{said}");
    for node in ["node1", "node2"] {
        let shown = shown(&system, node);
        assert_eq!(shown["reason"], Value::Null);
        assert_eq!(ticks(&system, node, 28), 29, "{node}");
        // Over a row that is missing the value before it is held.
        assert_eq!(shown["gap_ticks"], Value::Null, "{node}");
        assert_eq!(shown["newest_tick_ms"], at(28), "{node}");
    }
}

/// A row of the guest at a tick, that refers to none.
fn guests_row(seq: u64, tick: u64) -> Kind {
    Kind::Row(v1::Row {
        seq,
        base_seq: None,
        tick,
        payload: row::keyframe(DENSE, tick, &wide(1, tick)),
    })
}

/// Scenario: an agent sends 40 rows of the past within a moment in which no time passes.
/// Guarantees: two blocks of them are taken at once, the others wait in its stream, which is said and
/// counted; as time passes each of them is taken, and none is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn rows_that_come_too_fast_wait_and_none_is_refused() {
    let options = Options {
        nodes: Vec::new(),
        guests: vec!["guest".to_owned()],
        ..Options::default()
    };
    let system = System::start(options).unwrap();
    system.step(at(60)).unwrap();
    let mut agent = guest(&system, 60).await;
    agent.hello("guest", 1).await.unwrap();
    agent.send(define(1, v1::EntityKind::Node, "guest")).await;
    for seq in 0..40 {
        agent.send(guests_row(seq, at(10 + seq))).await;
    }
    let slowed = || count(&system, "ingest_slowed_total", "what=\"rows\"");
    let waits = Deadline::after(SOON).poll(|| (slowed() > 0.5).then_some(()));
    assert!(waits.is_some(), "{}", system.stderr());
    let rows = |results: &str| count(&system, "ingest_rows_total", results);
    // A busy machine may take long enough to have paid for a few more.
    assert!(rows("") > 31.5 && rows("") < 36.5, "{}", rows(""));
    let said = system.aggregator().unwrap().stderr();
    assert!(said.contains("its stream is read more slowly"), "{said}");
    // An interval has room for two.
    for k in 61..=64 {
        system.step(at(k)).unwrap();
    }
    let all = Deadline::after(SOON).poll(|| (rows("applied") > 39.5).then_some(()));
    assert!(all.is_some(), "{} rows\n{}", rows(""), system.stderr());
    assert!(slowed() < 8.5, "each of the others waited once");
}

/// Scenario: the process's memory goes up rung by rung, and comes down.
/// Guarantees: history stops, windows are shortened, new sessions and large requests are sent away, each
/// told in `/readyz?verbose`, the log and a metric; rows of the newest tick land on every rung over
/// the streams that were there; and when memory is there again everything goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn short_memory_costs_windows_first_and_living_streams_never() {
    let gauge = Gauge::new();
    let system = system("100Mi", &gauge.path(), &[]);
    for k in 0..=8 {
        system.tick(at(k)).unwrap();
    }
    let streams = count(&system, "ingest_streams", "");
    let list = "/api/v1/model/nodes/node1/metrics/memory/usage";
    let rung = |bytes: u64, k: u64, level: f64| {
        gauge.set(bytes);
        system.tick(at(k)).unwrap();
        let found = count(&system, "memory_level", "");
        assert!((found - level).abs() < 0.5, "{found}: {}", system.stderr());
        readyz(&system)
    };
    assert!(!rung(70 * MIB, 9, 0.0).contains("bytes are used"));
    assert!(rung(80 * MIB, 10, 1.0).contains("no more history is asked for"));
    assert_eq!(ticks(&system, "node1", 9), 10);

    let said = rung(90 * MIB, 11, 2.0);
    assert!(said.contains("every window is shortened"), "{said}");
    assert!(said.contains("rows went early"), "{said}");
    let shortened = count(&system, "store_shortened_rows_total", "why=\"limit\"");
    assert!(shortened > 0.5);
    assert!(ticks(&system, "node1", 9) < 10 && ticks(&system, "node1", 11) > 0);
    // The process stays as large: that alone shortens nothing again.
    rung(90 * MIB, 12, 2.0);
    let again = count(&system, "store_shortened_rows_total", "why=\"limit\"");
    assert!((again - shortened).abs() < 0.5, "{again} after {shortened}");

    assert!(rung(97 * MIB, 13, 3.0).contains("sent away"));
    let mut away = guest(&system, 13).await;
    away.send(Kind::Hello(away.hello_frame("guest", 1))).await;
    let drain = match away.receive().await {
        Ok(Some(Answer::Drain(drain))) => drain,
        other => panic!("no Drain but {other:?}"),
    };
    assert!((10_000..30_000).contains(&drain.reconnect_after_ms));
    assert_eq!(away.end().await.unwrap().code(), Code::ResourceExhausted);
    assert!(count(&system, "ingest_refused_streams_total", "reason=\"memory\"") > 0.5);
    let refused = system.get(list).unwrap();
    assert_eq!(refused.status, 429, "{}", refused.text());
    assert_eq!(refused.header("retry-after"), Some("10"));
    system.tick(at(14)).unwrap();
    assert!((count(&system, "ingest_streams", "") - streams).abs() < 0.5);

    let calm = rung(50 * MIB, 15, 0.0);
    assert!(!calm.contains("bytes are used") && calm.contains("rows went early"));
    assert_eq!(system.get(list).unwrap().status, 200);
    guest(&system, 15).await.hello("guest", 2).await.unwrap();
    let said = system.aggregator().unwrap().stderr();
    for part in ["every window was shortened", "memory is not short any more"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

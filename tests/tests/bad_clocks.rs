//! Times that are not ours: kubelets and agents whose clocks or ticks are absurd.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::codec::{DENSE, row};
use cairn_proto::model::{Builder, EntityId, Snapshot, Stamp};
use cairn_proto::v1::{self, agent_frame::Kind, aggregator_frame::Kind as Answer};
use serde_json::{Value, json};
use testkit::deadline::Deadline;
use testkit::raw::RawAgent;
use testkit::system::{Options, System, at};
use tonic::Code;

const SOON: Duration = Duration::from_secs(10);

const HOUR_MS: u64 = 3_600_000;

fn one_node(kubelet_ahead_ms: i64) -> System {
    let options = Options {
        kubelet_ahead_ms,
        ..Options::one_node()
    };
    System::start(options).unwrap()
}

fn of_agent(system: &System, name: &str) -> f64 {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    System::metric(agent, name, "").unwrap()
}

fn of_aggregator(system: &System, name: &str, labels: &str) -> f64 {
    System::metric(system.aggregator().unwrap(), name, labels).unwrap()
}

/// The values of a series of the model.
fn values(system: &System, path: &str) -> Vec<u64> {
    let answer = system.json(&format!("/api/v1/model/{path}")).unwrap();
    let points = answer["metrics"].as_array().unwrap().iter();
    points
        .map(|point| point["value"].as_u64().unwrap())
        .collect()
}

/// What is wrong with the summary, as the page shows it; empty when nothing is. The agent's
/// `/readyz?verbose` says the same.
fn reason(system: &System) -> String {
    let reason = || {
        let overview = system.overview().unwrap();
        let sources = overview["nodes"][0]["sources"].as_array().unwrap().clone();
        let of = sources.into_iter().find(|s| s["name"] == "summary");
        of.unwrap()["reason"].as_str().unwrap().to_owned()
    };
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let ready = || agent.get("admin", "/readyz?verbose").unwrap().text();
    let agreed = Deadline::after(SOON).poll(|| {
        let (reason, ready) = (reason(), ready());
        let line = ready.lines().find(|l| l.contains("]source summary"));
        let same = line.is_some_and(|line| match reason.as_str() {
            "" => line.starts_with("[+]"),
            reason => line.starts_with("[!]") && line.ends_with(reason),
        });
        same.then_some(reason)
    });
    agreed.unwrap_or_else(|| panic!("{:?}\n{}", reason(), ready()))
}

/// How often a summary was of another time.
fn off(system: &System) -> f64 {
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let failures = "cairn_agent_scrape_failures_total";
    System::metric(agent, failures, "source=\"summary\",kind=\"clock\"").unwrap()
}

/// What the page shows of the node: host figures alone.
fn only_the_host_is_there(system: &System) {
    let overview = system.overview().unwrap();
    let series = &overview["nodes"][0]["series"];
    assert!(series["load1"][0].is_number(), "{series}");
    assert_eq!([&series["cpu"][0], &series["memory"][0]], [&Value::Null; 2]);
    for path in [
        "nodes/node1/metrics/memory/usage",
        "nodes/node1/metrics/cpu/usage",
        "nodes/node1/metrics/cpu/usage_rate",
        "metrics/memory/usage",
        "namespaces/shop/metrics/memory/usage",
    ] {
        assert!(values(system, path).is_empty(), "{path}");
    }
}

/// Scenario: every time that the kubelet tells lies an hour ahead.
/// Guarantees: nothing that was measured in the future is taken, each is counted and the page says
/// why; the host goes on.
#[test]
fn of_a_kubelet_an_hour_ahead_nothing_is_taken_and_all_is_counted() {
    let system = one_node(i64::try_from(HOUR_MS).unwrap());
    let future = "cairn_agent_sampler_future_total";
    let mut before = 0.0;
    for k in 0..4 {
        system.tick(at(k)).unwrap();
        let counted = of_agent(&system, future);
        assert!(counted > before, "tick {k}: {counted}");
        before = counted;
    }
    only_the_host_is_there(&system);
    let told = reason(&system);
    assert!(told.contains("s ahead of this node's clock"), "{told}");
    assert!((off(&system) - 4.0).abs() < 0.5, "{}", off(&system));
}

/// Scenario: every time that the kubelet tells lies an hour behind.
/// Guarantees: nothing is shown of what is older than max-age, and the page says why; the host goes
/// on, and so does the kubelet when its clock is set.
#[test]
fn of_a_kubelet_an_hour_behind_nothing_is_shown_as_if_it_were_new() {
    let mut system = one_node(-i64::try_from(HOUR_MS).unwrap());
    for k in 0..4 {
        system.tick(at(k)).unwrap();
    }
    only_the_host_is_there(&system);
    assert!(of_agent(&system, "cairn_agent_sampler_future_total") < 0.5);
    let told = reason(&system);
    assert!(told.contains("s behind this node's clock"), "{told}");
    assert!((off(&system) - 4.0).abs() < 0.5, "{}", off(&system));
    system.nodes[0].ahead_ms = 0;
    system.tick(at(4)).unwrap();
    assert_eq!(reason(&system), "");
    assert_eq!(values(&system, "nodes/node1/metrics/memory/usage").len(), 1);
}

/// Scenario: for three ticks the kubelet answers with what it said a minute before: times and
/// counters are older.
/// Guarantees: it is counted; no series loses a point, falls, or has a rate that could not be; when
/// the kubelet is back the series goes on.
#[test]
fn a_kubelet_that_goes_back_in_time_makes_no_negative_rate_and_no_hole() {
    let mut system = one_node(0);
    for k in 0..10 {
        system.tick(at(k)).unwrap();
    }
    let late = "cairn_agent_sampler_late_total";
    let before = of_agent(&system, late);
    system.nodes[0].ahead_ms = -60_000;
    for k in 10..13 {
        system.tick(at(k)).unwrap();
    }
    let counted = of_agent(&system, late) - before;
    assert!(counted >= 2.0, "late: {counted}");
    assert_eq!(reason(&system), "", "a minute is not too old");
    system.nodes[0].ahead_ms = 0;
    for k in 13..18 {
        system.tick(at(k)).unwrap();
    }
    let pod = "namespaces/shop/pods/web-7ffcbbddf7-djszf";
    for of in ["nodes/node1", pod] {
        let usage = values(&system, &format!("{of}/metrics/cpu/usage"));
        assert_eq!(usage.len(), 18, "{of}: {usage:?}");
        assert!(usage.is_sorted(), "{of}: {usage:?}");
        let rates = values(&system, &format!("{of}/metrics/cpu/usage_rate"));
        assert_eq!(rates.len(), 17, "{of}: {rates:?}");
        // The recorded machine has fewer than a hundred cores.
        assert!(rates.iter().all(|rate| *rate < 100_000), "{of}: {rates:?}");
    }
    let usage = values(&system, "nodes/node1/metrics/cpu/usage");
    assert!(usage[9] < usage[17], "the series goes on: {usage:?}");
    for metric in ["network/rx_rate", "network/tx_rate"] {
        let rates = values(&system, &format!("nodes/node1/metrics/{metric}"));
        assert!(
            rates.iter().all(|rate| *rate < 1 << 30),
            "{metric}: {rates:?}"
        );
    }
}

/// One honest node (node1), and a token for another one that no agent uses (node2).
fn honest() -> System {
    let mut system = System::start(Options::default()).unwrap();
    system.nodes[1].agent = None;
    system.tick(at(0)).unwrap();
    system
}

async fn connect(system: &System, now_ms: u64, run: u64) -> RawAgent {
    let addr = system.aggregator().unwrap().addr("grpc").unwrap();
    let ca = system.path("ingest-ca.pem");
    let token = "agent-token-of-node2";
    let mut agent = RawAgent::connect(addr, &ca, token, now_ms).await.unwrap();
    agent.hello("node2", run).await.unwrap();
    let node = v1::Define {
        id: 1,
        kind: v1::EntityKind::Node.into(),
        name: "node2".to_owned(),
        ..v1::Define::default()
    };
    agent.send(Kind::Define(node)).await;
    agent
}

/// A node that uses 77 bytes, measured at this time.
fn snapshot(time_ms: u64) -> Snapshot {
    let mut builder = Builder::default();
    let stamp = Stamp {
        time_ms,
        start_ms: None,
        source: Source::Summary,
    };
    builder.value(EntityId(1), table::MEMORY_USAGE, 77);
    builder.stamp(EntityId(1), Group::Memory, stamp);
    builder.build()
}

fn row_at(seq: u64, tick: u64) -> Kind {
    Kind::Row(v1::Row {
        seq,
        base_seq: None,
        tick,
        payload: row::keyframe(DENSE, tick, &snapshot(tick)),
    })
}

/// Waits until the aggregator has counted so many rows that became this.
fn rows(system: &System, result: &str, count: f64) {
    let label = format!("result=\"{result}\"");
    let of = || of_aggregator(system, "cairn_aggregator_ingest_rows_total", &label);
    let counted = Deadline::after(SOON).poll(|| (of() > count - 0.5).then_some(()));
    assert!(counted.is_some(), "{result}: {}\n{}", of(), system.stderr());
    assert!(of() < count + 0.5, "{result}: {}", of());
}

/// The honest node and the sums go on at this tick as if nobody else were there.
fn untouched(system: &System, k: u64) {
    system.tick(at(k)).unwrap();
    let time = testkit::rfc3339::format(at(k));
    let newest = |of: &str| {
        let path = format!("/api/v1/model/{of}/cpu/usage?start={time}&end={time}");
        system.json(&path).unwrap()["metrics"][0]["timestamp"].clone()
    };
    assert_eq!(newest("nodes/node1/metrics"), json!(time));
    let path = "/api/v1/model/metrics/memory/usage";
    let sum = system.json(path).unwrap();
    assert_eq!(sum["latestTimestamp"], json!(time), "{sum}");
}

/// Scenario: an agent whose clock is right reports ticks of 1970, of an hour ahead, and of the end
/// of time; then one that is none of the grid.
/// Guarantees: each is counted as what it is and not kept; rows of the present between them are; the
/// one off the grid ends the stream; the honest node and the sums are untouched.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn absurd_ticks_are_counted_and_not_kept() {
    let system = honest();
    let agent = connect(&system, at(0) + 500, 1).await;
    let end_of_time = u64::MAX / 10_000 * 10_000;
    for (seq, tick) in (0..).zip([0, at(0) - HOUR_MS, at(0), at(0) + HOUR_MS, end_of_time]) {
        agent.send(row_at(seq, tick)).await;
    }
    rows(&system, "too_old", 2.0);
    rows(&system, "too_new", 2.0);
    let usage = system
        .json("/api/v1/model/nodes/node2/metrics/memory/usage")
        .unwrap();
    assert_eq!(usage["metrics"].as_array().unwrap().len(), 1, "{usage}");
    assert_eq!(usage["metrics"][0]["value"], 77, "{usage}");
    agent.send(row_at(5, at(0) + 10_000)).await;
    agent.send(row_at(6, u64::MAX)).await;
    let status = agent.end().await.unwrap();
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    assert!(status.message().contains("grid"), "{status:?}");
    let rejected = "cairn_aggregator_ingest_rejected_frames_total";
    assert!((of_aggregator(&system, rejected, "fault=\"tick\"") - 1.0).abs() < 0.5);
    untouched(&system, 1);
    let nodes = system.json("/api/v1/model/nodes/").unwrap();
    assert_eq!(nodes, json!(["node1", "node2"]));
}

/// Scenario: another run of the node brings a tick before the newest one, and then that one again.
/// Guarantees: the first is counted as late and kept, the second as a duplicate and not.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_late_tick_is_kept_and_one_that_is_held_is_a_duplicate() {
    let system = honest();
    let agent = connect(&system, at(0) + 500, 1).await;
    agent.send(row_at(0, at(0))).await;
    rows(&system, "applied", 2.0);
    agent.send(Kind::Bye(v1::Bye::default())).await;
    drop(agent);
    let agent = connect(&system, at(0) + 500, 2).await;
    agent.send(row_at(0, at(0) - 10_000)).await;
    rows(&system, "late", 1.0);
    agent.send(row_at(1, at(0))).await;
    rows(&system, "duplicate", 1.0);
    // While it is connected the sums wait for it.
    agent.send(Kind::Bye(v1::Bye::default())).await;
    drop(agent);
    untouched(&system, 1);
}

/// Scenario: agents whose own clock says 1970, the end of time, a year that no calendar has, or an
/// hour more or less.
/// Guarantees: nobody waits for them: the honest node's ticks and the sums come as if they were not
/// there; what they say of themselves can be asked for and breaks nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn absurd_clocks_of_agents_move_nobody_elses_ticks() {
    let system = honest();
    let clocks = [
        0,
        u64::MAX,
        1 << 62,
        100_000_000_000_000_000,
        at(0) + HOUR_MS,
        at(0) - HOUR_MS,
    ];
    for (k, now_ms) in (1..).zip(clocks) {
        let mut agent = connect(&system, now_ms, k).await;
        let own = now_ms / 10_000 * 10_000;
        agent.send(row_at(0, own)).await;
        // Whatever became of it, the aggregator has taken it in when it answers the goodbye.
        untouched(&system, 2 * k - 1);
        for path in [
            "/api/v1/model/nodes/node2/metrics/memory/usage",
            "/api/v1/dashboard/nodes/node2/metrics/memory/usage",
            "/api/cairn/v1/values?node=node2",
            "/api/v1/metric-export",
            "/api/cairn/v1/overview",
        ] {
            let answer = system.get(path).unwrap();
            assert_eq!(answer.status, 200, "{now_ms}: {path}: {}", answer.text());
        }
        agent.send(Kind::Bye(v1::Bye::default())).await;
        let answered = agent.receive().await;
        assert!(
            matches!(answered, Ok(Some(Answer::Ack(_)))),
            "{now_ms}: {answered:?}"
        );
        let missing = system.get("/api/v1/model/metrics/memory/usage").unwrap();
        let header = missing.header("cairn-nodes-missing").map(str::to_owned);
        assert!(header.is_none_or(|n| n == "1"), "{now_ms}");
        untouched(&system, 2 * k);
        drop(agent);
    }
}

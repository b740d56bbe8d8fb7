//! History goes from one aggregator to another, so that a rolling update of everything leaves the
//! window whole; and what a peer may not do to it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use cairn_proto::v1::{self, replay_frame::Kind as Frame};
use serde_json::Value;
use testkit::deadline::Deadline;
use testkit::fleet::{self, rolling};
use testkit::mix::Kind;
use testkit::pair::{Pair, values};
use testkit::peer::{self, FakePeer, chunk_at, define, end, of_chunk, restart_beside};
use testkit::proc::Proc;
use testkit::raw::RawAgent;
use testkit::system::{Options, System, TRACE_START_MS, at};

const FIVE_SECONDS: Duration = Duration::from_secs(5);

/// Within which a new aggregator has what others have: agents have six seconds to come first.
const SOON: Duration = Duration::from_secs(25);

const NODES: [&str; 2] = ["node1", "node2"];

fn all(aggregator: &Proc, ticks: (u64, u64)) -> Option<Vec<Value>> {
    let ticks_ms = (at(ticks.0), at(ticks.1));
    let of = |node: &&str| values(aggregator, node, ticks_ms).ok();
    NODES.iter().map(of).collect()
}

/// Waits until an aggregator says this of the ticks.
fn says(pair: &Pair, aggregator: &Proc, ticks: (u64, u64), wanted: &[Value]) {
    let same = Deadline::after(SOON).poll(|| (all(aggregator, ticks)? == wanted).then_some(()));
    assert!(same.is_some(), "{}", pair.stderr());
}

/// A figure of a process's own metrics, as a whole number.
fn figure(process: &Proc, name: &str, label: &str) -> String {
    let value = System::metric(process, &format!("cairn_aggregator_{name}"), label);
    // A sum of nothing is -0.
    format!("{:.0}", value.unwrap().abs())
}

fn stop(process: &mut Proc) {
    process.sigterm().unwrap();
    let status = process.wait(FIVE_SECONDS).unwrap();
    assert_eq!(status.code(), Some(0), "{}", process.stderr());
}

/// Series, and values that are there.
fn count(values: &[Value]) -> (usize, usize) {
    let (mut series, mut there) = (0, 0);
    for node in values {
        for entity in node["entities"].as_array().unwrap() {
            for (_, one) in entity["metrics"].as_object().unwrap() {
                series += 1;
                let values = one["values"].as_array().unwrap().iter();
                there += values.filter(|value| !value.is_null()).count();
            }
        }
    }
    (series, there)
}

/// Scenario: two aggregators and every agent are started anew, one after the other, within a window:
/// the first aggregator, then all agents, then the second aggregator.
/// Guarantees: after it both have every value of every series at every tick that they had before,
/// rates included, and those of the ticks meanwhile; nothing is held twice.
#[test]
fn a_rolling_update_of_everything_leaves_the_window_whole() {
    let mut pair = Pair::start(Options::default()).unwrap();
    for k in 0..20 {
        pair.tick(at(k)).unwrap();
    }
    let before = all(pair.system.aggregator().unwrap(), (0, 19)).unwrap();
    let (series, there) = count(&before);
    assert!(
        series > 100 && there > 20 * 50,
        "{series} series, {there} values"
    );
    says(&pair, pair.second().unwrap(), (0, 19), &before);

    stop(&mut pair.system.aggregator.take().unwrap());
    pair.start_first().unwrap();
    pair.tick(at(20)).unwrap();
    says(&pair, pair.system.aggregator().unwrap(), (0, 19), &before);

    for index in 0..NODES.len() {
        stop(&mut pair.system.nodes[index].agent.take().unwrap());
        pair.system.start_agent(index).unwrap();
    }
    pair.tick(at(21)).unwrap();
    pair.tick(at(22)).unwrap();

    stop(&mut pair.second.take().unwrap());
    pair.start_second().unwrap();
    pair.tick(at(23)).unwrap();
    let first = pair.system.aggregator().unwrap();
    let second = pair.second().unwrap();
    let now = all(first, (0, 23)).unwrap();
    says(&pair, second, (0, 23), &now);
    says(&pair, second, (0, 19), &before);
    says(&pair, first, (0, 19), &before);
    let rows = |aggregator| figure(aggregator, "store_rows", "");
    let whole = "48".to_owned();
    assert_eq!((rows(first), rows(second)), (whole.clone(), whole));
    let taken = System::metric(second, "cairn_aggregator_replay_taken_rows_total", "").unwrap();
    assert!(taken >= 42.0, "21 rows of each node's former run: {taken}");
    let ready = Deadline::after(SOON).poll(|| {
        let ready = second.get("admin", "/readyz?verbose").ok()?;
        (ready.status == 200 && ready.text().contains("[+]peers ok")).then_some(())
    });
    assert!(
        ready.is_some(),
        "{}",
        second.get("admin", "/readyz?verbose").unwrap().text()
    );
}

/// Scenario: the same with a fleet of 30 agents that have sampled more than a window.
/// Guarantees: both aggregators hold every row that they keep, of the agents' former lives too, and blocks
/// that were joined; each once, and every value of every node at every tick is what was sampled.
#[test]
fn a_rolling_update_of_everything_leaves_a_full_window_whole() {
    let mut fleet = fleet::Options::of(Kind::C, 30);
    fleet.mix.pods_per_node = Some(3);
    fleet.templates = 6;
    fleet.history = 70;
    let report = rolling::run(&rolling::Options {
        fleet,
        start_unix_ms: TRACE_START_MS,
        ticks_before: 40,
        ticks_after: 3,
    });
    let report = report.unwrap();
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert_eq!(report.expected.rows, 30 * 100);
    // Of the former lives; the agents hold five rows each.
    let replayed = report.holds[1].replayed_rows;
    assert!(replayed >= 30 * 94, "{report}");
}

/// Scenario: an agent is gone for good, and then one of two aggregators is started anew.
/// Guarantees: it has the node's history from the other one, which is stale there too.
#[test]
fn the_history_of_a_node_whose_agent_is_gone_is_not_lost() {
    let mut pair = Pair::start(Options::default()).unwrap();
    for k in 0..6 {
        pair.tick(at(k)).unwrap();
    }
    pair.system.nodes[1].agent.take().unwrap().kill9().unwrap();
    pair.tick(at(6)).unwrap();
    let before = all(pair.system.aggregator().unwrap(), (0, 5)).unwrap();
    pair.system.aggregator.take().unwrap().kill9().unwrap();
    pair.start_first().unwrap();
    pair.tick(at(7)).unwrap();
    says(&pair, pair.system.aggregator().unwrap(), (0, 5), &before);
    let overview = pair.system.overview().unwrap();
    assert_eq!(overview["nodes"][1]["state"], "stale", "{overview}");
}

/// Scenario: an aggregator is asked to stop in the moment in which another one asks it.
/// Guarantees: what was asked for is answered before it goes.
#[test]
fn an_aggregator_that_is_going_answers_first() {
    let mut pair = Pair::start(Options::default()).unwrap();
    for k in 0..6 {
        pair.tick(at(k)).unwrap();
    }
    for node in &mut pair.system.nodes {
        node.agent.take().unwrap().kill9().unwrap();
    }
    let stale = Deadline::after(FIVE_SECONDS).poll(|| {
        let overview = pair.system.overview().ok()?;
        let nodes = overview["nodes"].as_array()?;
        nodes.iter().all(|n| n["state"] == "stale").then_some(())
    });
    assert!(stale.is_some(), "{}", pair.stderr());
    let before = all(pair.system.aggregator().unwrap(), (0, 5)).unwrap();
    pair.second.take().unwrap().kill9().unwrap();
    pair.start_second().unwrap();
    let exchange = Deadline::after(FIVE_SECONDS).poll(|| {
        let streams = "cairn_aggregator_replay_streams";
        let streams = System::metric(pair.system.aggregator().unwrap(), streams, "").ok()?;
        (streams >= 1.0).then_some(())
    });
    assert!(exchange.is_some(), "{}", pair.stderr());
    stop(&mut pair.system.aggregator.take().unwrap());
    says(&pair, pair.second().unwrap(), (0, 5), &before);
}

/// Scenario: the only aggregator and an agent are killed within one window.
/// Guarantees: exactly the rows that the two held are missing; nothing is held twice.
#[test]
fn with_one_replica_what_nobody_holds_any_more_is_missing_and_nothing_else() {
    let mut system = System::start(Options::default()).unwrap();
    for k in 0..6 {
        system.tick(at(k)).unwrap();
    }
    system.aggregator.take().unwrap().kill9().unwrap();
    system.nodes[0].agent.take().unwrap().kill9().unwrap();
    system.start_aggregator().unwrap();
    system.start_agent(0).unwrap();
    for k in 6..9 {
        system.tick(at(k)).unwrap();
    }
    let aggregator = system.aggregator().unwrap();
    let whole = Deadline::after(FIVE_SECONDS).poll(|| {
        // Three of the node whose agent was killed, nine of the other one.
        (figure(aggregator, "store_rows", "") == "12").then_some(())
    });
    assert!(whole.is_some(), "{}", system.stderr());
    let memory = |node: &str| {
        let path = format!("/api/v1/model/nodes/{node}/metrics/memory/usage");
        let answer = system.json(&path).unwrap();
        let points = answer["metrics"].as_array().unwrap().iter();
        let times: Vec<String> = points
            .map(|point| point["timestamp"].as_str().unwrap().to_owned())
            .collect();
        times
    };
    let times = |ks: std::ops::Range<u64>| -> Vec<String> {
        ks.map(|k| testkit::rfc3339::format(at(k))).collect()
    };
    assert_eq!(memory("node1"), times(6..9));
    assert_eq!(memory("node2"), times(0..9));
    assert_eq!(figure(aggregator, "ingest_rows_total", "duplicate"), "0");
}

/// What a peer says first of a node.
fn run(node: &str) -> Frame {
    peer::run(node, at(0))
}

/// Guarantees: the exchange ends with this kind of failure, which is counted and told, and the
/// window is as it was.
fn ends(kind: &str, script: impl Fn(&v1::Recall) -> Option<Vec<Frame>> + Send + Sync + 'static) {
    let mut system = System::start(Options::one_node()).unwrap();
    let peer = FakePeer::start(system.dir(), &["gone1"], script).unwrap();
    restart_beside(&mut system, &[peer.addr], "peer.token").unwrap();
    system.tick(at(0)).unwrap();
    let aggregator = system.aggregator().unwrap();
    let failed = Deadline::after(Duration::from_secs(50)).poll(|| {
        let failures = "cairn_aggregator_replay_failures_total";
        let label = format!("kind=\"{kind}\"");
        (System::metric(aggregator, failures, &label).ok()? >= 1.0).then_some(())
    });
    assert!(failed.is_some() && peer.asked() >= 1, "{}", system.stderr());
    // It is counted first.
    let told = Deadline::after(FIVE_SECONDS).poll(|| {
        let said = aggregator.stderr();
        said.contains("no history from a peer").then_some(())
    });
    assert!(told.is_some(), "{}", system.stderr());
    let overview = system.overview().unwrap();
    let nodes = overview["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{overview}");
    assert_eq!(figure(aggregator, "store_rows", ""), "1");
    let nodes = system.json("/api/v1/model/nodes/").unwrap();
    assert_eq!(nodes, serde_json::json!(["node1"]));
}

#[test]
fn a_peer_that_answers_garbage_changes_nothing() {
    ends("data", |recall| {
        let node = &recall.node;
        Some(vec![
            run(node),
            define(node),
            of_chunk(vec![2, 255, 255, 255]),
        ])
    });
}

#[test]
fn a_peer_that_uses_a_name_before_it_told_it_changes_nothing() {
    ends("data", |recall| {
        let node = &recall.node;
        Some(vec![run(node), of_chunk(chunk_at(at(0))), end(node)])
    });
}

#[test]
fn a_peer_that_sends_another_nodes_rows_changes_nothing() {
    ends("data", |_| Some(vec![run("node1"), define("node1")]));
    ends("data", |recall| {
        Some(vec![run(&recall.node), define("node1")])
    });
}

#[test]
fn a_peer_that_speaks_out_of_turn_is_left() {
    ends("protocol", |_| {
        Some(vec![Frame::Welcome(v1::PeerWelcome::default())])
    });
}

#[test]
fn a_peer_that_hangs_is_left() {
    ends("timeout", |_| None);
}

/// Guarantees: rows outside of the window are not taken, and what was good before a fault stays.
#[test]
fn a_good_peer_gives_a_node_that_nobody_reports() {
    let mut system = System::start(Options::one_node()).unwrap();
    let peer = FakePeer::start(system.dir(), &["gone1"], |recall| {
        let node = &recall.node;
        if node != "gone1" {
            return Some(vec![end(node)]);
        }
        let chunk = of_chunk(chunk_at(at(0)));
        Some(vec![run(node), define(node), chunk, end(node)])
    });
    let peer = peer.unwrap();
    restart_beside(&mut system, &[peer.addr], "peer.token").unwrap();
    system.tick(at(0)).unwrap();
    let there = Deadline::after(SOON).poll(|| {
        let overview = system.overview().ok()?;
        let nodes = overview["nodes"].as_array()?;
        let gone = nodes.iter().find(|node| node["name"] == "gone1")?;
        (gone["newest_tick_ms"] == at(0)).then_some(())
    });
    assert!(there.is_some(), "{}", system.stderr());
}

/// Guarantees: an agent's token gets no history, another aggregator's token reports no node, and an
/// aggregator whose own address is among its peers' leaves it alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_one_kind_of_stream_only() {
    let mut system = System::start(Options::one_node()).unwrap();
    let grpc = system.aggregator().unwrap().addr("grpc").unwrap();
    restart_beside(&mut system, &[grpc], "node1.token").unwrap();
    let told = |system: &System, text: &str| {
        let told = Deadline::after(FIVE_SECONDS).poll(|| {
            let said = system.aggregator().unwrap().stderr();
            said.contains(text).then_some(())
        });
        assert!(told.is_some(), "{text}: {}", system.stderr());
    };
    told(&system, "this token is an agent's");
    let auth = |system: &System| {
        let failures = "cairn_aggregator_replay_failures_total";
        System::metric(system.aggregator().unwrap(), failures, "auth").unwrap()
    };
    assert!(auth(&system) >= 1.0);
    restart_beside(&mut system, &[grpc], "peer.token").unwrap();
    told(&system, "the address is this process's own");
    assert!(auth(&system) < 1.0);
    let ca = system.path("ingest-ca.pem");
    let refused = RawAgent::connect(grpc, &ca, "peer-token", at(0)).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("report nothing"), "{refused}");
}

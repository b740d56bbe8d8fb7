//! Ends, restarts and takeovers of real processes.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use testkit::deadline::Deadline;
use testkit::pair;
use testkit::system::{Options, System, at};

/// Within which every end and every return must have come about.
const FIVE_SECONDS: Duration = Duration::from_secs(5);

const CPU: &str = "/api/v1/model/nodes/node1/metrics/cpu/usage";

fn started(ticks: u64) -> System {
    let system = System::start(Options::default()).unwrap();
    for k in 0..ticks {
        system.tick(at(k)).unwrap();
    }
    system
}

fn timestamps(system: &System, path: &str) -> Vec<String> {
    let answer = system.json(path).unwrap();
    let metrics = answer["metrics"].as_array().unwrap();
    metrics
        .iter()
        .map(|p| p["timestamp"].as_str().unwrap().to_owned())
        .collect()
}

/// Times of ticks, as the API writes them.
fn times(ks: impl Iterator<Item = u64>) -> Vec<String> {
    ks.map(|k| testkit::rfc3339::format(at(k))).collect()
}

/// Guarantees: exit 0 within 5 s, and the row sampled just before is in the window.
#[test]
fn sigterm_to_the_agent_delivers_its_last_row() {
    let mut system = started(3);
    system.step(at(3)).unwrap();
    let agent = system.nodes[0].agent.as_mut().unwrap();
    agent.sigterm().unwrap();
    let status = agent.wait(FIVE_SECONDS).unwrap();
    assert_eq!(status.code(), Some(0), "{}", agent.stderr());
    assert_eq!(timestamps(&system, CPU), times(0..4));
    let overview = system.overview().unwrap();
    assert_eq!(overview["nodes"][0]["state"], "stale", "{overview}");
}

/// Guarantees: exit 0 within 5 s, with agents streaming and a page that never reads its stream.
#[test]
fn sigterm_to_the_aggregator_ends_it_in_time_with_everybody_connected() {
    let mut system = started(2);
    let http = system.aggregator().unwrap().addr("http").unwrap();
    let mut frozen = TcpStream::connect(http).unwrap();
    frozen
        .write_all(b"GET /api/cairn/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .unwrap();
    let grpc = system.aggregator().unwrap().addr("grpc").unwrap();
    let _silent = TcpStream::connect(grpc).unwrap();
    let mut aggregator = system.aggregator.take().unwrap();
    aggregator.sigterm().unwrap();
    let status = aggregator.wait(FIVE_SECONDS).unwrap();
    assert_eq!(status.code(), Some(0), "{}", aggregator.stderr());
}

/// Guarantees: within 5 s after the aggregator is back the agents stream again; what they sampled
/// before and meanwhile is in the window, each tick once.
#[test]
fn a_killed_aggregator_is_whole_again() {
    let mut system = started(4);
    system.aggregator.take().unwrap().kill9().unwrap();
    system.step(at(4)).unwrap();
    system.step(at(5)).unwrap();
    system.start_aggregator().unwrap();
    system.arrived(at(5), FIVE_SECONDS).unwrap();
    system.tick(at(6)).unwrap();
    let whole = Deadline::after(FIVE_SECONDS).poll(|| {
        let all = timestamps(&system, CPU) == times(0..7);
        all.then_some(())
    });
    let found = timestamps(&system, CPU);
    assert!(whole.is_some(), "{found:?}\n{}", system.stderr());
    let rate = timestamps(&system, "/api/v1/model/nodes/node1/metrics/cpu/usage_rate");
    assert_eq!(rate, times(1..7), "rates reach over the restart");
}

/// Scenario: the aggregator is away for so long that the agents try again as rarely as they ever do.
/// Guarantees: they stream again within 5 s after it is back, and what was sampled meanwhile is in
/// the window.
#[test]
fn a_longer_outage_ends_within_five_seconds_too() {
    let mut system = started(2);
    system.aggregator.take().unwrap().kill9().unwrap();
    let patient = Deadline::after(Duration::from_secs(60)).poll(|| {
        let tried = |agent| System::metric(agent, "cairn_agent_uplink_ends_total", "").ok();
        let agents = system.nodes.iter().filter_map(|node| node.agent.as_ref());
        agents
            .map(tried)
            .all(|tries| tries >= Some(7.0))
            .then_some(())
    });
    assert!(patient.is_some(), "{}", system.stderr());
    for k in 2..5 {
        system.step(at(k)).unwrap();
    }
    system.start_aggregator().unwrap();
    system.arrived(at(4), FIVE_SECONDS).unwrap();
    let whole = Deadline::after(FIVE_SECONDS).poll(|| {
        let all = timestamps(&system, CPU) == times(0..5);
        all.then_some(())
    });
    assert!(whole.is_some(), "{:?}", timestamps(&system, CPU));
}

/// Guarantees: a new agent of the node streams within 5 s, its rates continue those of the one
/// before (the kubelet's counters went on), and nothing that was held is lost or doubled.
#[test]
fn a_killed_agent_is_replaced() {
    let mut system = started(3);
    let acknowledged = |system: &System| {
        let aggregator = system.aggregator().unwrap();
        pair::values(aggregator, "node1", (at(0), at(2))).unwrap()
    };
    let before = acknowledged(&system);
    assert!(
        before["entities"].as_array().unwrap().len() > 10,
        "{before}"
    );
    system.nodes[0].agent.take().unwrap().kill9().unwrap();
    system.step(at(3)).unwrap();
    system.start_agent(0).unwrap();
    system.step(at(4)).unwrap();
    system.arrived(at(4), FIVE_SECONDS).unwrap();
    system.tick(at(5)).unwrap();
    assert_eq!(acknowledged(&system), before, "value by value");
    // Tick 3 was sampled by nobody: it shows what was held.
    assert_eq!(timestamps(&system, CPU), times(0..6));
    let rates = timestamps(&system, "/api/v1/model/nodes/node1/metrics/cpu/usage_rate");
    assert_eq!(rates, times(1..6));
}

/// Scenario: an agent freezes with its stream half open, and another one of its node comes.
/// Guarantees: the newer stream takes over within 5 s; the older is told when it wakes, and counts
/// it as what it is.
#[test]
fn a_half_open_older_stream_is_fenced() {
    let mut system = started(2);
    let mut older = system.nodes[0].agent.take().unwrap();
    older.freeze().unwrap();
    system.start_agent(0).unwrap();
    system.step(at(2)).unwrap();
    system.arrived(at(2), FIVE_SECONDS).unwrap();
    let fenced = Deadline::after(FIVE_SECONDS).poll(|| {
        let ended = "cairn_aggregator_ingest_ended_streams_total";
        let count = System::metric(system.aggregator().unwrap(), ended, "fenced").unwrap();
        (count >= 1.0).then_some(())
    });
    assert!(fenced.is_some(), "{}", system.stderr());
    assert_eq!(timestamps(&system, CPU), times(0..3));
    older.thaw().unwrap();
    let told = Deadline::after(FIVE_SECONDS).poll(|| {
        let ends = "cairn_agent_uplink_ends_total";
        let count = System::metric(&older, ends, "fenced").ok()?;
        (count >= 1.0).then_some(())
    });
    assert!(told.is_some(), "{}", older.stderr());
    older.kill9().unwrap();
}

/// Scenario: an agent dies and nobody takes its place.
/// Guarantees: its values are held to max-age, then withdrawn; sums count them until then and say
/// that a node is missing.
#[test]
fn a_silent_nodes_values_are_held_to_max_age_and_then_withdrawn() {
    let mut system = started(3);
    system.nodes[0].agent.take().unwrap().kill9().unwrap();
    let gone = Deadline::after(FIVE_SECONDS).poll(|| {
        let overview = system.overview().ok()?;
        (overview["nodes"][0]["state"] == "stale").then_some(())
    });
    assert!(gone.is_some(), "{}", system.stderr());
    for k in 3..15 {
        system.tick(at(k)).unwrap();
        let answer = system.get("/api/v1/model/metrics/memory/usage").unwrap();
        // The last row is of tick 2; a node silent for longer than 90 s is missed no more.
        let missing = (k <= 11).then_some("1");
        assert_eq!(answer.header("cairn-nodes-missing"), missing, "tick {k}");
    }
    let held = timestamps(&system, "/api/v1/model/nodes/node1/metrics/memory/usage");
    let kept: Vec<String> = times(0..15).into_iter().take(held.len()).collect();
    assert_eq!(held, kept, "one unbroken row of points");
    // Measured 7 to 13 s before its tick, and valid for 90 s.
    assert!((10..=12).contains(&held.len()), "{} points", held.len());
    let nodes: Value = system.json("/api/v1/model/nodes/").unwrap();
    assert_eq!(nodes, serde_json::json!(["node2"]));
}

/// Scenario: an agent reports under the name of a node whose token it does not have.
/// Guarantees: it is refused, counted and logged, and the rightful node is untouched.
#[test]
fn an_agent_that_reports_another_nodes_name_is_refused() {
    let system = started(2);
    let mut args = system.agent_args(1).unwrap();
    let name = args.iter().position(|a| a == "--node-name").unwrap();
    args[name + 1] = "node1".to_owned();
    args.extend(["--clock".to_owned(), format!("driven={}", at(1) + 500)]);
    let strs: Vec<&str> = args.iter().map(String::as_str).collect();
    let _impostor = testkit::proc::Proc::start("cairn-agent", &strs, &[]).unwrap();
    let aggregator = system.aggregator().unwrap();
    let refused = Deadline::after(FIVE_SECONDS).poll(|| {
        let refused = "cairn_aggregator_ingest_refused_streams_total";
        let count = System::metric(aggregator, refused, "wrong_node").ok()?;
        (count >= 1.0).then_some(())
    });
    assert!(refused.is_some(), "{}", system.stderr());
    assert!(
        aggregator
            .stderr()
            .contains("does not belong to node node1")
    );
    system.tick(at(2)).unwrap();
    assert_eq!(timestamps(&system, CPU), times(0..3));
}

/// Scenario: the aggregator is given by two names that lead to the same process, as a dual-stack
/// name does by its two addresses.
/// Guarantees: one session streams and the other stands back, instead of the two fencing each
/// other; every tick is there; when the aggregator is started anew the agent streams again.
#[test]
fn two_addresses_of_one_aggregator_share_one_session() {
    let mut system = System::start(Options::one_node()).unwrap();
    system.nodes[0].agent = None;
    let grpc = system.aggregator().unwrap().addr("grpc").unwrap();
    let mut args = system.agent_args(0).unwrap();
    let again = format!("https://localhost:{}", grpc.port());
    args.extend(["--aggregator".to_owned(), again]);
    args.extend(["--clock", "driven=1795332326328"].map(str::to_owned));
    let strs: Vec<&str> = args.iter().map(String::as_str).collect();
    let agent = testkit::proc::Proc::start("cairn-agent", &strs, &[]).unwrap();
    let stands_back = Deadline::after(FIVE_SECONDS).poll(|| {
        let ready = agent.get("admin", "/readyz?verbose").ok()?.text();
        ready.contains("another address").then_some(())
    });
    assert!(stands_back.is_some(), "{}", agent.stderr());
    system.nodes[0].agent = Some(agent);
    for k in 0..4 {
        system.tick(at(k)).unwrap();
    }
    assert_eq!(timestamps(&system, CPU), times(0..4));
    let agent = system.nodes[0].agent.as_ref().unwrap();
    let fenced = System::metric(agent, "cairn_agent_uplink_ends_total", "fenced").unwrap();
    assert!(fenced <= 2.0, "{fenced} sessions were fenced");
    system.aggregator.take().unwrap().kill9().unwrap();
    system.start_aggregator().unwrap();
    system.step(at(4)).unwrap();
    system.arrived(at(4), FIVE_SECONDS).unwrap();
}

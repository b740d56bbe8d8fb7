//! What nobody holds any more is missing, and where somebody can know of it, it shows as a gap.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::fs;
use std::time::Duration;

use cairn_proto::v1::{self, agent_frame::Kind, aggregator_frame::Kind as Answer};
use serde_json::Value;
use tempfile::TempDir;
use testkit::pair::Pair;
use testkit::proc::Proc;
use testkit::proxy::Flow;
use testkit::raw::RawAgent;
use testkit::system::{Options, System, at};

/// Within which a new aggregator has what others have: agents have six seconds to come first.
const SOON: Duration = Duration::from_secs(25);

fn figure(aggregator: &Proc, name: &str) -> u64 {
    System::of_aggregator(aggregator, name, "").unwrap()
}

/// The first node, as the page is told of it.
fn node(aggregator: &Proc) -> Value {
    let answer = aggregator.get("http", "/api/cairn/v1/overview").unwrap();
    let overview: Value = serde_json::from_slice(&answer.body).unwrap();
    overview["nodes"][0].clone()
}

/// Scenario: an agent is cut off for ten ticks and killed before the network is mended, and another
/// one of its node begins.
/// Guarantees: exactly these ten rows are missing, and the node and the figures say so; a node without
/// a gap says nothing of one.
#[test]
fn rows_that_died_with_their_agent_are_a_gap() {
    let mut system = System::start(Options::default()).unwrap();
    let proxy = system.start_agent_behind(0, None).unwrap();
    for k in 0..10 {
        system.tick(at(k)).unwrap();
    }
    let aggregator = system.aggregator().unwrap();
    assert_eq!(figure(aggregator, "store_gap_ticks"), 0);
    assert_eq!(node(aggregator)["gap_ticks"], Value::Null);
    proxy.set(Flow::Cut);
    for k in 10..20 {
        system.step(at(k)).unwrap();
    }
    assert_eq!(system.of_agent("sampler_rows_total").unwrap(), 20);
    system.nodes[0].agent.take().unwrap().kill9().unwrap();
    proxy.set(Flow::Free);
    system.start_agent(0).unwrap();
    for k in 20..23 {
        system.tick(at(k)).unwrap();
    }
    let aggregator = system.aggregator().unwrap();
    assert_eq!(figure(aggregator, "store_rows"), 13 + 23);
    assert_eq!(figure(aggregator, "store_gap_ticks"), 10);
    assert_eq!(node(aggregator)["gap_ticks"], 10);
}

/// Scenario: of two aggregators one is killed together with the agents, and both begin anew a few
/// ticks later.
/// Guarantees: it has from the other one what that holds; the ticks in between, of which nobody has
/// anything, are a gap on both.
#[test]
fn what_another_aggregator_holds_shows_how_long_a_gap_is() {
    let mut pair = Pair::start(Options::one_node()).unwrap();
    for k in 0..6 {
        pair.tick(at(k)).unwrap();
    }
    pair.system.nodes[0].agent.take().unwrap().kill9().unwrap();
    pair.system.aggregator.take().unwrap().kill9().unwrap();
    for k in 6..10 {
        pair.tick(at(k)).unwrap();
    }
    pair.start_first().unwrap();
    pair.system.start_agent(0).unwrap();
    for k in 10..13 {
        pair.tick(at(k)).unwrap();
    }
    for aggregator in pair.aggregators() {
        pair.system.holds(aggregator, 9, SOON).unwrap();
        assert_eq!(figure(aggregator, "store_gap_ticks"), 4);
        assert_eq!(node(aggregator)["gap_ticks"], 4);
    }
}

/// Scenario: the only aggregator and an agent that writes nothing down are killed within one window.
/// Guarantees: what the two held is missing, and nothing is made up about it: the node's window begins
/// with the new agent, as that of a node that was never seen before would.
#[test]
fn what_nobody_can_know_of_is_no_gap() {
    let mut system = System::start(Options::one_node()).unwrap();
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
    assert_eq!(figure(aggregator, "store_rows"), 3);
    assert_eq!(figure(aggregator, "store_gap_ticks"), 0);
}

/// One node whose agents leave behind which rows there were.
fn with_state() -> (Options, TempDir) {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().display().to_string();
    let options = Options {
        extra_agent_args: vec!["--state-dir".to_owned(), dir],
        ..Options::one_node()
    };
    (options, state)
}

fn kill_both(system: &mut System) {
    system.aggregator.take().unwrap().kill9().unwrap();
    system.nodes[0].agent.take().unwrap().kill9().unwrap();
}

fn start_both(system: &mut System) {
    system.start_aggregator().unwrap();
    system.start_agent(0).unwrap();
}

/// Rows that are held, and ticks that are missing.
fn held_and_missing(system: &System) -> (u64, u64) {
    let aggregator = system.aggregator().unwrap();
    let missing = figure(aggregator, "store_gap_ticks");
    let shown = node(aggregator)["gap_ticks"].as_u64().unwrap_or(0);
    assert_eq!(shown, missing);
    (figure(aggregator, "store_rows"), missing)
}

/// Scenario: the only aggregator and an agent are killed within one window, after six rows; the next
/// agent finds what the first one left behind.
/// Guarantees: exactly the six rows that no living process held are missing, and they are counted.
#[test]
fn what_died_with_both_is_counted() {
    let (options, _state) = with_state();
    let mut system = System::start(options).unwrap();
    for k in 0..6 {
        system.tick(at(k)).unwrap();
    }
    assert_eq!(held_and_missing(&system), (6, 0));
    kill_both(&mut system);
    start_both(&mut system);
    for k in 6..9 {
        system.tick(at(k)).unwrap();
        assert_eq!(held_and_missing(&system), (k - 5, 6));
    }
}

/// Scenario: the same beside a second aggregator, which lives on.
/// Guarantees: it hands over what the other two lost: nothing is missing, and nobody says so.
#[test]
fn what_another_aggregator_still_has_is_not_missing() {
    let (options, _state) = with_state();
    let mut pair = Pair::start(options).unwrap();
    for k in 0..6 {
        pair.tick(at(k)).unwrap();
    }
    kill_both(&mut pair.system);
    pair.start_first().unwrap();
    pair.system.start_agent(0).unwrap();
    for k in 6..9 {
        pair.tick(at(k)).unwrap();
    }
    for aggregator in pair.aggregators() {
        pair.system.holds(aggregator, 9, SOON).unwrap();
        assert_eq!(figure(aggregator, "store_gap_ticks"), 0);
        assert_eq!(node(aggregator)["gap_ticks"], Value::Null);
    }
}

/// Scenario: an agent is killed three times beside an aggregator that lives, once for a tick at which none
/// runs; the fourth time the aggregator is killed with it.
/// Guarantees: nothing is missing as long as it is held, but the tick that nobody sampled; then all of it
/// is, of each of the four.
#[test]
fn of_an_agent_that_began_again_and_again_each_life_is_counted() {
    let (options, _state) = with_state();
    let mut system = System::start(options).unwrap();
    let kill = |system: &mut System| system.nodes[0].agent.take().unwrap().kill9().unwrap();
    system.tick(at(0)).unwrap();
    system.tick(at(1)).unwrap();
    kill(&mut system);
    system.start_agent(0).unwrap();
    system.tick(at(2)).unwrap();
    system.tick(at(3)).unwrap();
    assert_eq!(held_and_missing(&system), (4, 0));
    kill(&mut system);
    system.step(at(4)).unwrap();
    system.start_agent(0).unwrap();
    system.tick(at(5)).unwrap();
    system.tick(at(6)).unwrap();
    assert_eq!(held_and_missing(&system), (6, 1));
    kill(&mut system);
    system.start_agent(0).unwrap();
    system.tick(at(7)).unwrap();
    assert_eq!(held_and_missing(&system), (7, 1));
    kill_both(&mut system);
    start_both(&mut system);
    system.tick(at(8)).unwrap();
    assert_eq!(held_and_missing(&system), (1, 8));
}

/// Scenario: what the agent left behind is damaged before the next one finds it.
/// Guarantees: it says nothing, and the log and a figure say so; what the next one leaves behind counts.
#[test]
fn what_is_damaged_says_nothing() {
    let (options, state) = with_state();
    let mut system = System::start(options).unwrap();
    for k in 0..6 {
        system.tick(at(k)).unwrap();
    }
    kill_both(&mut system);
    let path = state.path().join("runs");
    let mut left = fs::read(&path).unwrap();
    let middle = left.len() / 2;
    left[middle] ^= 1;
    fs::write(&path, left).unwrap();
    start_both(&mut system);
    for k in 6..9 {
        system.tick(at(k)).unwrap();
    }
    assert_eq!(held_and_missing(&system), (3, 0));
    assert_eq!(system.of_agent("state_refused_files_total").unwrap(), 1);
    let said = system.nodes[0].agent.as_ref().unwrap().stderr();
    assert!(said.contains(&path.display().to_string()), "{said}");
    kill_both(&mut system);
    start_both(&mut system);
    system.tick(at(9)).unwrap();
    assert_eq!(held_and_missing(&system), (1, 3));
}

/// Scenario: all clocks are set back by four ticks, a row is sampled, and the only aggregator and the
/// agent are killed; later they are killed again, and the clocks set back before the next ones begin.
/// Guarantees: counted is what was sampled until now, by the clock that counts now; of a time to come
/// nothing is.
#[test]
fn a_clock_that_is_set_back_makes_nothing_missing_that_is_to_come() {
    let (options, _state) = with_state();
    let mut system = System::start(options).unwrap();
    for k in 0..10 {
        system.tick(at(k)).unwrap();
    }
    system.step(at(5)).unwrap();
    system.step(at(6)).unwrap();
    assert_eq!(system.of_agent("sampler_clock_steps_total").unwrap(), 1);
    kill_both(&mut system);
    start_both(&mut system);
    for k in 7..10 {
        system.tick(at(k)).unwrap();
    }
    assert_eq!(held_and_missing(&system), (3, 7));
    kill_both(&mut system);
    system.step(at(4)).unwrap();
    start_both(&mut system);
    system.tick(at(5)).unwrap();
    assert_eq!(held_and_missing(&system), (1, 0));
    assert_eq!(system.of_agent("state_refused_files_total").unwrap(), 1);
}

/// Scenario: a node's agent claims thousands of earlier runs, each of a century with a tick a second.
/// Guarantees: its own node has a gap of one window; no other has any, and the rest is counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_an_agent_claims_is_bounded() {
    let options = Options {
        guests: vec!["z-guest".to_owned()],
        ..Options::one_node()
    };
    let system = System::start(options).unwrap();
    system.tick(at(0)).unwrap();
    let aggregator = system.aggregator().unwrap();
    let (addr, ca) = (
        aggregator.addr("grpc").unwrap(),
        system.path("ingest-ca.pem"),
    );
    let now_ms = at(0) + 500;
    let mut agent = RawAgent::connect(addr, &ca, "agent-token-of-z-guest", now_ms)
        .await
        .unwrap();
    let claim = |epoch_ms| v1::EarlierRun {
        run: Some(v1::Run {
            boot_id: vec![1; 16],
            epoch_ms,
            clock_stepped: false,
        }),
        interval_ms: 1_000,
        first_tick: 0,
        last_tick: at(0),
    };
    let hello = v1::Hello {
        earlier_runs: (0..5_000).map(claim).collect(),
        ..agent.hello_frame("z-guest", 9)
    };
    agent.send(Kind::Hello(hello)).await;
    let answer = agent.receive().await;
    assert!(matches!(answer, Ok(Some(Answer::Welcome(_)))), "{answer:?}");
    // The window, and the hundred seconds that rows are kept beyond it.
    assert_eq!(figure(aggregator, "store_gap_ticks"), 1_000);
    assert_eq!(
        figure(aggregator, "ingest_refused_earlier_runs_total"),
        4_992
    );
    let honest = node(aggregator);
    assert_eq!(
        (&honest["name"], &honest["gap_ticks"]),
        (&"node1".into(), &Value::Null)
    );
}

//! What nobody holds any more is missing, and where somebody can know of it, it shows as a gap.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use serde_json::Value;
use testkit::pair::Pair;
use testkit::proc::Proc;
use testkit::proxy::Flow;
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

/// Scenario: the only aggregator and an agent are killed within one window.
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

//! A network that is cut between agents and an aggregator, without a word to either.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use testkit::deadline::Deadline;
use testkit::fleet;
use testkit::fleet::Totals;
use testkit::fleet::restart::{Options, cut};
use testkit::mix::Kind;
use testkit::pair::values;
use testkit::proxy::Flow;
use testkit::system::{Options as Whole, System, TRACE_START_MS, at};

/// Within which an agent streams again, and whatever is asked for has come.
const SOON: Duration = Duration::from_secs(15);

/// Within which an agent gives up a connection on which nothing comes, with room for a busy machine.
const GIVEN_UP: Duration = Duration::from_secs(30);

/// Agents of small nodes.
const AGENTS: usize = 60;

/// Rows before the network is cut: two thirds of a window.
const ROWS_BEFORE: u64 = 60;

/// Rows that an aggregator keeps: its window and a little more for the rates at its border.
const KEPT_ROWS: u64 = 100;

fn options() -> Options {
    let mut fleet = fleet::Options::of(Kind::C, AGENTS);
    fleet.mix.pods_per_node = Some(3);
    fleet.templates = 8;
    fleet.history = ROWS_BEFORE - 20;
    Options {
        fleet,
        start_unix_ms: TRACE_START_MS,
        live_ticks: 20,
        restarted: 0,
        ticks_after: 3,
        compared_nodes: 20,
        aggregator_args: vec!["--memory-limit".to_owned(), "0".to_owned()],
        cluster: None,
        built: None,
    }
}

/// Scenario: nothing passes between 60 agents and their aggregator for 70 ticks, less than a window.
/// Guarantees: when it is mended every row of every tick is there, each once and with the values that
/// were sampled; nothing counts as a gap.
#[test]
fn a_cut_shorter_than_the_window_costs_nothing() {
    let report = cut::run(&options(), 70).unwrap();
    println!("{report}");
    assert!(report.is_good(), "{report}");
    assert_eq!(report.dropped, Totals::default());
    assert_eq!(report.expected.rows, AGENTS as u64 * KEPT_ROWS);
}

/// Scenario: nothing passes for 150 ticks, more than a window.
/// Guarantees: when it is mended all that the agents' rings still hold is there, each row once and
/// with the values that were sampled; the rows that fell out meanwhile are missing, no others, and
/// they are counted.
#[test]
fn a_cut_longer_than_the_window_costs_what_the_rings_no_longer_hold() {
    let report = cut::run(&options(), 150).unwrap();
    println!("{report}");
    assert!(report.is_good(), "{report}");
    // Of 210 rows the rings hold the newest 91, to a block's border.
    assert_eq!(report.dropped.rows, AGENTS as u64 * (112 - ROWS_BEFORE));
    assert_eq!(report.expected.rows, AGENTS as u64 * KEPT_ROWS);
}

/// Waits until the aggregator holds so many rows.
fn holds(system: &System, rows: u64) {
    let aggregator = system.aggregator().unwrap();
    system.holds(aggregator, rows, SOON).unwrap();
}

/// Scenario: nothing passes between a real agent and its aggregator for 150 ticks.
/// Guarantees: afterwards the aggregator has what the ring still holds, each row once; the agent
/// counts the rows that fell out of its ring before anybody had them, and so does the aggregator.
#[test]
fn an_agent_counts_what_it_had_to_drop_while_it_was_cut_off() {
    let mut system = System::start(Whole::one_node()).unwrap();
    let proxy = system.start_agent_behind(0, None).unwrap();
    for k in 0..20 {
        system.tick(at(k)).unwrap();
    }
    // Acknowledgements come once a second.
    let unacked = || system.of_agent("uplink_unacked_rows").unwrap();
    let told = Deadline::after(SOON).poll(|| (unacked() == 0).then_some(()));
    assert!(told.is_some(), "{}", system.stderr());
    proxy.set(Flow::Cut);
    for k in 20..170 {
        system.step(at(k)).unwrap();
    }
    let dropped = system.of_agent("ring_dropped_rows_total").unwrap();
    // Of 170 rows the ring holds the newest 91, to a block's border.
    assert_eq!(dropped, 64 - 20);
    proxy.set(Flow::Free);
    system.arrived(at(169), SOON).unwrap();
    holds(&system, 100);
    system.tick(at(170)).unwrap();
    let aggregator = system.aggregator().unwrap();
    let figure = |name, labels| System::of_aggregator(aggregator, name, labels).unwrap();
    assert_eq!(figure("ingest_gap_rows_total", ""), dropped);
    assert_eq!(figure("store_gap_rows", ""), dropped);
    assert_eq!(figure("ingest_rows_total", "duplicate"), 0);
    let said = aggregator.stderr();
    assert!(
        said.contains("dropped rows that no aggregator had"),
        "{said}"
    );
    let newly = system.of_agent("ring_dropped_rows_total").unwrap();
    assert_eq!(newly, dropped, "what falls out later was taken");
}

/// Scenario: an agent streams to two aggregators and is cut off from one of them, until it gives that
/// connection up.
/// Guarantees: it streams to the other one all the time; when the network is mended the two say the
/// same of every series at every tick, and nothing counts as dropped.
#[test]
fn an_agent_that_gave_up_comes_back_and_tells_what_was_missed() {
    let mut system = System::start(Whole::one_node()).unwrap();
    let straight = system.another_aggregator().unwrap();
    let proxy = system.start_agent_behind(0, Some(&straight)).unwrap();
    let both = |k: u64| {
        straight.step(at(k) + 500).unwrap();
        system.step(at(k)).unwrap();
    };
    both(0);
    // The first row shows that the stream is there.
    holds(&system, 1);
    (1..10).for_each(both);
    holds(&system, 10);
    proxy.set(Flow::Cut);
    (10..40).for_each(both);
    let ended = || system.of_agent("uplink_ends_total").unwrap();
    let gave_up = Deadline::after(GIVEN_UP).poll(|| (ended() > 0).then_some(()));
    assert!(gave_up.is_some(), "{}", system.stderr());
    both(40);
    holds(&system, 10);
    proxy.set(Flow::Free);
    system.arrived(at(40), SOON).unwrap();
    both(41);
    holds(&system, 42);
    let of = |aggregator| values(aggregator, "node1", (at(0), at(41))).unwrap();
    assert_eq!(of(system.aggregator().unwrap()), of(&straight));
    let dropped = system.of_agent("ring_dropped_rows_total").unwrap();
    assert_eq!(dropped, 0);
}

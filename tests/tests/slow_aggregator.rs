//! An aggregator that takes what it is sent at a trickle costs its agent no memory, and no other
//! aggregator anything.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::time::Duration;

use testkit::deadline::Deadline;
use testkit::pair::values;
use testkit::proc::{Held, Proc};
use testkit::proxy::Flow;
use testkit::system::{Options, System, at};

/// Within which an agent gave up a connection that takes nothing, and came back twice.
const SOON: Duration = Duration::from_secs(30);

/// Bytes a second: a connection begins within seconds, and rows of the node come faster than they go.
const TRICKLE: Flow = Flow::Slow(8 * 1024);

/// By how much an agent may grow meanwhile: its ring, and what waits for one connection.
const MOST_KIB: u64 = 8 * 1024;

/// A system with one node of 30 pods.
fn node() -> System {
    let mut options = Options::one_node();
    options.sim_args = ["--pods", "30"].map(str::to_owned).to_vec();
    System::start(options).unwrap()
}

/// Waits until the agent was told that its newest row is there; aggregators tell once a second.
fn acknowledged(system: &System, k: u64) {
    let last = || of_agent(system, "uplink_last_ack_seconds");
    let told = Deadline::after(SOON).poll(|| (last() >= at(k) / 1_000).then_some(()));
    assert!(told.is_some(), "{}", system.stderr());
}

fn agent(system: &System) -> &Proc {
    system.nodes[0].agent.as_ref().unwrap()
}

fn of_agent(system: &System, name: &str) -> u64 {
    system.of_agent(name).unwrap()
}

fn of_aggregator(aggregator: &Proc, name: &str, labels: &str) -> u64 {
    System::of_aggregator(aggregator, name, labels).unwrap()
}

/// Waits until an aggregator holds so many rows.
fn holds(system: &System, aggregator: &Proc, rows: u64) {
    system.holds(aggregator, rows, SOON).unwrap();
}

/// Scenario: of two aggregators of an agent one takes 8 KiB a second while 150 rows of a node
/// come, more than a window, and is quick again.
/// Guarantees: the other one has every row at once; the agent passes over rows and says how many, or begins
/// its stream anew at the newest; its memory stays as it was, and it counts what falls out of its ring; then the slow one has all that
/// the ring holds, each row once, and both say the same of it.
#[test]
fn an_aggregator_at_a_trickle_costs_neither_memory_nor_another_one() {
    let mut system = node();
    let quick = system.another_aggregator().unwrap();
    let proxy = system.start_agent_behind(0, Some(&quick)).unwrap();
    let both = |k: u64| {
        quick.step(at(k) + 500).unwrap();
        system.step(at(k)).unwrap();
    };
    for k in 0..20 {
        both(k);
        holds(&system, &quick, k + 1);
    }
    holds(&system, system.aggregator().unwrap(), 20);
    let before = Held::by(agent(&system)).unwrap().resident_kib;
    proxy.set(TRICKLE);
    for k in 20..170 {
        both(k);
        system_has(&system, &quick, at(k));
        if k % 40 == 0 {
            acknowledged(&system, k);
        }
    }
    let skips = || of_agent(&system, "uplink_rows_skipped_total");
    both(170);
    let slow = system.aggregator().unwrap();
    assert!(of_aggregator(slow, "store_rows", "") < 60);
    // Rows are skipped when the stream takes a row again. Or one that was too late when it came ended the
    // stream, and the next one begins at the newest row: which of the two depends on how quick the ticks are.
    let ended = || of_aggregator(slow, "ingest_ended_streams_total", "reason=\"frame\"");
    let passed_over = Deadline::after(SOON).poll(|| (skips() > 0 || ended() > 0).then_some(()));
    assert!(passed_over.is_some(), "{}", system.stderr());
    let after = Held::by(agent(&system)).unwrap().resident_kib;
    let ring = of_agent(&system, "ring_rows");
    println!(
        "{before} KiB before, {after} KiB after; {} rows skipped",
        skips()
    );
    assert!(after < before + MOST_KIB, "{before} KiB, then {after} KiB");
    assert_eq!(of_agent(&system, "ring_evicted_rows_total"), 171 - ring);
    assert_eq!(
        of_agent(&system, "ring_dropped_rows_total"),
        0,
        "one has all"
    );

    proxy.set(Flow::Free);
    system.arrived(at(170), SOON).unwrap();
    // Rows that were passed over are asked for when their block is full.
    for k in 171..=180 {
        both(k);
        system.arrived(at(k), SOON).unwrap();
    }
    holds(&system, slow, 100);
    let of = |aggregator| values(aggregator, "node1", (at(90), at(180))).unwrap();
    assert_eq!(of(slow), of(&quick));
    assert_eq!(of_aggregator(slow, "ingest_rows_total", "duplicate"), 0);
}

/// Waits until an aggregator says that a tick is its node's newest.
fn system_has(system: &System, aggregator: &Proc, tick_ms: u64) {
    let newest = || {
        let answer = aggregator.get("http", "/api/cairn/v1/overview").ok()?;
        let overview: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
        (overview["nodes"][0]["newest_tick_ms"] == tick_ms).then_some(())
    };
    let shown = Deadline::after(SOON).poll(newest);
    assert!(shown.is_some(), "{tick_ms}\n{}", system.stderr());
}

/// Scenario: the only aggregator of an agent takes 8 KiB a second while 150 rows of a
/// node come.
/// Guarantees: the agent counts what fell out before anybody had it, the aggregator counts as much as
/// a gap once it hears of it, and holds the rest of its window, each row once.
#[test]
fn what_an_only_aggregator_is_too_slow_for_is_counted() {
    let mut system = node();
    let proxy = system.start_agent_behind(0, None).unwrap();
    for k in 0..20 {
        system.tick(at(k)).unwrap();
    }
    acknowledged(&system, 19);
    proxy.set(TRICKLE);
    for k in 20..170 {
        system.step(at(k)).unwrap();
    }
    let ends = || of_agent(&system, "uplink_ends_total");
    let ended = Deadline::after(SOON).poll(|| (ends() > 0).then_some(()));
    assert!(ended.is_some(), "{}", system.stderr());
    let dropped = of_agent(&system, "ring_dropped_rows_total");
    assert!(dropped > 0 && dropped <= 64 - 20, "{dropped}");
    proxy.set(Flow::Free);
    let aggregator = system.aggregator().unwrap();
    system.arrived(at(169), SOON).unwrap();
    // Full blocks first: another tick takes the oldest out of the ring.
    let sealed = 160 - 70;
    let rows = || of_aggregator(aggregator, "store_rows", "");
    // A row of the block before them is in the window still; it may have gone by while it was on its way.
    let all = Deadline::after(SOON).poll(|| (rows() >= sealed).then_some(()));
    assert!(all.is_some(), "{} rows\n{}", rows(), system.stderr());
    for k in 170..=180 {
        system.tick(at(k)).unwrap();
    }
    holds(&system, aggregator, 100);
    assert_eq!(
        of_aggregator(aggregator, "ingest_gap_rows_total", ""),
        dropped
    );
    assert_eq!(
        of_aggregator(aggregator, "ingest_rows_total", "duplicate"),
        0
    );
}

//! An aggregator that may not have the memory that the windows of its nodes need.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::Path;
use std::time::Duration;

use testkit::deadline::Deadline;
use testkit::fleet;
use testkit::fleet::restart::{LIMITS, Options, limited};
use testkit::mix::Kind;
use testkit::pair::{Pair, values};
use testkit::proc::Proc;
use testkit::system::{Options as Whole, System, TRACE_START_MS, at};

const MIB: u64 = 1 << 20;

/// Within which an aggregator does what nothing keeps it from: less than an exchange between two of them
/// lasts in which nothing is asked for.
const SOON: Duration = Duration::from_secs(15);

/// Agents whose windows would take twice what there may be.
const AGENTS: usize = 60;
const LIMIT: &str = "2560Ki";

/// Ticks before the aggregator is killed and after it: together less than a window, so that nothing
/// goes for its age.
const TICKS: (u64, u64) = (60, 15);

/// Limits of the process, MiB, and so many agents that their rings hold about twice as much.
const FULL: [(u64, usize); 3] = [(20, 40), (32, 70), (64, 150)];

/// Scenario: at limits of 20, 32 and 64 MiB an aggregator with nothing in it meets agents whose full rings hold
/// more than it may have; then it is killed under them and meets them again.
/// Guarantees: it never has more memory than its limit, however fast history comes; the latest values are there
/// at every tick; what is held is right and without a hole.
#[test]
fn full_rings_are_taken_in_within_the_limit() {
    for (limit, agents) in FULL {
        let mut fleet = fleet::Options::of(Kind::C, agents);
        fleet.templates = 6;
        // Together with the ticks of both lives less than a window.
        fleet.history = 80;
        let args = ["--memory-limit".to_owned(), format!("{limit}Mi")];
        let lives = limited::run(&Options {
            fleet,
            start_unix_ms: TRACE_START_MS,
            live_ticks: 3,
            restarted: 0,
            ticks_after: 3,
            // An answer with everything of a node takes more than is left of such a limit: their CPU time alone.
            compared_nodes: 0,
            aggregator_args: args.to_vec(),
            cluster: None,
            built: None,
        });
        for life in lives.unwrap() {
            println!("{limit} MiB: {life}");
            assert!(life.is_good(), "{life}");
            assert!(life.latest_in <= LIMITS.0, "{life}");
            assert!(life.steps > 0, "{life}");
            assert!(life.peak_bytes <= limit * MIB, "{limit} MiB: {life}");
        }
    }
}

/// Scenario: the windows of 60 nodes do not fit into the memory that their aggregator may have; then it is
/// killed under them and started again with the same limit. (What the process takes beside the windows is
/// another on each machine, so the limit is that of what is counted.)
/// Guarantees: the latest values of every node are there at every tick; of every node the newest rows are
/// held, without a hole, each once and with the values that were sampled; what came and is not held
/// any more is counted, row for row. (A node that comes after the last step may hold all of its rows: it lost none.)
#[test]
fn a_window_that_does_not_fit_is_shorter_and_right() {
    let dir = tempfile::tempdir().unwrap();
    let status = dir.path().join("memory");
    tell(&status, MIB);
    let mut fleet = fleet::Options::of(Kind::C, AGENTS);
    fleet.mix.pods_per_node = Some(8);
    fleet.templates = 6;
    let status = status.display().to_string();
    let args = ["--memory-limit", LIMIT, "--process-status", &status];
    let lives = limited::run(&Options {
        fleet,
        start_unix_ms: TRACE_START_MS,
        live_ticks: TICKS.0,
        restarted: 0,
        ticks_after: TICKS.1,
        compared_nodes: AGENTS,
        aggregator_args: args.map(str::to_owned).to_vec(),
        cluster: None,
        built: None,
    });
    // One tick more of each, at which what went is told.
    let rows = [TICKS.0 + 1, TICKS.0 + TICKS.1 + 2];
    for (life, rows) in lives.unwrap().iter().zip(rows) {
        println!("{life}");
        assert!(life.is_good(), "{life}");
        assert!(life.latest_in <= LIMITS.0, "{life}");
        assert!(life.steps > 0 && life.rows_of_node.0 < rows, "{life}");
    }
}

/// Tells an aggregator in one step how much memory it has.
fn tell(status: &Path, bytes: u64) {
    let next = status.with_extension("next");
    std::fs::write(&next, format!("RssAnon:\t{} kB\n", bytes / 1024)).unwrap();
    std::fs::rename(next, status).unwrap();
}

/// Scenario: of two aggregators one is started anew while it has no memory for history, and a node's agent
/// reports to the other one alone; later it has.
/// Guarantees: the other one is not asked as long as memory is short, which is no failure and keeps
/// nobody from being ready; then it is asked at once, and the node's history is there.
#[test]
fn peers_wait_for_memory_and_do_not_fail() {
    let mut pair = Pair::start(Whole::default()).unwrap();
    for k in 0..6 {
        pair.tick(at(k)).unwrap();
    }
    let ticks_ms = (at(0), at(5));
    let before = values(pair.second().unwrap(), "node2", ticks_ms).unwrap();
    pair.system.aggregator.take().unwrap().kill9().unwrap();
    let agent = start_beside(&mut pair);
    pair.tick(at(6)).unwrap();
    agent.step(at(6) + 500).unwrap();

    let status = pair.system.path("memory");
    tell(&status, 80 * MIB);
    let flags = ["--memory-limit", "100Mi", "--process-status"].map(str::to_owned);
    let args = &mut pair.system.options.extra_aggregator_args;
    args.extend(flags);
    args.push(status.display().to_string());
    pair.start_first().unwrap();
    let aggregator = pair.system.aggregator().unwrap();
    let figure = |name: &str| System::of_aggregator(aggregator, name, "").unwrap();
    let is_ready = || {
        let ready = aggregator.get("admin", "/readyz?verbose").ok()?;
        let says = ready.text().contains("no more history is asked for");
        (ready.status == 200 && says).then_some(())
    };
    let ready = Deadline::after(SOON).poll(is_ready);
    assert!(ready.is_some(), "{}", pair.stderr());
    // Nodes that have an agent elsewhere are asked for when it had six seconds to come here.
    let taken = Deadline::after(Duration::from_secs(8))
        .poll(|| (figure("replay_asked_nodes_total") > 0).then_some(()));
    assert!(taken.is_none(), "{}", pair.stderr());
    tell(&status, 50 * MIB);
    let there = Deadline::after(SOON)
        .poll(|| (values(aggregator, "node2", ticks_ms).ok()? == before).then_some(()));
    assert!(there.is_some(), "{}", pair.stderr());
    assert!(figure("replay_taken_rows_total") >= 6);
    assert_eq!(figure("replay_failures_total"), 0);
}

/// Ends the second node's agent; another one of it begins, which knows the second aggregator alone.
fn start_beside(pair: &mut Pair) -> Proc {
    let node = &mut pair.system.nodes[1];
    node.agent.take().unwrap().kill9().unwrap();
    let mut args = pair.system.agent_args(1).unwrap();
    // The first of its aggregators.
    let first = args.iter().position(|arg| arg == "--aggregator").unwrap();
    args.drain(first..first + 2);
    args.extend(["--clock".to_owned(), pair.system.clock()]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Proc::start("cairn-agent", &args, &[]).unwrap()
}

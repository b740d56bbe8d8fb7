//! An aggregator that may not have the memory that the windows of its nodes need.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::Path;

use testkit::fleet;
use testkit::fleet::restart::{LIMITS, Options, limited};
use testkit::mix::Kind;
use testkit::system::TRACE_START_MS;

const MIB: u64 = 1 << 20;

/// Agents whose windows would take twice what there may be.
const AGENTS: usize = 60;
const LIMIT: &str = "3Mi";

/// Ticks before the aggregator is killed and after it: together less than a window, so that nothing
/// goes for its age.
const TICKS: (u64, u64) = (60, 15);

/// Scenario: the windows of 60 nodes do not fit into the memory that their aggregator may have; then it is
/// killed under them and started again with the same limit. (What the process takes beside the windows is
/// another on each machine, so the limit is that of what is counted.)
/// Guarantees: the latest values of every node are there at every tick; of every node the newest rows are
/// held, without a hole, each once and with the values that were sampled; what came and is not held
/// any more is counted, row for row.
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
    });
    // One tick more of each, at which what went is told.
    let rows = [TICKS.0 + 1, TICKS.0 + TICKS.1 + 2];
    for (life, rows) in lives.unwrap().iter().zip(rows) {
        println!("{life}");
        assert!(life.is_good(), "{life}");
        assert!(life.latest_in <= LIMITS.0, "{life}");
        assert!(life.steps > 0 && life.rows_of_node.1 < rows, "{life}");
    }
}

/// Tells an aggregator in one step how much memory it has.
fn tell(status: &Path, bytes: u64) {
    let next = status.with_extension("next");
    std::fs::write(&next, format!("RssAnon:\t{} kB\n", bytes / 1024)).unwrap();
    std::fs::rename(next, status).unwrap();
}

//! A large cluster's tenth, and hostile agents, at an aggregator to which the kernel gives as much memory as
//! deploy/README.md says that such a cluster needs.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot go on has failed"
)]

use std::path::Path;
use std::time::Duration;

use testkit::fleet;
use testkit::fleet::beside::{self, Options, Report};
use testkit::hostile::Kind;
use testkit::machine;
use testkit::mix;
use testkit::proc::MemoryGroup;
use testkit::system::TRACE_START_MS;

const MIB: u64 = 1 << 20;

/// A tenth of a cluster of 5,000 nodes.
const AGENTS: usize = 500;

/// As many rows as a window has.
const HISTORY: u64 = 90;

/// What the page says that so many nodes need, bytes.
fn documented(nodes: usize) -> u64 {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/README.md");
    let page = std::fs::read_to_string(page).unwrap();
    let begin = format!("| {nodes} | ");
    let mut rows = page.lines().filter_map(|line| line.strip_prefix(&*begin));
    let (mib, _) = rows.next().unwrap().split_once("Mi").unwrap();
    mib.parse::<u64>().unwrap() * MIB
}

/// A full window of 500 nodes of 30 pods, and 50 hostile agents of every kind for so many ticks.
#[expect(clippy::print_stdout, reason = "how much memory it was")]
fn besieged(ticks: u64, pace: Duration) -> Option<Report> {
    let memory_max = documented(AGENTS);
    if let Err(error) = MemoryGroup::new(memory_max) {
        machine::lacks(&format!("a memory limit: {error:#}; root is needed"));
        return None;
    }
    let mut fleet = fleet::Options::of(mix::Kind::C, AGENTS);
    fleet.history = HISTORY;
    let kinds = Kind::ALL.into_iter().cycle().take(AGENTS / 10);
    let report = beside::run(&Options {
        fleet,
        start_unix_ms: TRACE_START_MS,
        kinds: kinds.collect(),
        ticks_before: 2,
        ticks_after: ticks,
        pace,
        // The aggregator finds its limit by itself, as it does in a pod.
        aggregator_args: Vec::new(),
        memory_max: Some(memory_max),
        compared_in: 25,
    });
    let report = match report {
        Ok(report) => report,
        Err(error) => panic!("{error:#}"),
    };
    println!("{report}");
    Some(report)
}

fn nobody_was_killed(report: &Report) {
    let memory = report.memory;
    assert!(
        memory.is_some_and(|memory| memory.oom_kills == 0 && memory.peak_bytes > MIB),
        "{memory:?}"
    );
    assert!(report.is_whole(), "{report}");
}

/// Scenario: 500 nodes of 30 pods with full windows and 50 hostile agents of every kind, in a control group
/// with the memory limit that is documented for so many nodes.
/// Guarantees: the kernel kills nobody; no window is shortened; every value of the honest nodes is there at
/// its tick, and none of them is blamed.
#[test]
fn a_tenth_of_hostile_agents_kills_nobody_at_the_documented_size() {
    if let Some(report) = besieged(8, Duration::ZERO) {
        nobody_was_killed(&report);
    }
}

/// Guarantees: the same over ten minutes. For `make soak` alone.
#[cfg(feature = "soak")]
#[test]
fn a_tenth_of_hostile_agents_kills_nobody_in_ten_minutes() {
    if let Some(report) = besieged(60, Duration::from_secs(10)) {
        nobody_was_killed(&report);
    }
}

//! A large cluster's tenth, and hostile agents, at an aggregator to which the kernel gives the memory that
//! the deployment gives it, in the same measure.

use rustix::process::geteuid;
use testkit::fleet;
use testkit::fleet::beside::{self, Options};
use testkit::hostile::Kind;
use testkit::mix;
use testkit::system::TRACE_START_MS;

/// A tenth of a cluster of 5,000 nodes, for which deploy/README.md gives 2Gi, and a tenth of that.
const AGENTS: usize = 500;
const MEMORY_MAX: u64 = (2 << 30) / 10;

/// Of it what an aggregator takes for its own limit, hundredths.
const OF_IT: u64 = 85;

/// Scenario: 500 nodes of 30 pods and 50 hostile agents of every kind, in a cgroup with the memory limit of
/// the documented size.
/// Guarantees: the kernel kills nobody; every value of every honest node is there at its tick; no honest
/// agent is held up, shortened or blamed.
#[test]
fn a_tenth_of_hostile_agents_kills_nobody_at_the_documented_size() {
    if !geteuid().is_root() {
        eprintln!("ATTENTION: no cgroup can be made here (root is needed): this did not run");
        return;
    }
    let fleet = fleet::Options::of(mix::Kind::C, AGENTS);
    let kinds = Kind::ALL.into_iter().cycle().take(AGENTS / 10);
    let limit = (MEMORY_MAX / 100 * OF_IT).to_string();
    let report = beside::run(&Options {
        fleet,
        start_unix_ms: TRACE_START_MS,
        kinds: kinds.collect(),
        ticks_before: 3,
        ticks_after: 8,
        aggregator_args: vec!["--memory-limit".to_owned(), limit],
        memory_max: Some(MEMORY_MAX),
    });
    let report = match report {
        Ok(report) => report,
        Err(error) => panic!("{error:#}"),
    };
    println!("{report}");
    let memory = report.memory;
    assert!(
        memory.is_some_and(|memory| memory.oom_kills == 0 && memory.peak_bytes < MEMORY_MAX),
        "{memory:?}"
    );
    assert!(report.is_unnoticed(), "{report}");
}

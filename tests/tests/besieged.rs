//! Hostile agents beside honest ones: what they do costs nobody but themselves anything.

use std::time::Duration;

use testkit::fleet;
use testkit::fleet::beside::{self, Options};
use testkit::hostile::{Due, Kind};
use testkit::mix;
use testkit::system::TRACE_START_MS;

/// Scenario: beside 20 honest nodes, ten agents do one bad thing each as fast as they are let, and come
/// back at once when they are ended: names without end, rows of the future and of the past, repeated
/// wide keyframes, cut rows, frames over the limit and up to it, chunks unasked, questions without end,
/// and another node's name.
/// Guarantees: every value of every honest node is there at its tick, as it was sampled; no honest agent
/// is held up, ended, shortened or blamed; each hostile one is slowed down, or ended with a status that
/// names its fault, and counted.
#[test]
fn each_hostile_agent_is_answered_and_no_honest_one_notices() {
    let mut fleet = fleet::Options::of(mix::Kind::C, 20);
    fleet.mix.pods_per_node = Some(3);
    fleet.templates = 4;
    let report = beside::run(&Options {
        fleet,
        start_unix_ms: TRACE_START_MS,
        kinds: Kind::ALL.to_vec(),
        ticks_before: 3,
        ticks_after: 20,
        pace: Duration::ZERO,
        aggregator_args: Vec::new(),
        memory_max: None,
        compared_in: 1,
    })
    .unwrap();
    println!("{report}");
    assert!(report.is_unnoticed(), "{report}");
    assert!(report.ended > 0, "{report}");
    for (kind, told) in &report.told {
        let is_due = |end: &String| match kind.due() {
            Due::Ended(code, part) => end.starts_with(code) && end.contains(part),
            Due::Slowed(_) => true,
        };
        // Of the replaced, the impatient and the slowed down some wait before they are let in again.
        assert!(told.frames > 0, "{kind:?}: {told:?}");
        let slowed = matches!(kind.due(), Due::Slowed(_));
        assert!(slowed || told.ends.keys().any(is_due), "{kind:?}: {told:?}");
    }
}

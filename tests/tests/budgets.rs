//! What must not grow unnoticed: cheap, deterministic, and no clock.
//!
//! The limits stand in `bench/budgets.txt`; a failing test says what to edit there.

use std::collections::BTreeSet;
use std::path::Path;

use cairn_proto::codec::DENSE;
use testkit::bench::payload::{Payload, measure};
use testkit::budgets::Budgets;
use testkit::mix::{Kind, Options};
use testkit::proc::Proc;
use testkit::system::{self, System, ticks};

/// Ticks until every series that an idle system ever has is there.
const TICKS: usize = 4;

#[expect(clippy::unwrap_used, reason = "a test without its budgets has failed")]
fn budgets() -> Budgets {
    Budgets::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/budgets.txt")).unwrap()
}

#[expect(clippy::panic, reason = "a budget that does not hold fails the test")]
fn judge(values: &[(&str, f64)]) {
    let budgets = budgets();
    let judged = values
        .iter()
        .filter_map(|(name, value)| budgets.judge(name, *value).err());
    let texts: Vec<String> = judged.map(|error| error.to_string()).collect();
    if !texts.is_empty() {
        panic!("{}", texts.join("\n"));
    }
}

/// 60 rows after the keyframe: ten minutes, and two loops of the recording.
#[expect(clippy::unwrap_used, reason = "a test without its rows has failed")]
fn rows(kind: Kind, pods: usize) -> Payload {
    measure(
        DENSE,
        Options {
            pods_per_node: Some(pods),
            ..Options::of(kind)
        },
        60,
    )
    .unwrap()
}

const ROWS: [&str; 4] = [
    "row_bytes_per_sample_k",
    "row_bytes_per_sample_c",
    "keyframe_bytes_110_pods_k",
    "keyframe_bytes_110_pods_c",
];

const SERIES: [&str; 2] = ["agent_own_series", "aggregator_own_series"];

#[test]
fn rows_and_keyframes_stay_within_their_budgets() {
    let (k, c) = (rows(Kind::K, 110), rows(Kind::C, 110));
    let values = [
        k.bytes_per_sample,
        c.bytes_per_sample,
        k.keyframe_bytes as f64,
        c.keyframe_bytes as f64,
    ];
    judge(&ROWS.into_iter().zip(values).collect::<Vec<_>>());
}

#[test]
fn the_processes_own_metrics_stay_within_their_budgets() {
    let options = system::Options::one_node();
    let system = System::start(options).unwrap();
    for tick_ms in ticks().take(TICKS) {
        system.tick(tick_ms).unwrap();
    }
    let agent = series_count(system.nodes[0].agent.as_ref().unwrap());
    let aggregator = series_count(system.aggregator().unwrap());
    judge(
        &SERIES
            .into_iter()
            .zip([agent, aggregator])
            .collect::<Vec<_>>(),
    );
}

#[test]
fn every_budget_is_measured() {
    let budgets = budgets();
    let measured = BTreeSet::from_iter(ROWS.into_iter().chain(SERIES));
    assert_eq!(budgets.names().collect::<BTreeSet<_>>(), measured);
}

/// Lines of the exposition that are no comments.
#[expect(
    clippy::unwrap_used,
    reason = "a process that does not answer has failed the test"
)]
fn series_count(process: &Proc) -> f64 {
    let text = process.get("admin", "/metrics").unwrap().text();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.count() as f64
}

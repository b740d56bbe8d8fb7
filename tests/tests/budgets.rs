//! What must not grow unnoticed: cheap, deterministic, and no clock.
//!
//! The limits stand in `bench/budgets.txt`; a failing test says what to edit there.

use std::collections::BTreeSet;
use std::path::Path;

use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::Sealed;
use testkit::bench::payload::{Payload, chunk_of_mix_c, measure};
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

/// 64 rows after the keyframe: four blocks, ten minutes at 10 s, and two loops of the recording.
#[expect(clippy::unwrap_used, reason = "a test without its rows has failed")]
fn rows(kind: Kind, pods: usize, interval_ms: u64) -> Payload {
    measure(
        DENSE,
        Options {
            pods_per_node: Some(pods),
            interval_ms,
            ..Options::of(kind)
        },
        64,
    )
    .unwrap()
}

const ROWS: [&str; 14] = [
    "row_bytes_per_sample_k",
    "row_bytes_per_sample_c",
    "keyframe_bytes_110_pods_k",
    "keyframe_bytes_110_pods_c",
    "chunk_bytes_per_sample_k",
    "chunk_bytes_per_sample_c",
    "row_bytes_per_sample_k_30_pods",
    "row_bytes_per_sample_c_30_pods",
    "chunk_bytes_per_sample_k_30_pods",
    "chunk_bytes_per_sample_c_30_pods",
    "row_bytes_per_sample_c_1_s",
    "row_bytes_per_sample_b_1_s",
    "chunk_bytes_per_sample_c_1_s",
    "chunk_bytes_per_sample_b_1_s",
];

const SERIES: [&str; 2] = ["agent_own_series", "aggregator_own_series"];

#[test]
fn rows_keyframes_and_chunks_stay_within_their_budgets() {
    let (k, c) = (rows(Kind::K, 110, 10_000), rows(Kind::C, 110, 10_000));
    let (small_k, small_c) = (rows(Kind::K, 30, 10_000), rows(Kind::C, 30, 10_000));
    // The recording has 10 s between two frames, whatever the interval.
    let (fast_c, fast_b) = (rows(Kind::C, 30, 1_000), rows(Kind::B, 30, 1_000));
    let values = [
        k.bytes_per_sample,
        c.bytes_per_sample,
        k.keyframe_bytes as f64,
        c.keyframe_bytes as f64,
        k.chunk_bytes_per_sample,
        c.chunk_bytes_per_sample,
        small_k.bytes_per_sample,
        small_c.bytes_per_sample,
        small_k.chunk_bytes_per_sample,
        small_c.chunk_bytes_per_sample,
        fast_c.bytes_per_sample,
        fast_b.bytes_per_sample,
        fast_c.chunk_bytes_per_sample,
        fast_b.chunk_bytes_per_sample,
    ];
    judge(&ROWS.into_iter().zip(values).collect::<Vec<_>>());
}

/// The instructions of the codec are counted on files, so that counting needs no generator.
#[test]
fn the_chunks_that_instructions_are_counted_on_are_of_mix_c() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/testdata");
    for (name, blocks) in [("mix-c-30-pods", 1), ("mix-c-30-pods-4-blocks", 4)] {
        let file = folder.join(format!("{name}.chunk"));
        let rows = |bytes: Vec<u8>| Sealed::check(bytes.into()).unwrap().rows();
        let held = rows(std::fs::read(file).unwrap());
        let made = rows(chunk_of_mix_c(30, blocks).unwrap());
        assert!(
            held == made,
            "cargo run -p cairn-tests --example mix-chunk 30 {blocks} > proto/testdata/{name}.chunk"
        );
    }
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

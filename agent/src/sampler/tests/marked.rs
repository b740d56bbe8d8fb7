//! What is known of a run when it has ended.

use cairn_proto::model::EarlierRun;

use super::*;
use crate::marker::{Keeper, Marker, Past};

fn known(past: &Past) -> Vec<(u64, u64, u64)> {
    let s = |tick_ms: u64| (tick_ms - START) / 1_000;
    let of = |run: &EarlierRun| (run.run.epoch_ms, s(run.first_tick_ms), s(run.last_tick_ms));
    past.runs().iter().map(of).collect()
}

/// Scenario: rows, a step back of the clock, more rows, and another process of the same directory.
/// Guarantees: when a step is over, the file tells of every row that was sampled until then.
#[tokio::test]
async fn when_a_tick_is_over_it_is_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = bench();
    let metrics = bench.metrics.marker.clone();
    let read = |now_ms| {
        let own = Run {
            epoch_ms: 1,
            boot_id: [8; 16],
            clock_stepped: false,
        };
        let keeper = Keeper::new(dir.path(), "node1", Readiness::new(), metrics.clone());
        Marker::new(10_000, 900_000).kept(keeper, own, now_ms)
    };
    bench.sampler = bench.sampler.with_marker(read(START));
    let past = bench.sampler.marker.past();
    with(bench, async |clock, _| {
        for (k, seconds) in [(1, 0), (2, 10), (3, 20)] {
            let now_ms = START + seconds * 1_000 + 250;
            clock.step(now_ms, DEADLINE).await.unwrap();
            assert_eq!(
                known(&read(now_ms).past()),
                [(START - 1, 0, seconds)],
                "{k}"
            );
        }
        assert_eq!(known(&past), []);
        clock.step(START + 12_000, DEADLINE).await.unwrap();
        assert_eq!(known(&past), [(START - 1, 0, 10)]);
        let now_ms = START + 30_250;
        clock.step(now_ms, DEADLINE).await.unwrap();
        let runs = [(START - 1, 0, 10), (START + 12_000, 20, 30)];
        assert_eq!(known(&read(now_ms).past()), runs);
        assert_eq!(known(&past), runs[..1]);
    })
    .await;
    assert_eq!(metrics.write_failures.get(), 0);
}

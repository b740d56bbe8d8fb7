//! How long the steps of one question take: what is there, the same again with the ticks, and its series.

use std::hint::black_box;
use std::time::Duration;

use cairn_aggregator::query::{Bounds, Choice, Range, View};
use cairn_proto::catalogue::{Field, table};

use super::fleet::{self, Fleet, INTERVAL_MS, Spread, WINDOW_MS};
use super::say;

#[expect(clippy::unwrap_used, reason = "the fields are in the catalogue")]
pub(crate) fn run(spread: Spread, rounds: usize, nodes: usize) {
    let fleet = fleet::fleet(nodes, spread);
    let size = fleet.store.size();
    say(&format!(
        "{} rows, {} samples, {:.2} bytes a sample",
        size.rows,
        size.samples,
        size.bytes as f64 / size.samples as f64
    ));
    for id in [table::CPU, table::MEMORY_WORKING_SET] {
        steps(&fleet, table::field(id).unwrap(), rounds);
    }
}

#[expect(clippy::unwrap_used, reason = "a question that is answered")]
fn steps(fleet: &Fleet, field: &'static Field, rounds: usize) {
    let mut times: [Vec<Duration>; 3] = Default::default();
    let (mut found, mut pods) = (0, 0);
    for namespace in fleet.namespaces.iter().cycle().take(rounds) {
        let [listing, beginning, series] = &mut times;
        let view = || View::new(&fleet.store, INTERVAL_MS, WINDOW_MS, fleet.now_ms);
        let choice = Choice {
            namespace: namespace.clone(),
            ..Choice::default()
        };
        pods = timed(listing, || choice.find(&view())).len();
        let range = timed(beginning, || {
            Range::new(view(), &choice, field.name, Bounds::ALL).unwrap()
        });
        found = timed(series, || {
            let mut found = 0;
            for piece in range.pieces() {
                piece.read(|series| {
                    found += black_box(series.samples).iter().flatten().count();
                });
            }
            found
        });
    }
    say(&format!("{}: {found} values of {pods} pods", field.name));
    let names = ["entities", "with ticks", "series"];
    for (name, mut times) in names.into_iter().zip(times) {
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() - 1) * part / 100).copied();
        let [least, p50, p99] = [0, 50, 99].map(|part| at(part).unwrap_or_default());
        let a_pod = p50.as_secs_f64() * 1e6 / pods.max(1) as f64;
        say(&format!(
            "  {name:<10} least {least:>10.3?} p50 {p50:>10.3?} p99 {p99:>10.3?}, {a_pod:.2} us a pod"
        ));
    }
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let begun = std::time::Instant::now();
    let result = work();
    times.push(begun.elapsed());
    result
}

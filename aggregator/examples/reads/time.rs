//! How long the steps of one question take.

use std::hint::black_box;
use std::time::Duration;

use cairn_aggregator::query::{Bounds, View};
use cairn_aggregator::store::{Entity, Selector};
use cairn_proto::catalogue::{Field, table};

use super::fleet::{self, Fleet, INTERVAL_MS, NAMESPACE, WINDOW_MS};
use super::say;

#[expect(clippy::unwrap_used, reason = "the fields are in the catalogue")]
pub(crate) fn run(is_spread: bool, rounds: usize) {
    let fleet = fleet::fleet(is_spread);
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

fn steps(fleet: &Fleet, field: &'static Field, rounds: usize) {
    let mut times: [Vec<Duration>; 2] = Default::default();
    let mut found = 0;
    for _ in 0..rounds {
        let [listing, series] = &mut times;
        let (view, entities) = timed(listing, || {
            let view = View::new(&fleet.store, INTERVAL_MS, WINDOW_MS, fleet.now_ms);
            let entities = view.entities(&Selector::Namespace(NAMESPACE));
            (view, entities)
        });
        let asked: Vec<&Entity> = entities.iter().collect();
        let ticks = view.ticks(view.published_ms(), Bounds::ALL);
        found = timed(series, || {
            let mut found = 0;
            view.each_series(&asked, field, &ticks, |_, samples| {
                found += black_box(samples).iter().flatten().count();
            });
            found
        });
    }
    say(&format!("{}: {found} values", field.name));
    for (name, mut times) in ["entities", "each_series"].into_iter().zip(times) {
        times.sort_unstable();
        let at = |part: usize| times.get((times.len() - 1) * part / 100).copied();
        let [least, p50, p99] = [0, 50, 99].map(|part| at(part).unwrap_or_default());
        say(&format!(
            "  {name:<12} least {least:>10.3?} p50 {p50:>10.3?} p99 {p99:>10.3?}"
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

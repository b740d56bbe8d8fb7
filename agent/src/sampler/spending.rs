//! What sources cost and say, counted; and what follows from it.

use std::time::Duration;

use cairn_proto::catalogue::Source;
use cairn_runtime::readiness::Note;

use super::budget::{Change, Share};
use super::{Sampler, tally};
use crate::metrics::BySource;
use crate::sources::Cost;

impl Sampler {
    /// Lets each source use so many thousandths of a core; 0 is no limit, as without this.
    #[must_use]
    pub fn with_source_cpu(mut self, millicores: u64) -> Self {
        self.source_cpu_millis = millicores;
        self.paces.limit(Share::new(millicores));
        self
    }

    /// Takes what scrapes of a source cost; says when it is asked less often for it, and when it is
    /// asked as often as it should be again.
    pub(super) fn spend(&mut self, source: Source, costs: &[Cost]) {
        let by_source = BySource {
            source: source.as_str(),
        };
        let metrics = &self.setup.metrics;
        let duration = metrics.scrapes.duration.get_or_create(&by_source);
        let lags = metrics.sources.lag.get_or_create(&by_source);
        for cost in costs {
            duration.observe(cost.took.as_secs_f64());
            if let Some(lag) = cost.lag {
                lags.observe(lag.as_secs_f64());
            }
        }
        let cpu = metrics.sources.cpu.get_or_create(&by_source);
        let Some(pace) = self.paces.of_mut(source) else {
            return;
        };
        let mut changed = None;
        for cost in costs {
            cpu.inc_by(cost.cpu.as_secs_f64());
            changed = pace
                .spend(cost.tick, cost.cpu, cost.lag.is_some())
                .or(changed);
        }
        let (every_ms, base_ms) = pace.distances_ms();
        let every = metrics.sources.cadence.get_or_create(&by_source);
        every.set(Duration::from_millis(every_ms).as_secs_f64());
        if let Some((change, cpu)) = changed {
            self.tell_cadence(source, change, cpu, (every_ms, base_ms));
        }
    }

    fn tell_cadence(
        &self,
        source: Source,
        change: Change,
        cpu: Duration,
        (every_ms, base_ms): (u64, u64),
    ) {
        let (source, every_s) = (source.as_str(), every_ms / 1_000);
        let note = format!("cadence {source}");
        if every_ms == base_ms {
            tracing::info!(
                source,
                every_s,
                "source is scraped as often as it should be again"
            );
            self.setup.readiness.clear(&note);
            return;
        }
        let base_s = base_ms / 1_000;
        let reason = format!(
            "scraped every {every_s} s and not every {base_s}, since a scrape takes {cpu:.1?} of CPU: \
             look for what makes its answers large, or raise --source-cpu-millis ({}) or --interval",
            self.source_cpu_millis
        );
        match change {
            Change::Longer => tracing::warn!(source, reason, "source costs too much"),
            Change::Shorter => tracing::info!(source, reason, "source costs less"),
        }
        self.setup.readiness.note(note, Note::Degraded(reason));
    }

    /// Counts what the row of a tick has of each source.
    pub(super) fn count_values(&self, row: &cairn_proto::model::Snapshot, tick: u64) {
        let metrics = &self.setup.metrics.sources;
        let mut counts = tally::tally(row, tick, self.setup.interval_ms);
        for source in self.paces.sources() {
            let at = counts.iter().position(|(of, _)| *of == source);
            let count = at.map_or_else(tally::Count::default, |at| counts.swap_remove(at).1);
            let by_source = BySource {
                source: source.as_str(),
            };
            for (metric, value) in [
                (&metrics.samples, count.samples),
                (&metrics.held, count.held),
                (&metrics.absent, count.absent),
            ] {
                metric
                    .get_or_create(&by_source)
                    .set(super::tick::gauge(value));
            }
        }
    }
}

//! One tick: ask, wait a bounded time, merge, append.

use std::time::Duration;

use cairn_proto::catalogue::{Group, Source};
use cairn_proto::wire;
use cairn_runtime::logging;
use cairn_runtime::readiness::Note;
use cairn_runtime::tasks::TaskError;

use super::asking;
use super::cadence::Seen;
use super::due::Due;
use super::merge::{self, Alone, Chosen, Grouped, Inputs, Merged};
use super::preference::{Heard, Preference};
use super::shortage::Word;
use super::{Feeds, Sampler};
use crate::metrics::{ByKind, BySource, BySourceKind};
use crate::ring::Stock;
use crate::sources::{Cost, Failure, FailureKind, Feed, Outcome, Reading, Trigger};

/// The most that a row waits for its sources. A healthy one answers in a tenth of a second; longer
/// would make every row late for the sake of one that is not.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// Under this name `/readyz?verbose` says that the kubelet knows the node by another one.
const NAME_NOTE: &str = "node name";

/// Under this name it says that more pods or containers are listed than are taken.
const CROWD_NOTE: &str = "pods";

/// Under this name it says that the ring does not hold its window.
const RING_NOTE: &str = "ring";

impl Sampler {
    /// Makes the row of a tick.
    pub(super) async fn sample(&mut self, tick: u64) -> Result<(), TaskError> {
        let wait = self.longest_wait();
        let trigger = Trigger {
            tick,
            line: self.line.clone(),
        };
        self.paces.begin_tick();
        // First, for what is seen there says whom else to ask.
        let is_due = self.paces.is_due(Source::Cgroup, tick);
        let by_cgroups = ask(self.feeds.cgroups.as_mut(), is_due, &trigger, wait).await;
        self.take(Source::Cgroup, tick, by_cgroups)?;
        let seen = self.see(tick);
        let due = Due::at(&mut self.paces, self.cadence, tick, seen);
        let Feeds {
            summary,
            resource,
            cadvisor,
            host,
            ..
        } = &mut self.feeds;
        let roster = &mut self.roster;
        let names = asking::ask(self.asking.as_mut(), roster, tick, wait);
        let (by_summary, by_resource, by_cadvisor, by_host, ()) = tokio::join!(
            ask(summary.as_mut(), due.summary, &trigger, wait),
            ask(resource.as_mut(), due.resource, &trigger, wait),
            ask(cadvisor.as_mut(), due.cadvisor, &trigger, wait),
            ask(host.as_mut(), due.host, &trigger, wait),
            names,
        );
        for (source, outcome) in [
            (Source::Summary, by_summary),
            (Source::Resource, by_resource),
            (Source::Cadvisor, by_cadvisor),
            (Source::Procfs, by_host),
        ] {
            self.take(source, tick, outcome)?;
        }
        self.learn(tick);
        self.look_again(&trigger, seen).await?;
        self.count_odd();
        self.compare_names();
        self.finish(tick, seen);
        // The sessions, which run on this thread too, first: nobody waits for a chunk.
        tokio::task::yield_now().await;
        self.marker.row(self.run, tick);
        self.setup.ring.seal();
        self.count_ring(tick);
        Ok(())
    }

    /// The most that a row waits for its sources.
    pub(super) fn longest_wait(&self) -> Duration {
        Duration::from_millis(self.setup.interval_ms / 4).min(MAX_WAIT)
    }

    /// Makes the row of what is known, and hands it out.
    pub(super) fn finish(&mut self, tick: u64, seen: Seen) {
        let merged = self.merge(tick, seen);
        self.append(tick, merged);
        let oldest = tick.saturating_sub(self.setup.window_ms);
        self.registry.forget_before(oldest);
        self.roster.forget_before(oldest);
    }

    fn merge(&mut self, tick: u64, seen: Seen) -> Merged {
        // Beside cgroups the resource endpoint is not asked, which is no silence of its.
        let chosen = if self.cadvisor_is_alone {
            Chosen::CADVISOR
        } else if seen.serves {
            Chosen::SUMMARY
        } else {
            Chosen {
                cpu: choose(&mut self.cpu, "CPU", tick, |source| {
                    self.paces.heard(source)
                }),
                memory: choose(&mut self.memory, "memory", tick, |source| {
                    self.paces.heard(source)
                }),
            }
        };
        let cgroups = last(&self.feeds.cgroups).filter(|_| seen.serves);
        let cadvisor = last(&self.feeds.cadvisor);
        let alone = cadvisor.filter(|_| self.cadvisor_is_alone);
        let inputs = Inputs {
            tick,
            made_ms: self.line.unix_ms(),
            node: &self.setup.node,
            summary: last(&self.feeds.summary),
            summary_is_fresh: self.paces.stands(Source::Summary),
            resource: last(&self.feeds.resource),
            // Beside cgroups it is asked for names, now and then, and its figures would come and go.
            cadvisor: cadvisor.filter(|_| !self.cadvisor_is_alone && !seen.serves),
            alone: alone.map(|reading| Alone {
                reading,
                is_fresh: self.paces.stands(Source::Cadvisor),
            }),
            cgroups: cgroups.map(|reading| Grouped {
                reading,
                roster: &self.roster,
            }),
            host: last(&self.feeds.host),
            host_is_fresh: self.paces.stands(Source::Procfs),
            chosen,
        };
        merge::merge(&inputs, &mut self.registry)
    }

    /// Takes what came of a question, if there was one.
    fn take(
        &mut self,
        source: Source,
        tick: u64,
        came: Option<(Outcome, Vec<Cost>)>,
    ) -> Result<(), TaskError> {
        if let Some((outcome, costs)) = came {
            if !matches!(outcome, Outcome::Busy)
                && let Some(pace) = self.paces.of_mut(source)
            {
                pace.sent();
            }
            self.spend(source, &costs);
            self.hear(source, tick, outcome)?;
        }
        Ok(())
    }

    /// Takes what a source did at a tick.
    pub(super) fn hear(
        &mut self,
        source: Source,
        tick: u64,
        outcome: Outcome,
    ) -> Result<(), TaskError> {
        let result = match outcome {
            Outcome::Pending => return Ok(()),
            Outcome::Gone => {
                let name = source.as_str();
                return Err(TaskError::message(format!("the source {name} has ended")));
            }
            Outcome::Busy => {
                let by_source = BySource {
                    source: source.as_str(),
                };
                let busy = &self.setup.metrics.scrapes.busy;
                busy.get_or_create(&by_source).inc();
                Err(Failure::new(
                    FailureKind::Busy,
                    "still at the scrape of an earlier tick",
                ))
            }
            Outcome::Answered(result) => result,
        };
        if let Some(pace) = self.paces.of_mut(source) {
            pace.hear(result.is_ok());
        }
        // It is taken all the same: its values are judged one by one.
        let result = result.and_then(|at| self.compare_clocks(source).map(|()| at));
        if let Err(failure) = &result {
            self.count_failure(source, failure);
        }
        self.board.tell(source, tick, result);
        Ok(())
    }

    pub(super) fn count_failure(&self, source: Source, failure: &Failure) {
        let label = BySourceKind {
            source: source.as_str(),
            kind: failure.kind.as_str(),
        };
        let failures = &self.setup.metrics.scrapes.failures;
        failures.get_or_create(&label).inc();
    }

    /// Says when the kubelet knows this node by another name: then it is another node's kubelet, or
    /// the agent was started with another node's name.
    fn compare_names(&mut self) {
        let summary = last(&self.feeds.summary);
        let name = summary.map(|reading| wire::cut(reading.values.node_name.clone()));
        let other = name.filter(|name| !name.is_empty() && *name != self.setup.node);
        if self.misnamed == other {
            return;
        }
        self.misnamed = other;
        let Some(name) = &self.misnamed else {
            self.setup.readiness.clear(NAME_NOTE);
            return;
        };
        let (name, node) = (logging::escape(name), &self.setup.node);
        let reason = format!("kubelet calls this node {name}, not {node}: check --node-name");
        tracing::warn!(reason, "node has two names");
        self.setup.readiness.note(NAME_NOTE, Note::Degraded(reason));
    }

    /// Whether what the source brought was measured at a time of which anything is shown.
    fn compare_clocks(&mut self, source: Source) -> Result<(), Failure> {
        if source != Source::Summary {
            return Ok(());
        }
        let summary = last(&self.feeds.summary);
        let node = summary.map(|reading| &reading.values.node.figures);
        let time_ms = node.and_then(|figures| figures.time_ms(Group::Memory));
        self.kubelet_clock.check(time_ms, self.line.unix_ms())
    }

    /// Says when some of what the sources list is left out. Which of the limits it was, the row does
    /// not say.
    fn tell_crowd(&mut self, dropped_count: u64) {
        if dropped_count > 0 {
            let reason = format!(
                "{dropped_count} pods, containers or parts are left out, of more than 1024 pods, 64 \
                 containers a pod, 1024 containers and cgroups outside of pods, 64 volumes, disks, \
                 interfaces or file systems each, 512 processors, 65535 pods and containers of a \
                 resource answer, or 8192 cgroups and 16384 parts of cAdvisor's: check what runs on \
                 this node"
            );
            if !self.crowded {
                tracing::warn!(reason, "too much is listed");
            }
            self.setup
                .readiness
                .note(CROWD_NOTE, Note::Degraded(reason));
        } else if self.crowded {
            self.setup.readiness.clear(CROWD_NOTE);
        }
        self.crowded = dropped_count > 0;
    }

    fn count_odd(&self) {
        let feeds = &self.feeds;
        let odd = |source| match source {
            Source::Summary => last(&feeds.summary).map(|r| r.values.odd_count),
            Source::Resource => last(&feeds.resource).map(|r| r.values.odd_count),
            Source::Cadvisor => last(&feeds.cadvisor).map(|r| r.values.odd_count),
            _ => None,
        };
        for source in self.paces.fresh() {
            if let Some(count) = odd(source).filter(|count| *count > 0) {
                let label = BySource {
                    source: source.as_str(),
                };
                self.setup
                    .metrics
                    .scrapes
                    .odd
                    .get_or_create(&label)
                    .inc_by(count);
            }
        }
    }

    fn append(&mut self, tick: u64, merged: Merged) {
        let Merged {
            snapshot,
            defs,
            late_count,
            future_count,
            refused_count,
            dropped_count,
        } = merged;
        self.tell_crowd(dropped_count);
        self.count_values(&snapshot, tick);
        let (entities, samples) = (snapshot.entities().len(), snapshot.sample_count());
        let seq = self.setup.ring.push(tick, snapshot, defs);
        let metrics = &self.setup.metrics.sampler;
        metrics.rows.inc();
        metrics.samples.inc_by(samples as u64);
        metrics.late.inc_by(late_count);
        metrics.future.inc_by(future_count);
        metrics.dropped.inc_by(dropped_count);
        metrics.entities.set(gauge(entities as u64));
        metrics.refused.set(gauge(refused_count));
        tracing::debug!(
            tick,
            seq,
            entities,
            samples,
            late_count,
            future_count,
            refused_count,
            dropped_count,
            "row sampled"
        );
        if self.first_row.take().is_some() {
            tracing::info!(tick, entities, samples, "first row sampled");
        }
    }

    pub(super) fn count_ring(&mut self, tick: u64) {
        let stock = self.setup.ring.stock();
        let metrics = &self.setup.metrics.ring;
        metrics.rows.set(gauge(stock.rows as u64));
        metrics.bytes.set(gauge(stock.bytes as u64));
        for (kind, now, before) in [
            ("age", stock.aged_rows, self.evicted.aged_rows),
            ("memory", stock.crowded_rows, self.evicted.crowded_rows),
            ("clock_step", stock.stepped_rows, self.evicted.stepped_rows),
        ] {
            if now > before {
                metrics
                    .evicted
                    .get_or_create(&ByKind { kind })
                    .inc_by(now - before);
            }
        }
        let dropped = stock.dropped_rows - self.evicted.dropped_rows;
        metrics.dropped.inc_by(dropped);
        self.tell_shortage(tick, &stock);
        self.evicted = stock;
    }

    /// Says when rows go for memory before their time: an aggregator that was away so long finds
    /// less history than it was promised.
    fn tell_shortage(&mut self, tick: u64, stock: &Stock) {
        // Rows are this far apart, and each stands for the time up to the next.
        let (window_ms, interval_ms) = (self.setup.window_ms, self.setup.interval_ms);
        let enough_ms = window_ms.saturating_sub(interval_ms);
        let word = self.shortage.tick(tick, stock, &self.evicted, enough_ms);
        match word {
            Word::Nothing => {}
            Word::Over => {
                tracing::info!("ring holds its window again, or begins anew");
                self.setup.readiness.clear(RING_NOTE);
            }
            Word::Short | Word::BecameShort => {
                let held_s = (stock.span_ms + interval_ms) / 1_000;
                let window_s = window_ms / 1_000;
                let reason =
                    format!("holds only {held_s} s of {window_s} for memory: raise --ring-bytes");
                if word == Word::BecameShort {
                    tracing::warn!(reason, "ring is short of memory");
                }
                self.setup.readiness.note(RING_NOTE, Note::Degraded(reason));
            }
        }
    }
}

/// Which source to take at this tick, given what it says of each.
pub(super) fn choose(
    preference: &mut Option<Preference>,
    what: &'static str,
    tick: u64,
    heard: impl Fn(Source) -> Heard,
) -> Source {
    let Some(preference) = preference else {
        return Source::Summary;
    };
    let before = preference.current();
    let now = preference.tick(tick, heard);
    if now != before {
        let (from, to) = (before.as_str(), now.as_str());
        tracing::info!(what, from, to, "source switches");
    }
    now
}

/// The newest good reading of a source that there is.
pub(super) fn last<T>(feed: &Option<Feed<T>>) -> Option<&Reading<T>> {
    feed.as_ref().and_then(Feed::last)
}

/// Asks a source when it is due, and takes a late answer at any tick.
pub(super) async fn ask<T>(
    feed: Option<&mut Feed<T>>,
    is_due: bool,
    trigger: &Trigger,
    wait: Duration,
) -> Option<(Outcome, Vec<Cost>)> {
    let feed = feed?;
    let outcome = if is_due {
        feed.scrape(trigger.clone(), wait).await
    } else {
        feed.collect(wait)?
    };
    Some((outcome, feed.take_costs()))
}

pub(super) fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

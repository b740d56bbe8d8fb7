//! What was sampled, and whether an aggregator says the same.
//!
//! An [`Oracle`] is fed with rows (of a [`Mix`](crate::mix::Mix), or of a replay through
//! [`mix::Node::of_replay`](crate::mix::Node::of_replay)) and then reads every series back through
//! the Heapster model API: a sample is missing, there twice, or has another value. Only what this
//! API knows as a value is looked at, counters too, and parts that it tells apart by labels. Rates
//! are not, nor the uptime, which no row carries.

pub mod heapster;
mod series;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use cairn_proto::catalogue::{FIELDS, Group, Source};
use cairn_proto::model::{ColumnId, EntityId};

use crate::mix::Row;
use heapster::Point;
use series::Names;

pub use verdict::{Example, Tally, Verdict};

/// Everything that was sampled on all nodes, by series path and tick.
#[derive(Debug, Default)]
pub struct Oracle {
    samples: BTreeMap<String, Samples>,
    nodes: HashMap<String, Memory>,
}

/// One series.
#[derive(Debug)]
struct Samples {
    /// Max-age of its group, ms.
    held_ms: u64,
    ticks: BTreeMap<u64, u64>,
}

/// What is known of one node's run.
#[derive(Debug, Default)]
struct Memory {
    names: Names,
    measured_ms: HashMap<(EntityId, Group), (Source, u64)>,
}

impl Oracle {
    /// Begins with nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records one value of a series (its path below `/api/v1/model/`) that is held for `held_ms`;
    /// a second one of the same tick replaces the first.
    pub fn record(&mut self, series: &str, held_ms: u64, tick_ms: u64, value: u64) {
        if let Some(samples) = self.samples.get_mut(series) {
            samples.ticks.insert(tick_ms, value);
            return;
        }
        let ticks = BTreeMap::from([(tick_ms, value)]);
        self.samples
            .insert(series.to_owned(), Samples { held_ms, ticks });
    }

    /// Records the values of a row of a node, in the order of its rows.
    ///
    /// Left out, as the design rules say: values older than max-age at the tick, and measurements
    /// of an earlier time than the one before of the same source. Of two lives of one name at the
    /// same tick, the later start counts.
    pub fn record_row(&mut self, node: &str, row: &Row) {
        let mut memory = self.nodes.remove(node).unwrap_or_default();
        memory.names.learn(&row.new_defs);
        let mut recorded: Vec<(u64, String, u64, u64)> = Vec::new();
        for (at, id) in row.snapshot.entities().iter().enumerate() {
            for group in Group::ALL {
                let Some(stamp) = row.snapshot.stamp(at, group) else {
                    continue;
                };
                let before = memory.measured_ms.get(&(*id, group));
                if before.is_some_and(|(by, ms)| *by == stamp.source && stamp.time_ms < *ms) {
                    continue;
                }
                memory
                    .measured_ms
                    .insert((*id, group), (stamp.source, stamp.time_ms));
                if row.tick_ms.saturating_sub(stamp.time_ms) > group.max_age_ms() {
                    continue;
                }
                for field in FIELDS.iter().filter(|field| field.group == group) {
                    let value = row.snapshot.cell(at, ColumnId::field(field.id));
                    let (Some(value), Some(metric)) = (value, field.heapster) else {
                        continue;
                    };
                    if let Some(path) = memory.names.path(*id, metric) {
                        let start_ms = stamp.start_ms.unwrap_or(0);
                        recorded.push((start_ms, path, value, group.max_age_ms()));
                    }
                }
            }
        }
        let here = |(entity, _): &(EntityId, Group), _: &mut (Source, u64)| {
            row.snapshot.position(*entity).is_some()
        };
        memory.measured_ms.retain(here);
        self.nodes.insert(node.to_owned(), memory);
        recorded.sort();
        for (_, path, value, held_ms) in recorded {
            self.record(&path, held_ms, row.tick_ms, value);
        }
    }

    /// Begins a new run of a node: its entity ids mean nothing any more.
    pub fn new_run(&mut self, node: &str) {
        self.nodes.remove(node);
    }

    /// Forgets samples before a tick: what no window holds any more.
    pub fn forget_before(&mut self, tick_ms: u64) {
        self.samples.retain(|_, samples| {
            samples.ticks = samples.ticks.split_off(&tick_ms);
            !samples.ticks.is_empty()
        });
    }

    /// How many samples are recorded.
    #[must_use]
    pub fn sample_count(&self) -> usize {
        self.samples.values().map(|one| one.ticks.len()).sum()
    }

    /// The recorded series, sorted.
    pub fn series(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }

    /// Compares the samples of these ticks with what is read of each series.
    ///
    /// A point at a tick without a sample is right when it repeats the sample before it, no older
    /// than max-age: readers are shown held values. Any other one is wrong.
    ///
    /// # Errors
    ///
    /// The first error of `read`.
    pub fn compare<E>(
        &self,
        ticks: &RangeInclusive<u64>,
        mut read: impl FnMut(&str) -> Result<Vec<Point>, E>,
    ) -> Result<Verdict, E> {
        let mut verdict = Verdict::default();
        for (series, samples) in &self.samples {
            verdict.judge(series, samples, ticks, &read(series)?);
        }
        Ok(verdict)
    }

    /// Compares the samples of these ticks with an aggregator's plain listener.
    ///
    /// # Errors
    ///
    /// When it does not answer with a result of the model API.
    pub fn check(
        &self,
        http: SocketAddr,
        ticks: &RangeInclusive<u64>,
    ) -> Result<Verdict, heapster::Error> {
        self.compare(ticks, |series| heapster::read(http, series))
    }
}

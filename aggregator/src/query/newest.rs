//! The newest values: of each entity at its node's own tick, and compared at the published one.

use cairn_proto::catalogue::{Field, Kind};

use super::{Sample, View};
use crate::store::Entity;

/// What one entity says at its node's newest tick.
#[derive(Clone, Debug)]
pub struct Newest {
    /// Its place among those that were asked for.
    pub nth: usize,
    /// The tick, Unix ms.
    pub tick_ms: u64,
    /// Of each field.
    pub samples: Vec<Option<Sample>>,
}

/// The newest values of entities of one node, without those that have none.
#[must_use]
pub fn newest_values(view: &View, entities: &[&Entity], fields: &[&Field]) -> Vec<Newest> {
    let tick_ms = entities.first().map_or(0, |e| view.newest_of_node(&e.node));
    let mut newest: Vec<Newest> = (0..entities.len())
        .map(|nth| Newest {
            nth,
            tick_ms,
            samples: vec![None; fields.len()],
        })
        .collect();
    for (at, field) in fields.iter().enumerate() {
        view.each_series(entities, field, &[tick_ms], |nth, samples| {
            let slot = newest.get_mut(nth).and_then(|one| one.samples.get_mut(at));
            if let Some(slot) = slot {
                *slot = samples.first().copied().flatten();
            }
        });
    }
    newest.retain(|one| one.samples.iter().any(Option::is_some));
    newest
}

/// The entities with the highest values at the published tick, by their places: of a gauge its
/// value, of a counter its rate per second. Of equals the one that was asked for first.
#[must_use]
pub fn highest(
    view: &View,
    entities: &[&Entity],
    field: &Field,
    limit: usize,
) -> Vec<(usize, f64)> {
    let mut values: Vec<(usize, f64)> = Vec::new();
    view.each_series(entities, field, &[view.published_ms()], |nth, samples| {
        let sample = samples.first().copied().flatten();
        values.extend(sample.and_then(|s| weight(field, s)).map(|w| (nth, w)));
    });
    values.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    values.truncate(limit);
    values
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for comparing and for people, who do not see the 54th bit"
)]
fn weight(field: &Field, sample: Sample) -> Option<f64> {
    match field.kind {
        Kind::Gauge => Some(sample.value as f64),
        Kind::Counter => sample.rate.map(|rate| rate.per_second()),
    }
}

/// A sum over entities at one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Total {
    /// Of gauges their values, of counters their rates in whole units per second, each rounded down;
    /// `None` when no entity has one. Saturates.
    pub value: Option<u64>,
    /// How many entities have one.
    pub entities: u32,
}

/// Adds a field up over entities, tick by tick.
#[must_use]
pub fn totals(view: &View, entities: &[&Entity], field: &Field, ticks_ms: &[u64]) -> Vec<Total> {
    let mut totals = vec![Total::default(); ticks_ms.len()];
    view.each_series(entities, field, ticks_ms, |_, samples| {
        for (total, sample) in totals.iter_mut().zip(samples) {
            if let Some(amount) = sample.and_then(|s| super::view::amount(field, s)) {
                total.value = Some(total.value.unwrap_or(0).saturating_add(amount));
                total.entities += 1;
            }
        }
    });
    totals
}

//! What things use now, for autoscalers: CPU over a span that is long enough to act on, and the newest memory.
//!
//! A rate over one interval follows every burst. So CPU is the rate over the newest pair of measurements that
//! are at least so far apart, whatever the interval. A container counts from nothing when it begins, so its
//! start is a measurement too: one that is younger than the span is measured since then, once it has lived
//! long enough for that to mean something. Where there is no such pair there is no number.

mod lacks;
mod of_node;

use cairn_proto::catalogue::{EntityKind, Field, table};
use cairn_proto::rate::{Point, Rate, Tracker};

use super::series::walk;
use super::{View, is_skewed};
use crate::store::{Entity, RawRow, Wanted};

pub use lacks::Lacks;
pub use of_node::{ContainerNames, Measured, OfNode, Places, PodKey};

/// How long a container must have lived for its CPU to be measured since its start, ms: what a start costs
/// is no rate to scale by.
const LEAST_LIFE_MS: u64 = 10_000;

/// CPU, and when it was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// How much in which time.
    pub rate: Rate,
    /// When the span ends, Unix ms by the node's clock.
    pub time_ms: u64,
}

/// What something uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Billionths of a core.
    pub cpu_nanocores: u64,
    /// The span that the CPU was measured over, ms.
    pub over_ms: u64,
    /// When that span ends, Unix ms by our clock.
    pub time_ms: u64,
    /// Working set, bytes.
    pub memory_bytes: u64,
    /// Swap in use, bytes; `None` where nobody says.
    pub swap_bytes: Option<u64>,
}

/// Its parts, as they are read.
#[derive(Clone, Copy, Default)]
struct Parts {
    cpu: Option<Cpu>,
    memory_bytes: Option<u64>,
    swap_bytes: Option<u64>,
}

impl View {
    /// What each of several entities uses at its node's newest tick, in their order; `None` of those that lack
    /// CPU or memory. `span_ms` is the least distance of the two measurements of CPU.
    #[must_use]
    pub fn usages(&self, entities: &[&Entity], span_ms: u64) -> Vec<Option<Usage>> {
        let mut all = vec![None; entities.len()];
        let mut order: Vec<usize> = (0..entities.len()).collect();
        let node_of = |at: &usize| entities.get(*at).map_or("", |entity| &*entity.node);
        order.sort_by(|a, b| node_of(a).cmp(node_of(b)));
        for places in order.chunk_by(|a, b| node_of(a) == node_of(b)) {
            let of_node: Vec<&Entity> = super::pieces::at(places, entities);
            let found = self.usages_of_node(&of_node, span_ms);
            for (place, usage) in places.iter().zip(found) {
                if let Some(slot) = all.get_mut(*place) {
                    *slot = usage;
                }
            }
        }
        all
    }

    /// The same of entities of one node.
    fn usages_of_node(&self, entities: &[&Entity], span_ms: u64) -> Vec<Option<Usage>> {
        let Some(node) = entities.first().map(|entity| &*entity.node) else {
            return Vec::new();
        };
        let tick_ms = self.newest_of_node(node);
        let wanted = wanted(tick_ms, span_ms);
        let mut parts = vec![Parts::default(); entities.len()];
        for places in self.pieces(entities, &wanted) {
            let asked = super::pieces::at(&places, entities);
            self.visit_rows(&asked, &wanted, &mut |at, nth, rows| {
                let Some(place) = places.get(nth) else { return };
                let field = wanted.get(at).and_then(|(id, _)| table::field(*id));
                let (Some(into), Some(field), Some(entity)) =
                    (parts.get_mut(*place), field, entities.get(*place))
                else {
                    return;
                };
                if field.id == table::CPU {
                    let from_start = entity.kind == EntityKind::Container;
                    into.cpu = cpu_over(rows, tick_ms, span_ms, from_start);
                    return;
                }
                let mut value = None;
                walk(field, rows, &[tick_ms], |told| value = told.sample);
                let value = value.map(|sample| sample.value);
                if field.id == table::MEMORY_WORKING_SET {
                    into.memory_bytes = value;
                } else {
                    into.swap_bytes = value;
                }
            });
        }
        // Times are those of the node, as everybody else sees them.
        let state = self.node(node).filter(|state| is_skewed(state));
        let offset_ms = state.map_or(0, |state| state.offset_ms);
        let parts = parts.into_iter();
        parts.map(|parts| parts.whole(offset_ms)).collect()
    }
}

impl Parts {
    fn whole(self, offset_ms: i64) -> Option<Usage> {
        let cpu = self.cpu?;
        Some(Usage {
            cpu_nanocores: cpu.rate.nanocores(),
            over_ms: cpu.rate.over_ms,
            time_ms: cpu
                .time_ms
                .saturating_add_signed(offset_ms.saturating_neg()),
            memory_bytes: self.memory_bytes?,
            swap_bytes: self.swap_bytes,
        })
    }
}

/// What is to be read at a tick.
fn wanted(tick_ms: u64, span_ms: u64) -> Vec<Wanted> {
    let from = |field: &Field, span_ms: u64| {
        let before = field.group.max_age_ms().saturating_add(span_ms);
        (field.id, (tick_ms.saturating_sub(before), tick_ms))
    };
    let fields = [
        (table::CPU, span_ms),
        (table::MEMORY_WORKING_SET, 0),
        (table::SWAP_USAGE, 0),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(id, span_ms)| table::field(id).map(|field| from(field, span_ms)))
        .collect()
}

/// CPU at a tick over the newest pair of measurements that are at least `span_ms` apart. With `from_start`
/// the start of the life is one, at which nothing had been used, if nobody has looked for a span before the
/// first measurement. `None` without such a pair, for what is not there, and for what was measured too long ago.
#[must_use]
pub fn cpu_over(rows: &[RawRow], tick_ms: u64, span_ms: u64, from_start: bool) -> Option<Cpu> {
    let field = table::field(table::CPU)?;
    let steady = cpu_of_steady(rows, tick_ms, (span_ms, field.group.max_age_ms()));
    steady.or_else(|| cpu_by_rows(field, rows, (tick_ms, span_ms), from_start))
}

/// The same where it can be seen without following the series that it is one, which it nearly always is: one source
/// that tells one start in every row, each measurement later than the one before and not too late, or that one again.
fn cpu_of_steady(rows: &[RawRow], tick_ms: u64, (span_ms, max_age_ms): (u64, u64)) -> Option<Cpu> {
    let last = rows
        .last()
        .filter(|row| row.present && row.tick_ms <= tick_ms)?;
    let newest = last.point?;
    let of = (newest.stamp.source, newest.stamp.start_ms?);
    let is_recent =
        |tick_ms: u64, point: &Point| tick_ms.saturating_sub(point.stamp.time_ms) <= max_age_ms;
    let (mut next, mut first) = (newest, None);
    for row in rows.iter().rev() {
        let point = row.point?;
        let is_told = row.began.is_none() && !row.interrupted && is_recent(row.tick_ms, &point);
        let is_of_it = point.stamp.source == of.0 && point.stamp.start_ms == Some(of.1);
        let later_ms = next.stamp.time_ms.checked_sub(point.stamp.time_ms)?;
        let more = next.value.checked_sub(point.value)?;
        let is_next = later_ms <= max_age_ms && (later_ms > 0 || more == 0);
        if !(is_told && is_of_it && is_next) {
            return None;
        }
        let over_ms = newest.stamp.time_ms - point.stamp.time_ms;
        if first.is_none() && over_ms >= span_ms.max(1) {
            first = Some(point);
        }
        next = point;
    }
    let first = first.filter(|_| is_recent(tick_ms, &newest))?;
    Some(Cpu {
        rate: Rate {
            delta: newest.value - first.value,
            over_ms: newest.stamp.time_ms - first.stamp.time_ms,
        },
        time_ms: newest.stamp.time_ms,
    })
}

fn cpu_by_rows(
    field: &Field,
    rows: &[RawRow],
    (tick_ms, span_ms): (u64, u64),
    from_start: bool,
) -> Option<Cpu> {
    let Series {
        points,
        start_ms,
        is_held,
    } = Series::of(field, rows, tick_ms);
    let (newest, first) = (points.last().filter(|_| is_held)?, points.first()?);
    let since = |point: &Point| {
        let over_ms = newest.stamp.time_ms.checked_sub(point.stamp.time_ms)?;
        Some((newest.value.checked_sub(point.value)?, over_ms))
    };
    let mut pairs = points.iter().rev().filter_map(since);
    let pair = pairs.find(|(_, over_ms)| *over_ms >= span_ms.max(1));
    let (delta, over_ms) = pair.or_else(|| {
        let start_ms = start_ms.filter(|_| from_start)?;
        let unseen_ms = first.stamp.time_ms.saturating_sub(start_ms);
        let over_ms = newest.stamp.time_ms.checked_sub(start_ms)?;
        (unseen_ms <= span_ms && over_ms >= LEAST_LIFE_MS).then_some((newest.value, over_ms))
    })?;
    Some(Cpu {
        rate: Rate { delta, over_ms },
        time_ms: newest.stamp.time_ms,
    })
}

/// Measurements of CPU that a rate may be made of.
struct Series {
    // Those since something began anew, rising by time.
    points: Vec<Point>,
    start_ms: Option<u64>,
    // It is there, and the newest one is not too old.
    is_held: bool,
}

impl Series {
    /// Those up to a tick.
    fn of(field: &Field, rows: &[RawRow], tick_ms: u64) -> Self {
        let mut tracker = Tracker::new(field);
        let mut points: Vec<Point> = Vec::new();
        let (mut start_ms, mut present) = (None, false);
        for row in rows.iter().take_while(|row| row.tick_ms <= tick_ms) {
            if row.interrupted {
                tracker.interrupt();
            }
            present = row.present;
            tracker.take(row.point, row.began);
            let Some(last) = tracker.value_at(row.tick_ms) else {
                points.clear();
                continue;
            };
            if points.last() == Some(&last) {
                continue;
            }
            // Without a rate it is the first of a series: what came before does not count.
            if tracker.rate_at(row.tick_ms).is_none() {
                points.clear();
            }
            points.push(last);
            start_ms = last
                .stamp
                .start_ms
                .or(row.began.map(|(_, start_ms)| start_ms));
        }
        Self {
            points,
            start_ms,
            is_held: present && tracker.value_at(tick_ms).is_some(),
        }
    }
}

#[cfg(test)]
mod tests;

//! Rates, resets, holding and max-age: the only implementation.
//!
//! A [`Tracker`] follows one series through its rows in order of their ticks. It is pure: the same
//! rows give the same answers on every replica and after every replay.
//!
//! * A rate is the difference of the counter over the difference of the *measurement* times, never
//!   of the ticks.
//! * A measurement with the time of the last one holds the rate; an earlier one is ignored. Of two
//!   sources the one that tells whole seconds and the one that tells milliseconds of the same second
//!   tell one measurement.
//! * A lower counter, or another life start told by the same source, is a reset: the point has no
//!   rate and the series begins anew there.
//! * What one life measured is not held into another: an entity that is there with another start and
//!   without a value has none.
//! * Another source of the same kernel counter continues the series; of another counter does not.
//! * A value or a rate is held until its measurement is older than the group's max-age, then it is
//!   absent. A rate never reaches over a hole longer than that either: an average over minutes is
//!   not what the thing uses now.

use crate::catalogue::{Field, Group, Kind, Source};
use crate::model::Stamp;

/// How far two life starts told by the same source may differ and still be one life, ms.
///
/// Kubelets compute the start from an uptime in whole seconds, so it wavers by one.
pub const START_TOLERANCE_MS: u64 = 2_000;

/// One measured value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The raw value.
    pub value: u64,
    /// When, by whom and in which life.
    pub stamp: Stamp,
}

/// An exact rate: so much in so many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Growth of the counter.
    pub delta: u64,
    /// Distance of the two measurements, ms; never 0.
    pub over_ms: u64,
}

impl Rate {
    /// Of a counter in nanoseconds of CPU: billionths of a core, rounded down.
    #[must_use]
    pub fn nanocores(&self) -> u64 {
        let over_ms = self.over_ms.max(1);
        // Some two hundred days of one core: a division of 128 bits takes several times as long.
        if let Some(thousands) = self.delta.checked_mul(1_000) {
            return thousands / over_ms;
        }
        let exact = u128::from(self.delta) * 1_000 / u128::from(over_ms);
        u64::try_from(exact).unwrap_or(u64::MAX)
    }

    /// Units per second.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "53 bits are enough for a quotient"
    )]
    pub fn per_second(&self) -> f64 {
        self.delta as f64 * 1_000.0 / self.over_ms.max(1) as f64
    }
}

/// What a measurement did to its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The first of the series.
    First,
    /// Later than the last: there is a new rate.
    Advanced,
    /// The same measurement again: value and rate are held.
    Held,
    /// Earlier than the last: ignored.
    Late,
    /// The counter or its life began anew: no rate yet.
    Reset,
    /// The last measurement was too old, or of another counter: no rate yet.
    Restarted,
}

/// Follows one series.
#[derive(Clone, Copy, Debug)]
pub struct Tracker {
    max_age_ms: u64,
    counter: bool,
    last: Option<Point>,
    rate: Option<Rate>,
    // What each source said of the start of this life, last; in the order of `Source::ALL`.
    starts_ms: [Option<u64>; Source::ALL.len()],
    // The next measurement begins a new series, whatever it is.
    interrupted: bool,
}

impl Tracker {
    /// Begins with nothing known.
    #[must_use]
    pub fn new(field: &Field) -> Self {
        Self {
            max_age_ms: field.group.max_age_ms(),
            counter: field.kind == Kind::Counter,
            last: None,
            rate: None,
            starts_ms: [None; Source::ALL.len()],
            interrupted: false,
        }
    }

    /// Takes the next measurement.
    pub fn observe(&mut self, point: Point) -> Observed {
        let Some(last) = self.last else {
            return self.restart(point, Observed::First);
        };
        if self.interrupted {
            return self.restart(point, Observed::Restarted);
        }
        let (old, new) = (last.stamp, point.stamp);
        if new.time_ms < old.time_ms {
            return Observed::Late;
        }
        if new.time_ms == old.time_ms {
            // A gauge that changed within one unit of its source's clock is the newer reading.
            if !self.counter {
                self.last = Some(point);
            }
            return Observed::Held;
        }
        if self.counter && is_same_reading(old, new) {
            // The later one tells its time to the millisecond.
            if point.value == last.value {
                self.accept(point);
            }
            return Observed::Held;
        }
        let over_ms = new.time_ms - old.time_ms;
        if !old.source.same_counter(new.source) || over_ms > self.max_age_ms {
            return self.restart(point, Observed::Restarted);
        }
        if self.counter
            && (point.value < last.value || self.is_another_start(new.source, new.start_ms))
        {
            return self.restart(point, Observed::Reset);
        }
        if self.counter {
            self.rate = Some(Rate {
                delta: point.value - last.value,
                over_ms,
            });
        }
        self.accept(point);
        Observed::Advanced
    }

    /// Takes what one row says of an entity that is there: the measurement of this series, if the row
    /// has one, and when the entity's life [`began`].
    pub fn take(&mut self, point: Option<Point>, began: Option<(Source, u64)>) {
        let Some(point) = point else {
            if let Some((source, start_ms)) = began {
                self.missed(source, start_ms);
            }
            return;
        };
        // Where the source of the value tells no start, what another one tells has to do.
        let told = began.filter(|_| point.stamp.start_ms.is_none());
        if told.is_some_and(|(source, start_ms)| self.is_another_life(source, start_ms)) {
            self.interrupt();
        }
        let observed = self.observe(point);
        // When nothing new was measured, nothing new was told of the series' life.
        let is_new = !matches!(observed, Observed::Held | Observed::Late);
        if let Some((source, start_ms)) = began.filter(|_| is_new) {
            self.began(source, start_ms);
        }
    }

    /// Says when the entity began by another stamp than the measurement's own, together with the
    /// measurement that was observed last.
    pub fn began(&mut self, source: Source, start_ms: u64) {
        self.note_start(source, Some(start_ms));
    }

    /// True when the entity began at another time than this source said with the measurement that
    /// was taken last.
    #[must_use]
    pub fn is_another_life(&self, source: Source, start_ms: u64) -> bool {
        self.is_another_start(source, Some(start_ms))
    }

    /// Says that the entity is there without a measurement of this series, and when it began: what
    /// an earlier life measured is not held into another one.
    pub fn missed(&mut self, source: Source, start_ms: u64) {
        if self.is_another_start(source, Some(start_ms)) {
            self.last = None;
            self.rate = None;
            self.interrupted = false;
        }
    }

    /// Says that the next measurement must not be compared with the last: a run that began with a
    /// clock step, or another boot. What is known is held as before.
    pub fn interrupt(&mut self) {
        self.interrupted = self.last.is_some();
    }

    /// The value at a tick: the last measured, if it is not too old.
    #[must_use]
    pub fn value_at(&self, tick_ms: u64) -> Option<Point> {
        self.last
            .filter(|last| tick_ms.saturating_sub(last.stamp.time_ms) <= self.max_age_ms)
    }

    /// The rate at a tick, if its newer measurement is not too old.
    #[must_use]
    pub fn rate_at(&self, tick_ms: u64) -> Option<Rate> {
        self.value_at(tick_ms).and(self.rate)
    }

    fn restart(&mut self, point: Point, why: Observed) -> Observed {
        self.rate = None;
        self.starts_ms = [None; Source::ALL.len()];
        self.interrupted = false;
        self.accept(point);
        why
    }

    fn accept(&mut self, point: Point) {
        self.last = Some(point);
        self.note_start(point.stamp.source, point.stamp.start_ms);
    }

    fn note_start(&mut self, source: Source, told_ms: Option<u64>) {
        if let Some(start_ms) = self.starts_ms.get_mut(place(source)) {
            *start_ms = told_ms.or(*start_ms);
        }
    }

    /// True when the source says that the measured thing began at another time than it said last,
    /// be it before another source took over or before it said nothing for a while. What two
    /// sources say is not compared: the summary and the resource endpoint disagree about the same
    /// container.
    fn is_another_start(&self, source: Source, start_ms: Option<u64>) -> bool {
        let told = self.starts_ms.get(place(source)).copied().flatten();
        match (told, start_ms) {
            (Some(a), Some(b)) => a.abs_diff(b) > START_TOLERANCE_MS,
            // It never said when the life before began, and measured it before this one did.
            (None, Some(b)) => self
                .last
                .is_some_and(|last| last.stamp.source == source && b > last.stamp.time_ms),
            _ => false,
        }
    }
}

/// When the life of an entity began in one row, and by whom, of its groups' stamps. The summary tells a
/// start of everything that it lists; another source is asked only where it says nothing.
#[must_use]
pub fn began(stamp: impl Fn(Group) -> Option<Stamp>) -> Option<(Source, u64)> {
    // Most entities have memory or are measured with it.
    const ORDER: [Group; 5] = [
        Group::Memory,
        Group::Network,
        Group::Filesystem,
        Group::Volume,
        Group::Cpu,
    ];
    let told = |group: &Group| {
        let stamp = stamp(*group)?;
        Some((stamp.source, stamp.start_ms?))
    };
    let mut by_others = None;
    for (source, start_ms) in ORDER.iter().filter_map(told) {
        if source == Source::Summary {
            return Some((source, start_ms));
        }
        by_others = by_others.or(Some((source, start_ms)));
    }
    by_others
}

/// Where a source is among all: they are numbered in that order, from 1.
fn place(source: Source) -> usize {
    usize::from(source as u8).saturating_sub(1)
}

/// True when another source says with milliseconds what the summary said in whole seconds: the
/// kubelet rounds the times of its readings down there, and the same reading would seem to be a
/// later one in which nothing was used.
fn is_same_reading(old: Stamp, new: Stamp) -> bool {
    let takes_over = old.source == Source::Summary && new.source != Source::Summary;
    takes_over
        && old.source.same_counter(new.source)
        && old.time_ms.is_multiple_of(1_000)
        && new.time_ms / 1_000 == old.time_ms / 1_000
}

#[cfg(test)]
mod tests;

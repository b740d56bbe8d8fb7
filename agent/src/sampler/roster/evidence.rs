//! Whose cgroup it is, by what it used.
//!
//! Pure. A kubelet says of a container's CPU counter when it had which value, and cgroups without names
//! are read before and after that. The counter never falls, so the container's cgroup is one that had
//! no more before and no less after. A sandbox uses nothing once it has begun, and of two containers that
//! work the counters part within seconds; where more than one fits, nothing is said until they do.

use std::collections::VecDeque;

use cairn_proto::catalogue::{Group, table};

use crate::sources::summary::Stats;

/// The kubelet's times are rounded down to this, ms.
const ROUNDED_MS: u64 = 1_000;

/// How far apart the kubelet's clock and the run's line of time may be, ms: a clock that steps farther
/// begins a new run.
const DRIFT_MS: u64 = 500;

/// Readings that are remembered are so far apart at least, ms, and so many at most: they reach back for
/// a minute, twice as long as anything that a kubelet says is old.
const APART_MS: u64 = 3_000;
const MAX_READINGS: usize = 20;

/// What a CPU counter was at some times.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings(VecDeque<(u64, u64)>);

/// How a counter of the kubelet's and a cgroup go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// They are not one.
    No,
    /// They may be one.
    Yes,
    /// The cgroup was not read both before and after.
    Unknown,
}

/// What the kubelet measured of a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured<'a> {
    pub(super) name: &'a str,
    time_ms: u64,
    core_nanos: u64,
}

impl<'a> Measured<'a> {
    /// `None` of a container whose CPU time or its time is not told.
    pub(super) fn of(stats: &'a Stats) -> Option<Self> {
        Some(Self {
            name: &stats.name,
            time_ms: stats.figures.time_ms(Group::Cpu)?,
            core_nanos: stats.figures.value(table::CPU)?,
        })
    }
}

impl Readings {
    /// Takes a reading that is later than all before.
    pub(super) fn add(&mut self, time_ms: u64, core_nanos: u64) {
        let last_ms = self.0.back().map(|(last_ms, _)| *last_ms);
        if last_ms.is_some_and(|last_ms| time_ms < last_ms.saturating_add(APART_MS)) {
            return;
        }
        if self.0.len() >= MAX_READINGS {
            self.0.pop_front();
        }
        self.0.push_back((time_ms, core_nanos));
    }

    /// When the first of them was, Unix ms.
    pub(super) fn first_ms(&self) -> Option<u64> {
        self.0.front().map(|(time_ms, _)| *time_ms)
    }

    /// Forgets all of them, and what room they had.
    pub(super) fn forget(&mut self) {
        self.0 = VecDeque::new();
    }

    /// Whether the cgroup, made at `made_ms`, may be what was measured.
    pub(super) fn fit(&self, made_ms: u64, measured: Measured<'_>) -> Fit {
        let Measured {
            time_ms,
            core_nanos,
            ..
        } = measured;
        let since_ms = time_ms.saturating_sub(DRIFT_MS);
        let until_ms = time_ms.saturating_add(ROUNDED_MS + DRIFT_MS);
        let before = self.0.iter().rfind(|(read_ms, _)| *read_ms <= since_ms);
        let after = self.0.iter().find(|(read_ms, _)| *read_ms >= until_ms);
        let is_less = before.is_some_and(|(_, least)| core_nanos < *least);
        let is_more = after.is_some_and(|(_, most)| core_nanos > *most);
        if is_less || is_more || made_ms > until_ms {
            return Fit::No;
        }
        match (before, after) {
            (Some(_), Some(_)) => Fit::Yes,
            _ => Fit::Unknown,
        }
    }
}

/// Which of some cgroups is which of some containers, by their places in both lists. Whatever else may
/// fit, or may be found to fit later, is not among them.
pub(super) fn pairs(
    measured: &[Measured<'_>],
    fit: impl Fn(usize, Measured<'_>) -> Fit,
    cgroup_count: usize,
) -> Vec<(usize, usize)> {
    let only_one = |of: Measured<'_>| -> Option<usize> {
        let mut found = None;
        for cgroup in 0..cgroup_count {
            match fit(cgroup, of) {
                Fit::No => {}
                Fit::Unknown => return None,
                Fit::Yes if found.is_some() => return None,
                Fit::Yes => found = Some(cgroup),
            }
        }
        found
    };
    let found: Vec<(usize, usize)> = measured
        .iter()
        .enumerate()
        .filter_map(|(n, of)| Some((n, only_one(*of)?)))
        .collect();
    let claims = |cgroup| found.iter().filter(|(_, other)| *other == cgroup).count();
    let clear = found.iter().filter(|(_, cgroup)| claims(*cgroup) == 1);
    clear.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(of: &[(u64, u64)]) -> Readings {
        let mut readings = Readings::default();
        of.iter()
            .for_each(|(time_s, nanos)| readings.add(time_s * 1_000, *nanos));
        readings
    }

    fn at(time_s: u64, core_nanos: u64) -> Measured<'static> {
        Measured {
            name: "app",
            time_ms: time_s * 1_000,
            core_nanos,
        }
    }

    #[test]
    fn a_counter_lies_between_what_was_read_before_and_after() {
        let busy = readings(&[(10, 100), (20, 200), (30, 300)]);
        for (measured, expected) in [
            (at(15, 150), Fit::Yes),
            (at(15, 100), Fit::Yes),
            (at(15, 200), Fit::Yes),
            (at(15, 99), Fit::No),
            (at(15, 201), Fit::No),
            // Rounded down: it may have been measured after the reading at 20.
            (at(19, 200), Fit::Yes),
            (at(20, 250), Fit::Yes),
            // Not read before, or not yet after.
            (at(9, 50), Fit::Unknown),
            (at(9, 201), Fit::No),
            (at(30, 350), Fit::Unknown),
            (at(31, 299), Fit::No),
            // The two clocks may be half a second apart: it may have been measured before the reading.
            (at(30, 299), Fit::Unknown),
            (at(20, 199), Fit::Yes),
        ] {
            assert_eq!(busy.fit(0, measured), expected, "{measured:?}");
        }
        // It was not made yet.
        let young = readings(&[(10, 5)]);
        assert_eq!(young.fit(9_501, at(8, 3)), Fit::No);
        assert_eq!(young.fit(8_500, at(8, 3)), Fit::Unknown);
    }

    #[test]
    fn who_alone_fits_is_found_and_who_may_be_two_is_not() {
        let named = |cgroups: &[Readings], measured: &[Measured<'_>]| {
            let fit = |cgroup: usize, of: Measured<'_>| cgroups[cgroup].fit(0, of);
            pairs(measured, fit, cgroups.len())
        };
        let pause = readings(&[(10, 17), (20, 17)]);
        let busy = readings(&[(10, 100), (20, 200)]);
        let other = readings(&[(10, 150), (20, 250)]);
        let young = readings(&[(20, 30)]);
        let [one, two] = [pause.clone(), busy.clone()];
        assert_eq!(named(&[one, two], &[at(15, 120)]), [(0, 1)]);
        let both = [pause.clone(), busy.clone(), other];
        assert_eq!(named(&both, &[at(15, 120), at(15, 220)]), [(0, 1), (1, 2)]);
        // Both may be either: nothing is said of them.
        assert!(named(&both, &[at(15, 160), at(15, 170)]).is_empty());
        // Two cannot be one.
        assert!(named(&both[..2], &[at(15, 120), at(15, 130)]).is_empty());
        // One that came since may be it.
        assert!(named(&[busy, young], &[at(15, 20)]).is_empty());
        assert!(named(&[pause], &[at(15, 18)]).is_empty());
    }

    #[test]
    fn readings_of_the_last_minute_are_kept() {
        let mut readings = Readings::default();
        for second in 0..10_000_u64 {
            readings.add(second * 1_000, second);
            assert!(readings.0.len() <= MAX_READINGS);
        }
        let first_ms = readings.first_ms().unwrap();
        assert!((9_930_000..9_945_000).contains(&first_ms), "{first_ms}");
    }
}

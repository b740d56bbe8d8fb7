//! Tables of rows and what they mean, and properties against an obvious model.

mod model;

use super::{Observed, Point, Rate, Tracker};
use crate::catalogue::{Source, table};
use crate::model::Stamp;

fn cpu() -> Tracker {
    Tracker::new(table::field(table::CPU).unwrap())
}

fn at(time_ms: u64, value: u64) -> Point {
    Point {
        value,
        stamp: Stamp {
            time_ms,
            start_ms: None,
            source: Source::Resource,
        },
    }
}

fn born(time_ms: u64, value: u64, start_ms: u64, source: Source) -> Point {
    Point {
        value,
        stamp: Stamp {
            time_ms,
            start_ms: Some(start_ms),
            source,
        },
    }
}

#[test]
fn a_rate_is_over_measurement_time() {
    let mut t = cpu();
    assert_eq!(t.observe(at(10_313, 1_000_000_000)), Observed::First);
    assert_eq!(t.rate_at(20_000), None);
    assert_eq!(t.observe(at(25_313, 4_000_000_000)), Observed::Advanced);
    assert_eq!(
        t.rate_at(30_000),
        Some(Rate {
            delta: 3_000_000_000,
            over_ms: 15_000
        })
    );
    assert_eq!(t.rate_at(30_000).unwrap().nanocores(), 200_000_000);
}

#[test]
fn the_same_measurement_holds_the_rate() {
    let mut t = cpu();
    t.observe(at(1_000, 0));
    t.observe(at(2_000, 500));
    assert_eq!(t.observe(at(2_000, 500)), Observed::Held);
    assert_eq!(
        t.rate_at(12_000),
        Some(Rate {
            delta: 500,
            over_ms: 1_000
        })
    );
}

#[test]
fn an_earlier_measurement_is_ignored() {
    let mut t = cpu();
    t.observe(at(1_000, 0));
    t.observe(at(3_000, 500));
    assert_eq!(t.observe(at(2_000, 900)), Observed::Late);
    assert_eq!(t.value_at(3_000).unwrap().value, 500);
}

#[test]
fn rate_is_absent_across_counter_reset() {
    let mut t = cpu();
    t.observe(at(1_000, 100));
    t.observe(at(2_000, 200));
    assert_eq!(t.observe(at(3_000, 50)), Observed::Reset);
    assert_eq!(t.rate_at(3_000), None);
    t.observe(at(4_000, 60));
    assert_eq!(
        t.rate_at(4_000),
        Some(Rate {
            delta: 10,
            over_ms: 1_000
        })
    );
}

#[test]
fn another_start_told_by_the_same_source_is_a_reset_even_when_the_counter_is_higher() {
    let mut t = cpu();
    t.observe(born(10_000, 100, 1_000, Source::Resource));
    assert_eq!(
        t.observe(born(20_000, 300, 15_000, Source::Resource)),
        Observed::Reset
    );
    let mut t = cpu();
    t.observe(born(10_000, 100, 1_000, Source::Resource));
    assert_eq!(
        t.observe(born(20_000, 300, 3_000, Source::Resource)),
        Observed::Advanced
    );
}

#[test]
fn starts_of_two_sources_are_not_compared_and_the_series_goes_on() {
    let mut t = cpu();
    t.observe(born(10_000, 100, 1_000, Source::Resource));
    assert_eq!(
        t.observe(born(20_000, 300, 9_000, Source::Summary)),
        Observed::Advanced
    );
}

#[test]
fn a_start_that_changed_while_another_source_measured_is_a_reset() {
    let mut t = cpu();
    t.observe(born(10_000, 100, 1_000, Source::Resource));
    t.observe(born(20_000, 200, 9_000, Source::Summary));
    assert_eq!(
        t.observe(born(30_000, 300, 25_000, Source::Resource)),
        Observed::Reset
    );
    assert_eq!(
        t.observe(born(40_000, 400, 33_000, Source::Summary)),
        Observed::Advanced,
        "what it said of the life before is not compared"
    );
}

#[test]
fn a_start_that_changed_while_it_was_not_told_is_a_reset() {
    let mut t = cpu();
    t.observe(born(10_000, 100, 1_000, Source::Resource));
    t.observe(at(20_000, 200));
    assert_eq!(
        t.observe(born(30_000, 300, 25_000, Source::Resource)),
        Observed::Reset
    );
}

#[test]
fn the_hosts_counters_never_continue_a_cgroups() {
    let mut t = cpu();
    t.observe(born(10_000, 100, 1_000, Source::Resource));
    assert_eq!(
        t.observe(born(20_000, 300, 1_000, Source::Procfs)),
        Observed::Restarted
    );
    assert_eq!(t.rate_at(20_000), None);
}

#[test]
fn values_and_rates_are_held_to_max_age_and_then_absent() {
    let mut t = cpu();
    t.observe(at(1_000, 1));
    t.observe(at(2_000, 2));
    assert!(t.rate_at(92_000).is_some());
    assert!(t.rate_at(92_001).is_none());
    assert!(t.value_at(92_001).is_none());
}

#[test]
fn a_hole_longer_than_max_age_is_not_averaged_over() {
    let mut t = cpu();
    t.observe(at(1_000, 1));
    assert_eq!(t.observe(at(91_001, 2)), Observed::Restarted);
    assert_eq!(t.rate_at(91_001), None);
}

#[test]
fn nothing_is_compared_across_an_interruption() {
    let mut t = cpu();
    t.observe(at(1_000, 1));
    t.observe(at(2_000, 2));
    t.interrupt();
    assert!(t.rate_at(3_000).is_some(), "what was known is held");
    assert_eq!(
        t.observe(at(1_500, 9)),
        Observed::Restarted,
        "the clock may have gone back"
    );
    assert_eq!(t.rate_at(3_000), None);
}

#[test]
fn a_gauge_takes_the_newer_reading_of_the_same_second() {
    let mut t = Tracker::new(table::field(table::MEMORY_USAGE).unwrap());
    t.observe(at(1_000, 10));
    t.observe(at(1_000, 20));
    assert_eq!(t.value_at(1_000).unwrap().value, 20);
    assert_eq!(
        t.observe(at(2_000, 5)),
        Observed::Advanced,
        "gauges may fall"
    );
}

#[test]
fn what_an_earlier_life_measured_is_not_held_into_another() {
    let mut t = cpu();
    t.observe(born(10_000, 100, 5_000, Source::Resource));
    t.began(Source::Summary, 4_000);
    t.missed(Source::Summary, 5_900);
    assert!(t.value_at(20_000).is_some());
    // What two sources say is not compared.
    t.missed(Source::Resource, 5_000);
    t.missed(Source::Procfs, 900_000);
    assert!(t.value_at(20_000).is_some());
    t.missed(Source::Summary, 25_000);
    assert_eq!((t.value_at(30_000), t.rate_at(30_000)), (None, None));
    // The new life begins as the first one did.
    let first = t.observe(born(31_000, 1, 25_500, Source::Resource));
    assert_eq!(first, Observed::First);
    assert!(t.value_at(40_000).is_some());
}

#[test]
fn what_the_summary_told_in_whole_seconds_is_not_measured_again() {
    let by = |time_ms, value, source| Point {
        value,
        stamp: Stamp {
            time_ms,
            start_ms: None,
            source,
        },
    };
    let mut t = cpu();
    t.observe(by(3_000, 100, Source::Summary));
    t.observe(by(13_000, 600, Source::Summary));
    let rate = t.rate_at(20_000);
    // The reading of 13.9 s, of which the summary told the second.
    assert_eq!(t.observe(by(13_900, 600, Source::Resource)), Observed::Held);
    assert_eq!(t.rate_at(20_000), rate);
    // From here on its time is known to the millisecond.
    t.observe(by(23_900, 1_600, Source::Resource));
    let exact = Rate {
        delta: 1_000,
        over_ms: 10_000,
    };
    assert_eq!(t.rate_at(30_000), Some(exact));
    // One source measures twice in a second, if it says so.
    t.observe(by(23_950, 1_601, Source::Resource));
    assert_eq!(t.rate_at(30_000).map(|rate| rate.over_ms), Some(50));
}

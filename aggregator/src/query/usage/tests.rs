//! The cases of metrics-server's storage, with the rules that differ named.

mod steady;
mod storage;

use cairn_proto::catalogue::Source;
use cairn_proto::model::Stamp;

use super::*;

const SPAN_MS: u64 = 30_000;
/// Core-seconds in the unit of the counter.
const CORE_S: u64 = 1_000_000_000;

/// A row at its measurement's time: seconds, core-seconds used, and the start of the life in seconds.
fn row(time_s: u64, used_s: u64, start_s: u64) -> RawRow {
    told(time_s, Some((time_s, used_s, start_s)))
}

fn told(tick_s: u64, point: Option<(u64, u64, u64)>) -> RawRow {
    RawRow {
        tick_ms: tick_s * 1_000,
        present: point.is_some(),
        point: point.map(|(time_s, used_s, start_s)| Point {
            value: used_s * CORE_S,
            stamp: Stamp {
                time_ms: time_s * 1_000,
                start_ms: Some(start_s * 1_000),
                source: Source::Resource,
            },
        }),
        began: None,
        interrupted: false,
    }
}

/// Nanocores, seconds of the span and of its end.
fn at(rows: &[RawRow], tick_s: u64, from_start: bool) -> Option<(u64, u64, u64)> {
    let cpu = cpu_over(rows, tick_s * 1_000, SPAN_MS, from_start)?;
    let Cpu { rate, time_ms } = cpu;
    Some((rate.nanocores(), rate.over_ms / 1_000, time_ms / 1_000))
}

fn container(rows: &[RawRow], tick_s: u64) -> Option<(u64, u64, u64)> {
    at(rows, tick_s, true)
}

/// A container that began long ago and was measured at these times, with these core-seconds used.
fn old(points: &[(u64, u64)]) -> Vec<RawRow> {
    let rows = points
        .iter()
        .map(|(time_s, used_s)| row(1_000 + time_s, *used_s, 1));
    rows.collect()
}

#[test]
fn two_measurements_a_span_apart_are_a_rate_and_nearer_ones_are_none() {
    assert_eq!(container(&old(&[(0, 100)]), 1_000), None);
    assert_eq!(container(&old(&[(0, 100), (20, 110)]), 1_020), None);
    let rows = old(&[(0, 100), (20, 110), (30, 115)]);
    assert_eq!(container(&rows, 1_030), Some((500_000_000, 30, 1_030)));
}

#[test]
fn of_many_measurements_the_newest_pair_that_is_far_enough_apart_counts() {
    let points: Vec<(u64, u64)> = (0..10).map(|n| (n * 10, n * n)).collect();
    let rows = old(&points);
    // 81 less 36 in 30 s, not 81 less 0 in 90 s.
    assert_eq!(container(&rows, 1_090), Some((1_500_000_000, 30, 1_090)));
    // One-second rows do not shorten the span.
    let points: Vec<(u64, u64)> = (0..40).map(|n| (n, n * 2)).collect();
    let rows = old(&points);
    assert_eq!(container(&rows, 1_039), Some((2 * CORE_S, 30, 1_039)));
    // Rows that are further apart lengthen it.
    let rows = old(&[(0, 0), (20, 2), (40, 6)]);
    assert_eq!(container(&rows, 1_040), Some((150_000_000, 40, 1_040)));
}

#[test]
fn no_use_at_all_is_a_value() {
    let rows = old(&[(0, 100), (30, 100)]);
    assert_eq!(container(&rows, 1_030), Some((0, 30, 1_030)));
    let rows = old(&[(0, 0), (30, 0)]);
    assert_eq!(container(&rows, 1_030), Some((0, 30, 1_030)));
}

#[test]
fn a_young_container_is_measured_since_its_start_once_it_has_lived_ten_seconds() {
    for (age_s, expected) in [
        (9, None),
        (10, Some((500_000_000, 10, 1_010))),
        (29, Some((500_000_000, 29, 1_029))),
    ] {
        let rows = [RawRow {
            point: Some(Point {
                value: age_s * CORE_S / 2,
                stamp: Stamp {
                    time_ms: (1_000 + age_s) * 1_000,
                    start_ms: Some(1_000_000),
                    source: Source::Resource,
                },
            }),
            ..row(1_000 + age_s, 0, 1_000)
        }];
        assert_eq!(container(&rows, 1_000 + age_s), expected, "{age_s}");
        // A node is not: what its counter began with is not said.
        assert_eq!(at(&rows, 1_000 + age_s, false), None);
    }
    // Its start is one end of the span until two measurements are.
    let rows = [row(1_012, 6, 1_000), row(1_031, 16, 1_000)];
    assert_eq!(container(&rows, 1_031).map(|c| c.1), Some(31));
    let rows = [row(1_012, 6, 1_000), row(1_042, 16, 1_000)];
    assert_eq!(container(&rows, 1_042).map(|c| c.1), Some(30));
    // One that was older when it was seen first has lived a life that nobody measured.
    assert_eq!(container(&[row(1_031, 900, 1_000)], 1_031), None);
}

#[test]
fn a_restart_begins_anew() {
    let rows = [row(1_000, 100, 1), row(1_030, 130, 1), row(1_045, 2, 1_040)];
    assert_eq!(container(&rows, 1_045), None);
    let rows = [&rows[..], &[row(1_055, 12, 1_040)]].concat();
    assert_eq!(container(&rows, 1_055), Some((800_000_000, 15, 1_055)));
    // A start that wavers by a second is none.
    let rows = [row(1_000, 100, 10), row(1_030, 130, 11)];
    assert_eq!(container(&rows, 1_030), Some((CORE_S, 30, 1_030)));
}

#[test]
fn a_counter_that_falls_gives_no_number_until_there_is_a_right_one() {
    let rows = old(&[(0, 100), (30, 130), (40, 5)]);
    assert_eq!(container(&rows, 1_040), None);
    let rows = old(&[(0, 100), (30, 130), (40, 5), (60, 25), (70, 35)]);
    assert_eq!(container(&rows, 1_070), Some((CORE_S, 30, 1_070)));
}

#[test]
fn the_same_measurement_again_holds_and_an_older_one_is_ignored() {
    let mut rows = old(&[(0, 100), (30, 130)]);
    rows.push(told(1_040, Some((1_030, 130, 1))));
    assert_eq!(container(&rows, 1_040), Some((CORE_S, 30, 1_030)));
    rows.push(told(1_050, Some((1_020, 90, 1))));
    assert_eq!(container(&rows, 1_050), Some((CORE_S, 30, 1_030)));
}

#[test]
fn a_value_is_held_to_its_max_age_and_then_withdrawn() {
    let rows = old(&[(0, 100), (30, 130)]);
    assert_eq!(container(&rows, 1_120), Some((CORE_S, 30, 1_030)));
    assert_eq!(container(&rows, 1_121), None);
    // Over a longer hole there is no rate.
    let rows = old(&[(0, 100), (30, 130), (121, 230)]);
    assert_eq!(container(&rows, 1_121), None);
}

#[test]
fn what_its_source_no_longer_knows_has_none() {
    let mut rows = old(&[(0, 100), (30, 130)]);
    rows.push(told(1_040, None));
    assert_eq!(container(&rows, 1_040), None);
    assert_eq!(container(&rows, 1_035), Some((CORE_S, 30, 1_030)));
}

#[test]
fn no_rate_reaches_over_a_step_of_the_clock() {
    let mut rows = old(&[(0, 100), (30, 130), (40, 140)]);
    rows[2].interrupted = true;
    assert_eq!(container(&rows, 1_040), None);
}

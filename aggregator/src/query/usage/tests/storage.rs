//! The rules by which metrics-server stores points, one by one, where no test of a topic has them: `last` and `prev`
//! are its two points, and `new` is what a scrape brings.

use super::*;

/// A container that began long ago, with these measurements: seconds and core-seconds, one each ten seconds from
/// 1,000 s on.
fn told_each_ten_seconds(points: &[(u64, u64)]) -> Vec<RawRow> {
    let ticks = (0..).map(|n| 1_000 + n * 10);
    let rows = ticks.zip(points);
    rows.map(|(tick_s, (time_s, used_s))| told(tick_s, Some((*time_s, *used_s, 1))))
        .collect()
}

#[test]
fn new_after_last_takes_the_place_of_both() {
    let rows = told_each_ten_seconds(&[(970, 70), (1_000, 100), (1_020, 140)]);
    assert_eq!(container(&rows[..2], 1_010), Some((CORE_S, 30, 1_000)));
    // Over at least the span: from the older one, not over the newest twenty seconds.
    assert_eq!(container(&rows, 1_020), Some((1_400_000_000, 50, 1_020)));
}

#[test]
fn new_at_the_time_of_last_keeps_prev() {
    let rows = told_each_ten_seconds(&[(970, 70), (1_000, 100), (1_000, 100)]);
    assert_eq!(container(&rows, 1_020), Some((CORE_S, 30, 1_000)));
}

#[test]
fn new_between_prev_and_last_changes_nothing() {
    // There it takes the place of last; here what was measured later stays.
    let rows = told_each_ten_seconds(&[(970, 70), (1_000, 100), (990, 90)]);
    assert_eq!(container(&rows, 1_020), Some((CORE_S, 30, 1_000)));
}

#[test]
fn new_before_prev_changes_nothing() {
    // There the metric is gone until the next scrape; here it is held.
    let rows = told_each_ten_seconds(&[(970, 70), (1_000, 100), (960, 60)]);
    assert_eq!(container(&rows, 1_020), Some((CORE_S, 30, 1_000)));
    let rows = told_each_ten_seconds(&[(970, 70), (1_000, 100), (960, 60), (1_030, 145)]);
    assert_eq!(container(&rows, 1_030), Some((1_500_000_000, 30, 1_030)));
}

#[test]
fn a_start_after_last_is_a_restart_and_prev_is_gone() {
    let rows = [row(1_000, 100, 1), row(1_030, 130, 1), row(1_060, 1, 1_055)];
    assert_eq!(container(&rows, 1_060), None);
}

#[test]
fn a_start_that_goes_back_gives_no_number_until_there_is_a_right_one() {
    // There the container is left out and its pod is shown with the rest; here the pod waits.
    let rows = [row(1_000, 5, 990), row(1_030, 25, 900)];
    assert_eq!(container(&rows, 1_030), None);
    let rows = [row(1_000, 5, 990), row(1_030, 25, 900), row(1_060, 55, 900)];
    assert_eq!(container(&rows, 1_060), Some((CORE_S, 30, 1_060)));
}

#[test]
fn a_scrape_without_the_container_hides_it_and_one_with_it_again_shows_it_at_once() {
    // There two more scrapes are needed, since both points are forgotten.
    let mut rows = old(&[(0, 100), (30, 130)]);
    rows.push(told(1_040, None));
    assert_eq!(container(&rows, 1_040), None);
    rows.push(row(1_060, 160, 1));
    assert_eq!(container(&rows, 1_060), Some((CORE_S, 30, 1_060)));
}

#[test]
fn a_fresh_container_of_less_than_ten_seconds_waits() {
    assert_eq!(container(&[row(1_009, 9, 1_000)], 1_009), None);
    assert_eq!(
        container(&[row(1_010, 5, 1_000)], 1_010),
        Some((CORE_S / 2, 10, 1_010))
    );
}

#[test]
fn a_node_is_never_measured_since_its_start() {
    assert_eq!(at(&[row(1_015, 9, 1_000)], 1_015, false), None);
}

//! The replica itself.

use super::heapster::{by_index, one};
use super::sidecar::{by_name, first};
use super::{Bar, Card, How, Metric, Point, aggregate, cards};

fn item(name: &str, value: &str) -> String {
    format!(
        r#"{{"dataPoints":[],"metricPoints":[{{"timestamp":"2026-09-01T10:00:00Z","value":{value}}}],
            "metricName":"cpu","uids":["{name}"]}}"#
    )
}

fn list(items: &[String]) -> Vec<u8> {
    format!(r#"{{"items":[{}]}}"#, items.join(",")).into_bytes()
}

/// 2026-09-01T10:00:00Z.
const TEN: i64 = 1_788_256_800;

fn at(x: i64, y: i64) -> Point {
    Point { x, y }
}

#[test]
fn metrics_are_asked_for_by_the_names_of_both_generations() {
    let paths = Metric::ALL.map(Metric::path);
    assert_eq!(paths, ["cpu/usage_rate", "memory/usage"]);
}

#[test]
fn one_value_that_is_no_unsigned_integer_fails_the_whole_answer() {
    for value in [
        "1.5",
        "1.0",
        "1e3",
        "-1",
        "\"12\"",
        "NaN",
        "18446744073709551616",
        "[]",
    ] {
        let body = list(&[item("good", "1"), item("bad", value)]);
        assert!(by_name(&body, &["good"]).is_err(), "{value}");
        assert!(first(&body).is_err(), "{value}");
    }
    let body = list(&[item("a", "18446744073709551615"), item("b", "7")]);
    let read = by_name(&body, &["a", "b"]).unwrap();
    // Negative as a signed number, and therefore nothing.
    assert_eq!(read, [Some(vec![at(TEN, 0)]), Some(vec![at(TEN, 7)])]);
}

#[test]
fn items_are_found_by_name_in_any_order_and_may_be_missing() {
    let body = list(&[item("b", "2"), item("a", "1")]);
    let read = by_name(&body, &["a", "none", "b", "a"]).unwrap();
    let (a, b) = (Some(vec![at(TEN, 1)]), Some(vec![at(TEN, 2)]));
    assert_eq!(read, [a.clone(), None, b.clone(), a]);
    assert_eq!(first(&body).unwrap(), b, "of a node the first, by no name");
    for nothing in [r#"{"items":null}"#, r#"{"items":[]}"#, "{}"] {
        assert_eq!(first(nothing.as_bytes()).unwrap(), None);
        assert_eq!(by_name(nothing.as_bytes(), &["a"]).unwrap(), [None]);
    }
}

#[test]
fn an_answer_without_names_or_times_is_an_error() {
    let good = item("a", "1");
    for (from, to) in [
        (r#"["a"]"#, "[]"),
        (r#""cpu""#, r#""""#),
        ("2026-09-01T10:00:00Z", "2026-09-01 10:00:00"),
        ("2026-09-01T10:00:00Z", "2026-09-01T10:00:00"),
    ] {
        assert!(first(&list(&[good.replace(from, to)])).is_err(), "{to}");
    }
    assert!(first(b"URL: /x").is_err());
    // Any RFC 3339 time will do.
    let other = good.replace("10:00:00Z", "12:00:00.9+02:00");
    assert_eq!(first(&list(&[other])).unwrap(), Some(vec![at(TEN, 1)]));
}

#[test]
fn heapsters_pods_are_matched_by_their_place() {
    let sheet = |value: &str| {
        format!(
            r#"{{"metrics":[{{"timestamp":"2026-09-01T10:00:00Z","value":{value}}}],
                "latestTimestamp":"2026-09-01T10:00:00Z"}}"#
        )
    };
    let empty = r#"{"metrics":[],"latestTimestamp":"0001-01-01T00:00:00Z"}"#;
    let body = list(&[sheet("3"), empty.to_owned(), sheet("3")]);
    let three = vec![at(TEN, 3)];
    assert_eq!(by_index(&body, 3).unwrap(), [three.clone(), vec![], three]);
    assert!(by_index(&body, 2).is_err(), "one item too many");
    assert!(by_index(&body, 4).is_err(), "one item too few");
    // What Heapster made of -25.
    let negative = one(sheet("18446744073709551591").as_bytes()).unwrap();
    assert_eq!(negative, [at(TEN, 0)]);
    assert!(one(sheet("-25").as_bytes()).is_err());
}

#[test]
fn only_points_of_exactly_the_same_second_are_added() {
    let aligned = [vec![at(10, 1), at(20, 2)], vec![at(10, 5), at(20, 4)]];
    let of = |how, series: &[Vec<Point>]| aggregate(how, series.iter().map(Vec::as_slice));
    assert_eq!(of(How::Sum, &aligned), [at(10, 6), at(20, 6)]);
    assert_eq!(of(How::Min, &aligned), [at(10, 1), at(20, 2)]);
    assert_eq!(of(How::Max, &aligned), [at(10, 5), at(20, 4)]);
    let off = [vec![at(10, 1), at(20, 2)], vec![at(11, 5), at(21, 4)]];
    let saw_tooth = [at(10, 1), at(11, 5), at(20, 2), at(21, 4)];
    assert_eq!(of(How::Sum, &off), saw_tooth);
    assert_eq!(of(How::Sum, &[]), []);
}

/// One point each ten seconds, from a full minute on.
fn each_ten_seconds(count: i64) -> Vec<Point> {
    (0..count).map(|k| at(TEN + k * 10, k)).collect()
}

#[test]
fn both_cards_hide_until_each_metric_has_two_points() {
    let (one, two) = (each_ten_seconds(1), each_ten_seconds(2));
    assert_eq!(cards(&[]), None);
    assert_eq!(cards(&[&two, &[]]), None);
    assert_eq!(cards(&[&two, &one]), None);
    let waiting = Some(vec![Card::Waiting, Card::Waiting]);
    assert_eq!(cards(&[&two, &two]), waiting);
}

fn drawn(points: &[Point]) -> Vec<Bar> {
    match cards(&[points]).unwrap().remove(0) {
        Card::Drawn(bars) => bars,
        Card::Waiting => panic!("still waiting"),
    }
}

#[test]
fn nothing_is_drawn_before_five_distinct_minutes() {
    let waiting = Some(vec![Card::Waiting]);
    assert_eq!(cards(&[&each_ten_seconds(24)]), waiting);
    let bars = drawn(&each_ten_seconds(25));
    let means = [2.5, 8.5, 14.5, 20.5, 24.0];
    let expected = (0..).zip(means).map(|(minute, y)| Bar {
        x: TEN + minute * 60,
        y,
    });
    assert!(bars.iter().copied().eq(expected), "{bars:?}");
}

#[test]
fn fifteen_minutes_are_kept_and_hours_drawn_when_they_are_many() {
    let bars = drawn(&each_ten_seconds(91));
    assert_eq!((bars.len(), bars[0].x), (15, TEN + 60));
    // Two hours are too few to be drawn.
    assert_eq!(drawn(&each_ten_seconds(720)).len(), 15);
    let hours = drawn(&each_ten_seconds(6 * 360));
    let starts: Vec<i64> = hours.iter().map(|bar| bar.x).collect();
    assert!(starts.into_iter().eq((0..6).map(|h| TEN + h * 3_600)));
}

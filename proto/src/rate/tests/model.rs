//! The tracker against the rules as they are written, applied to everything that was ever
//! measured: no state, no step, only definitions over the whole list.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{Observed, Point, Rate, START_TOLERANCE_MS, Tracker};
use crate::catalogue::{Field, Group, Kind, Source, table};
use crate::model::Stamp;

/// What happens to a series.
#[derive(Clone, Copy, Debug)]
enum Event {
    Measured(Point),
    Interrupted,
}

/// A field of this group and kind, whether the catalogue has one yet or not.
fn field(group: Group, kind: Kind) -> Field {
    Field {
        group,
        kind,
        ..*table::field(table::CPU).unwrap()
    }
}

/// The measurements since the last interruption that one followed: those before are another
/// clock's or another boot's.
fn era(events: &[Event]) -> Vec<Point> {
    let eras = events.split(|event| matches!(event, Event::Interrupted));
    let measured = |era: &[Event]| {
        let points = era.iter().filter_map(|event| match event {
            Event::Measured(point) => Some(*point),
            Event::Interrupted => None,
        });
        points.collect::<Vec<Point>>()
    };
    eras.map(measured)
        .rfind(|era| !era.is_empty())
        .unwrap_or_default()
}

/// One measurement: as it was told first, and as it was told most exactly.
#[derive(Clone, Copy, Debug)]
struct Measurement {
    first: Point,
    exact: Point,
}

/// Those that are later than all before them: any other is a repetition or late. What the summary
/// told in whole seconds and another source tells within that second is one measurement, with the
/// time that is told more exactly if it is the same value.
fn accepted(era: &[Point]) -> Vec<Measurement> {
    let mut accepted: Vec<Measurement> = Vec::new();
    for point in era {
        let new = Measurement {
            first: *point,
            exact: *point,
        };
        match accepted.last_mut() {
            None => accepted.push(new),
            Some(last) if point.stamp.time_ms <= last.exact.stamp.time_ms => {}
            Some(last) if is_told_again(last.exact, *point) => {
                if point.value == last.exact.value {
                    last.exact = *point;
                }
            }
            Some(_) => accepted.push(new),
        }
    }
    accepted
}

fn is_told_again(last: Point, next: Point) -> bool {
    let (whole, exact) = (last.stamp, next.stamp);
    let second = |ms: u64| ms - ms % 1_000;
    whole.source == Source::Summary
        && matches!(
            exact.source,
            Source::Resource | Source::Cgroup | Source::Cadvisor
        )
        && whole.time_ms == second(exact.time_ms)
}

/// True when the counter cannot have run on from these points, which it did until then, to `next`.
fn begins_anew(series: &[Measurement], next: Point, max_age_ms: u64) -> bool {
    let told_all = || series.iter().flat_map(|m| [m.first, m.exact]);
    let Some(last) = series.last().map(|m| m.exact) else {
        return false;
    };
    let procfs = |point: Point| point.stamp.source == Source::Procfs;
    let hole = next.stamp.time_ms - last.stamp.time_ms > max_age_ms;
    let lower = told_all().any(|earlier| next.value < earlier.value);
    let told = told_all()
        .filter(|p| p.stamp.source == next.stamp.source)
        .filter_map(|p| p.stamp.start_ms)
        .next_back();
    let reborn = match (told, next.stamp.start_ms) {
        (Some(before), Some(now)) => before.max(now) - before.min(now) > START_TOLERANCE_MS,
        (None, Some(now)) => last.stamp.source == next.stamp.source && now > last.stamp.time_ms,
        _ => false,
    };
    procfs(last) != procfs(next) || hole || lower || reborn
}

/// The points that the newest one has a rate with: all since the counter last began anew.
fn newest_series(accepted: &[Measurement], max_age_ms: u64) -> &[Measurement] {
    let mut first = 0;
    for at in 1..accepted.len() {
        if begins_anew(&accepted[first..at], accepted[at].first, max_age_ms) {
            first = at;
        }
    }
    &accepted[first..]
}

/// Value and rate at a tick.
fn model(field: &Field, events: &[Event], tick_ms: u64) -> (Option<Point>, Option<Rate>) {
    let era = era(events);
    let newest_ms = era.iter().map(|point| point.stamp.time_ms).max();
    let mut of_newest = era
        .iter()
        .filter(|point| Some(point.stamp.time_ms) == newest_ms);
    // Of one time a counter has one value; a gauge has what was read last.
    let accepted = accepted(&era);
    let value = match field.kind {
        Kind::Counter => accepted.last().map(|m| &m.exact),
        Kind::Gauge => of_newest.next_back(),
    };
    let max_age_ms = field.group.max_age_ms();
    let young = |point: &&Point| point.stamp.time_ms + max_age_ms >= tick_ms;
    let Some(value) = value.filter(young) else {
        return (None, None);
    };
    let rate = match newest_series(&accepted, max_age_ms) {
        [.., a, b] if field.kind == Kind::Counter => Some(Rate {
            delta: b.first.value - a.exact.value,
            over_ms: b.first.stamp.time_ms - a.exact.stamp.time_ms,
        }),
        _ => None,
    };
    (Some(*value), rate)
}

/// One step of what a source might say: how the next measurement differs from the one before.
#[derive(Clone, Copy, Debug)]
struct Step {
    forward_ms: i64,
    grown: i64,
    started: Option<u64>,
    source: Source,
    interrupted: bool,
    ticks_ms: [u64; 2],
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let forward = prop_oneof![
        6 => 1_i64..35_000,
        2 => 1_i64..900,
        2 => Just(0_i64),
        2 => -40_000_i64..0,
        2 => prop_oneof![
            Just(90_000_i64), Just(90_001), Just(180_000), Just(180_001),
            Just(300_000), Just(300_001), 80_000_i64..320_000,
        ],
    ];
    let grown = prop_oneof![6 => 0_i64..5_000, 2 => Just(0_i64), 1 => -9_000_i64..0, 1 => Just(i64::MAX / 4)];
    // Starts within and beyond the tolerance, on either side of its edge.
    let started = prop_oneof![
        3 => Just(None),
        9 => prop_oneof![Just(10_000_u64), Just(11_000), Just(12_000), Just(12_001), Just(30_000)]
            .prop_map(Some),
    ];
    let source = prop_oneof![
        5 => Just(Source::Resource),
        3 => Just(Source::Summary),
        1 => Just(Source::Procfs),
        1 => Just(Source::Cgroup),
    ];
    let ticks = [0_u64..40_000, 80_000_u64..320_000];
    let step = (
        forward,
        grown,
        started,
        source,
        prop::bool::weighted(0.08),
        ticks,
    )
        .prop_map(
            |(forward_ms, grown, started, source, interrupted, ticks_ms)| Step {
                forward_ms,
                grown,
                started,
                source,
                interrupted,
                ticks_ms,
            },
        );
    vec(step, 1..25)
}

/// The events that the steps come to, each with the ticks at which the series is looked at then.
fn events(steps: &[Step]) -> Vec<(Event, Vec<u64>)> {
    let (mut time_ms, mut value) = (1_000_000_u64, 1_000_000_u64);
    let mut events = Vec::new();
    for step in steps {
        if step.interrupted {
            events.push((Event::Interrupted, vec![time_ms]));
        }
        time_ms = time_ms.saturating_add_signed(step.forward_ms);
        value = value.saturating_add_signed(step.grown);
        let stamp = Stamp {
            // The summary tells whole seconds.
            time_ms: match step.source {
                Source::Summary => time_ms - time_ms % 1_000,
                _ => time_ms,
            },
            start_ms: step.started,
            source: step.source,
        };
        let mut ticks: Vec<u64> = Group::ALL
            .iter()
            .flat_map(|group| [group.max_age_ms(), group.max_age_ms() + 1])
            .chain(step.ticks_ms)
            .map(|later_ms| time_ms + later_ms)
            .collect();
        ticks.extend([time_ms.saturating_sub(5_000), time_ms]);
        events.push((Event::Measured(Point { value, stamp }), ticks));
    }
    events
}

fn take(tracker: &mut Tracker, event: Event) -> Option<Observed> {
    match event {
        Event::Measured(point) => Some(tracker.observe(point)),
        Event::Interrupted => {
            tracker.interrupt();
            None
        }
    }
}

fn groups() -> impl Strategy<Value = Group> {
    prop::sample::select(Group::ALL.to_vec())
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![3 => Just(Kind::Counter), 1 => Just(Kind::Gauge)]
}

// What fails is printed in its smallest form and becomes a test of its own; a run leaves no file.
proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn at_every_tick_the_tracker_says_what_the_rules_say(
        group in groups(), kind in kinds(), steps in steps()
    ) {
        let field = field(group, kind);
        let mut tracker = Tracker::new(&field);
        let mut so_far = Vec::new();
        for (event, ticks) in events(&steps) {
            so_far.push(event);
            take(&mut tracker, event);
            for tick in ticks {
                let told = (tracker.value_at(tick), tracker.rate_at(tick));
                prop_assert_eq!(told, model(&field, &so_far, tick), "at {} after {:#?}", tick, so_far);
            }
        }
    }

    #[test]
    fn a_late_measurement_changes_nothing(group in groups(), kind in kinds(), steps in steps()) {
        let field = field(group, kind);
        let (mut all, mut timely) = (Tracker::new(&field), Tracker::new(&field));
        for (event, ticks) in events(&steps) {
            if take(&mut all, event) != Some(Observed::Late) {
                take(&mut timely, event);
            }
            for tick in ticks {
                prop_assert_eq!(all.value_at(tick), timely.value_at(tick));
                prop_assert_eq!(all.rate_at(tick), timely.rate_at(tick));
            }
        }
    }

    #[test]
    fn a_rate_is_of_two_measurements_and_never_over_an_interruption(
        group in groups(), steps in steps()
    ) {
        let field = field(group, Kind::Counter);
        let mut tracker = Tracker::new(&field);
        let mut since = Vec::new();
        for (event, ticks) in events(&steps) {
            take(&mut tracker, event);
            match event {
                Event::Measured(point) => since.push(point),
                // Until a measurement follows, the rate is the one of before, held.
                Event::Interrupted => {
                    since.clear();
                    continue;
                }
            }
            let Some(rate) = tracker.rate_at(ticks.into_iter().min().unwrap()) else {
                continue;
            };
            prop_assert!(rate.over_ms > 0 && rate.over_ms <= group.max_age_ms(), "{:?}", rate);
            let pair = |a: &Point, b: &Point| {
                a.stamp.time_ms.checked_add(rate.over_ms) == Some(b.stamp.time_ms)
                    && a.value.checked_add(rate.delta) == Some(b.value)
            };
            let made = since.iter().enumerate().any(|(n, b)| since[..n].iter().any(|a| pair(a, b)));
            prop_assert!(made, "{:?} is of no two measurements", rate);
        }
    }
}

/// One measurement of a thing that really restarts: how much later, whether by the source that
/// takes over, how far the told start wavers, whether the thing restarted before, and its growth.
type Lived = (u64, bool, u64, bool, u64);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Scenario: a counter that begins at any value with each life, so that it may rise across a
    /// restart; the source that sees the first measurement of a life has seen the life before.
    /// Guarantees: both measurements of a rate are of one life.
    #[test]
    fn no_rate_reaches_over_a_restart(
        lived in vec((3_000_u64..30_000, any::<bool>(), 0_u64..1_000, any::<bool>(), 0_u64..10_000), 1..30)
    ) {
        let field = field(Group::Cpu, Kind::Counter);
        let mut tracker = Tracker::new(&field);
        let lived: Vec<Lived> = lived;
        let (mut now_ms, mut born_ms, mut value, mut first_value) = (1_000_000, 900_000, 500, 500);
        for (later_ms, second, waver_ms, restarted, growth) in lived {
            now_ms += later_ms;
            // Nobody can tell a life that only the other source saw.
            let second = second && tracker.value_at(now_ms).is_some();
            if restarted && !second {
                born_ms = now_ms - 500;
                value += growth;
                first_value = value;
            }
            value += growth;
            // The second source tells another start of the same life.
            let (source, start_ms) = if second {
                (Source::Summary, born_ms - 20_000 + waver_ms)
            } else {
                (Source::Resource, born_ms + waver_ms)
            };
            let stamp = Stamp { time_ms: now_ms, start_ms: Some(start_ms), source };
            tracker.observe(Point { value, stamp });
            if let Some(rate) = tracker.rate_at(now_ms) {
                prop_assert!(rate.over_ms <= now_ms - born_ms, "{:?} is longer than the life", rate);
                prop_assert!(rate.delta <= value - first_value, "{:?} is more than the life used", rate);
            }
        }
    }
}

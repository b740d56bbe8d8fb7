//! What the Dashboard's browser side makes of its series.

use std::collections::BTreeMap;

use super::Point;

/// Distinct clock minutes before anything is drawn.
const LEAST_MINUTES: usize = 5;

/// Clock minutes that are drawn at most; with more, hours are tried.
const MOST_MINUTES: usize = 15;

/// Hours are drawn when there are more than this many.
const FEW_HOURS: usize = 5;

const MINUTE_S: i64 = 60;

const HOUR_S: i64 = 3_600;

/// What is drawn above one clock minute or hour.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Its beginning, Unix seconds.
    pub x: i64,
    /// The mean of its points.
    pub y: f64,
}

/// One card of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Card {
    /// "Waiting for more data".
    Waiting,
    /// A chart, in the order of time.
    Drawn(Vec<Bar>),
}

/// The cards of the metrics of one page; `None` when none is shown: each metric that came back must
/// have more than one point.
#[must_use]
pub fn cards(metrics: &[&[Point]]) -> Option<Vec<Card>> {
    let is_shown = !metrics.is_empty() && metrics.iter().all(|points| points.len() > 1);
    is_shown.then(|| metrics.iter().map(|points| card(points)).collect())
}

fn card(points: &[Point]) -> Card {
    let minutes = means(points, MINUTE_S);
    if minutes.len() < LEAST_MINUTES {
        return Card::Waiting;
    }
    let hours = means(points, HOUR_S);
    if minutes.len() > MOST_MINUTES && hours.len() > FEW_HOURS {
        return Card::Drawn(hours);
    }
    let newest = minutes.len().saturating_sub(MOST_MINUTES);
    Card::Drawn(minutes.into_iter().skip(newest).collect())
}

/// The mean of the points of each clock minute or hour that has any.
fn means(points: &[Point], width_s: i64) -> Vec<Bar> {
    let mut within: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for point in points {
        let (sum, count) = within.entry(point.x.div_euclid(width_s)).or_default();
        *sum += point.y as f64;
        *count += 1.0;
    }
    let bars = within.into_iter();
    bars.map(|(at, (sum, count))| Bar {
        x: at * width_s,
        y: sum / count,
    })
    .collect()
}

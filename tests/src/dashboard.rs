//! The Kubernetes Dashboard as a client of metrics: its rules, written again.
//!
//! * [`Sidecar`]: what Dashboard 2.x and 7.x ask the scraper, and how they read the answer;
//! * [`Heapster`]: what Dashboard 1.x asks Heapster, and how it reads the answer;
//! * [`aggregate`]: how several pods become the series of their workload;
//! * [`cards`]: what the browser draws of them.
//!
//! A replica is as strict as the original and no stricter: what the Dashboard forgives passes here.

mod chart;
mod heapster;
mod sidecar;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};

use crate::http1::Session;
use crate::rfc3339;

pub use chart::{Bar, Card, cards};
pub use heapster::Heapster;
pub use sidecar::Sidecar;

/// The two metrics that the Dashboard knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Millicores.
    Cpu,
    /// Bytes.
    Memory,
}

impl Metric {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Cpu, Self::Memory];

    /// How it is spelt in a path.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Cpu => "cpu/usage_rate",
            Self::Memory => "memory/usage",
        }
    }
}

/// One point, as the Dashboard keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Unix seconds.
    pub x: i64,
    /// The value; never negative.
    pub y: i64,
}

/// How values of several pods become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// What they use together.
    Sum,
    /// The least.
    Min,
    /// The most.
    Max,
}

/// Makes one series of several: per second, of those points alone that have exactly this second.
#[must_use]
pub fn aggregate<'a>(how: How, series: impl IntoIterator<Item = &'a [Point]>) -> Vec<Point> {
    let mut by_second: BTreeMap<i64, i64> = BTreeMap::new();
    for point in series.into_iter().flatten() {
        let known = by_second.get(&point.x).copied();
        let value = match (known, how) {
            (None, _) => point.y,
            (Some(known), How::Sum) => known.saturating_add(point.y),
            (Some(known), How::Min) => known.min(point.y),
            (Some(known), How::Max) => known.max(point.y),
        };
        by_second.insert(point.x, value);
    }
    let points = by_second.into_iter();
    points.map(|(x, y)| Point { x, y }).collect()
}

/// A point as it is sent.
#[derive(Debug, serde::Deserialize)]
struct Sent {
    timestamp: String,
    // Go reads it as uint64: a fraction, an exponent, a sign or a string fails the whole answer.
    value: u64,
}

impl Sent {
    fn point(&self) -> Result<Point> {
        let unix_ms = rfc3339::parse(&self.timestamp)
            .with_context(|| format!("{:?} is no RFC 3339 time", self.timestamp))?;
        Ok(Point {
            x: i64::try_from(unix_ms / 1_000)?,
            // What does not fit is a negative number to the Dashboard, and those count as 0.
            y: i64::try_from(self.value).unwrap_or(0),
        })
    }
}

fn points(sent: &[Sent]) -> Result<Vec<Point>> {
    sent.iter().map(Sent::point).collect()
}

/// The body of an answer of 200; any other is an error to both clients.
fn body(session: &mut Session, path: &str) -> Result<Vec<u8>> {
    let answer = session.get(path)?;
    let status = answer.status;
    ensure!(status == 200, "{path} answered {status}: {}", answer.text());
    Ok(answer.body)
}

#[cfg(test)]
mod tests;

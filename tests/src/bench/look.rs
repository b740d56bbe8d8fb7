//! Looking for a value until an aggregator shows it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::bed::Node;
use super::moment::{rest, unix_us};
use crate::deadline::Deadline;
use crate::oracle::heapster::{self, Point};
use crate::rfc3339;

/// A value that is not there by then never comes.
const SOON: Duration = Duration::from_secs(10);

/// The first marker, bytes; no recorded node has as much.
pub(super) const FIRST_MARKER: u64 = 1 << 50;

/// The next marker, a page on.
pub(super) const MARKER_STEP: u64 = 4096;

/// A question that is asked until it has its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// A series of the model API.
    pub(super) series: &'static str,
    /// Whom to ask.
    pub(super) http: SocketAddr,
    /// The tick whose point is looked for, Unix ms.
    pub(super) tick_ms: u64,
    /// The value that the point must have; `None` when any is right.
    pub(super) marker: Option<u64>,
    /// From an answer to the next question: what is measured is as exact as that.
    pub(super) rest: Duration,
}

impl Question {
    /// Asks until the point is there; gives the moment at which the answer was read, Unix
    /// microseconds.
    pub(super) fn ask(self) -> Result<u64> {
        let start = rfc3339::format(self.tick_ms);
        let series = format!("{}?start={start}", self.series);
        let deadline = Deadline::after(SOON);
        let mut asked_without = Vec::new();
        while deadline.left().is_some() {
            let points = heapster::read(self.http, &series)?;
            if points.iter().any(|point| self.is_it(*point)) {
                return Ok(unix_us());
            }
            asked_without = points;
            rest(self.rest);
        }
        bail!("{series} did not come within {SOON:?}; the last answer was {asked_without:?}")
    }

    fn is_it(self, point: Point) -> bool {
        let is_marked = self.marker.is_none_or(|marker| point.value == marker);
        point.tick_ms == self.tick_ms && is_marked
    }
}

/// When a node's kubelet answered with this marker, Unix microseconds.
pub(super) fn served_us(node: &Node, marker: u64) -> Result<u64> {
    let served = node.kubelet.take_served();
    let last = served.iter().rfind(|served| served.marker == marker);
    Ok(last.context("a kubelet was not asked")?.unix_us)
}

/// From an answer of the kubelet's to one of the aggregator's, microseconds.
pub(super) fn between(served_us: u64, seen_us: u64) -> Result<u64> {
    // Seen before it was served would mean that something else was seen.
    seen_us
        .checked_sub(served_us)
        .context("a tick was shown before the kubelets answered it")
}

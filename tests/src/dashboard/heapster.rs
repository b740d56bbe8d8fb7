//! Dashboard 1.x: the client of Heapster's model API.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Metric, Point, Sent, body, points};
use crate::http1::Session;
use crate::rfc3339;

/// A result as it is sent.
#[derive(Deserialize)]
struct Sheet {
    metrics: Option<Vec<Sent>>,
    #[serde(rename = "latestTimestamp")]
    latest_timestamp: String,
}

#[derive(Deserialize)]
struct Sheets {
    items: Option<Vec<Sheet>>,
}

/// What Go writes for a time that is none; before 1970, so it is no time to [`rfc3339::parse`].
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Sheet {
    fn points(&self) -> Result<Vec<Point>> {
        let latest = &self.latest_timestamp;
        let is_time = latest == NEVER || rfc3339::parse(latest).is_some();
        ensure!(is_time, "{latest:?} is no RFC 3339 time");
        points(self.metrics.as_deref().unwrap_or_default())
    }
}

/// The client, over one kept connection.
#[derive(Debug)]
pub struct Heapster {
    session: Session,
}

impl Heapster {
    /// A client of the server at this address.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            session: Session::new(addr),
        }
    }

    /// Whether the health check passes.
    pub fn is_healthy(&mut self) -> bool {
        body(&mut self.session, "/healthz").is_ok()
    }

    /// The series of a node; empty when nothing is known of it.
    ///
    /// # Errors
    ///
    /// When the Dashboard would show an error.
    pub fn node(&mut self, node: &str, metric: Metric) -> Result<Vec<Point>> {
        let path = format!("/api/v1/model/nodes/{node}/metrics/{}", metric.path());
        one(&body(&mut self.session, &path)?).context(path)
    }

    /// The series of the pods asked for, in their order; empty for those that are not known.
    ///
    /// # Errors
    ///
    /// When the Dashboard would show an error: the items must be as many as the names.
    pub fn pods(
        &mut self,
        namespace: &str,
        names: &[&str],
        metric: Metric,
    ) -> Result<Vec<Vec<Point>>> {
        let list = names.join(",");
        let metric = metric.path();
        let path = format!("/api/v1/model/namespaces/{namespace}/pod-list/{list}/metrics/{metric}");
        by_index(&body(&mut self.session, &path)?, names.len()).context(path)
    }

    /// A metric by its full path below the model, which Dashboard 1.x never asks for: what a series
    /// of [`Sidecar`](super::Sidecar) is compared with.
    ///
    /// # Errors
    ///
    /// When the answer is no result.
    pub fn other(&mut self, path: &str) -> Result<Vec<Point>> {
        one(&body(&mut self.session, &format!("/api/v1/model/{path}"))?)
            .with_context(|| path.to_owned())
    }
}

/// What the Dashboard takes of an answer about one thing.
pub(super) fn one(body: &[u8]) -> Result<Vec<Point>> {
    let sheet: Sheet = serde_json::from_slice(body)?;
    sheet.points()
}

/// What it takes of an answer about pods: the items are those asked for, by their place alone.
pub(super) fn by_index(body: &[u8], count: usize) -> Result<Vec<Vec<Point>>> {
    let sheets: Sheets = serde_json::from_slice(body)?;
    let items = sheets.items.unwrap_or_default();
    let found = items.len();
    ensure!(found == count, "{found} items for {count} pods");
    items.iter().map(Sheet::points).collect()
}

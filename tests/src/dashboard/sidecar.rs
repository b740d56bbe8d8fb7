//! Dashboard 2.x and 7.x: the client of the metrics scraper.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Metric, Point, Sent, body, points};
use crate::http1::Session;

/// A list as it is sent; `items` may be null.
#[derive(Deserialize)]
struct List {
    items: Option<Vec<Item>>,
}

#[derive(Deserialize)]
struct Item {
    #[serde(rename = "metricPoints")]
    metric_points: Option<Vec<Sent>>,
    #[serde(rename = "metricName")]
    metric_name: String,
    uids: Vec<String>,
}

/// The client, over one kept connection.
#[derive(Debug)]
pub struct Sidecar {
    session: Session,
}

impl Sidecar {
    /// A client of the server at this address.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            session: Session::new(addr),
        }
    }

    /// Whether the health check passes; while it does not, the Dashboard shows no metrics at all.
    pub fn is_healthy(&mut self) -> bool {
        body(&mut self.session, "/healthz").is_ok()
    }

    /// The series of a node; `None` when the server knows nothing of it.
    ///
    /// # Errors
    ///
    /// When the Dashboard would show an error.
    pub fn node(&mut self, node: &str, metric: Metric) -> Result<Option<Vec<Point>>> {
        let path = format!("/api/v1/dashboard/nodes/{node}/metrics/{}", metric.path());
        first(&body(&mut self.session, &path)?).context(path)
    }

    /// The series of the pods asked for, in their order; `None` for those that are not answered.
    ///
    /// # Errors
    ///
    /// When the Dashboard would show an error.
    pub fn pods(
        &mut self,
        namespace: &str,
        names: &[&str],
        metric: Metric,
    ) -> Result<Vec<Option<Vec<Point>>>> {
        let list = names.join(",");
        let metric = metric.path();
        let path =
            format!("/api/v1/dashboard/namespaces/{namespace}/pod-list/{list}/metrics/{metric}");
        by_name(&body(&mut self.session, &path)?, names).context(path)
    }
}

/// Reads an answer; everything in it must be readable.
fn read(body: &[u8]) -> Result<Vec<(String, Vec<Point>)>> {
    let list: List = serde_json::from_slice(body)?;
    let mut read = Vec::new();
    for item in list.items.unwrap_or_default() {
        ensure!(!item.metric_name.is_empty(), "an item has no metric name");
        let name = item.uids.into_iter().next().context("an item has no uid")?;
        read.push((name, points(&item.metric_points.unwrap_or_default())?));
    }
    Ok(read)
}

/// What the Dashboard takes of an answer about a node: the first item, whatever its name.
pub(super) fn first(body: &[u8]) -> Result<Option<Vec<Point>>> {
    Ok(read(body)?.into_iter().next().map(|(_, points)| points))
}

/// What it takes of an answer about pods: for each name the item of that name, in any order.
pub(super) fn by_name(body: &[u8], names: &[&str]) -> Result<Vec<Option<Vec<Point>>>> {
    let items = read(body)?;
    let of = |wanted: &&str| {
        let found = items.iter().find(|(name, _)| name == wanted);
        found.map(|(_, points)| points.clone())
    };
    Ok(names.iter().map(of).collect())
}

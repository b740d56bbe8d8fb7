//! What a node's sources are made to do, and what is said of them.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::System;
use crate::deadline::Deadline;

/// A change of a source is told with the next row.
const SOON: Duration = Duration::from_secs(10);

impl System {
    /// Breaks an endpoint of the first node's kubelet, or `all` of them; `fault` is JSON, as
    /// [`Fault`](crate::sim::Fault) says.
    ///
    /// # Errors
    ///
    /// When the kubelet does not take the order.
    pub fn break_kubelet(&self, endpoint: &str, fault: &str) -> Result<()> {
        let order = format!(r#"{{"endpoint":"{endpoint}","fault":{fault}}}"#);
        let node = self.nodes.first().context("there is no node")?;
        let answer = node.kubelet.post("admin", "/debug/fault", &order)?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    }

    /// Gives the first node's kubelet, which goes on with its connections, another token or certificate; the
    /// order is JSON: `{"token":"T"}`, or `{"reload_certificate":true}` when its files are others.
    ///
    /// # Errors
    ///
    /// When the kubelet does not take the order.
    pub fn order_kubelet(&self, order: &str) -> Result<()> {
        let node = self.nodes.first().context("there is no node")?;
        let answer = node.kubelet.post("admin", "/debug/identity", order)?;
        ensure!(answer.status == 200, "{}", answer.text());
        Ok(())
    }

    /// The first node in the newest frame.
    ///
    /// # Errors
    ///
    /// When the aggregator does not answer.
    pub fn first_node(&self) -> Result<Value> {
        Ok(self.overview()?["nodes"][0].clone())
    }

    /// The reason that the aggregator shows for a source of the first node; empty while it is fine.
    ///
    /// # Errors
    ///
    /// When the aggregator does not answer.
    pub fn reason(&self, source: &str) -> Result<String> {
        let node = self.first_node()?;
        let mut sources = node["sources"].as_array().into_iter().flatten();
        let found = sources.find(|one| one["name"] == source);
        let reason = found.and_then(|one| one["reason"].as_str());
        Ok(reason.unwrap_or_default().to_owned())
    }

    /// Waits until the aggregator shows a reason with this in it, or with "" that the source is fine.
    ///
    /// # Errors
    ///
    /// When it does not come about within 10 s; with the stderr of everybody.
    pub fn shows(&self, source: &str, part: &str) -> Result<()> {
        let is_it = |reason: &String| reason.contains(part) && reason.is_empty() == part.is_empty();
        let shown = Deadline::after(SOON).poll(|| self.reason(source).ok().filter(is_it));
        ensure!(
            shown.is_some(),
            "{source}: {:?} lacks {part:?}\n{}",
            self.reason(source),
            self.stderr()
        );
        Ok(())
    }
}

//! Figures that the processes of a system give of themselves.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::System;
use crate::deadline::Deadline;
use crate::proc::Proc;

impl System {
    /// A figure of a process's own `/metrics`, as [`System::metric`] gives it, in whole numbers.
    ///
    /// # Errors
    ///
    /// When the process does not answer.
    pub fn count(process: &Proc, name: &str, labels: &str) -> Result<u64> {
        let value = Self::metric(process, name, labels)?;
        // Far below what a float holds exactly; a sum of nothing is -0.
        format!("{:.0}", value.abs()).parse().context("no number")
    }

    /// A figure of an aggregator's own, by its name without `cairn_aggregator_`.
    ///
    /// # Errors
    ///
    /// As [`System::count`].
    pub fn of_aggregator(aggregator: &Proc, name: &str, labels: &str) -> Result<u64> {
        Self::count(aggregator, &format!("cairn_aggregator_{name}"), labels)
    }

    /// A figure of the first node's agent's own, by its name without `cairn_agent_`.
    ///
    /// # Errors
    ///
    /// As [`System::count`], or when there is no agent.
    pub fn of_agent(&self, name: &str) -> Result<u64> {
        let agent = self.nodes.first().and_then(|node| node.agent.as_ref());
        let agent = agent.context("the first node has no agent")?;
        Self::count(agent, &format!("cairn_agent_{name}"), "")
    }

    /// Waits until an aggregator holds so many rows.
    ///
    /// # Errors
    ///
    /// When it does not in time, with what the processes said.
    pub fn holds(&self, aggregator: &Proc, rows: u64, within: Duration) -> Result<()> {
        let held = || Self::of_aggregator(aggregator, "store_rows", "").ok();
        let all = Deadline::after(within).poll(|| (held()? == rows).then_some(()));
        all.with_context(|| format!("{:?} of {rows} rows\n{}", held(), self.stderr()))
    }
}

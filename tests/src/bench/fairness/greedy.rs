//! What an aggregator that asks for everything without end costs its agent.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::moment::unix_us;
use super::super::sheet::Sheet;
use super::super::{Goal, Line, Options};
use crate::deadline::Deadline;
use crate::greedy::{beside, everything};
use crate::proc::used::cpu_seconds;
use crate::system::System;

/// Rows that the agent could repeat: two blocks and a begun one.
const ROWS: u64 = 40;

/// Within which the agent reads the greedy one at the pace of time.
const SLOWED_WITHIN: Duration = Duration::from_secs(20);

/// The kernel tells CPU time in hundredths of a second: a shorter time would tell nothing.
const LEAST: Duration = Duration::from_secs(10);

/// Measures the agent's CPU time while it is asked without end. No tick passes meanwhile, so that nothing
/// else is in it.
pub(super) fn measure(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let (system, greedy) = beside(ROWS, |hello, _| everything(hello.run.clone()))?;
    greedy.begin();
    let agent = system.nodes.first().and_then(|node| node.agent.as_ref());
    let agent = agent.context("there is no agent")?;
    let slowed = || {
        let times = System::count(agent, "cairn_agent_uplink_slowed_total", "").ok()?;
        (times > 0).then_some(())
    };
    let slowed = Deadline::after(SLOWED_WITHIN).poll(slowed);
    slowed.context("the agent does not slow the greedy aggregator down")?;
    let (before, began_us) = (cpu_seconds(agent.id())?, unix_us());
    let _: Option<()> = Deadline::after(options.duration.max(LEAST)).poll(|| None);
    let seconds = unix_us().saturating_sub(began_us) as f64 / 1e6;
    let used = cpu_seconds(agent.id())? - before;
    let got = greedy.got();
    sheet.line(&Line {
        number: "10",
        name: "greedy_agent_cores",
        value: used / seconds.max(0.01),
        unit: "cores",
        goal: Some(Goal::AtMost(0.01)),
        data: format!(
            "K, one node, beside its own an aggregator that asks for everything as fast as it is read; \
             {used:.2} s of CPU time in {seconds:.0} s without ticks; {} blocks, {} gaps in all",
            got.chunks, got.gaps
        ),
    })?;
    Ok(())
}

//! Goal 15: what a node pays in all for being watched.

use anyhow::Result;

use super::{Goal, Line};
use crate::pays::{GOALS_MS, Watched};

/// So many minutes of ticks are gone through.
const MINUTES: u64 = 10;

pub(super) fn run() -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for ((interval_ms, goal_ms), names) in GOALS_MS.into_iter().zip([
        ["node_cpu_10s", "node_cpu_10s_agent"],
        ["node_cpu_1s", "node_cpu_1s_agent"],
    ]) {
        let mut watched = Watched::start(interval_ms, MINUTES, &["--cadvisor", "auto"])?;
        let paid = watched.run(MINUTES, |_, _| Ok(()))?;
        let [all, own] = names;
        for (name, value, goal, data) in [
            (
                all,
                paid.all_ms(),
                Some(Goal::AtMost(goal_ms)),
                format!(
                    "{paid}, which is measured; 51 pods, cgroups of v2 as plain files, all that is read by default beside cgroups"
                ),
            ),
            (
                own,
                paid.own_ms(),
                None,
                "of that the agent itself".to_owned(),
            ),
        ] {
            lines.push(Line {
                number: "15",
                name,
                value,
                unit: "ms/min",
                goal,
                data: format!("C, {data}"),
            });
        }
    }
    Ok(lines)
}

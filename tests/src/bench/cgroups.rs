//! Goal 1c: what reading cgroups costs, of real ones.
//!
//! The program that makes and reads them is an example of the agent's crate. It needs root; of the two
//! versions a machine usually has one, or one with all of its controllers.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Goal, Line, program};
use crate::proc;

/// The program, beside the binaries.
const PROGRAM: &str = "examples/cgroup-cost";

/// It is done within seconds.
const WITHIN: Duration = Duration::from_secs(120);

/// As many pods as the goal is worded for, of one container each.
const PODS: &str = "110";
const TICKS: &str = "40";

/// What the program says: CPU time, the kernel's share with it.
#[derive(Debug, Deserialize)]
struct Told {
    cgroups: u64,
    /// Without it nothing is said of the goal.
    has_memory: bool,
    fast_us: f64,
    slow_us: f64,
    tick_us: f64,
}

pub(super) fn run() -> Result<Vec<Line>> {
    let program = proc::find(PROGRAM).ok().with_context(|| {
        format!("{PROGRAM} is not built: cargo build --release -p cairn-agent --examples")
    })?;
    let mut lines = Vec::new();
    for (version, names) in [
        ("v1", ["cgroup_v1_fast", "cgroup_v1_slow", "cgroup_v1_tick"]),
        ("v2", ["cgroup_v2_fast", "cgroup_v2_slow", "cgroup_v2_tick"]),
    ] {
        let (status, said) = program::run(&program, &[version, PODS, TICKS], WITHIN)?;
        if !status.success() {
            continue;
        }
        let told: Told = serde_json::from_str(&said)?;
        let [fast, slow, tick] = names;
        for (name, value, unit, goal, of) in [
            (fast, told.fast_us, "us", 30.0, "one cgroup, CPU and memory"),
            (
                slow,
                told.slow_us,
                "us",
                60.0,
                "one cgroup, everything else",
            ),
            (
                tick,
                told.tick_us / 1e3,
                "ms",
                10.0,
                "110 pods, a third of them slow",
            ),
        ] {
            let without = if told.has_memory {
                ""
            } else {
                ", without memory"
            };
            lines.push(Line {
                number: "1c",
                name,
                value,
                unit,
                goal: told.has_memory.then_some(Goal::AtMost(goal)),
                data: format!("{} real cgroups of {version}{without}; {of}", told.cgroups),
            });
        }
    }
    ensure!(
        !lines.is_empty(),
        "no cgroups can be made here: run it as root"
    );
    Ok(lines)
}

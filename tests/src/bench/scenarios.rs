//! The eleven clusters on which metrics-server measures its storage (`BenchmarkStorageWrite`, `ReadContainer` and
//! `ReadNode`): so many nodes, pods of a node and containers of a pod, in so many namespaces and Deployments.
//!
//! Its benchmark is about a map in memory. Here the whole way is measured: rows through TLS into the window, and
//! lists as JSON out of it, through TLS too. What it has published stands beside it.

use anyhow::Result;

use super::lists::ready::{PODS, Ready};
use super::sheet::Sheet;
use super::{AGENTS, Line, Options};
use crate::deadline::Deadline;
use crate::fleet;
use crate::fleet::cluster::Cluster;
use crate::mix::{Fields, Kind};
use crate::proc::used::cpu_seconds;
use std::time::Duration;

/// The list of all nodes.
const NODES: &str = "/apis/metrics.k8s.io/v1beta1/nodes";

/// How often each list is asked for.
const ASKED: usize = 21;

/// Rows by which CPU time is told, and ticks at most: the kernel counts it by hundredths of a second.
const ROWS: usize = 20_000;
const MOST_TICKS: usize = 400;

/// How long the ticks of one cluster may take.
const WITHIN: Duration = Duration::from_secs(120);

/// Nodes, pods of each, containers of each of those.
type Size = (usize, usize, usize);

const LARGE: Size = (1_000, 30, 2);
const MEDIUM: Size = (100, 70, 2);
const SMALL: Size = (10, 70, 2);

#[derive(Clone, Copy, Debug)]
struct Scenario {
    name: &'static str,
    size: Size,
    namespaces: usize,
    deployments: usize,
}

impl Scenario {
    const fn new(
        name: &'static str,
        size: Size,
        (namespaces, deployments): (usize, usize),
    ) -> Self {
        Self {
            name,
            size,
            namespaces,
            deployments,
        }
    }

    /// In words, with what a tick of so many nodes took metrics-server's storage, as its developers measured it
    /// when they changed it (on another machine, without a network), ms.
    fn words(&self, nodes: usize) -> String {
        let (_, pods, containers) = self.size;
        let theirs = match nodes {
            1_000 => "; writing into metrics-server's storage alone: 12.5 ms, 59 since",
            100 => "; writing into metrics-server's storage alone: 2.3 ms, 12.5 since",
            10 => "; writing into metrics-server's storage alone: 0.15 ms, 1.06 since",
            _ => "",
        };
        format!(
            "C, {}: {nodes} nodes of {pods} pods with {containers} containers, {} namespaces, {} Deployments, \
             twenty fields{theirs}",
            self.name, self.namespaces, self.deployments
        )
    }
}

/// All of them, in the order of that benchmark.
const SCENARIOS: [Scenario; 11] = [
    Scenario::new("normal", LARGE, (10, 100)),
    Scenario::new("normal", MEDIUM, (10, 100)),
    Scenario::new("normal", SMALL, (10, 100)),
    Scenario::new("big namespace", LARGE, (1, 100)),
    Scenario::new("big namespace", MEDIUM, (1, 100)),
    Scenario::new("big namespace", SMALL, (1, 100)),
    Scenario::new("big Deployment", LARGE, (1, 1)),
    Scenario::new("big Deployment", MEDIUM, (1, 1)),
    Scenario::new("big Deployment", SMALL, (1, 1)),
    Scenario::new("dense", (100, 30, 10), (10, 100)),
    Scenario::new("dense", (10, 30, 10), (10, 100)),
];

pub(super) fn run(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    for scenario in SCENARIOS {
        one(scenario, options, sheet)?;
    }
    Ok(())
}

fn one(scenario: Scenario, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let (nodes, pods, containers) = scenario.size;
    let nodes = (nodes * options.agents.min(AGENTS) / AGENTS).max(1);
    let mut fleet = fleet::Options::of(Kind::C, nodes);
    fleet.mix.fields = Fields::Twenty;
    fleet.mix.pods_per_node = Some(pods);
    fleet.mix.containers_per_pod = containers;
    fleet.mix.namespaces = Some(scenario.namespaces);
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::of_deployments(&fleet, dir.path(), Some(scenario.deployments))?;
    let mut ready = Ready::start(fleet, cluster, dir.path())?;
    let words = scenario.words(nodes);
    let ticks = (ROWS / nodes).clamp(8, MOST_TICKS);
    let pid = ready.ticking.bed.aggregator.id();
    let deadline = Deadline::after(WITHIN);
    let before = cpu_seconds(pid)?;
    ready.ticking.steps(ticks as u64, deadline)?;
    ready.ticking.taken(deadline)?;
    let write_ms = (cpu_seconds(pid)? - before) * 1e3 / ticks as f64;
    let mut line = |name, value, data| {
        sheet.line(&Line {
            number: "9",
            name,
            value,
            unit: "ms",
            goal: None,
            data,
        })
    };
    let data =
        format!("{words}; CPU time of the aggregator a tick, of {ticks}, from TLS into the window");
    line("scenario_write", write_ms, data)?;
    for (name, path, what) in [
        ("scenario_pods", PODS, "pods"),
        ("scenario_nodes", NODES, "nodes"),
    ] {
        let asked = ready.asks(path, &[], ASKED)?;
        let kib = asked.bytes >> 10;
        let data = format!(
            "{words}; all {what} as JSON of {kib} KiB, to the last byte, median of {ASKED}"
        );
        line(name, asked.last_us as f64 / 1e3, data)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{SCENARIOS, Size};

    #[test]
    fn they_are_eleven_and_each_is_another_one() {
        let mut all: Vec<(Size, usize, usize)> = SCENARIOS
            .iter()
            .map(|one| (one.size, one.namespaces, one.deployments))
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 11);
    }
}

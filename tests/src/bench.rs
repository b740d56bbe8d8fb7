//! The benchmarks: each measures the real binaries or the real code, and gives lines to print.
//!
//! A line is `number name value unit goal ok|short  # data`, the number being that of the goal in
//! the table of goals. A figure without a goal, or one that does not stand for the goal as it is
//! worded, has `-` for both. Every part is bounded in time and ends the processes it started. One that
//! cannot run on a machine, or fails, says so; the others go on.

mod append;
pub(crate) mod bed;
mod cgroups;
mod churn;
mod codec;
mod cost;
mod fairness;
mod fill;
mod freshness;
pub(crate) mod line;
mod lists;
mod look;
pub(crate) mod machine;
pub(crate) mod moment;
pub mod payload;
mod pays;
pub(crate) mod percentile;
mod pods;
mod program;
mod restart;
mod scenarios;
mod sheet;
mod stream;
pub(crate) mod text;
mod w1;
mod w10;
mod wire;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::mix::Kind;
use crate::proc;

pub use line::{Goal, Line};
use sheet::Sheet;

/// The binaries that are measured, the one that stands for thousands of agents, and that for a kubelet.
const BINARIES: [&str; 4] = [
    "cairn-agent",
    "cairn-aggregator",
    "fleet-sim",
    "kubelet-sim",
];

/// As many nodes as the goals for large clusters are worded for.
pub const AGENTS: usize = 5_000;

/// A group of lines that are measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes of rows.
    Wire,
    /// Bytes on the wire.
    Stream,
    /// What a sample costs the codec.
    Codec,
    /// What a sample costs the store.
    Append,
    /// What the watch of pods keeps.
    Pods,
    /// What reading cgroups costs.
    Cgroups,
    /// From a kubelet's answer to the aggregator's.
    Freshness,
    /// CPU and memory of the processes.
    Cost,
    /// What cAdvisor's text costs.
    Text,
    /// What a node pays in all.
    Pays,
    /// An aggregator under thousands of agents: memory, ingest, queries, freshness, growth.
    W10,
    /// The same at one row a second, with fewer.
    W1,
    /// Lists of all pods in metrics.k8s.io.
    Lists,
    /// The same on the clusters of metrics-server's benchmark, and what their rows cost.
    Scenarios,
    /// An aggregator that is killed under them.
    Restart,
    /// Pods that come and go for hours.
    Churn,
    /// What hostile agents cost the honest ones, and a greedy aggregator its agent.
    Fairness,
}

impl Part {
    /// Every part, in the order they are run.
    pub const ALL: [Part; 17] = [
        Part::Wire,
        Part::Stream,
        Part::Codec,
        Part::Append,
        Part::Pods,
        Part::Cgroups,
        Part::Freshness,
        Part::Cost,
        Part::Text,
        Part::Pays,
        Part::W10,
        Part::W1,
        Part::Lists,
        Part::Scenarios,
        Part::Restart,
        Part::Churn,
        Part::Fairness,
    ];

    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Wire => "wire",
            Part::Stream => "stream",
            Part::Codec => "codec",
            Part::Append => "append",
            Part::Pods => "pods",
            Part::Cgroups => "cgroups",
            Part::Freshness => "freshness",
            Part::Cost => "cost",
            Part::Text => "text",
            Part::Pays => "pays",
            Part::W10 => "w10",
            Part::W1 => "w1",
            Part::Lists => "lists",
            Part::Scenarios => "scenarios",
            Part::Restart => "restart",
            Part::Churn => "churn",
            Part::Fairness => "fairness",
        }
    }

    /// The mixes of data that a part is measured on one after the other, of which each can be left out.
    fn mixes(self) -> &'static [Kind] {
        match self {
            Part::W10 => &Kind::ALL,
            // Pods of the recording come and go by themselves.
            Part::Restart | Part::Churn => &[Kind::C, Kind::B],
            _ => &[],
        }
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The parts to run.
    pub parts: Vec<Part>,
    /// How long each part that runs processes may go on beyond its least number of ticks.
    pub duration: Duration,
    /// How many questions of each form are timed; without it, as many as come in twice `duration`.
    pub questions: Option<u64>,
    /// The mixes that are measured, of those that a part has lines of.
    pub mixes: Vec<Kind>,
    /// How many nodes a large cluster has. The goals are worded for [`AGENTS`]: with others the
    /// lines have no verdict.
    pub agents: usize,
}

impl Options {
    /// A goal that is worded for [`AGENTS`] nodes.
    fn goal(&self, goal: Goal) -> Option<Goal> {
        (self.agents == AGENTS).then_some(goal)
    }

    /// The same, of goals that are stated for [`Kind::C`] and [`Kind::K`]: the lines of [`Kind::B`] are
    /// printed beside theirs.
    fn goal_of(&self, kind: Kind, goal: Goal) -> Option<Goal> {
        self.goal(goal).filter(|_| kind != Kind::B)
    }

    /// These parts of a small fleet, as short as can be, on no mix that can be left out.
    #[cfg(test)]
    fn short(parts: Vec<Part>) -> Self {
        Self {
            parts,
            duration: Duration::ZERO,
            questions: None,
            mixes: Vec::new(),
            agents: 5,
        }
    }

    /// A part of the nodes, at least one.
    fn share(&self, divisor: usize) -> usize {
        (self.agents / divisor).max(1)
    }
}

/// Runs the benchmarks and prints the machine, then the lines as they come.
///
/// # Errors
///
/// A binary that is not built, an output that is closed, and at the end: parts that gave no result.
pub fn run(options: &Options, out: &mut impl Write) -> Result<()> {
    for name in BINARIES {
        proc::find(name)
            .ok()
            .with_context(|| format!("{name} is not built: cargo build --release --bins"))?;
    }
    let mut sheet = Sheet::new(out);
    for line in machine::describe() {
        sheet.note(&line)?;
    }
    sheet.note(&format!("load    {} at the start", machine::load()))?;
    if cfg!(debug_assertions) {
        sheet.note("DEBUG BUILD: these figures say nothing, build with --release")?;
    }
    sheet.head()?;
    for part in &options.parts {
        if let Err(error) = measure(*part, options, &mut sheet) {
            sheet.missing(*part, &error)?;
        }
    }
    sheet.note(&format!("load    {} at the end", machine::load()))?;
    let missing = sheet.all_missing();
    ensure!(missing.is_empty(), "not measured: {}", missing.join(", "));
    Ok(())
}

fn measure(part: Part, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let lines = match part {
        Part::Wire => wire::run()?,
        Part::Stream => return stream::run(sheet),
        Part::Codec => codec::run()?,
        Part::Append => append::run()?,
        Part::Pods => pods::run()?,
        Part::Cgroups => cgroups::run()?,
        Part::Freshness => freshness::run(options.duration)?,
        Part::Cost => cost::run(options.duration)?,
        Part::Text => text::run(options.duration)?,
        Part::Pays => pays::run()?,
        Part::W10 | Part::Restart | Part::Churn => return of_mixes(part, options, sheet),
        Part::W1 => return w1::run(options, sheet),
        Part::Lists => return lists::run(options, sheet),
        Part::Scenarios => return scenarios::run(options, sheet),
        Part::Fairness => return fairness::run(options, sheet),
    };
    for line in lines {
        sheet.line(&line)?;
    }
    Ok(())
}

/// Measures a part on each mix that is asked for. One that fails, or has no room, says so; the others go on.
fn of_mixes(part: Part, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let asked_for = |kind: &&Kind| options.mixes.contains(kind);
    let kinds: Vec<Kind> = part.mixes().iter().filter(asked_for).copied().collect();
    if kinds.is_empty() {
        sheet.note(&format!("{} has no lines of this mix", part.name()))?;
    }
    for kind in kinds {
        let measured = match part {
            Part::Restart => restart::run(kind, options, sheet),
            Part::Churn => churn::run(kind, options, sheet),
            _ => w10::run(kind, options, sheet),
        };
        if let Err(error) = measured {
            let error = error.context(format!("mix {}", kind.letter()));
            sheet.missing(part, &error)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{AGENTS, Goal, Options, Part, run};
    use crate::mix::Kind;

    #[test]
    fn the_machine_comes_first_and_then_a_line_a_figure() {
        let mut out = Vec::new();
        let options = Options::short(vec![Part::Wire, Part::Codec]);
        run(&options, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let (head, lines): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with('#'));
        assert!(head[0].starts_with("# cores "), "{text}");
        assert_eq!(lines.len(), 10, "{text}");
        for line in lines {
            let (figure, data) = line.split_once("  # ").unwrap();
            let words: Vec<&str> = figure.split_whitespace().collect();
            assert_eq!(words.len(), 6, "{line}");
            assert!(words[2].parse::<f64>().unwrap() > 0.0, "{line}");
            assert!(["ok", "short", "-"].contains(&words[5]), "{line}");
            assert!(data.starts_with(['K', 'C', 'B']), "{line}");
        }
    }

    #[test]
    fn goals_are_stated_for_all_mixes_but_the_busy_one() {
        let options = Options {
            agents: AGENTS,
            ..Options::short(Vec::new())
        };
        let goal = Goal::AtMost(1.0);
        assert_eq!(options.goal_of(Kind::C, goal), Some(goal));
        assert_eq!(options.goal_of(Kind::K, goal), Some(goal));
        assert_eq!(options.goal_of(Kind::B, goal), None);
    }

    #[test]
    fn a_part_without_a_line_of_the_mixes_says_so_and_does_not_fail() {
        let mut out = Vec::new();
        let options = Options {
            mixes: vec![Kind::K],
            ..Options::short(vec![Part::Restart, Part::Churn])
        };
        run(&options, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("# restart has no lines of this mix"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    }
}

//! Goals 4, 6, 7, 8, 10 and 12: an aggregator under as many agents as a large cluster has.
//!
//! One fill of the window serves most of them: how fast it went, what is held in how much memory,
//! and then questions and a marked value while ticks go on. After it come smaller fleets for what a node
//! costs. The recorded data are filled in alone, and of the busy ones no value is marked.

mod asked;
mod changes;
mod client;
pub(super) mod marker;
pub(super) mod memory;

use anyhow::Result;

use super::fill::{Fill, Filled};
use super::sheet::Sheet;
use super::{Goal, Line, Options, Part};
use crate::mix::Kind;
use crate::proc::cores;
use crate::proc::used::Memory;

/// Pods that change a second in a cluster of so many nodes.
const CHANGES: f64 = 50.0;
const LARGE: f64 = 5_000.0;

/// Rows a second of a node.
const A_SECOND: f64 = 0.1;

pub(super) fn run(kind: Kind, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    cores::on(cores::OURS, || {
        if kind == Kind::K {
            return recorded(options, sheet);
        }
        let large = generated(kind, options, sheet)?;
        growth(kind, &large, options, sheet)
    })
}

/// Goes on without what could not be measured: the fill that the rest needs took minutes.
fn else_missing(measured: Result<()>, what: &'static str, sheet: &mut Sheet<'_>) -> Result<()> {
    if let Err(error) = measured {
        sheet.missing(Part::W10, &error.context(what))?;
    }
    Ok(())
}

/// What a node costs the aggregator.
#[derive(Clone, Copy, Debug)]
struct Cost {
    nodes: usize,
    /// CPU time of a row, microseconds.
    row_us: f64,
    /// Memory of a node, KiB.
    node_kib: f64,
}

impl Cost {
    fn of(filled: &Filled) -> Self {
        let grown = filled.full.resident.saturating_sub(filled.alone.resident);
        Self {
            nodes: filled.fill.nodes,
            row_us: filled.cpu_per_row() * 1e6,
            node_kib: grown as f64 / 1024.0 / filled.fill.nodes as f64,
        }
    }
}

fn generated(kind: Kind, options: &Options, sheet: &mut Sheet<'_>) -> Result<Cost> {
    let (name, token) = marker::GUEST;
    let guest = (name.to_owned(), token.to_owned());
    let mut filled = Fill::w10(kind, options.agents).run(vec![guest])?;
    memory::tell(&filled, options.goal_of(kind, Goal::AtMost(1.2)), sheet)?;
    let change_seconds = changes::measure(&filled)?;
    ingest(&filled, Some(change_seconds), options, sheet)?;
    let cost = Cost::of(&filled);
    let asked = asked::measure(&mut filled, options, sheet);
    else_missing(asked, "questions", sheet)?;
    if kind == Kind::C {
        let marked = marker::measure(&mut filled, options, sheet);
        else_missing(marked, "a marked value", sheet)?;
    }
    peak(&filled, (1.5, "questions and all"), options, sheet)?;
    Ok(cost)
}

fn recorded(options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    // Recorded pods come and go, and the cluster around a fleet has those of the first row.
    let filled = Fill::alone(Kind::K, options.agents).run(Vec::new())?;
    memory::tell(&filled, options.goal(Goal::AtMost(1.0)), sheet)?;
    ingest(&filled, None, options, sheet)?;
    peak(&filled, (1.25, "without questions"), options, sheet)
}

/// How fast the window was filled, and how much of a core it takes to go on, with a changed pod's seconds where a
/// cluster is watched.
fn ingest(
    filled: &Filled,
    change_seconds: Option<f64>,
    options: &Options,
    sheet: &mut Sheet<'_>,
) -> Result<()> {
    let taken = filled.taken;
    let millions = taken.samples as f64 / 1e6;
    let data = format!(
        "{}, {:.0} samples a row, over TLS, {:.0} M in {:.1} s",
        filled.fill.words(),
        taken.samples as f64 / taken.rows.max(1) as f64,
        millions,
        taken.wall_seconds
    );
    let kind = filled.fill.kind;
    let rate = options.goal_of(kind, Goal::AtLeast(10.0));
    let part = filled.fill.nodes as f64 / LARGE;
    let of_changes = change_seconds.unwrap_or(0.0) * CHANGES * part;
    let cores = filled.cpu_per_row() * A_SECOND * filled.fill.nodes as f64 + of_changes;
    let and_changes = match change_seconds {
        Some(one) => format!(
            "and {of_changes:.4} of it for {:.0} changed pods a second at {:.0} us each",
            CHANGES * part,
            one * 1e6
        ),
        None => "no cluster that changes".to_owned(),
    };
    let more =
        format!("CPU time of a row by rows a second, every 10 s, {and_changes}: no questions");
    let line = |number, name, (value, unit), goal, more: &str| Line {
        number,
        name,
        value,
        unit,
        goal,
        data: format!("{data}; {more}"),
    };
    let by_wall = millions / taken.wall_seconds.max(0.01);
    let by_cpu = millions / taken.cpu_seconds.max(0.01);
    let lines = [
        line(
            "6",
            "ingest_samples_per_core",
            (by_wall, "M/s"),
            rate,
            "by time, aggregator on one core, senders on the other",
        ),
        line(
            "6",
            "ingest_samples_per_cpu_second",
            (by_cpu, "M/s"),
            rate,
            "by the aggregator's CPU time",
        ),
        line(
            "7",
            "aggregator_cores",
            (cores, "cores"),
            options.goal_of(kind, Goal::AtMost(0.1)),
            &more,
        ),
    ];
    for line in &lines {
        sheet.line(line)?;
    }
    Ok(())
}

fn peak(
    filled: &Filled,
    (goal_gib, when): (f64, &str),
    options: &Options,
    sheet: &mut Sheet<'_>,
) -> Result<()> {
    let memory = Memory::of(filled.ticking.bed.aggregator.id())?;
    sheet.line(&Line {
        number: "7",
        name: "aggregator_rss",
        value: memory.peak as f64 / f64::from(1 << 30),
        unit: "GiB",
        goal: options.goal_of(filled.fill.kind, Goal::AtMost(goal_gib)),
        data: format!("{}; peak, {when}", filled.fill.words()),
    })?;
    Ok(())
}

/// Fills the windows of smaller fleets too, and holds what a node costs in the largest against a tenth
/// of it.
fn growth(kind: Kind, large: &Cost, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    let mut costs = Vec::new();
    for nodes in [
        options.share(100),
        options.share(10),
        (options.agents * 3 / 10).max(1),
    ] {
        costs.push(Cost::of(&Fill::w10(kind, nodes).run(Vec::new())?));
    }
    costs.push(*large);
    for cost in &costs {
        sheet.note(&format!(
            "growth  {:>5} nodes: {:.1} us of CPU time a row, {:.1} KiB a node, its connection included",
            cost.nodes, cost.row_us, cost.node_kib
        ))?;
    }
    let Some(tenth) = costs.get(1) else {
        return Ok(());
    };
    let line = |name, value, of: &str| Line {
        number: "12",
        name,
        value,
        unit: "times",
        goal: options.goal_of(kind, Goal::AtMost(1.1)),
        data: format!(
            "{}, twenty fields, every 10 s: {of} at {} nodes by that at {}",
            kind.letter(),
            large.nodes,
            tenth.nodes
        ),
    };
    sheet.line(&line(
        "growth_cpu_per_row",
        large.row_us / tenth.row_us.max(0.01),
        "CPU time of a row",
    ))?;
    sheet.line(&line(
        "growth_bytes_per_node",
        large.node_kib / tenth.node_kib.max(0.01),
        "memory of a node with a full window",
    ))?;
    Ok(())
}

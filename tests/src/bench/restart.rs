//! Goal 11: an aggregator that is killed under its agents and started with nothing.

use anyhow::Result;

use super::fill::{CLUSTER_BYTES, node_bytes};
use super::sheet::Sheet;
use super::{Goal, Line, Options, machine};
use crate::fleet;
use crate::fleet::cluster::{Access, Cluster};
use crate::fleet::restart::{self, LIMITS, Report};
use crate::mix::{Fields, Kind};
use crate::system::TRACE_START_MS;

/// Rows behind them: more than a window has, and none that a ring has dropped with its block.
const HISTORY: u64 = 96;

/// Ticks before the kill, and after the window is whole again.
const LIVE_TICKS: u64 = 2;

/// Nodes whose every value is compared.
const COMPARED: usize = 10;

pub(super) fn run(kind: Kind, options: &Options, sheet: &mut Sheet<'_>) -> Result<()> {
    // The two aggregators come after each other.
    machine::has_room(options.agents as u64 * (node_bytes(kind) + CLUSTER_BYTES))?;
    let mut fleet = fleet::Options::of(kind, options.agents);
    fleet.mix.fields = Fields::Twenty;
    fleet.mix.pods_per_node = Some(30);
    fleet.history = HISTORY;
    if kind != Kind::B {
        let alone = report(&fleet, None)?;
        sheet.note(&format!("{alone}"))?;
        for line in lines(&alone, (kind, "no pod list, no token reviews"), options) {
            sheet.line(&line)?;
        }
    }
    let dir = tempfile::tempdir()?;
    let cluster = Cluster::start(&fleet, dir.path())?;
    let words = format!(
        "{} pods of 7 KiB listed meanwhile, tokens reviewed",
        cluster.all_pods()
    );
    let within = report(&fleet, Some(cluster.access()))?;
    sheet.note(&format!("{within}"))?;
    for line in lines(&within, (kind, &words), options) {
        sheet.line(&line)?;
    }
    Ok(())
}

fn report(fleet: &fleet::Options, cluster: Option<Access>) -> Result<Report> {
    restart::run(&restart::Options {
        fleet: fleet.clone(),
        start_unix_ms: TRACE_START_MS,
        live_ticks: LIVE_TICKS,
        restarted: 0,
        ticks_after: LIVE_TICKS,
        compared_nodes: COMPARED,
        aggregator_args: vec!["--memory-limit".to_owned(), "0".to_owned()],
        cluster,
        built: None,
    })
}

fn lines(report: &Report, (kind, cluster): (Kind, &str), options: &Options) -> Vec<Line> {
    let data = format!(
        "{}, {} nodes of 30 pods with 2 containers, twenty fields, every 10 s, SIGKILL after {} of {} rows; {cluster}",
        kind.letter(),
        report.agents,
        report.sent_before_kill,
        report.rows_at_kill
    );
    let line = |name, (value, unit), goal, more: &str| Line {
        number: "11",
        name,
        value,
        unit,
        goal: options.goal_of(kind, Goal::AtMost(goal)),
        data: format!("{data}; {more}"),
    };
    let (held, expected) = (report.held.samples, report.expected.samples);
    let lost = expected.saturating_sub(held);
    let twice = held.saturating_sub(expected);
    let peak = report.second_peak_kib as f64 / report.first_peak_kib.max(1) as f64;
    let mut lines = vec![
        line(
            "restart_latest",
            (report.latest_in.as_secs_f64(), "s"),
            LIMITS.0.as_secs_f64(),
            "until every node's newest tick is served",
        ),
        line(
            "restart_window",
            (report.whole_in.as_secs_f64(), "s"),
            LIMITS.1.as_secs_f64(),
            "until all rows of the window are held",
        ),
        line(
            "restart_samples_lost",
            (lost as f64, "samples"),
            0.0,
            &format!(
                "of {expected}; every value of {COMPARED} nodes, CPU time of all: {}",
                report.found
            ),
        ),
        line(
            "restart_samples_twice",
            (twice as f64, "samples"),
            0.0,
            &format!(
                "held; {} rows came twice and were dropped",
                report.duplicates
            ),
        ),
        line(
            "restart_peak_memory",
            (peak, "times"),
            1.5,
            "peak of the new one by that of the old one with a full window",
        ),
    ];
    if let Some(listed_in) = report.listed_in {
        lines.push(line(
            "restart_pods",
            (listed_in.as_secs_f64(), "s"),
            LIMITS.1.as_secs_f64(),
            "until all pods are known, without whom no pod of a new agent is shown",
        ));
    }
    lines
}

//! A report for people: a row for each thing that was looked at, and below what is to be done.

use std::time::Duration;

use cairn_runtime::logging;

use super::finding::{Finding, Report, State};

/// Between two columns.
const GAP: &str = "  ";

const TITLES: [&str; 4] = ["CHECK", "STATE", "WHAT", "FOUND"];

/// The whole report. Nothing in it moves a cursor: what others wrote is escaped.
pub(super) fn render(report: &Report) -> String {
    let user = match report.user.as_str() {
        "" => String::new(),
        user => format!(" as {}", logging::escape(user)),
    };
    let (server, within) = (&report.server, &report.namespace);
    let mut text = format!("namespace {within} at {server}{user}\n\n");
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(report.findings.iter().map(row));
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..TITLES.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: String = cells
            .map(|(cell, width)| format!("{cell:<width$}{GAP}"))
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for Finding {
        check, about, todo, ..
    } in report.findings.iter().filter(|f| !f.todo.is_empty())
    {
        let (about, todo) = (logging::escape(about), logging::escape(todo));
        text.push_str(&format!("\n{check} {about}: {todo}\n"));
    }
    text.push_str(&format!("\n{}\n", verdict(report)));
    text
}

fn row(finding: &Finding) -> [String; 4] {
    let state = match finding.state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "FAILED",
        State::Unasked => "-",
    };
    [
        finding.check.to_owned(),
        state.to_owned(),
        logging::escape(&finding.about),
        logging::escape(&finding.found),
    ]
}

fn verdict(report: &Report) -> String {
    let all = report.findings.len();
    let mut parts = Vec::new();
    for (state, word) in [
        (State::Fail, "failed"),
        (State::Warn, "to be looked at"),
        (State::Unasked, "not asked"),
    ] {
        match report.count(state) {
            0 => {}
            count => parts.push(format!("{count} of {all} {word}")),
        }
    }
    if parts.is_empty() {
        parts.push(format!("{all} of {all} ok"));
    }
    format!("{}, after {}", parts.join(", "), took(report.took))
}

fn took(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}

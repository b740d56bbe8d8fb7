//! A report for people: a row a source, what they were verified with, and what to do.

use std::time::Duration;

use cairn_proto::rfc3339;
use cairn_runtime::logging;
use cairn_runtime::tls::By;

use super::finding::{Finding, Identity, Report};

/// Between two columns.
const GAP: &str = "  ";

/// What stands where there is nothing to say.
const NOTHING: &str = "-";

/// A column: its title, whether it is of numbers, and what it says of a finding.
type Column = (&'static str, bool, fn(&Finding) -> String);

const COLUMNS: [Column; 9] = [
    ("SOURCE", false, |f| f.source.to_owned()),
    ("STATE", false, state),
    ("ADDRESS", false, |f| f.address.clone()),
    ("AS", false, identity),
    ("VERIFIED BY", false, verified),
    ("PODS", true, |f| count(f.values.pods)),
    ("CONTAINERS", true, |f| count(f.values.containers)),
    ("VALUES", true, |f| count(f.values.values)),
    ("TOOK", true, |f| took(f.took)),
];

/// The whole report. Nothing in it moves a cursor: what others wrote is escaped.
pub(super) fn render(report: &Report) -> String {
    let mut text = format!("node {}\n\n", report.node);
    table(
        &mut text,
        COLUMNS.map(|(title, numbers, _)| (title, numbers)),
        report
            .findings
            .iter()
            .map(|found| COLUMNS.map(|(_, _, cell)| logging::escape(&cell(found)))),
    );
    let used = used(report);
    if !used.is_empty() {
        text.push('\n');
        table(
            &mut text,
            [("USED", false), ("FOR", false), ("", false)],
            used,
        );
    }
    for (title, told) in [("failed", failures(report)), ("note", notes(report))] {
        for (sources, line) in told {
            let line = logging::escape(&line);
            let line = match sources.as_str() {
                "" => format!("\n{title}: {line}\n"),
                _ => format!("\n{sources} {title}: {line}\n"),
            };
            text.push_str(&line);
        }
    }
    let (all, failed) = (report.findings.len(), report.failed());
    let verdict = if failed == 0 {
        format!("{all} of {all} ok")
    } else {
        format!("{failed} of {all} failed")
    };
    text.push_str(&format!("\n{verdict}, after {}\n", took(report.took)));
    text
}

/// Adds rows under titles, each column as wide as its widest cell.
fn table<const N: usize>(
    text: &mut String,
    titles: [(&str, bool); N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let mut all = vec![titles.map(|(title, _)| title.to_owned())];
    all.extend(rows);
    let width = |at: usize| {
        let cells = all.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    for row in &all {
        let mut line = String::new();
        for ((cell, (_, numbers)), width) in row.iter().zip(titles).zip(&widths) {
            line.push_str(&if numbers {
                format!("{cell:>width$}{GAP}")
            } else {
                format!("{cell:<width$}{GAP}")
            });
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn state(found: &Finding) -> String {
    if found.failure.is_none() {
        "ok"
    } else {
        "FAILED"
    }
    .to_owned()
}

fn identity(found: &Finding) -> String {
    match found.identity {
        Identity::Local => NOTHING,
        Identity::Anonymous => "anonymous",
        Identity::Token(_) => "token",
    }
    .to_owned()
}

fn verified(found: &Finding) -> String {
    let Some(voucher) = &found.voucher else {
        return NOTHING.to_owned();
    };
    let by = match voucher.by {
        By::Pin => "pin",
        By::Ca => "CA",
        By::Nothing => return "not verified".to_owned(),
    };
    match voucher.expires_unix_s.map(day) {
        Some(day) if voucher.expired => format!("{by}, expired {day}"),
        Some(day) => format!("{by}, until {day}"),
        None => by.to_owned(),
    }
}

/// The day of a moment, in UTC.
fn day(unix_s: u64) -> String {
    let text = rfc3339::format(unix_s.saturating_mul(1000));
    text.split('T').next().unwrap_or_default().to_owned()
}

fn count(count: Option<usize>) -> String {
    count.map_or_else(|| NOTHING.to_owned(), |count| count.to_string())
}

/// Tenths of a millisecond where they count.
fn took(took: Duration) -> String {
    let ms = took.as_secs_f64() * 1000.0;
    if ms < 10.0 {
        format!("{ms:.1} ms")
    } else if ms < 10_000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", took.as_secs_f64())
    }
}

/// Files and names that were used, each once, with those that they were used for.
fn used(report: &Report) -> Vec<[String; 3]> {
    let mut rows: Vec<(&str, Vec<&str>, String)> = Vec::new();
    let mut add = |what, source, text: String| {
        let known = rows.iter_mut().find(|row| row.0 == what && row.2 == text);
        match known {
            Some((_, sources, _)) if sources.contains(&source) => {}
            Some((_, sources, _)) => sources.push(source),
            None => rows.push((what, vec![source], text)),
        }
    };
    for found in &report.findings {
        if let Identity::Token(file) = &found.identity {
            add("token", found.source, file.display().to_string());
        }
        let by = found.voucher.as_ref().map(|voucher| voucher.by);
        if let Some(file) = found.voucher.as_ref().and_then(|v| v.file.as_ref()) {
            let what = if by == Some(By::Pin) { "pin" } else { "CA" };
            add(what, found.source, file.display().to_string());
        }
        // A pin is trusted whatever its names.
        if let (Some(By::Ca), Some(name)) = (by, &found.server_name) {
            add("name", found.source, name.clone());
        }
    }
    let row = |(what, sources, text): (&str, Vec<&str>, String)| {
        [what.to_owned(), sources.join(", "), logging::escape(&text)]
    };
    rows.into_iter().map(row).collect()
}

/// Each reason once, with those that failed for it.
fn failures(report: &Report) -> Vec<(String, String)> {
    let reasons = report.findings.iter().filter_map(|found| {
        let trouble = found.failure.as_ref()?;
        Some((found.source, trouble.reason.clone()))
    });
    gathered(reasons)
}

fn notes(report: &Report) -> Vec<(String, String)> {
    let of_sources = report.findings.iter().flat_map(|found| {
        let notes = found.notes.iter().cloned();
        notes.map(|note| (found.source, note))
    });
    let of_all = report.notes.iter().cloned().map(|note| ("", note));
    gathered(of_sources.chain(of_all))
}

fn gathered<'a>(lines: impl Iterator<Item = (&'a str, String)>) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    for (source, line) in lines {
        match told.iter_mut().find(|(_, known)| *known == line) {
            Some((sources, _)) => {
                sources.push_str(", ");
                sources.push_str(source);
            }
            None => told.push((source.to_owned(), line)),
        }
    }
    told
}

//! A report for programs. Its form is in docs/check.md: fields are added, never changed.

use serde::Serialize;

use super::finding::{Finding, Report};

/// The form's number; it changes when a field goes or changes its meaning.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    server: &'a str,
    user: Option<&'a str>,
    namespace: &'a str,
    ok: bool,
    ready_to_take_over: bool,
    took_ms: f64,
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    check: &'a str,
    about: &'a str,
    state: &'a str,
    found: &'a str,
    todo: Option<&'a str>,
}

/// One JSON object and the end of a line.
pub(super) fn render(report: &Report) -> String {
    let document = Document {
        version: VERSION,
        server: &report.server,
        user: said(&report.user),
        namespace: &report.namespace,
        ok: report.failed() == 0,
        ready_to_take_over: report.ready_to_take_over(),
        took_ms: (report.took.as_secs_f64() * 10_000.0).round() / 10.0,
        checks: report.findings.iter().map(check).collect(),
    };
    // Texts and numbers only: there is nothing that JSON could not hold.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn check(finding: &Finding) -> Check<'_> {
    Check {
        check: finding.check,
        about: &finding.about,
        state: finding.state.word(),
        found: &finding.found,
        todo: said(&finding.todo),
    }
}

fn said(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

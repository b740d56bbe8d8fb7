//! A report for programs. Its form is in docs/check.md: fields are added, never changed.

use std::time::Duration;

use cairn_runtime::tls::{By, Voucher};
use serde::Serialize;

use super::finding::{Finding, Identity, Report};

/// The form's number; it changes when a field goes or changes its meaning.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    node: &'a str,
    ok: bool,
    took_ms: f64,
    notes: &'a [String],
    checks: Vec<Check<'a>>,
}

#[derive(Serialize)]
struct Check<'a> {
    source: &'a str,
    ok: bool,
    address: &'a str,
    reached: bool,
    identity: &'static str,
    token_file: Option<String>,
    server_name: Option<&'a str>,
    verified: Option<Verified>,
    pods: Option<usize>,
    containers: Option<usize>,
    values: Option<usize>,
    took_ms: f64,
    notes: &'a [String],
    failure: Option<Failure<'a>>,
}

#[derive(Serialize)]
struct Verified {
    by: &'static str,
    file: Option<String>,
    expires_unix_s: Option<u64>,
    expired: bool,
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: &'a str,
    reason: &'a str,
    missing_right: Option<&'a str>,
}

/// One JSON object and the end of a line.
pub(super) fn render(report: &Report) -> String {
    let document = Document {
        version: VERSION,
        node: &report.node,
        ok: report.failed() == 0,
        took_ms: ms(report.took),
        notes: &report.notes,
        checks: report.findings.iter().map(check).collect(),
    };
    // Texts and numbers only: there is nothing that JSON could not hold.
    let mut text = serde_json::to_string_pretty(&document).unwrap_or_default();
    text.push('\n');
    text
}

fn check(found: &Finding) -> Check<'_> {
    let (identity, token_file) = match &found.identity {
        Identity::Local => ("local", None),
        Identity::Anonymous => ("anonymous", None),
        Identity::Token(file) => ("token", Some(file.display().to_string())),
    };
    Check {
        source: found.source,
        ok: found.failure.is_none(),
        address: &found.address,
        reached: found.reached,
        identity,
        token_file,
        server_name: found.server_name.as_deref(),
        verified: found.voucher.as_ref().map(verified),
        pods: found.values.pods,
        containers: found.values.containers,
        values: found.values.values,
        took_ms: ms(found.took),
        notes: &found.notes,
        failure: found.failure.as_ref().map(|trouble| Failure {
            kind: trouble.kind,
            reason: &trouble.reason,
            missing_right: Some(trouble.missing_right).filter(|right| !right.is_empty()),
        }),
    }
}

fn verified(voucher: &Voucher) -> Verified {
    Verified {
        by: match voucher.by {
            By::Pin => "pin",
            By::Ca => "ca",
            By::Nothing => "nothing",
        },
        file: voucher.file.as_ref().map(|path| path.display().to_string()),
        expires_unix_s: voucher.expires_unix_s,
        expired: voucher.expired,
    }
}

/// Milliseconds with one decimal.
fn ms(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10.0
}

//! Whether the process is well, for whoever asks: so no answer says why it is not. The admin listener does.

use axum::response::Response;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::tasks::TaskHealth;
use http::StatusCode;

use super::super::path;
use super::sent;
use super::target::Probe;

/// Who is asked.
#[derive(Clone, Debug)]
pub struct Wellness {
    /// Whether it shall be asked.
    pub readiness: Readiness,
    /// Whether a task has died.
    pub health: TaskHealth,
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Wellness {
    /// The checks of a probe, and whether each passes.
    fn checks(&self, probe: Probe) -> Vec<(&'static str, bool)> {
        let mut checks = vec![("ping", true), ("tasks", self.health.reason().is_none())];
        if probe == Probe::Ready {
            checks.push(("ready", self.readiness.is_ready()));
        }
        checks
    }

    /// Answers a probe, or one check of it.
    pub(super) fn answer(
        &self,
        probe: Probe,
        check: Option<&str>,
        query: Option<&str>,
    ) -> Option<Response> {
        let checks = self.checks(probe);
        let name = probe.as_str();
        if let Some(wanted) = check {
            let (_, passes) = checks.into_iter().find(|(check, _)| *check == wanted)?;
            return Some(if passes {
                sent::small(StatusCode::OK, TEXT, "ok")
            } else {
                let body = "internal server error: reason withheld\n";
                sent::small(StatusCode::INTERNAL_SERVER_ERROR, TEXT, body)
            });
        }
        let excluded = excluded(query);
        let mut lines = String::new();
        let mut passes = true;
        for (check, ok) in checks {
            if excluded.iter().any(|name| name == check) {
                lines.push_str(&format!("[+]{check} excluded: ok\n"));
            } else if ok {
                lines.push_str(&format!("[+]{check} ok\n"));
            } else {
                lines.push_str(&format!("[-]{check} failed: reason withheld\n"));
                passes = false;
            }
        }
        Some(if !passes {
            lines.push_str(&format!("{name} check failed\n"));
            sent::small(StatusCode::INTERNAL_SERVER_ERROR, TEXT, lines)
        } else if path::parameter(query, "verbose").is_some() {
            lines.push_str(&format!("{name} check passed\n"));
            sent::small(StatusCode::OK, TEXT, lines)
        } else {
            sent::small(StatusCode::OK, TEXT, "ok")
        })
    }
}

/// Checks that are left out.
fn excluded(query: Option<&str>) -> Vec<String> {
    let pairs = query.unwrap_or_default().split('&');
    let named = pairs.filter_map(|pair| pair.strip_prefix("exclude="));
    named.map(path::decode).collect()
}

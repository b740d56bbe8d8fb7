//! `cairn-agent check`: what this configuration reaches, said once and for people.
//!
//! Every configured source is read once, with the deadlines that the agent has, and every
//! aggregator is asked whether it would take the stream, without opening one. All at the same time:
//! what hangs delays nothing else, and the whole ends within thirty seconds. `probes` is the list
//! of what is checked; a source that is added to the agent gets an entry there.

mod aggregator;
mod cgroups;
mod finding;
mod host;
mod json;
mod kubelet;
mod table;

#[cfg(test)]
mod tests;
mod thread;
mod together;

use std::pin::Pin;
use std::time::Duration;

use cairn_runtime::clock::{Clock, Mode};
use tokio::time::{Instant, timeout};

use crate::config::{self, Config};
use crate::sources::cadvisor::{Ids, Teller};
use crate::sources::kubelet::{CadvisorText, SmallSet, WholeSummary, cadvisor_of};
use crate::sources::{cadvisor_every_ms, scrape_deadline};

pub use self::finding::{Finding, Identity, Report, Trouble, Values};

/// No probe takes longer: a look-up, a connection and an answer have 5, 5 and 10 s, a scrape 10 s.
const PROBE_DEADLINE: Duration = Duration::from_secs(25);

/// One thing that is checked. An aggregator comes to a finding for each of its addresses.
type Findings<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + 'a>>;

struct Probe<'a> {
    source: &'static str,
    address: String,
    findings: Findings<'a>,
}

impl<'a> Probe<'a> {
    fn new(
        source: &'static str,
        address: impl Into<String>,
        findings: impl Future<Output = Vec<Finding>> + 'a,
    ) -> Self {
        Self {
            source,
            address: address.into(),
            findings: Box::pin(findings),
        }
    }

    async fn run(self) -> Vec<Finding> {
        let found = timeout(PROBE_DEADLINE, self.findings).await;
        found.unwrap_or_else(|_| {
            let reason = format!("nothing came of it within {PROBE_DEADLINE:?}: check its load");
            vec![Finding {
                took: PROBE_DEADLINE,
                failure: Some(Trouble::new("timeout", reason)),
                ..Finding::new(self.source, self.address)
            }]
        })
    }
}

/// What is checked, in the order in which it is told.
fn probes(config: &Config) -> Vec<Probe<'_>> {
    let deadline = scrape_deadline(config.interval_ms);
    let clock = Clock::new(Mode::System);
    let mut probes = Vec::new();
    if let Some(kubelet) = &config.kubelet {
        let address = kubelet::tried(kubelet);
        let summary = kubelet::look("summary", kubelet, WholeSummary, deadline);
        probes.push(Probe::new("summary", address.clone(), summary));
        let resource = kubelet::look("resource", kubelet, SmallSet, deadline);
        probes.push(Probe::new("resource", address, resource));
    }
    probes.extend(cadvisor_probe(config));
    let root = config.proc_root.display().to_string();
    let host = host::look(config, clock.line(), deadline);
    probes.push(Probe::new("procfs", root, host));
    if let Some(root) = &config.cgroup_root {
        let cgroups = cgroups::look(config, root, clock.line(), deadline);
        probes.push(Probe::new("cgroup", root.display().to_string(), cgroups));
    }
    for target in &config.aggregators {
        let address = aggregator::named(target);
        let findings = aggregator::look(config, target, clock.unix_ms());
        probes.push(Probe::new("aggregator", address, findings));
    }
    probes
}

/// That of cAdvisor; `None` when none is read.
fn cadvisor_probe(config: &Config) -> Option<Probe<'_>> {
    let (target, teller) = cadvisor_of(config)?;
    let every_ms = cadvisor_every_ms(config.interval_ms, teller == Teller::Alone);
    let ids = Ids::Unwanted;
    let text = CadvisorText { teller, ids };
    let findings = kubelet::look("cadvisor", target, text, scrape_deadline(every_ms));
    Some(Probe::new("cadvisor", kubelet::tried(target), findings))
}

/// Checks everything that is configured. Takes at most thirty seconds.
pub async fn run(config: &Config) -> Report {
    let began = Instant::now();
    let running = probes(config).into_iter().map(Probe::run);
    let found = together::all(running).await;
    let mut findings: Vec<Finding> = found.into_iter().flatten().collect();
    kubelet::judge_name(&mut findings, &config.node);
    let mut notes = Vec::new();
    if config.kubelet.is_none() && !matches!(config.cadvisor, config::Cadvisor::Standalone(_)) {
        notes.push(
            "--kubelet off: nothing is read of pods and containers (--cadvisor URL reads those that a \
             cAdvisor tells of)"
                .to_owned(),
        );
    }
    if config.aggregators.is_empty() {
        notes.push("no --aggregator is given: rows stay in the agent's process".to_owned());
    }
    Report {
        node: config.node.clone(),
        took: began.elapsed(),
        findings,
        notes,
    }
}

//! `cairn-aggregator check`: how Cairn stands in its cluster, said once and for people.
//!
//! Everything is read from the Kubernetes API, as whoever the token belongs to; replicas are dialled as the API
//! server does it. What may not be read is told with the right that is missing, and the rest goes on. All is
//! looked at together, and every wait has a deadline.
//!
//! * `api_service`: who serves metrics.k8s.io, and by which CAs the API server knows them;
//! * `replicas`: the certificate of each; `reading`: what each has, for a reader with a token;
//! * `rights`: every rule of `deploy/`; `front_proxy`: how the API server's proxy is known;
//! * `fleet`: nodes without agents, and why (`placing`);
//! * `finding`, `table`, `json`: what is told.

mod api_service;
mod ask;
mod dates;
mod finding;
mod fleet;
mod front_proxy;
mod json;
mod objects;
mod placing;
mod reading;
mod replicas;
mod rights;
mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

use cairn_runtime::clock::{Clock, Mode};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use self::api_service::Owner;
use self::ask::{Asker, Missed};
use self::rights::Account;
use crate::cluster::Client;
use crate::config::Checking;

pub use self::finding::{Finding, Report, State};

/// The `APIService` that autoscalers and `kubectl top` use.
const API_SERVICE: &str = "v1beta1.metrics.k8s.io";

/// The aggregator's Service, Deployment and service account.
const SERVICE: &str = "cairn-aggregator";

/// The agents' `DaemonSet`.
const AGENTS: &str = "cairn-agent";

/// For each of what is looked at together.
const PART_DEADLINE: Duration = Duration::from_secs(25);

/// What everything that is looked at needs.
#[derive(Clone, Debug)]
struct Asked<'a> {
    config: &'a Checking,
    asker: Asker,
    now_s: u64,
}

impl Asked<'_> {
    /// The name by which the API server calls the aggregator.
    fn host(&self) -> String {
        format!("{SERVICE}.{}.svc", self.config.namespace)
    }
}

#[derive(Deserialize)]
struct Review {
    status: ReviewStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReviewStatus {
    user_info: UserInfo,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserInfo {
    username: String,
}

/// Looks at everything. Takes at most a minute, and some milliseconds where all is well.
pub async fn run(config: &Checking) -> Report {
    let began = Instant::now();
    let asked = Asked {
        config,
        asker: Asker::new(Client::new(&config.api)),
        now_s: Clock::new(Mode::System).unix_ms() / 1000,
    };
    let mut report = Report {
        server: config.api.host.authority(),
        user: String::new(),
        namespace: config.namespace.clone(),
        took: Duration::ZERO,
        covers_all: None,
        findings: Vec::new(),
    };
    match caller(&asked.asker).await {
        Ok(user) => {
            report.user = user;
            // Much is looked at together, which is large.
            Box::pin(look(&asked, &mut report)).await;
        }
        Err(why) => {
            let todo = "check --kubernetes-api, --kubernetes-ca and --kubernetes-token-file";
            let of = ("kubernetes api", report.server.clone());
            report.findings.push(Finding::fail(of, why, todo));
        }
    }
    report.took = began.elapsed();
    report
}

/// As whom everything is asked; empty where the API server does not say (before 1.28).
async fn caller(asker: &Asker) -> Result<String, String> {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let question = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    let right = "create selfsubjectreviews.authentication.k8s.io";
    match asker.post::<Review>(path, question.to_vec(), right).await {
        Ok(Review { status }) => Ok(status.user_info.username),
        Err(Missed::Absent | Missed::Forbidden(_)) => Ok(String::new()),
        Err(Missed::Failed(why)) => Err(why),
    }
}

async fn look(asked: &Asked<'_>, report: &mut Report) {
    let (config, asker) = (asked.config, &asked.asker);
    let account = Account::new(&config.namespace, &report.user);
    // Whose the `APIService` is decides what else is needed.
    let seen = api_service::look(asker, &config.namespace, asked.now_s).await;
    let has_bundle = seen.owner == Owner::Ours;
    let (replicas, rights, proxy, fleet) = tokio::join!(
        part("replica", replicas::look(asked, &seen)),
        part("rights", account.look(asker, has_bundle)),
        part("front proxy", front_proxy::look(asker)),
        timeout(PART_DEADLINE, fleet::look(asker, &config.namespace)),
    );
    let fleet = fleet.unwrap_or_else(|_| fleet::Fleet {
        findings: vec![late("agents")],
        uncovered: None,
    });
    let uncovered = fleet.uncovered.as_deref();
    report.covers_all = uncovered.map(<[String]>::is_empty);
    let findings = &mut report.findings;
    findings.extend(seen.findings);
    for more in [replicas, proxy, rights, fleet.findings] {
        findings.extend(more);
    }
    let failed = findings.iter().filter(|one| one.state == State::Fail);
    let failed = failed.count();
    findings.push(fleet::take_over(&seen.owner, uncovered, failed));
}

/// What comes of a part, or that nothing did.
async fn part(check: &'static str, looking: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    let looked = timeout(PART_DEADLINE, looking).await;
    looked.unwrap_or_else(|_| vec![late(check)])
}

fn late(check: &'static str) -> Finding {
    let found = format!("nothing came of it within {PART_DEADLINE:?}");
    Finding::fail((check, "all"), found, "check the load of the API server")
}

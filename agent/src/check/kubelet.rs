//! The kubelet's endpoints, and cAdvisor's.

use std::time::Duration;

use cairn_runtime::logging;
use tokio::time::Instant;

use super::finding::{Finding, Identity, Trouble, Values};
use crate::config::{Target, TargetTrust, Who};
use crate::sources::cadvisor::{Cadvisor, Cgroup};
use crate::sources::kubelet::{Body, once};
use crate::sources::resource::{Resource, Usage};
use crate::sources::summary::{Stats, Summary};

/// What an answer says of itself.
pub(super) trait Counted {
    /// How much is in it.
    fn values(&self) -> Values;

    /// Values that were not understood, and entities beyond the most that are taken.
    fn oddities(&self) -> (u64, u64);

    /// What it calls its node; empty when it does not say.
    fn node_name(&self) -> &str {
        ""
    }
}

impl Counted for Summary {
    fn values(&self) -> Values {
        let of = |stats: &Stats| {
            let parts = stats.parts.iter().map(|part| part.figures.values().len());
            stats.figures.values().len() + parts.sum::<usize>()
        };
        let of_pods = self.pods.iter().map(|pod| {
            let containers = pod.containers.iter().map(of);
            of(&pod.stats) + containers.sum::<usize>()
        });
        let of_node = of(&self.node) + self.system.iter().map(of).sum::<usize>();
        Values {
            pods: Some(self.pods.len()),
            containers: Some(self.pods.iter().map(|pod| pod.containers.len()).sum()),
            values: Some(of_node + of_pods.sum::<usize>()),
        }
    }

    fn oddities(&self) -> (u64, u64) {
        (self.odd_count, self.dropped_count)
    }

    fn node_name(&self) -> &str {
        &self.node_name
    }
}

impl Counted for Resource {
    fn values(&self) -> Values {
        let of = |usage: &Usage| {
            usize::from(usage.cpu.is_some())
                + usize::from(usage.memory.is_some())
                + usize::from(usage.swap.is_some())
        };
        let of_pods = self.pods().map(|(_, _, pod)| of(&pod.usage));
        let of_containers = self.containers().map(|(_, one)| of(&one.usage));
        let values = of(&self.node) + of_pods.sum::<usize>() + of_containers.sum::<usize>();
        Values {
            pods: Some(self.pods().count()),
            containers: Some(self.containers().count()),
            values: Some(values),
        }
    }

    fn oddities(&self) -> (u64, u64) {
        (self.odd_count, self.dropped_count)
    }
}

impl Counted for Cadvisor {
    fn values(&self) -> Values {
        let of = |cgroup: &Cgroup| {
            let parts = cgroup.parts.iter().map(|part| part.figures.values().len());
            cgroup.figures.values().len() + parts.sum::<usize>()
        };
        let pods = || {
            self.pods
                .values()
                .flat_map(|named| named.values())
                .flatten()
        };
        let cgroups = pods().flat_map(|pod| {
            pod.own
                .iter()
                .chain(pod.containers.values().map(Box::as_ref))
        });
        let of_pods: usize = cgroups.map(of).sum();
        let of_free: usize = self.free.values().map(|cgroup| of(cgroup)).sum();
        let in_pods: usize = pods().map(|pod| pod.containers.len()).sum();
        Values {
            pods: Some(pods().count()),
            containers: Some(in_pods + self.free.len()),
            values: Some(self.node.as_ref().map_or(0, of) + of_pods + of_free),
        }
    }

    fn oddities(&self) -> (u64, u64) {
        (self.odd_count, self.dropped_count)
    }
}

/// The addresses that are tried.
pub(super) fn tried(target: &Target) -> String {
    let all = target.addresses.iter().chain(&target.plain);
    let addresses: Vec<String> = all.map(ToString::to_string).collect();
    addresses.join(" or ")
}

/// Scrapes one endpoint.
pub(super) async fn look<T: Body<Values: Counted>>(
    source: &'static str,
    target: &Target,
    body: T,
    deadline: Duration,
) -> Vec<Finding> {
    let began = Instant::now();
    let met = once(target, body, deadline).await;
    let mut found = Finding {
        reached: met.reached.is_some(),
        identity: Identity::of(target.token_file.as_deref().filter(|_| met.with_token)),
        server_name: match target.trust {
            TargetTrust::Verified(_) if !met.is_plain => {
                Some(target.server_name.to_str().into_owned())
            }
            _ => None,
        },
        voucher: met.voucher,
        took: began.elapsed(),
        ..Finding::new(
            source,
            met.reached
                .map_or_else(|| tried(target), |address| address.to_string()),
        )
    };
    if met.is_plain && target.who == Who::Kubelet {
        found.notes.push(
            "read without TLS (--kubelet-read-only-port): nobody is verified there, and no token is sent"
                .to_owned(),
        );
    }
    match met.result {
        Ok(answer) => {
            found.values = answer.values();
            found.node_name = Some(answer.node_name())
                .filter(|name| !name.is_empty())
                .map(|name| logging::escape(&cairn_proto::wire::cut(name.to_owned())));
            let (odd, dropped) = answer.oddities();
            if odd > 0 {
                found.notes.push(format!(
                    "{odd} values were not understood and are absent: compare the version of {} \
                     with docs/metrics.md",
                    target.who.as_str()
                ));
            }
            if dropped > 0 {
                found.notes.push(format!(
                    "{dropped} entities are beyond the most that are taken of a node and are left \
                     out"
                ));
            }
        }
        Err(failure) => {
            let mut trouble = Trouble::from(failure);
            // The row says which endpoint it is, so that one trouble of both is told once.
            let path = format!("{}: ", body.endpoint().path);
            if let Some(rest) = trouble.reason.strip_prefix(&path) {
                trouble.reason = rest.to_owned();
            }
            found.failure = Some(trouble);
        }
    }
    vec![found]
}

/// Notes where the kubelet has another name for its node than the agent.
pub(super) fn judge_name(findings: &mut [Finding], node: &str) {
    for found in findings {
        let Some(name) = found.node_name.take().filter(|name| name != node) else {
            continue;
        };
        found.notes.push(format!(
            "the kubelet calls this node {name}, the agent {node}: check --node-name"
        ));
    }
}

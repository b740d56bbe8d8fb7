//! The reasons: a word for programs, what is so and what to do for people.

use serde::Serialize;

use super::{NodeState, newest_here};
use crate::cluster::Phase;
use crate::query::Lacks;

/// Why something is shown or not.
#[derive(Debug, Serialize)]
pub(super) struct Because {
    /// One of the words of `docs/metrics-api.md`.
    why: &'static str,
    /// What is so.
    reason: String,
    /// What to do; empty when nothing is to be done.
    #[serde(skip_serializing_if = "String::is_empty")]
    next: String,
}

/// Of a container that runs and that its node does not tell.
pub(super) const UNTOLD: &str =
    "it runs by the pod's status, and its node's newest row does not have it";

/// Of a container that had values a moment later.
pub(super) const LATER: &str = "it is measured by now: ask again";

const SERVED: &str = "served";

/// What is missing of something that is there, as the rest of a sentence.
pub(super) fn lacking(lacks: Lacks, span_ms: u64) -> String {
    let s = |ms: u64| ms / 1_000;
    match lacks {
        Lacks::Cpu => "no source tells its CPU time".to_owned(),
        Lacks::CpuSince(ms) => format!("its CPU time was measured {} s ago, and not since", s(ms)),
        Lacks::CpuOver(ms) => format!(
            "its CPU time has been measured for {} s since it began or was begun again, and {} s are awaited",
            s(ms),
            s(span_ms)
        ),
        Lacks::Memory => "no source tells its working set".to_owned(),
        Lacks::MemorySince(ms) => format!(
            "its working set was measured {} s ago, and not since",
            s(ms)
        ),
    }
}

impl Because {
    fn new(why: &'static str, reason: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            why,
            reason: reason.into(),
            next: next.into(),
        }
    }

    pub(super) fn is_served(&self) -> bool {
        self.why == SERVED
    }

    pub(super) fn served() -> Self {
        Self::new(SERVED, "metrics.k8s.io answers with its values", "")
    }

    pub(super) fn listing() -> Self {
        let next = "wait; /readyz?verbose on the admin listener says how far the list is";
        Self::new(
            "listing",
            "the cluster's nodes and pods are not all known yet: data answers 503",
            next,
        )
    }

    /// With what is known of the nodes that are awaited, for who may see it.
    pub(super) fn starting(note: Option<String>) -> Self {
        let reason = note.unwrap_or_else(|| {
            "too few nodes have been measured since the start: data answers 503".to_owned()
        });
        Self::new(
            "starting",
            reason,
            "wait: data is answered 45 s after the start at the latest",
        )
    }

    pub(super) fn no_node(name: &str) -> Self {
        let reason = format!("there is no node {name}, or you may not see it");
        let next = "check the name (kubectl get nodes), and that you may get nodes.metrics.k8s.io";
        Self::new("no-node", reason, next)
    }

    pub(super) fn no_pod(namespace: &str, name: &str) -> Self {
        let reason = format!(
            "there is no pod {name} in the namespace {namespace} that runs, or you may not see it"
        );
        let next =
            "check the name and the phase (kubectl get pod): only pods that run have metrics";
        Self::new("no-pod", reason, next)
    }

    /// Where no Kubernetes API is watched.
    pub(super) fn nobody_told(namespace: &str, name: &str) -> Self {
        let reason = format!("no agent has told of a pod {name} in the namespace {namespace}");
        let next = "check the name, and that its node has an agent; no Kubernetes API is watched that would know more \
                    (--kubernetes in docs/cluster.md)";
        Self::new("no-pod", reason, next)
    }

    pub(super) fn not_running(phase: Phase) -> Self {
        let (word, next) = match phase {
            Phase::Pending => (
                "Pending",
                "see why it does not start (kubectl describe pod)",
            ),
            // It runs by now, and did not a moment ago.
            Phase::Running => ("Running", "ask again: it has just begun to run"),
            Phase::Succeeded => ("Succeeded", ""),
            Phase::Failed => ("Failed", "see why it ended (kubectl describe pod)"),
            Phase::Unknown => (
                "Unknown",
                "its node is not heard of: look at the node (kubectl get nodes)",
            ),
        };
        Self::new(
            "not-running",
            format!("its phase is {word}: only pods that run have metrics"),
            next,
        )
    }

    pub(super) fn gone(node: &str, last_tick_ms: u64) -> Self {
        let last = cairn_proto::rfc3339::format(last_tick_ms);
        let reason =
            format!("the agent of {node} told of it last at {last}, and does not any more");
        Self::new(
            "gone",
            reason,
            "it has ended, or runs elsewhere under another name",
        )
    }

    pub(super) fn no_agent(node: &str) -> Self {
        let reason = format!("nothing that an agent of {node} told is in the window");
        Self::new("no-agent", reason, agent_of(node))
    }

    pub(super) fn no_row(node: &str, live: bool) -> Self {
        if live {
            let reason =
                format!("the agent of {node} is connected, and no row of it is in the window");
            return Self::new(
                "no-row",
                reason,
                "wait for two rows, if it has just begun; otherwise look at the agent's log",
            );
        }
        let reason =
            format!("the agent of {node} is not connected, and no row of it is in the window");
        Self::new("no-row", reason, agent_of(node))
    }

    /// Its rows do not arrive any more.
    pub(super) fn silent(state: &NodeState, now_ms: u64) -> Self {
        let age_s = now_ms.saturating_sub(newest_here(state)) / 1_000;
        let (node, away) = (
            &state.name,
            if state.live {
                "is connected, but"
            } else {
                "is not connected, and"
            },
        );
        let reason = format!(
            "the agent of {node} {away} its newest row is {age_s} s old: values are held for 90 s at most"
        );
        Self::new("silent", reason, agent_of(node))
    }

    pub(super) fn over_budget(node: &str, refused: u64) -> Self {
        let reason = format!(
            "{node} tells more than its share of the memory holds, and {refused} new things on it have been refused"
        );
        let next = "see what makes so many containers or pods there; --node-budget allows more";
        Self::new("over-budget", reason, next)
    }

    pub(super) fn other_life(node: &str, uid: &str) -> Self {
        let reason = format!("{node} still tells of another pod of this name, with the UID {uid}");
        Self::new(
            "other-life",
            reason,
            "wait for the node's next row: the pod was created again",
        )
    }

    /// With sources that fail, or none.
    pub(super) fn pod_untold(node: &str, is_fine: bool) -> Self {
        let reason = format!("{node} tells nothing of it at present");
        let next = if is_fine {
            "wait for two rows, if it has just begun; otherwise ask the agent what it found (cairn-agent check)"
        } else {
            "mend what is wrong with the sources of its node, which stand below"
        };
        Self::new("pod-untold", reason, next)
    }

    pub(super) fn node_untold(name: &str) -> Self {
        let reason = format!("the newest row of {name} has nothing of the node itself");
        Self::new(
            "node-untold",
            reason,
            "ask the agent what it found (cairn-agent check)",
        )
    }

    /// Something is there, and not enough of it was measured.
    pub(super) fn unmeasured(of: &str, lacks: Lacks, span_ms: u64) -> Self {
        Self::new(
            "unmeasured",
            format!("{of}: {}", lacking(lacks, span_ms)),
            next_of(lacks),
        )
    }

    /// Not all of a pod is there, and its reader may not see what its status says.
    pub(super) fn not_whole() -> Self {
        let reason = "not all of its containers that run are measured, or none of them runs";
        let next = "see what its containers do (kubectl describe pod), or ask who may list pods";
        Self::new("unmeasured", reason, next)
    }

    /// The containers of a pod with what is missing of each, which is empty for one that has all.
    pub(super) fn container<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let lacking: Vec<String> = all
            .filter(|(_, reason)| !reason.is_empty())
            .map(|(name, reason)| format!("container {name}: {reason}"))
            .collect();
        if lacking.is_empty() {
            let reason = "none of its containers runs";
            return Self::new(
                "no-container",
                reason,
                "see what they wait for (kubectl describe pod)",
            );
        }
        let next = "a pod is shown with all of its containers or not at all: wait for the next rows; if it stays so, \
                    ask the agent of its node what it found (cairn-agent check)";
        Self::new("unmeasured", lacking.join("; "), next)
    }
}

fn next_of(lacks: Lacks) -> &'static str {
    match lacks {
        Lacks::CpuOver(_) => "wait for the next rows (--metrics-api-window)",
        _ => "ask the agent of the node what it found (cairn-agent check)",
    }
}

fn agent_of(node: &str) -> String {
    format!(
        "look at the agent's pod on {node} (kubectl get pods -A -o wide), at its log, and at cairn-aggregator check"
    )
}

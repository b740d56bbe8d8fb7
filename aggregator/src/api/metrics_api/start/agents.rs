//! The nodes that run an agent, and those on which it does not come up.
//!
//! An agent's pod that is not ready may be about to come up, or be one that never does: an image that cannot be
//! pulled, a node that is gone. The API server says of each whether it is ready; how long that is so is measured
//! here, since the clocks of nodes are not ours. Bounds: one entry for each node with an agent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cluster::{Known, Phase, Pod};

/// Beside a ready replica an agent that has not been ready for so long is not awaited, ms. An agent that is begun
/// anew with its node's pods is up within some seconds; three replicas that wait so long each, and then for the
/// measurements of the others, are replaced within 90 s.
pub(super) const DOWN_AFTER_MS: u64 = 15_000;

/// Begins every service account's user name.
const ACCOUNT: &str = "system:serviceaccount:";

/// Whose pods are agents, and since when which of them is not ready.
#[derive(Debug, Default)]
pub(super) struct Agents {
    // The namespace and the name of their service account, where they have one.
    account: Option<(String, String)>,
    // By node, on the line of the process.
    unready_since_ms: Mutex<BTreeMap<Arc<str>, u64>>,
}

impl Agents {
    /// Those whose service account has this user name.
    pub(super) fn new(user: Option<&str>) -> Self {
        let account = user.and_then(|user| user.strip_prefix(ACCOUNT)?.split_once(':'));
        Self {
            account: account.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())),
            unready_since_ms: Mutex::default(),
        }
    }

    /// The nodes whose agents are awaited, by rising name, and how many more are not; `None` when no node has one. All are
    /// awaited unless another replica is ready, and when none of them is up.
    pub(super) fn look(
        &self,
        known: &Known,
        now_ms: u64,
        is_beside: bool,
    ) -> Option<(Vec<Arc<str>>, usize)> {
        let nodes = self.nodes(known);
        let mut since_ms = self
            .unready_since_ms
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        since_ms.retain(|node, _| nodes.get(node) == Some(&false));
        for (node, _) in nodes.iter().filter(|(_, is_ready)| !**is_ready) {
            since_ms.entry(Arc::clone(node)).or_insert(now_ms);
        }
        let is_down = |node: &Arc<str>| {
            let since_ms = since_ms.get(node);
            since_ms.is_some_and(|since_ms| now_ms.saturating_sub(*since_ms) >= DOWN_AFTER_MS)
        };
        let awaited = nodes.keys().filter(|node| !is_down(node));
        let awaited: Vec<Arc<str>> = awaited.cloned().collect();
        if is_beside && !awaited.is_empty() {
            let down = nodes.len() - awaited.len();
            return Some((awaited, down));
        }
        (!nodes.is_empty()).then(|| (nodes.into_keys().collect(), 0))
    }

    /// The nodes on which agents are placed, and whether the one there is ready: those too whose agent is still to
    /// come up.
    fn nodes(&self, known: &Known) -> BTreeMap<Arc<str>, bool> {
        let mut nodes = BTreeMap::new();
        let Some((namespace, account)) = &self.account else {
            return nodes;
        };
        let is_agent = |pod: &&Arc<Pod>| {
            let is_over = matches!(pod.phase, Phase::Succeeded | Phase::Failed);
            *pod.service_account == **account && !pod.node.is_empty() && !is_over
        };
        for pod in known.pods(namespace).iter().filter(is_agent) {
            // Of two, one is about to end.
            *nodes.entry(Arc::clone(&pod.node)).or_insert(false) |= pod.ready;
        }
        nodes
    }
}

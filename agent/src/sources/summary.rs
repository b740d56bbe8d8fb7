//! The kubelet's `/stats/summary`, parsed.
//!
//! Pure. Everything may be absent or null; what is not understood is treated as absent and counted,
//! and a pod that is no pod loses itself alone. A body costs little more memory than its own size.

mod raw;
#[cfg(test)]
mod tests;

use super::{Figures, Part, json};

/// Why a body is no summary.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not JSON, or not an object of the right shape.
    #[error("summary is not the JSON that a kubelet sends: check what answers on that address")]
    Json {
        /// What the parser said.
        source: json::Error,
    },
    /// JSON without a node.
    #[error("summary has no node: check what answers on that address")]
    NoNode,
}

/// What a node, pod, container and system container have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Name of a container or system container; empty for node and pod.
    pub name: String,
    /// When it began, Unix ms; `None` when the kubelet does not say.
    pub start_ms: Option<u64>,
    /// Its values.
    pub figures: Figures,
    /// Its file systems, volumes, interfaces and accelerators, in the kubelet's order; names may
    /// repeat.
    pub parts: Vec<Part>,
}

/// One pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its name; never empty.
    pub name: String,
    /// Its namespace; never empty.
    pub namespace: String,
    /// Its UID as the kubelet knows it; never empty.
    pub uid: String,
    /// The pod's own cgroup and network.
    pub stats: Stats,
    /// Its containers, in the kubelet's order; names may repeat.
    pub containers: Vec<Stats>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The node's name as the kubelet knows it; empty when it does not say.
    pub node_name: String,
    /// The whole machine.
    pub node: Stats,
    /// The kubelet's system containers, in its order.
    pub system: Vec<Stats>,
    /// Pods, in the kubelet's order.
    pub pods: Vec<Pod>,
    /// Values, times, containers and pods that were there and not understood.
    pub odd_count: u64,
    /// Pods, containers and parts that were not read: more than could be taken of any node.
    pub dropped_count: u64,
}

/// Parses one answer.
///
/// # Errors
///
/// [`Error::Json`], [`Error::NoNode`].
pub fn parse(body: &[u8]) -> Result<Summary, Error> {
    parse_into(body, None)
}

/// Parses one answer in the room of an earlier one, of which nothing else is left in it.
///
/// # Errors
///
/// [`Error::Json`], [`Error::NoNode`].
pub fn parse_into(body: &[u8], spare: Option<Summary>) -> Result<Summary, Error> {
    raw::summary(body, spare)
        .map_err(|source| Error::Json { source })?
        .ok_or(Error::NoNode)
}

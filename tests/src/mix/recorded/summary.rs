//! The body of `/stats/summary`, as far as the catalogue needs it.

use serde::Deserialize;

use super::Error;
use crate::rfc3339;

/// What a node, a pod and a container have in common. Values with their measurement times, Unix ms.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    pub(super) start_ms: Option<u64>,
    /// CPU time in ns.
    pub(super) cpu: Option<(u64, u64)>,
    /// Usage, working set and resident set in bytes.
    pub(super) memory: Option<([Option<u64>; 3], u64)>,
    /// Received and sent bytes, receive and send errors.
    pub(super) network: Option<([Option<u64>; 4], u64)>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) node_name: String,
    pub(super) stats: Stats,
    pub(super) system_containers: Vec<Container>,
}

#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) stats: Stats,
}

#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) stats: Stats,
    pub(super) containers: Vec<Container>,
}

#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) node: Node,
    pub(super) pods: Vec<Pod>,
}

#[derive(Deserialize)]
struct JsonSummary {
    node: JsonNode,
    #[serde(default)]
    pods: Vec<JsonPod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonNode {
    node_name: String,
    #[serde(default)]
    system_containers: Vec<JsonContainer>,
    #[serde(flatten)]
    stats: JsonStats,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonPod {
    pod_ref: JsonRef,
    #[serde(default)]
    containers: Vec<JsonContainer>,
    #[serde(flatten)]
    stats: JsonStats,
}

#[derive(Deserialize)]
struct JsonRef {
    name: String,
    namespace: String,
    uid: String,
}

#[derive(Deserialize)]
struct JsonContainer {
    name: String,
    #[serde(flatten)]
    stats: JsonStats,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonStats {
    start_time: Option<String>,
    cpu: Option<JsonGroup>,
    memory: Option<JsonGroup>,
    network: Option<JsonGroup>,
}

/// The union of the three groups: the names do not overlap.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonGroup {
    time: String,
    usage_core_nano_seconds: Option<u64>,
    usage_bytes: Option<u64>,
    working_set_bytes: Option<u64>,
    rss_bytes: Option<u64>,
    rx_bytes: Option<u64>,
    tx_bytes: Option<u64>,
    rx_errors: Option<u64>,
    tx_errors: Option<u64>,
}

impl Summary {
    /// Reads a body.
    pub(super) fn read(body: &[u8], tick_ms: u64) -> Result<Self, Error> {
        let json: JsonSummary =
            serde_json::from_slice(body).map_err(|source| Error::Summary { tick_ms, source })?;
        let node = Node {
            node_name: json.node.node_name,
            stats: stats(json.node.stats, tick_ms)?,
            system_containers: containers(json.node.system_containers, tick_ms)?,
        };
        let pod = |pod: JsonPod| {
            Ok(Pod {
                name: pod.pod_ref.name,
                namespace: pod.pod_ref.namespace,
                uid: pod.pod_ref.uid,
                stats: stats(pod.stats, tick_ms)?,
                containers: containers(pod.containers, tick_ms)?,
            })
        };
        Ok(Self {
            node,
            pods: json
                .pods
                .into_iter()
                .map(pod)
                .collect::<Result<_, Error>>()?,
        })
    }
}

fn containers(json: Vec<JsonContainer>, tick_ms: u64) -> Result<Vec<Container>, Error> {
    let container = |one: JsonContainer| {
        Ok(Container {
            name: one.name,
            stats: stats(one.stats, tick_ms)?,
        })
    };
    json.into_iter().map(container).collect()
}

fn stats(json: JsonStats, tick_ms: u64) -> Result<Stats, Error> {
    let time = |text: String| {
        let expected = "a time";
        rfc3339::parse(&text).ok_or(Error::Text {
            tick_ms,
            text,
            expected,
        })
    };
    let mut stats = Stats {
        start_ms: json.start_time.map(time).transpose()?,
        ..Stats::default()
    };
    if let Some(group) = json.cpu {
        let time_ms = time(group.time)?;
        stats.cpu = group.usage_core_nano_seconds.map(|nanos| (nanos, time_ms));
    }
    if let Some(group) = json.memory {
        let values = [group.usage_bytes, group.working_set_bytes, group.rss_bytes];
        let time_ms = time(group.time)?;
        stats.memory = values
            .iter()
            .any(Option::is_some)
            .then_some((values, time_ms));
    }
    if let Some(group) = json.network {
        let values = [
            group.rx_bytes,
            group.tx_bytes,
            group.rx_errors,
            group.tx_errors,
        ];
        let time_ms = time(group.time)?;
        stats.network = values
            .iter()
            .any(Option::is_some)
            .then_some((values, time_ms));
    }
    Ok(stats)
}

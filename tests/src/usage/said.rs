//! What a kubelet said at one tick.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::metrics_server::Point;
use crate::rfc3339;
use crate::trace::{Error, Recorded};

/// Namespace, pod and container; empty of a node.
pub(super) type Key = (String, String, String);

/// A measurement of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) time_ms: u64,
    pub(super) used_nanos: u64,
    /// When it began to count; `None` where that is not said.
    pub(super) start_ms: Option<u64>,
}

/// A pod of a summary.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// When it began, Unix ms; 0 where that is not said.
    pub(super) start_ms: u64,
    /// Names.
    pub(super) containers: Vec<String>,
}

/// Both bodies.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) tick_ms: u64,
    summary: Value,
    counted: BTreeMap<Key, Counted>,
    // Working sets of the same body, bytes.
    memory: BTreeMap<Key, u64>,
}

impl Answer {
    pub(super) fn read(tick_ms: u64, seen: &Recorded) -> Result<Self, Error> {
        let shape = |problem: String| Error::Shape { number: 0, problem };
        let summary = serde_json::from_slice(&seen.summary);
        let text = String::from_utf8_lossy(&seen.resource);
        Ok(Self {
            tick_ms,
            summary: summary.map_err(|source| Error::Json { number: 0, source })?,
            counted: counters(&text).map_err(shape)?,
            memory: working_sets(&text),
        })
    }

    /// Containers of `/metrics/resource`: namespace, pod and name.
    pub(super) fn points(&self) -> Vec<(String, String, String, Point)> {
        let containers = self.counted.iter().filter(|(key, _)| !key.2.is_empty());
        let points = containers.filter_map(|(key, counted)| {
            let point = Point {
                time_ms: counted.time_ms,
                start_ms: counted.start_ms?,
                used_nanos: counted.used_nanos,
                memory_bytes: *self.memory.get(key)?,
            };
            let (namespace, pod, container) = key.clone();
            Some((namespace, pod, container, point))
        });
        points.collect()
    }

    pub(super) fn counted(&self, key: &Key) -> Option<Counted> {
        self.counted.get(key).copied()
    }

    pub(super) fn pods(&self) -> Vec<Pod> {
        let pods = self.summary["pods"].as_array().into_iter().flatten();
        let pods = pods.map(|pod| {
            let text = |name: &str| pod["podRef"][name].as_str().unwrap_or_default().to_owned();
            let containers = pod["containers"].as_array().into_iter().flatten();
            Pod {
                namespace: text("namespace"),
                name: text("name"),
                uid: text("uid"),
                start_ms: pod["startTime"]
                    .as_str()
                    .and_then(rfc3339::parse)
                    .unwrap_or(0),
                containers: containers.map(name_of).collect(),
            }
        });
        pods.collect()
    }

    /// The section of the node, or of a container of the pod of this UID.
    pub(super) fn stats(&self, uid: &str, (_, _, container): &Key) -> Option<&Value> {
        if uid.is_empty() {
            return self.summary.get("node");
        }
        let mut pods = self.summary["pods"].as_array()?.iter();
        let pod = pods.find(|pod| pod["podRef"]["uid"] == uid)?;
        let mut containers = pod["containers"].as_array()?.iter();
        containers.find(|one| one["name"] == **container)
    }
}

fn name_of(container: &Value) -> String {
    container["name"].as_str().unwrap_or_default().to_owned()
}

/// When memory was measured, Unix ms, and the working set, bytes.
pub(super) fn memory(stats: &Value) -> Option<(u64, u64)> {
    let memory = stats.get("memory")?;
    let time_ms = rfc3339::parse(memory["time"].as_str()?)?;
    Some((time_ms, memory["workingSetBytes"].as_u64()?))
}

/// Swap in use, bytes, if it was measured together with memory.
pub(super) fn swap(stats: &Value, memory_ms: u64) -> Option<u64> {
    let swap = stats.get("swap")?;
    let time_ms = rfc3339::parse(swap["time"].as_str()?)?;
    swap["swapUsageBytes"]
        .as_u64()
        .filter(|_| time_ms == memory_ms)
}

/// The counters of CPU in a text of `/metrics/resource`, but those of whole pods.
fn counters(text: &str) -> Result<BTreeMap<Key, Counted>, String> {
    let mut counted: BTreeMap<Key, Counted> = BTreeMap::new();
    let mut starts = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, values) = match line.split_once("} ") {
            Some((series, values)) => (series, values),
            None => line.split_once(' ').ok_or(line)?,
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let mut values = values.split(' ');
        let value: f64 = values
            .next()
            .and_then(|text| text.parse().ok())
            .ok_or(line)?;
        match name {
            "node_cpu_usage_seconds_total" | "container_cpu_usage_seconds_total" => {
                let time = values.next().and_then(|text| text.parse().ok());
                let one = Counted {
                    time_ms: time.ok_or(line)?,
                    used_nanos: whole(value * 1e9, f64::round),
                    start_ms: None,
                };
                counted.insert(key(labels), one);
            }
            "container_start_time_seconds" => {
                starts.insert(key(labels), whole(value * 1e3, f64::floor));
            }
            _ => {}
        }
    }
    for (key, start_ms) in starts {
        if let Some(one) = counted.get_mut(&key) {
            one.start_ms = Some(start_ms);
        }
    }
    Ok(counted)
}

/// Working sets of containers in a text of `/metrics/resource`, bytes.
fn working_sets(text: &str) -> BTreeMap<Key, u64> {
    let lines = text.lines().filter_map(|line| {
        let line = line.strip_prefix("container_memory_working_set_bytes{")?;
        let (labels, values) = line.split_once("} ")?;
        let value: f64 = values.split(' ').next()?.parse().ok()?;
        Some((key(labels), whole(value, f64::round)))
    });
    lines.collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "recorded figures are below 2^53 and none is negative"
)]
fn whole(value: f64, round: fn(f64) -> f64) -> u64 {
    round(value) as u64
}

fn key(labels: &str) -> Key {
    let label = |name: &str| {
        let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(key, _)| *key == name);
        found.map_or_else(String::new, |(_, value)| value.trim_matches('"').to_owned())
    };
    (label("namespace"), label("pod"), label("container"))
}

//! Walking and rewriting the JSON of `/stats/summary`.
//!
//! A *reading* is a JSON object with a `time`: CPU, memory, network, one file system. Everything
//! in it was measured then.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::growth::{COUNTERS, Plan};
use super::roster::Copy;

/// Gauges of memory, which a copy of a pod has in another size, in whole pages.
const MEMORY_GAUGES: [&str; 3] = ["usageBytes", "workingSetBytes", "rssBytes"];

/// Reads `2026-11-22T07:25:17Z` as Unix seconds, 0 when it is none.
pub(super) fn unix_seconds(value: &Value) -> i64 {
    value
        .as_str()
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .map_or(0, OffsetDateTime::unix_timestamp)
}

/// The time of a reading, Unix seconds.
pub(super) fn time_of(reading: &Map<String, Value>) -> i64 {
    reading.get("time").map_or(0, unix_seconds)
}

/// The entity path of an element of `pods`.
pub(super) fn pod_path(pod: &Value) -> String {
    let reference = &pod["podRef"];
    let text = |key: &str| reference[key].as_str().unwrap_or("");
    format!("pod:{}/{}", text("namespace"), text("name"))
}

/// Calls `seen` with the path and the object of every reading of a whole summary.
pub(super) fn readings(summary: &Value, seen: &mut dyn FnMut(&str, &Map<String, Value>)) {
    walk(&summary["node"], "node", seen);
    for pod in summary["pods"].as_array().into_iter().flatten() {
        walk(pod, &pod_path(pod), seen);
    }
}

fn walk(value: &Value, path: &str, seen: &mut dyn FnMut(&str, &Map<String, Value>)) {
    match value {
        Value::Object(map) if map.contains_key("time") => seen(path, map),
        Value::Object(map) => {
            for (key, child) in map {
                walk(child, &format!("{path}/{key}"), seen);
            }
        }
        Value::Array(items) => {
            for item in items {
                walk(item, &element(path, item), seen);
            }
        }
        _ => {}
    }
}

/// Calls `seen` with the path and value of every counter inside a reading.
pub(super) fn counters(reading: &Map<String, Value>, path: &str, seen: &mut dyn FnMut(&str, u64)) {
    for (key, child) in reading {
        let path = format!("{path}/{key}");
        match child {
            Value::Object(map) => counters(map, &path, seen),
            Value::Array(items) => {
                for item in items {
                    if let Value::Object(map) = item {
                        counters(map, &element(&path, item), seen);
                    }
                }
            }
            other if COUNTERS.contains(&key.as_str()) => {
                if let Some(value) = other.as_u64() {
                    seen(&path, value);
                }
            }
            _ => {}
        }
    }
}

/// The path of an array's element: by name, because the kubelet's order is random.
fn element(path: &str, item: &Value) -> String {
    format!("{path}:{}", item["name"].as_str().unwrap_or(""))
}

/// One rewriting of recorded JSON into that of a loop, a moment and a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass<'a> {
    pub(super) plan: &'a Plan,
    pub(super) shift_s: i64,
    pub(super) loop_s: i64,
    pub(super) loop_index: u32,
    pub(super) copy: Copy,
}

impl Pass<'_> {
    /// How far the times of loop `loop_index` lie after the recorded ones, seconds.
    pub(super) fn moved_s(&self, loop_index: u32) -> i64 {
        self.shift_s + self.loop_s * i64::from(loop_index)
    }

    /// Rewrites an entity and everything below it; `lasts` is [`Plan::lasts`] of it.
    pub(super) fn entity(&self, value: &mut Value, path: &str, lasts: bool) {
        let Value::Object(map) = value else { return };
        if map.contains_key("time") {
            return self.reading(map, path, lasts);
        }
        if let Some(start) = map.get_mut("startTime") {
            // What lives on keeps its start: a later one would be a restart.
            move_time(start, self.moved_s(if lasts { 0 } else { self.loop_index }));
        }
        for (key, child) in map.iter_mut() {
            let path = format!("{path}/{key}");
            match child {
                Value::Object(_) => self.entity(child, &path, lasts),
                Value::Array(items) => {
                    for item in items {
                        let path = element(&path, item);
                        let own = key == "containers" || key == "systemContainers";
                        let lasts = lasts && (!own || self.plan.lasts(&path));
                        self.entity(item, &path, lasts);
                    }
                }
                _ => {}
            }
        }
    }

    fn reading(&self, map: &mut Map<String, Value>, path: &str, lasts: bool) {
        let mut from = self.loop_index;
        if lasts
            && from > 0
            && let Some((last_time, last)) = self.plan.last_reading(path)
            && time_of(map) + self.loop_s < *last_time
        {
            // The loop before ended with a later measurement than this one.
            map.clone_from(last);
            from -= 1;
        }
        if let Some(time) = map.get_mut("time") {
            move_time(time, self.moved_s(from));
        }
        let working_set = number(map, "workingSetBytes");
        self.numbers(map, path, if lasts { from } else { 0 });
        // A copy has the recorded limit: what it uses more it has less.
        if let (Some(left), Some(recorded)) = (number(map, "availableBytes"), working_set) {
            let limit = left.saturating_add(recorded);
            let left = limit.saturating_sub(number(map, "workingSetBytes").unwrap_or(recorded));
            map.insert("availableBytes".into(), left.into());
        }
    }

    fn numbers(&self, map: &mut Map<String, Value>, path: &str, grown: u32) {
        for (key, child) in map.iter_mut() {
            let path = format!("{path}/{key}");
            match child {
                Value::Object(inner) => self.numbers(inner, &path, grown),
                Value::Array(items) => {
                    for item in items {
                        let path = element(&path, item);
                        if let Value::Object(inner) = item {
                            self.numbers(inner, &path, grown);
                        }
                    }
                }
                Value::Number(_) => {
                    let Some(recorded) = child.as_u64() else {
                        continue;
                    };
                    let key = key.as_str();
                    if COUNTERS.contains(&key) {
                        *child = self.counter(recorded, &path, grown).into();
                    } else if key == "usageNanoCores" {
                        *child = self.copy.scaled(recorded).into();
                    } else if MEMORY_GAUGES.contains(&key) {
                        *child = self.copy.pages(recorded).into();
                    }
                }
                _ => {}
            }
        }
    }

    /// A recorded counter as it stands after `grown` loops, in this copy.
    pub(super) fn counter(&self, recorded: u64, path: &str, grown: u32) -> u64 {
        let growth = self.plan.growth(path).saturating_mul(u64::from(grown));
        self.copy.scaled(recorded.saturating_add(growth))
    }
}

fn number(map: &Map<String, Value>, key: &str) -> Option<u64> {
    map.get(key).and_then(Value::as_u64)
}

fn move_time(value: &mut Value, seconds: i64) {
    let moved = unix_seconds(value).saturating_add(seconds);
    if let Ok(time) = OffsetDateTime::from_unix_timestamp(moved)
        && let Ok(text) = time.format(&Rfc3339)
    {
        *value = Value::String(text);
    }
}

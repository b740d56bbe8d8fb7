//! What carries one loop of the recording into the next: which entities live on, by how much their
//! counters have grown, and their last readings.
//!
//! Entities and readings are named by paths: `node`, `node/systemContainers:pods`,
//! `pod:shop/web-1`, `pod:shop/web-1/containers:httpd`; below them the JSON keys, for example
//! `pod:shop/web-1/cpu/usageCoreNanoSeconds`.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::exposition::{self, Sample};
use super::replay::Parsed;
use super::summary;

/// The counters of a summary; `total` is the one of pressure figures.
pub(super) const COUNTERS: [&str; 8] = [
    "usageCoreNanoSeconds",
    "rxBytes",
    "rxErrors",
    "txBytes",
    "txErrors",
    "pageFaults",
    "majorPageFaults",
    "total",
];

/// The only counter families of `/metrics/resource` end so.
pub(super) const CPU_SUFFIX: &str = "_cpu_usage_seconds_total";

/// Start times of one container within one source differ by no more than this.
const SAME_START_SECONDS: i64 = 2;

/// The whole plan of a node.
#[derive(Debug, Default)]
pub(super) struct Plan {
    lasting: HashSet<String>,
    growth: HashMap<String, u64>,
    last_readings: HashMap<String, (i64, Map<String, Value>)>,
    last_samples: HashMap<String, Sample>,
}

impl Plan {
    /// Works out the plan of a recording that repeats every `loop_ms`. `frames` is in time order
    /// and not empty.
    pub(super) fn new(frames: &[Parsed], loop_ms: i64) -> Self {
        let mut plan = Self::default();
        let (Some(first), Some(last)) = (frames.first(), frames.last()) else {
            return plan;
        };
        let starts = entities(&last.summary);
        for (path, (identity, start)) in entities(&first.summary) {
            if starts.get(&path).is_some_and(|(other, end)| {
                *other == identity && (end - start).abs() <= SAME_START_SECONDS
            }) {
                plan.lasting.insert(path);
            }
        }
        // A container lives on only inside a pod that does.
        let outer: HashSet<String> = plan.lasting.clone();
        plan.lasting.retain(|path| {
            path.split_once("/containers:")
                .is_none_or(|(pod, _)| outer.contains(pod))
        });
        plan.grow(frames, loop_ms);
        summary::readings(&last.summary, &mut |path, reading| {
            let time = summary::time_of(reading);
            plan.last_readings
                .insert(path.to_owned(), (time, reading.clone()));
        });
        for (path, sample) in samples(last) {
            plan.last_samples.insert(path.0, sample.clone());
        }
        plan
    }

    /// Whether the entity is the same one in the first and in the last frame.
    pub(super) fn lasts(&self, entity: &str) -> bool {
        self.lasting.contains(entity)
    }

    /// How much the counter at this path grows from one loop to the next.
    pub(super) fn growth(&self, counter: &str) -> u64 {
        self.growth.get(counter).copied().unwrap_or(0)
    }

    /// The reading of the last frame at this path, with its time in Unix seconds.
    pub(super) fn last_reading(&self, path: &str) -> Option<&(i64, Map<String, Value>)> {
        self.last_readings.get(path)
    }

    /// The sample of the last frame, by [`sample_path`].
    pub(super) fn last_sample(&self, path: &str) -> Option<&Sample> {
        self.last_samples.get(path)
    }

    fn grow(&mut self, frames: &[Parsed], loop_ms: i64) {
        // The two bodies measure the same CPU counter at different moments; the larger growth
        // keeps both from going down, and one number keeps them in agreement.
        let mut series: HashMap<(String, bool), Vec<(i64, u64)>> = HashMap::new();
        for frame in frames {
            summary::readings(&frame.summary, &mut |path, reading| {
                let time_ms = summary::time_of(reading).saturating_mul(1000);
                summary::counters(reading, path, &mut |counter, value| {
                    let key = (counter.to_owned(), false);
                    series.entry(key).or_default().push((time_ms, value));
                });
            });
            for ((_, counter), sample) in samples(frame) {
                if let (Some(counter), Some(time_ms)) = (counter, sample.time_ms) {
                    let nanos = exposition::nanos(sample.value);
                    let key = (counter, true);
                    series.entry(key).or_default().push((time_ms, nanos));
                }
            }
        }
        for ((counter, _), points) in series {
            let growth = growth(&points, loop_ms);
            let kept = self.growth.entry(counter).or_default();
            *kept = growth.max(*kept);
        }
    }
}

/// The entity a line of `/metrics/resource` is about.
pub(super) fn entity_of(sample: &Sample) -> String {
    let (pod, container) = (sample.label("pod"), sample.label("container"));
    if pod.is_empty() {
        return "node".to_owned();
    }
    let pod = format!("pod:{}/{pod}", sample.label("namespace"));
    if container.is_empty() {
        return pod;
    }
    format!("{pod}/containers:{container}")
}

/// The path of a line: unique within a body.
pub(super) fn sample_path(family: &str, sample: &Sample) -> String {
    format!("{}#{family}", entity_of(sample))
}

/// The path of the counter a line shares with the summary; `None` for a gauge.
pub(super) fn counter_of(family: &str, sample: &Sample) -> Option<String> {
    family
        .ends_with(CPU_SUFFIX)
        .then(|| format!("{}/cpu/usageCoreNanoSeconds", entity_of(sample)))
}

type SamplePaths = (String, Option<String>);

fn samples(frame: &Parsed) -> impl Iterator<Item = (SamplePaths, &Sample)> {
    frame.resource.iter().flat_map(|family| {
        family.samples.iter().map(|sample| {
            let path = sample_path(&family.name, sample);
            ((path, counter_of(&family.name, sample)), sample)
        })
    })
}

/// Every entity of a summary: its path, its UID (pods only) and its start in Unix seconds. The
/// start of the node and of pods is left at 0: the node never changes, a pod is known by its UID.
fn entities(summary: &Value) -> HashMap<String, (String, i64)> {
    let mut found = HashMap::from([("node".to_owned(), (String::new(), 0))]);
    let mut inner = |parent: &str, key: &str, value: &Value| {
        for item in value[key].as_array().into_iter().flatten() {
            let path = format!("{parent}/{key}:{}", item["name"].as_str().unwrap_or(""));
            let start = summary::unix_seconds(&item["startTime"]);
            found.insert(path, (String::new(), start));
        }
    };
    inner("node", "systemContainers", &summary["node"]);
    for pod in summary["pods"].as_array().into_iter().flatten() {
        inner(&summary::pod_path(pod), "containers", pod);
    }
    for pod in summary["pods"].as_array().into_iter().flatten() {
        let uid = pod["podRef"]["uid"].as_str().unwrap_or("").to_owned();
        found.insert(summary::pod_path(pod), (uid, 0));
    }
    found
}

/// The growth of one counter over a loop: its mean rate over the recording, and at least so much
/// that the first reading of the next loop which is served is not below the last of this one.
fn growth(points: &[(i64, u64)], loop_ms: i64) -> u64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0;
    };
    let risen = u128::from(last.1.saturating_sub(first.1));
    let elapsed = u128::try_from(last.0 - first.0).unwrap_or(0);
    let whole = u128::try_from(loop_ms).unwrap_or(0);
    let steady = (risen * whole).checked_div(elapsed).unwrap_or(0);
    let entry = points
        .iter()
        .filter(|(time_ms, _)| time_ms + loop_ms >= last.0)
        .map(|(_, value)| *value)
        .min()
        .unwrap_or(last.1);
    u64::try_from(steady)
        .unwrap_or(0)
        .max(last.1.saturating_sub(entry))
}

#[cfg(test)]
mod tests {
    use super::growth;

    #[test]
    fn growth_is_the_mean_rate_over_a_loop() {
        assert_eq!(growth(&[(0, 100), (290_000, 390)], 300_000), 300);
        assert_eq!(growth(&[(0, 100)], 300_000), 0);
        assert_eq!(growth(&[], 300_000), 0);
    }

    #[test]
    fn growth_never_lets_the_next_loop_start_below_the_end() {
        // All of the rise comes in the first second: the mean rate alone would be enough here,
        // a reading that is overtaken by the loop's end needs more.
        assert_eq!(
            growth(&[(0, 0), (1_000, 500), (310_000, 510)], 300_000),
            493
        );
        assert_eq!(
            growth(&[(0, 900), (10_000, 0), (290_000, 900)], 300_000),
            900
        );
    }
}

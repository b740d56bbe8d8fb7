//! What metrics-server makes of what kubelets say, by the rules of its storage (`pkg/storage` of version 0.9).
//!
//! It keeps the newest two measurements of each container, of scrapes that are a resolution apart. A scrape that
//! lacks a pod forgets it.

use std::collections::BTreeMap;

/// A container that is not older than a resolution is measured since its start, once it is so old, ms.
const LEAST_LIFE_MS: u64 = 10_000;

/// Namespace and pod.
pub type PodName = (String, String);

/// What a scrape says of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// When it was measured, Unix ms.
    pub time_ms: u64,
    /// When the container began, Unix ms.
    pub start_ms: u64,
    /// CPU since then, ns.
    pub used_nanos: u64,
    /// Working set, bytes.
    pub memory_bytes: u64,
}

/// All that one scrape of all nodes says: containers by pod.
pub type Batch = BTreeMap<PodName, BTreeMap<String, Point>>;

/// What is answered of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Billionths of a core, rounded down.
    pub cpu_nanocores: u64,
    /// Bytes.
    pub memory_bytes: u64,
    /// The end of the span of CPU, Unix ms.
    pub time_ms: u64,
    /// That span, ms.
    pub window_ms: u64,
}

/// The storage of pods.
#[derive(Clone, Debug)]
pub struct Storage {
    resolution_ms: u64,
    last: Batch,
    before: Batch,
}

impl Storage {
    /// Empty; scrapes are so far apart.
    #[must_use]
    pub fn new(resolution_ms: u64) -> Self {
        Self {
            resolution_ms,
            last: Batch::new(),
            before: Batch::new(),
        }
    }

    /// Takes a scrape in (`podStorage.Store`).
    pub fn store(&mut self, batch: Batch) {
        let (mut last, mut before) = (Batch::new(), Batch::new());
        for (pod, containers) in batch {
            // A pod with a container that has used nothing is dropped (`checkContainerMetrics`).
            let is_whole = containers
                .values()
                .all(|point| point.used_nanos > 0 && point.memory_bytes > 0);
            if !is_whole {
                continue;
            }
            let mut earlier = BTreeMap::new();
            for (name, new) in &containers {
                let of = |batch: &Batch| batch.get(&pod)?.get(name).copied();
                let found = self.earlier(new, of(&self.last), of(&self.before));
                earlier.extend(found.map(|point| (name.clone(), point)));
            }
            last.insert(pod.clone(), containers);
            before.insert(pod, earlier);
        }
        (self.last, self.before) = (last, before);
    }

    /// The measurement before a new one.
    fn earlier(&self, new: &Point, last: Option<Point>, before: Option<Point>) -> Option<Point> {
        let age_ms = new.time_ms.saturating_sub(new.start_ms);
        if (LEAST_LIFE_MS..self.resolution_ms).contains(&age_ms) {
            return Some(Point {
                time_ms: new.start_ms,
                used_nanos: 0,
                ..*new
            });
        }
        // Another life begins with nothing.
        let last = last.filter(|last| new.start_ms < last.time_ms)?;
        if new.time_ms > last.time_ms {
            return Some(last);
        }
        // The kubelet had measured nothing new, or its clock went back a little.
        before.filter(|before| before.time_ms < new.time_ms)
    }

    /// What is answered of each container of each pod (`podStorage.GetMetrics`): a pod all of whose containers
    /// have two measurements, less those whose counters fell.
    #[must_use]
    pub fn pods(&self) -> BTreeMap<PodName, BTreeMap<String, Served>> {
        let mut pods = BTreeMap::new();
        for (pod, containers) in &self.last {
            let Some(earlier) = self.before.get(pod) else {
                continue;
            };
            if containers.keys().any(|name| !earlier.contains_key(name)) {
                continue;
            }
            let served = containers.iter().filter_map(|(name, last)| {
                let usage = served(last, earlier.get(name)?)?;
                Some((name.clone(), usage))
            });
            pods.insert(pod.clone(), served.collect());
        }
        pods
    }
}

/// `resourceUsage`; `None` when the counter or the start went back.
fn served(last: &Point, before: &Point) -> Option<Served> {
    let used_nanos = last.used_nanos.checked_sub(before.used_nanos)?;
    let window_ms = last
        .time_ms
        .checked_sub(before.time_ms)
        .filter(|ms| *ms > 0)?;
    if last.start_ms < before.start_ms {
        return None;
    }
    let cpu_nanocores = u128::from(used_nanos) * 1_000 / u128::from(window_ms);
    Some(Served {
        cpu_nanocores: u64::try_from(cpu_nanocores).ok()?,
        memory_bytes: last.memory_bytes,
        time_ms: last.time_ms,
        window_ms,
    })
}

#[cfg(test)]
mod tests;

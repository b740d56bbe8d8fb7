//! A node on which pods come and go: its cgroups as files, and what its kubelet says of them.
//!
//! Made, since no recording has both of 51 pods. What a kubelet says of each pod has the shape of a
//! recorded one, all fields of it; names, ids, times, CPU and memory are made here, so that files and
//! answers are of the same counters: the files at the time that is shown, the answers at the times at
//! which a kubelet measures, which are up to a quarter of a minute old. It lists a pod a second after
//! its cgroup is there. Pure but for the files.

mod cgroup;
mod files;
mod kubelet;

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::trace::Trace;
use cgroup::Cgroup;

/// As many as the prices of requests were measured with.
pub const PODS: usize = 51;

/// Of them those that come and go. One comes a minute, so each is there for as many minutes.
const GUESTS: u64 = 3;

const MINUTE_MS: u64 = 60_000;

/// A kubelet lists a pod so long after its cgroup is there, ms.
const LISTED_AFTER_MS: u64 = 1_000;

/// Its containers come so long after its sandbox, ms.
const BEGINS_AFTER_MS: u64 = 700;

/// One pod.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    from_ms: u64,
    until_ms: u64,
    sandbox: Cgroup,
    containers: Vec<Cgroup>,
    // What is said of it beside that: of this recorded one.
    shape: usize,
}

impl Pod {
    fn new(number: u64, from_ms: u64, until_ms: u64, shape: (usize, &Value)) -> Self {
        let (shape, recorded) = shape;
        let names = recorded["containers"].as_array().into_iter().flatten();
        let names = names.filter_map(|container| container["name"].as_str());
        let begins_ms = from_ms + BEGINS_AFTER_MS;
        let containers = (1..).zip(names);
        let containers =
            containers.map(|(at, name)| Cgroup::container(number * 8 + at, name, begins_ms));
        Self {
            name: format!("web-{number:04}"),
            uid: format!("{number:08x}-3e1e-4627-a2b7-ddd690f6ef7b"),
            from_ms,
            until_ms,
            sandbox: Cgroup::sandbox(number * 8, from_ms),
            containers: containers.collect(),
            shape,
        }
    }

    /// The names of its containers.
    pub fn container_names(&self) -> impl Iterator<Item = &str> {
        self.containers.iter().map(|of| of.name.as_str())
    }

    /// When its cgroup is in the tree from, Unix ms; its containers' come 700 ms later.
    #[must_use]
    pub fn there_from_ms(&self) -> u64 {
        self.from_ms
    }

    /// When its kubelet lists it from, Unix ms: later than all of its cgroups are there.
    #[must_use]
    pub fn listed_from_ms(&self) -> u64 {
        self.from_ms + LISTED_AFTER_MS
    }

    /// CPU time of its first container at a time, nanoseconds.
    #[must_use]
    pub fn container_cpu_nanos(&self, unix_ms: u64) -> Option<u64> {
        let container = self.containers.first()?;
        Some(container.cpu_micros(unix_ms) * 1_000)
    }

    fn is_there(&self, unix_ms: u64) -> bool {
        (self.from_ms..self.until_ms).contains(&unix_ms)
    }

    fn cgroups(&self, unix_ms: u64) -> impl Iterator<Item = &Cgroup> {
        let all = std::iter::once(&self.sandbox).chain(&self.containers);
        all.filter(move |of| of.from_ms <= unix_ms)
    }
}

/// The node.
#[derive(Debug)]
pub struct BusyNode {
    pods: Vec<Pod>,
    recorded: Value,
    root: tempfile::TempDir,
    shown: BTreeSet<String>,
}

impl BusyNode {
    /// A node that is shown from `start_ms` on for so many minutes.
    ///
    /// # Errors
    ///
    /// When the recording is damaged, or there is no room for files.
    pub fn new(start_ms: u64, minutes: u64) -> Result<Self> {
        Self::with_pods(PODS, start_ms, minutes)
    }

    /// The same with so many pods, of which three come and go.
    ///
    /// # Errors
    ///
    /// As [`BusyNode::new`].
    pub fn with_pods(pods: usize, start_ms: u64, minutes: u64) -> Result<Self> {
        let guests = (0..minutes + GUESTS).map(|guest| {
            // Somewhere in its minute.
            let within_ms = guest.wrapping_mul(7_919).wrapping_add(1) * 613 % MINUTE_MS;
            let from_ms = start_ms + guest * MINUTE_MS + within_ms - GUESTS * MINUTE_MS;
            (from_ms, from_ms + GUESTS * MINUTE_MS)
        });
        Self::with_guests(pods, start_ms, guests)
    }

    /// The same with pods that come at these times and stay, and others that are there before.
    ///
    /// # Errors
    ///
    /// As [`BusyNode::new`].
    pub fn with_arrivals(start_ms: u64, from_ms: &[u64]) -> Result<Self> {
        let guests = from_ms.iter().map(|from_ms| (*from_ms, u64::MAX));
        Self::with_guests(PODS, start_ms, guests)
    }

    /// The same with pods that come and go at these times, and others that are there all the time.
    ///
    /// # Errors
    ///
    /// As [`BusyNode::new`].
    pub fn with_stays(start_ms: u64, stays: &[(u64, u64)]) -> Result<Self> {
        Self::with_guests(PODS, start_ms, stays.iter().copied())
    }

    /// Guests are there from one time to another.
    fn with_guests(
        pods: usize,
        start_ms: u64,
        guests: impl Iterator<Item = (u64, u64)>,
    ) -> Result<Self> {
        let steady = (pods as u64).saturating_sub(GUESTS);
        let trace = Trace::of_51_pods()?;
        let frame = trace.frames("node1")?.first().context("no frame")?;
        let recorded: Value = serde_json::from_slice(&frame.summary)?;
        let shapes: Vec<Value> = recorded["pods"].as_array().cloned().unwrap_or_default();
        let shape = |number: u64| -> Result<(usize, &Value)> {
            let at = usize::try_from(number)? % shapes.len().max(1);
            Ok((at, shapes.get(at).context("no pods are recorded")?))
        };
        let mut pods = Vec::new();
        for number in 0..steady {
            let from_ms = start_ms - 60 * MINUTE_MS - number * 1_000;
            pods.push(Pod::new(number, from_ms, u64::MAX, shape(number)?));
        }
        for (number, (from_ms, until_ms)) in (steady..).zip(guests) {
            pods.push(Pod::new(number, from_ms, until_ms, shape(number)?));
        }
        let in_memory = tempfile::tempdir_in("/dev/shm");
        Ok(Self {
            pods,
            recorded,
            root: in_memory.or_else(|_| tempfile::tempdir())?,
            shown: BTreeSet::new(),
        })
    }

    /// Where its cgroups are.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The pods that are there at a time.
    pub fn pods(&self, unix_ms: u64) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(move |pod| pod.is_there(unix_ms))
    }

    /// The pods that were ever there until a time.
    pub fn ever(&self, unix_ms: u64) -> impl Iterator<Item = &Pod> {
        self.pods.iter().filter(move |pod| pod.from_ms < unix_ms)
    }

    /// Shows its cgroups as they are at a time, later than the one before.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn show(&mut self, unix_ms: u64) -> Result<()> {
        let there: Vec<&Pod> = self.pods.iter().filter(|of| of.is_there(unix_ms)).collect();
        files::show(self.root.path(), &there, &mut self.shown, unix_ms)
    }

    /// What the kubelet answers to `/stats/summary` at a time.
    #[must_use]
    pub fn summary(&self, unix_ms: u64) -> String {
        kubelet::summary(&self.recorded, self.pods(unix_ms), unix_ms)
    }

    /// What it answers to `/metrics/cadvisor`: CPU time of each cgroup, with who it is.
    #[must_use]
    pub fn cadvisor(&self, unix_ms: u64) -> String {
        kubelet::cadvisor(self.pods(unix_ms), unix_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::FIRST_TICK_MS;

    #[test]
    fn a_pod_comes_each_minute_and_as_many_stay() {
        let node = BusyNode::new(FIRST_TICK_MS, 10).unwrap();
        for second in 0..600 {
            let count = node.pods(FIRST_TICK_MS + second * 1_000).count();
            assert!((PODS - 1..=PODS + 1).contains(&count), "{second}: {count}");
        }
        let first: BTreeSet<&str> = node.pods(FIRST_TICK_MS).map(|p| p.uid.as_str()).collect();
        let came = node.pods.iter().filter(|pod| pod.from_ms > FIRST_TICK_MS);
        let came = came.filter(|pod| pod.from_ms < FIRST_TICK_MS + 600_000);
        assert_eq!((first.len(), came.count()), (PODS, 10));
    }

    #[test]
    fn files_and_answers_are_of_the_same_counters() {
        let mut node = BusyNode::new(FIRST_TICK_MS, 3).unwrap();
        let mut compared = 0;
        for second in 0..120 {
            let now_ms = FIRST_TICK_MS + second * 1_000;
            node.show(now_ms).unwrap();
            let summary: Value = serde_json::from_str(&node.summary(now_ms)).unwrap();
            let listed = summary["pods"].as_array().unwrap();
            for pod in node.pods(now_ms) {
                let told = listed.iter().find(|of| of["podRef"]["uid"] == *pod.uid);
                assert_eq!(told.is_some(), pod.listed_from_ms() <= now_ms, "{pod:?}");
                let Some(told) = told else { continue };
                let of = &pod.containers[0];
                let text = std::fs::read_to_string(
                    node.root()
                        .join(files::path(pod, Some(of)))
                        .join("cpu.stat"),
                );
                let text = text.unwrap();
                let first = text.lines().next().unwrap();
                let shown = first.strip_prefix("usage_usec ").unwrap();
                let shown: u64 = shown.parse().unwrap();
                assert_eq!(Some(shown * 1_000), pod.container_cpu_nanos(now_ms));
                let cpu = &told["containers"][0]["cpu"];
                let nanos = cpu["usageCoreNanoSeconds"].as_u64().unwrap();
                assert!(nanos <= shown * 1_000);
                compared += usize::from(nanos < shown * 1_000);
            }
        }
        assert!(compared > 1_000, "{compared}");
    }
}

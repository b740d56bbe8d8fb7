//! What metrics.k8s.io must say of a recording, computed by the written rules from what the kubelets said,
//! with nothing of the product.
//!
//! CPU is the counter of `/metrics/resource` over the newest two measurements that are at least a span apart; a
//! container that is younger is measured since its start, once it is ten seconds old. Memory and swap are the
//! newest of `/stats/summary`, which also decides what is there. A pod is there with all of its containers or not
//! at all.

mod said;
mod written;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::metrics_server::Batch;
use crate::trace::{Error, Trace};
use said::{Answer, Counted, Key};

pub use written::{bytes, mebibytes, millicores, nanocores, percent, second, window};

/// A value is held for so long, and no rate reaches over a longer hole, ms.
const MAX_AGE_MS: u64 = 90_000;

/// Two starts that are no further apart are one, ms.
const SAME_START_MS: u64 = 2_000;

/// A container counts from its start once it has lived so long, ms.
const LEAST_LIFE_MS: u64 = 10_000;

/// What something uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Billionths of a core, rounded down.
    pub cpu_nanocores: u64,
    /// The span that CPU was measured over, ms.
    pub over_ms: u64,
    /// When that span ends, Unix ms.
    pub time_ms: u64,
    /// Working set, bytes.
    pub memory_bytes: u64,
    /// Swap in use, bytes; `None` where the kubelet does not say.
    pub swap_bytes: Option<u64>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodUsage {
    /// The node that it runs on.
    pub node: String,
    /// The UID.
    pub uid: String,
    /// By name; never empty.
    pub containers: BTreeMap<String, Usage>,
}

/// Everything that is measured at one tick.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usages {
    /// By name.
    pub nodes: BTreeMap<String, Usage>,
    /// By namespace and name.
    pub pods: BTreeMap<(String, String), PodUsage>,
}

/// What the kubelets of a recording said, tick by tick.
#[derive(Debug)]
pub struct Recorded {
    // By node, in order of the ticks.
    answers: BTreeMap<String, Vec<Answer>>,
}

impl Recorded {
    /// Reads what each kubelet said last at each of these ticks (Unix ms, rising).
    ///
    /// # Errors
    ///
    /// A body that is not as a kubelet writes it.
    pub fn at(trace: &Trace, ticks_ms: &[u64]) -> Result<Self, Error> {
        let mut answers = BTreeMap::new();
        for node in trace.nodes() {
            let frames = trace.frames(node)?;
            let mut of_node = Vec::new();
            for tick_ms in ticks_ms {
                let seen = frames.iter().rfind(|f| f.captured_at_ms <= *tick_ms);
                let Some(seen) = seen else { continue };
                of_node.push(Answer::read(*tick_ms, seen)?);
            }
            answers.insert(node.to_owned(), of_node);
        }
        Ok(Self { answers })
    }

    /// What is used at a tick, with CPU over at least so long, ms.
    #[must_use]
    pub fn usages(&self, tick_ms: u64, span_ms: u64) -> Usages {
        let mut usages = Usages::default();
        for (node, answers) in &self.answers {
            let until = answers.iter().take_while(|one| one.tick_ms <= tick_ms);
            let answers: Vec<&Answer> = until.collect();
            let Some(newest) = answers.last() else {
                continue;
            };
            let of = |uid: &str, key: &Key| usage(&answers, (uid, key), (tick_ms, span_ms));
            let own = of("", &Key::default());
            usages.nodes.extend(own.map(|own| (node.clone(), own)));
            for pod in newest.pods() {
                let containers = pod.containers.iter().map(|name| {
                    let key = (pod.namespace.clone(), pod.name.clone(), name.clone());
                    Some((name.clone(), of(&pod.uid, &key)?))
                });
                let containers: Option<BTreeMap<String, Usage>> = containers.collect();
                let Some(containers) = containers.filter(|all| !all.is_empty()) else {
                    continue;
                };
                let whole = PodUsage {
                    node: node.clone(),
                    uid: pod.uid,
                    containers,
                };
                usages.pods.insert((pod.namespace, pod.name), whole);
            }
        }
        usages
    }

    /// What a scrape of `/metrics/resource` of all nodes finds at a tick.
    #[must_use]
    pub fn scrape(&self, tick_ms: u64) -> Batch {
        let mut batch = Batch::new();
        for answers in self.answers.values() {
            let newest = answers.iter().rfind(|one| one.tick_ms <= tick_ms);
            for (namespace, pod, container, point) in newest.into_iter().flat_map(Answer::points) {
                let containers = batch.entry((namespace, pod)).or_default();
                containers.insert(container, point);
            }
        }
        batch
    }

    /// The pods that there are at a tick, by namespace and name, and when each began, Unix ms.
    #[must_use]
    pub fn began(&self, tick_ms: u64) -> BTreeMap<(String, String), u64> {
        let newest = self.answers.values().filter_map(|answers| {
            let mut answers = answers.iter();
            answers.rfind(|one| one.tick_ms <= tick_ms)
        });
        let pods = newest.flat_map(Answer::pods);
        pods.map(|pod| ((pod.namespace, pod.name), pod.start_ms))
            .collect()
    }

    /// The objects of all pods that are in it, as an API server has those that run, labelled `app` with what
    /// stands before the first `-` of their names. Their containers' states are not said.
    #[must_use]
    pub fn pod_objects(&self) -> Vec<Value> {
        let mut objects = BTreeMap::new();
        for (node, answers) in &self.answers {
            for pod in answers.iter().flat_map(Answer::pods) {
                let containers: Vec<Value> = pod
                    .containers
                    .iter()
                    .map(|name| json!({"name": name, "resources": {}}))
                    .collect();
                let object = json!({
                    "metadata": {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid,
                                 "creationTimestamp": "2026-11-22T07:18:27Z",
                                 "labels": {"app": app(&pod.name)}},
                    "spec": {"nodeName": node, "containers": containers},
                    "status": {"phase": "Running"},
                });
                objects.insert(pod.uid, object);
            }
        }
        objects.into_values().collect()
    }
}

/// The label of a pod of [`Recorded::pod_objects`].
#[must_use]
pub fn app(pod: &str) -> &str {
    pod.split('-').next().unwrap_or(pod)
}

/// What one thing uses at the last of these answers.
fn usage(
    answers: &[&Answer],
    (uid, key): (&str, &Key),
    (tick_ms, span_ms): (u64, u64),
) -> Option<Usage> {
    let is_container = !key.2.is_empty();
    let mut points: Vec<Counted> = Vec::new();
    let (mut memory, mut swap) = (None, None);
    for answer in answers {
        let Some(stats) = answer.stats(uid, key) else {
            continue;
        };
        if let Some(counted) = answer.counted(key) {
            follow(&mut points, counted);
        }
        if let Some((time_ms, bytes)) = said::memory(stats) {
            let is_late = memory.is_some_and(|(before_ms, _)| time_ms < before_ms);
            if !is_late {
                memory = Some((time_ms, bytes));
                swap = said::swap(stats, time_ms);
            }
        }
    }
    let is_fresh = |time_ms: u64| tick_ms.saturating_sub(time_ms) <= MAX_AGE_MS;
    let (_, memory_bytes) = memory.filter(|(time_ms, _)| is_fresh(*time_ms))?;
    let newest = points.last().filter(|newest| is_fresh(newest.time_ms))?;
    let (used_nanos, over_ms) = measured(&points, newest, (span_ms, is_container))?;
    let cpu_nanocores = u128::from(used_nanos) * 1_000 / u128::from(over_ms);
    Some(Usage {
        cpu_nanocores: u64::try_from(cpu_nanocores).ok()?,
        over_ms,
        time_ms: newest.time_ms,
        memory_bytes,
        swap_bytes: swap,
    })
}

/// Takes the next measurement of a counter: the same one again, or an earlier one, is none; over a reset or a
/// long hole nothing is measured.
fn follow(points: &mut Vec<Counted>, next: Counted) {
    let Some(last) = points.last() else {
        points.push(next);
        return;
    };
    if next.time_ms <= last.time_ms {
        return;
    }
    let is_another_life = match (last.start_ms, next.start_ms) {
        (Some(a), Some(b)) => a.abs_diff(b) > SAME_START_MS,
        _ => false,
    };
    let is_apart = next.time_ms - last.time_ms > MAX_AGE_MS;
    if is_another_life || is_apart || next.used_nanos < last.used_nanos {
        points.clear();
    }
    points.push(next);
}

/// How much was used in which time, ms; `None` where nothing says.
fn measured(
    points: &[Counted],
    newest: &Counted,
    (span_ms, from_start): (u64, bool),
) -> Option<(u64, u64)> {
    let earlier = points.iter().rev();
    let mut apart = earlier.filter(|one| newest.time_ms - one.time_ms >= span_ms);
    if let Some(one) = apart.next() {
        let over_ms = newest.time_ms - one.time_ms;
        return Some((newest.used_nanos - one.used_nanos, over_ms));
    }
    let start_ms = newest.start_ms.filter(|_| from_start)?;
    let unseen_ms = points.first()?.time_ms.checked_sub(start_ms)?;
    let over_ms = newest.time_ms.checked_sub(start_ms)?;
    (unseen_ms <= span_ms && over_ms >= LEAST_LIFE_MS).then_some((newest.used_nanos, over_ms))
}

#[cfg(test)]
mod tests;

//! A `HorizontalPodAutoscaler`: how many replicas it wants of a workload by the CPU that its pods are said to use.
//!
//! The rules are those of Kubernetes 1.36, `pkg/controller/podautoscaler`; each names the function that has it.
//! The defaults are those of kube-controller-manager.

use std::collections::{BTreeMap, VecDeque};

/// It looks so often, ms (`--horizontal-pod-autoscaler-sync-period`).
pub const SYNC_MS: u64 = 15_000;

/// A ratio so near to 1 changes nothing (`--horizontal-pod-autoscaler-tolerance`).
const TOLERANCE: f64 = 0.1;

/// Of the recommendations of so long the highest counts, ms
/// (`--horizontal-pod-autoscaler-downscale-stabilization`).
const STABILIZATION_MS: u64 = 300_000;

/// A pod that is younger has to be ready, for a window of its metric, to count, ms
/// (`--horizontal-pod-autoscaler-cpu-initialization-period`).
const INITIALIZATION_MS: u64 = 300_000;

/// A pod that is not ready and was not for so long after its start never was, ms
/// (`--horizontal-pod-autoscaler-initial-readiness-delay`).
const INITIAL_READINESS_MS: u64 = 30_000;

/// What the API server says of a pod that runs.
#[derive(Clone, Debug)]
pub struct Pod {
    /// When it began, Unix ms.
    pub start_ms: u64,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Since when it is so, Unix ms.
    pub since_ms: u64,
}

/// What metrics.k8s.io says of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// CPU of its containers, each in millicores rounded up, in all.
    pub millicores: u64,
    /// The end of the span that it was measured over, Unix ms.
    pub time_ms: u64,
    /// That span, ms.
    pub window_ms: u64,
}

/// One autoscaler, with what it remembers.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    /// What a pod asks for, millicores.
    request: u64,
    /// How much of that it shall use, percent.
    target: u64,
    /// How many replicas there shall be now.
    replicas: u64,
    /// Recommendations by time.
    recommended: VecDeque<(u64, u64)>,
    /// How often the number of replicas was changed.
    events: u64,
}

/// Pods by what is known of them (`groupPods`).
struct Grouped {
    /// CPU in millicores of those that count.
    counted: BTreeMap<String, u64>,
    not_ready: Vec<String>,
    missing: Vec<String>,
}

impl Autoscaler {
    /// Begins with so many replicas, each of which asks for so many millicores and shall use so many percent of
    /// them.
    #[must_use]
    pub fn new(replicas: u64, request: u64, target: u64) -> Self {
        Self {
            request,
            target,
            replicas,
            recommended: VecDeque::new(),
            events: 0,
        }
    }

    /// How often the number of replicas was changed.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many replicas there shall be.
    #[must_use]
    pub fn replicas(&self) -> u64 {
        self.replicas
    }

    /// Looks once (`reconcileAutoscaler`). Without any metric nothing is changed.
    pub fn sync(
        &mut self,
        now_ms: u64,
        pods: &BTreeMap<String, Pod>,
        metrics: &BTreeMap<String, Metric>,
    ) {
        let Some(wanted) = self.wanted(now_ms, pods, metrics) else {
            return;
        };
        let wanted = self.stabilized(now_ms, wanted);
        // `calculateScaleUpLimit`, and no workload without a replica.
        let most = (2 * self.replicas).max(4);
        let wanted = wanted.clamp(1, most);
        if wanted != self.replicas {
            self.replicas = wanted;
            self.events += 1;
        }
    }

    /// `GetResourceReplicas`.
    fn wanted(
        &self,
        now_ms: u64,
        pods: &BTreeMap<String, Pod>,
        metrics: &BTreeMap<String, Metric>,
    ) -> Option<u64> {
        let Grouped {
            mut counted,
            not_ready,
            missing,
        } = grouped(now_ms, pods, metrics);
        let ratio = self.ratio(&counted)?;
        let goes_up_beside = !not_ready.is_empty() && ratio > 1.0;
        if !goes_up_beside && missing.is_empty() {
            return Some(if is_near(ratio) {
                self.replicas
            } else {
                of_ratio(ratio, counted.len())
            });
        }
        if ratio < 1.0 {
            // Before it takes replicas away it believes that the others use all that they ask for.
            let all = self.request * self.target.max(100) / 100;
            counted.extend(missing.into_iter().map(|name| (name, all)));
        } else if ratio > 1.0 {
            counted.extend(missing.into_iter().map(|name| (name, 0)));
        }
        if goes_up_beside {
            counted.extend(not_ready.into_iter().map(|name| (name, 0)));
        }
        let again = self.ratio(&counted)?;
        let turns = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
        if is_near(again) || turns {
            return Some(self.replicas);
        }
        let wanted = of_ratio(again, counted.len());
        let contradicts =
            (again < 1.0 && wanted > self.replicas) || (again > 1.0 && wanted < self.replicas);
        Some(if contradicts { self.replicas } else { wanted })
    }

    /// `GetResourceUtilizationRatio`: what is used as a part of what shall be.
    fn ratio(&self, counted: &BTreeMap<String, u64>) -> Option<f64> {
        let asked = self.request * u64::try_from(counted.len()).ok()?;
        if asked == 0 {
            return None;
        }
        let used: u64 = counted.values().sum();
        // In whole percent, as Kubernetes has it.
        Some(exact(used * 100 / asked) / exact(self.target))
    }

    /// `stabilizeRecommendation`: down only when nothing asked for more for a while.
    fn stabilized(&mut self, now_ms: u64, wanted: u64) -> u64 {
        if self.recommended.is_empty() {
            // `recordInitialRecommendation`.
            self.recommended.push_back((now_ms, self.replicas));
        }
        let from_ms = now_ms.saturating_sub(STABILIZATION_MS);
        self.recommended.retain(|(at_ms, _)| *at_ms >= from_ms);
        let most = self.recommended.iter().map(|(_, wanted)| *wanted).max();
        self.recommended.push_back((now_ms, wanted));
        most.unwrap_or(wanted).max(wanted)
    }
}

/// `groupPods`, for CPU.
fn grouped(
    now_ms: u64,
    pods: &BTreeMap<String, Pod>,
    metrics: &BTreeMap<String, Metric>,
) -> Grouped {
    let mut grouped = Grouped {
        counted: BTreeMap::new(),
        not_ready: Vec::new(),
        missing: Vec::new(),
    };
    for (name, pod) in pods {
        let Some(metric) = metrics.get(name) else {
            grouped.missing.push(name.clone());
            continue;
        };
        let is_young = pod.start_ms + INITIALIZATION_MS > now_ms;
        let is_out = if is_young {
            !pod.is_ready || metric.time_ms < pod.since_ms + metric.window_ms
        } else {
            !pod.is_ready && pod.start_ms + INITIAL_READINESS_MS > pod.since_ms
        };
        if is_out {
            grouped.not_ready.push(name.clone());
        } else {
            grouped.counted.insert(name.clone(), metric.millicores);
        }
    }
    grouped
}

fn is_near(ratio: f64) -> bool {
    (ratio - 1.0).abs() <= TOLERANCE
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "replicas of tests"
)]
fn of_ratio(ratio: f64, pods: usize) -> u64 {
    (ratio * exact(u64::try_from(pods).unwrap_or(0))).ceil() as u64
}

#[expect(clippy::cast_precision_loss, reason = "figures of tests are small")]
fn exact(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;

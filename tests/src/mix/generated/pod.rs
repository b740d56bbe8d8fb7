//! One generated pod.

use crate::mix::load::{Cgroup, Counters, Network, Step};
use crate::mix::rng::Rng;
use crate::mix::storage::{Volume, Written};

#[derive(Debug)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) cgroup: Cgroup,
    pub(super) written: Written,
}

#[derive(Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) start_ms: u64,
    pub(super) containers: Vec<Container>,
    /// What the pod has counted beside its containers.
    pub(super) beside: Counters,
    pub(super) process_count: u64,
    pub(super) network: Network,
    pub(super) network_ms: u64,
    /// When the kubelet looked at what it has written, Unix ms.
    pub(super) storage_ms: u64,
    pub(super) volumes: Vec<Volume>,
}

impl Pod {
    /// The `number`th pod, with so many containers.
    pub(super) fn new(
        number: usize,
        (containers, namespaces): (usize, usize),
        (now_ms, is_old): (u64, bool),
        rng: &mut Rng,
    ) -> Self {
        let uid = rng.uid();
        let age_ms = if is_old { rng.below(86_400) * 1000 } else { 0 };
        let made = (0..containers).map(|at| Container {
            name: format!("c{at}"),
            // Every other one, so that it is half of them also on a small node.
            cgroup: Cgroup::new(rng, is_old, (number + at).is_multiple_of(2)),
            written: Written::new(rng),
        });
        let made: Vec<Container> = made.collect();
        let suffix = uid.get(..8).unwrap_or_default();
        let name = format!("app-{}-{suffix}", number % 97);
        let namespace = format!("ns-{}", number % namespaces);
        let mut volumes = vec![Volume::token(now_ms, rng)];
        if number.is_multiple_of(4) {
            volumes.push(Volume::claimed(&name, &namespace, now_ms, rng));
        }
        Self {
            start_ms: now_ms.saturating_sub(age_ms) / 1000 * 1000,
            beside: Counters::default(),
            process_count: 1 + containers as u64 + rng.below(8),
            containers: made,
            network: Network::new(rng, is_old),
            network_ms: now_ms / 1000 * 1000,
            storage_ms: now_ms / 1000 * 1000,
            volumes,
            name,
            namespace,
            uid,
        }
    }

    /// Lets an interval pass in its cgroups; gives what they counted.
    pub(super) fn step(&mut self, step: Step, rng: &mut Rng) -> Counters {
        let mut grown = Counters::default();
        for container in &mut self.containers {
            grown.add(container.cgroup.step(step, rng));
        }
        let beside = grown.beside(rng);
        self.beside.add(beside);
        grown.add(beside);
        grown
    }

    /// What the kubelet tells anew: its network figures are older than its answer.
    pub(super) fn look(&mut self, step: Step, (now_ms, network_ms): (u64, u64), rng: &mut Rng) {
        if network_ms > self.network_ms {
            self.network.step(step, network_ms - self.network_ms, rng);
            self.network_ms = network_ms;
        }
        self.storage_ms = now_ms / 1000 * 1000;
        for container in self.containers.iter_mut().filter(|one| one.cgroup.busy) {
            container.written.step(rng);
        }
        if rng.one_in(4) && self.containers.iter().any(|one| one.cgroup.busy) {
            self.process_count = (self.process_count + rng.below(3)).saturating_sub(1).max(1);
        }
        for volume in &mut self.volumes {
            volume.step(step, now_ms, rng);
        }
    }
}

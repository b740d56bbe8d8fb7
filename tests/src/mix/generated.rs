//! Rows as an agent beside readable cgroups makes them, drawn from a seed.

mod draft;
mod pod;

use cairn_proto::catalogue::{Group, table};
use cairn_proto::model::{Builder, EntityDef, EntityKind, Snapshot};

use super::dictionary::Dictionary;
use super::host::{self, Host};
use super::load::{Cgroup, Counters, Memory, Network, Step};
use super::rng::Rng;
use super::series::Bundle;
use super::storage::Space;
use super::{Kind, Options};

use draft::{Draft, Put};
use pod::Pod;

/// The summary is read so often beside cgroups.
const SUMMARY_EVERY_MS: u64 = 30_000;

/// The services that every node has.
const SYSTEM: [&str; 4] = ["kubelet", "runtime", "misc", "pods"];

/// A timer wakes up so late at most.
const MOST_LATE_MICROS: u64 = 2_000;

/// Memory of a node.
const NODE_BYTES: u64 = 64 << 30;

/// What the kubelet's summary says of the node alone.
#[derive(Debug)]
struct Looked {
    read_ms: u64,
    /// The node's file system; images and containers lie on it.
    disk: Space,
    images_bytes: u64,
    images_ms: u64,
    /// The default interface's, and the bridge's.
    networks: [(&'static str, Network); 2],
    network_ms: u64,
    pids: u64,
}

/// One generated node.
#[derive(Debug)]
pub(super) struct Generated {
    name: String,
    options: Options,
    rng: Rng,
    phase_ms: u64,
    pods: Vec<Pod>,
    services: Vec<Cgroup>,
    looked: Looked,
    host: Host,
    averages: Bundle,
    /// What the node and all pods together have counted, those that are gone included.
    node_counters: Counters,
    pods_counters: Counters,
    pods_made: usize,
    /// Pods that are due to be replaced, as a fraction.
    replace_due: f64,
    is_first: bool,
    dictionary: Dictionary,
}

impl Generated {
    pub(super) fn new(options: &Options, index: usize, name: &str) -> Self {
        let mut rng = Rng::new(options.seed, index as u64);
        let start_ms = options.start_unix_ms;
        let system = SYSTEM.map(|_| Cgroup::new(&mut rng, true, true));
        let mut node = Self {
            name: name.to_owned(),
            options: options.clone(),
            phase_ms: rng.below((options.interval_ms / 10).clamp(1, 250)),
            pods: Vec::new(),
            services: system.to_vec(),
            looked: Looked::new(start_ms, &mut rng),
            host: Host::new(start_ms, &mut rng),
            averages: Bundle::new(host::averages(table::pressure_average), &mut rng),
            node_counters: Counters::default(),
            pods_counters: Counters::default(),
            pods_made: index * options.pods(),
            replace_due: 0.0,
            is_first: true,
            dictionary: Dictionary::default(),
            rng,
        };
        for _ in 0..options.pods() {
            let pod = node.pod(start_ms, true);
            for container in &pod.containers {
                node.pods_counters.add(container.cgroup.counters);
            }
            node.pods.push(pod);
        }
        node.node_counters = node.pods_counters;
        for service in &node.services {
            node.node_counters.add(service.counters);
        }
        node
    }

    pub(super) fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Makes the row of a tick.
    pub(super) fn row(&mut self, tick_ms: u64) -> (Snapshot, Vec<EntityDef>) {
        if !std::mem::take(&mut self.is_first) {
            self.advance(tick_ms);
        }
        let mut draft = Draft {
            builder: Builder::default(),
            dictionary: &mut self.dictionary,
            tick_ms,
            // A tick is never woken for at the very microsecond.
            read_us: (tick_ms + self.phase_ms) * 1000 + self.rng.below(MOST_LATE_MICROS),
            rng: &mut self.rng,
        };
        let node = Put {
            id: draft.dictionary.node(tick_ms, &self.name),
            start_ms: None,
        };
        let disk = (self.looked.disk, self.looked.images_ms);
        let mut pods_memory = Memory::NONE;
        for pod in &self.pods {
            pods_memory.add(draft.pod(node.id, pod, disk));
        }
        pods_memory.limit_bytes = Some(NODE_BYTES);
        let mut node_memory = pods_memory;
        for (name, service) in SYSTEM.into_iter().zip(&self.services) {
            let mut memory = service.memory;
            memory.limit_bytes = None;
            let (counters, memory) = match name {
                "pods" => (self.pods_counters, pods_memory),
                _ => {
                    node_memory.add(memory);
                    (service.counters, memory)
                }
            };
            let part = draft.part(node, EntityKind::System, name, &[]);
            draft.cgroup(part, counters, memory);
        }
        node_memory.limit_bytes = Some(NODE_BYTES);
        draft.cgroup(node, self.node_counters, node_memory);
        draft.builder.value(node.id, table::SWAP_AVAILABLE, 0);
        draft.values(node.id, self.averages.values());
        self.looked.put(&mut draft, node);
        draft.host(node, &self.host);
        let snapshot = draft.builder.build();
        (snapshot, self.dictionary.take_fresh(tick_ms))
    }

    /// Lets an interval pass.
    fn advance(&mut self, tick_ms: u64) {
        let step = Step {
            kind: self.options.kind,
            interval_ms: self.options.interval_ms,
        };
        let rng = &mut self.rng;
        // The kubelet's own figures are up to ten seconds old when they are read.
        let network_ms = |rng: &mut Rng| match step.kind {
            Kind::B => tick_ms,
            _ => tick_ms.saturating_sub(rng.below(10_000)) / 1000 * 1000,
        };
        let read_summary = step.reads_all() || tick_ms % SUMMARY_EVERY_MS < step.interval_ms;
        let mut pods_used = Counters::default();
        for pod in &mut self.pods {
            pods_used.add(pod.step(step, rng));
            if read_summary {
                let times = (tick_ms, network_ms(rng));
                pod.look(step, times, rng);
            }
        }
        let mut used = pods_used;
        for service in &mut self.services {
            used.add(service.step(step, rng));
        }
        if read_summary {
            let times = (tick_ms, network_ms(rng));
            self.looked.look(step, times, rng);
        }
        self.host.step(used.cpu_nanos(), step, rng);
        self.averages.step(step, step.interval_ms, rng);
        self.pods_counters.add(pods_used);
        self.node_counters.add(used);
        self.replace(tick_ms);
    }

    /// Replaces the part of the pods that this interval owes.
    fn replace(&mut self, tick_ms: u64) {
        let minutes = self.options.interval_ms as f64 / 60_000.0;
        self.replace_due += self.options.churn_per_minute * minutes * self.pods.len() as f64;
        while self.replace_due >= 1.0 && !self.pods.is_empty() {
            self.replace_due -= 1.0;
            let at = usize::try_from(self.rng.below(self.pods.len() as u64)).unwrap_or(0);
            let fresh = self.pod(tick_ms, false);
            if let Some(pod) = self.pods.get_mut(at) {
                *pod = fresh;
            }
        }
    }

    fn pod(&mut self, now_ms: u64, is_old: bool) -> Pod {
        let number = self.pods_made;
        self.pods_made += 1;
        let counts = (
            self.options.containers_per_pod,
            self.options.namespace_count(),
        );
        Pod::new(number, counts, (now_ms, is_old), &mut self.rng)
    }
}

impl Looked {
    fn new(now_ms: u64, rng: &mut Rng) -> Self {
        let second_ms = now_ms / 1000 * 1000;
        Self {
            read_ms: second_ms,
            disk: Space::new(256 << 30, 64 << 30, 500_000),
            images_bytes: 8 << 30,
            images_ms: second_ms,
            networks: ["eth0", "cni0"].map(|name| (name, Network::new(rng, true))),
            network_ms: second_ms,
            pids: 1_000 + rng.below(500),
        }
    }

    fn look(&mut self, step: Step, (now_ms, network_ms): (u64, u64), rng: &mut Rng) {
        if network_ms > self.network_ms {
            let over_ms = network_ms - self.network_ms;
            for (_, network) in &mut self.networks {
                network.step(step, over_ms, rng);
            }
            self.network_ms = network_ms;
        }
        self.read_ms = now_ms / 1000 * 1000;
        self.images_ms = now_ms.saturating_sub(rng.below(10_000)) / 1000 * 1000;
        self.disk.walk(4096, rng);
        self.pids = (self.pids + rng.below(9)).saturating_sub(4);
    }

    fn put(&self, draft: &mut Draft<'_>, node: Put) {
        let [(_, default), _] = &self.networks;
        draft.network(node, self.network_ms, default);
        for (name, network) in &self.networks {
            draft.interface(node, name, self.network_ms, network);
        }
        let images = self.disk.part(self.images_bytes, 40_000);
        for (name, space, time_ms) in [
            ("/", self.disk, self.network_ms),
            ("imagefs", images, self.images_ms),
            ("containerfs", images, self.images_ms),
        ] {
            draft.filesystem(node, (name, name == "/"), space, time_ms);
        }
        let used = (table::EPHEMERAL_STORAGE_USAGE, self.disk.used_bytes);
        draft.summary(node, Group::Filesystem, self.network_ms, [used]);
        let pids = [
            (table::RLIMIT_MAX_PIDS, 192_731),
            (table::RLIMIT_CURRENT_PIDS, self.pids),
        ];
        draft.summary(node, Group::Process, self.read_ms, pids);
    }
}

//! Rows as an agent beside readable cgroups makes them, drawn from a seed.

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Snapshot, Stamp};

use super::dictionary::{Dictionary, What};
use super::load::{Cgroup, Host, Memory, Network, Step};
use super::rng::Rng;
use super::{Kind, Options};

/// The summary is read so often beside cgroups.
const SUMMARY_EVERY_MS: u64 = 30_000;

/// Reading one cgroup through kept-open descriptors takes about this long.
const READ_MICROS: u64 = 60;

/// The services that every node has.
const SYSTEM: [&str; 4] = ["kubelet", "runtime", "misc", "pods"];

#[derive(Debug)]
struct Pod {
    name: String,
    namespace: String,
    uid: String,
    start_ms: u64,
    containers: Vec<(String, Cgroup)>,
    network: Network,
    network_ms: u64,
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
    network: Network,
    network_ms: u64,
    host: Host,
    node_cpu_nanos: u64,
    pods_cpu_nanos: u64,
    pods_made: usize,
    /// Pods that are due to be replaced, as a fraction.
    replace_due: f64,
    is_first: bool,
    dictionary: Dictionary,
}

/// A row in the making.
struct Draft<'a> {
    builder: Builder,
    dictionary: &'a mut Dictionary,
    tick_ms: u64,
    read_us: u64,
}

impl Generated {
    pub(super) fn new(options: &Options, index: usize, name: &str) -> Self {
        let mut rng = Rng::new(options.seed, index as u64);
        let start_ms = options.start_unix_ms;
        let mut node = Self {
            name: name.to_owned(),
            options: options.clone(),
            phase_ms: rng.below((options.interval_ms / 10).clamp(1, 250)),
            pods: Vec::new(),
            services: SYSTEM
                .iter()
                .map(|_| Cgroup::new(&mut rng, true, true))
                .collect(),
            network: Network::new(&mut rng, true),
            network_ms: start_ms / 1000 * 1000,
            host: Host::new(&mut rng),
            node_cpu_nanos: rng.below(1 << 40) * 1000,
            pods_cpu_nanos: rng.below(1 << 38) * 1000,
            pods_made: index * options.pods(),
            replace_due: 0.0,
            is_first: true,
            dictionary: Dictionary::default(),
            rng,
        };
        for _ in 0..options.pods() {
            let pod = node.pod(start_ms, true);
            node.pods.push(pod);
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
            read_us: (tick_ms + self.phase_ms) * 1000,
        };
        let node = draft.dictionary.node(tick_ms, &self.name);
        let mut pods_memory = Memory::default();
        for pod in &self.pods {
            pods_memory.add(draft.pod(node, pod));
        }
        let mut node_memory = pods_memory;
        for (name, service) in SYSTEM.into_iter().zip(&self.services) {
            let (cpu_nanos, memory) = match name {
                "pods" => (self.pods_cpu_nanos, pods_memory),
                _ => {
                    node_memory.add(service.memory);
                    (service.cpu_nanos, service.memory)
                }
            };
            let id = draft
                .dictionary
                .part(tick_ms, EntityKind::System, node, name);
            draft.cgroup(id, None, cpu_nanos, memory);
        }
        draft.cgroup(node, None, self.node_cpu_nanos, node_memory);
        draft.network(node, None, self.network_ms, &self.network);
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
        let mut pods_used = 0;
        // The kubelet's own figures are up to ten seconds old when they are read.
        let network_ms = |rng: &mut Rng| match step.kind {
            Kind::B => tick_ms,
            _ => tick_ms.saturating_sub(rng.below(10_000)) / 1000 * 1000,
        };
        let read_summary = step.kind == Kind::B || tick_ms % SUMMARY_EVERY_MS < step.interval_ms;
        for pod in &mut self.pods {
            for (_, cgroup) in &mut pod.containers {
                pods_used += cgroup.step(step, rng);
            }
            let now_ms = network_ms(rng);
            if read_summary && now_ms > pod.network_ms {
                pod.network.step(step, now_ms - pod.network_ms, rng);
                pod.network_ms = now_ms;
            }
        }
        let mut used = pods_used;
        for service in &mut self.services {
            used += service.step(step, rng);
        }
        let now_ms = network_ms(rng);
        if read_summary && now_ms > self.network_ms {
            self.network.step(step, now_ms - self.network_ms, rng);
            self.network_ms = now_ms;
        }
        self.host.step(used, step, rng);
        self.pods_cpu_nanos += pods_used;
        self.node_cpu_nanos += used;
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
        let rng = &mut self.rng;
        let uid = rng.uid();
        let age_ms = if is_old { rng.below(86_400) * 1000 } else { 0 };
        let containers = (0..self.options.containers_per_pod).map(|at| {
            // Every other one, so that it is half of them also on a small node.
            let busy = (number + at).is_multiple_of(2);
            (format!("c{at}"), Cgroup::new(rng, is_old, busy))
        });
        let containers = containers.collect();
        let suffix = uid.get(..8).unwrap_or_default();
        Pod {
            name: format!("app-{}-{suffix}", number % 97),
            namespace: format!("ns-{}", number % self.options.namespace_count()),
            start_ms: now_ms.saturating_sub(age_ms) / 1000 * 1000,
            containers,
            network: Network::new(rng, is_old),
            network_ms: now_ms / 1000 * 1000,
            uid,
        }
    }
}

impl Draft<'_> {
    /// Puts in a pod with its containers; gives its memory.
    fn pod(&mut self, node: EntityId, pod: &Pod) -> Memory {
        let what = What {
            kind: EntityKind::Pod,
            parent: Some(node),
            name: &pod.name,
            namespace: &pod.namespace,
            uid: &pod.uid,
            labels: &[],
        };
        let id = self.dictionary.id(self.tick_ms, what);
        let (mut cpu_nanos, mut memory) = (0, Memory::default());
        let start_ms = Some(pod.start_ms);
        for (name, cgroup) in &pod.containers {
            let part = self
                .dictionary
                .part(self.tick_ms, EntityKind::Container, id, name);
            self.cgroup(part, start_ms, cgroup.cpu_nanos, cgroup.memory);
            cpu_nanos += cgroup.cpu_nanos;
            memory.add(cgroup.memory);
        }
        self.cgroup(id, start_ms, cpu_nanos, memory);
        self.network(id, start_ms, pod.network_ms, &pod.network);
        memory
    }

    fn cgroup(&mut self, id: EntityId, start_ms: Option<u64>, cpu_nanos: u64, memory: Memory) {
        let stamp = Stamp {
            time_ms: self.read_us / 1000,
            start_ms,
            source: Source::Cgroup,
        };
        self.read_us += READ_MICROS;
        self.builder
            .stamp(id, Group::Cpu, stamp)
            .value(id, table::CPU, cpu_nanos);
        self.builder
            .stamp(id, Group::Memory, stamp)
            .value(id, table::MEMORY_USAGE, memory.usage_bytes)
            .value(id, table::MEMORY_WORKING_SET, memory.working_set_bytes)
            .value(id, table::MEMORY_RSS, memory.rss_bytes);
    }

    fn network(&mut self, id: EntityId, start_ms: Option<u64>, time_ms: u64, network: &Network) {
        let stamp = Stamp {
            time_ms,
            start_ms,
            source: Source::Summary,
        };
        self.builder.stamp(id, Group::Network, stamp);
        let fields = [
            table::NETWORK_RX,
            table::NETWORK_TX,
            table::NETWORK_RX_ERRORS,
            table::NETWORK_TX_ERRORS,
        ];
        for (field, value) in fields.into_iter().zip(network.counters) {
            self.builder.value(id, field, value);
        }
    }

    fn host(&mut self, id: EntityId, host: &Host) {
        let time_ms = self.read_us / 1000;
        let stamp = Stamp {
            time_ms,
            start_ms: None,
            source: Source::Procfs,
        };
        self.builder.stamp(id, Group::Host, stamp);
        let [load1, load5, load15] = host.load_milli;
        for (field, value) in [
            (table::HOST_LOAD1, load1),
            (table::HOST_LOAD5, load5),
            (table::HOST_LOAD15, load15),
            (table::HOST_MEMORY_TOTAL, host.memory_total_bytes),
            (table::HOST_MEMORY_AVAILABLE, host.memory_available_bytes),
            (table::HOST_CPU_BUSY, host.cpu_busy_nanos),
            (table::HOST_NETWORK_RX, host.rx_bytes),
            (table::HOST_NETWORK_TX, host.tx_bytes),
        ] {
            self.builder.value(id, field, value);
        }
    }
}

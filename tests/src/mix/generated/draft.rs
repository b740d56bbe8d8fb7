//! A row in the making: entities with their groups, as the agent puts them together.

use cairn_proto::catalogue::{FieldId, Group, Source, table};
use cairn_proto::model::{Builder, EntityId, EntityKind, Stamp};

use super::pod::Pod;
use crate::mix::dictionary::{Dictionary, What};
use crate::mix::host::Host;
use crate::mix::load::{Counters, Memory, Network};
use crate::mix::rng::Rng;
use crate::mix::storage::Space;

/// Reading one cgroup through kept-open descriptors takes at least this long, and at most twice.
const READ_MICROS: u64 = 40;

/// An entity that is being put in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Put {
    pub(super) id: EntityId,
    /// Of a part, the start of what it belongs to; Unix ms.
    pub(super) start_ms: Option<u64>,
}

/// The row.
pub(super) struct Draft<'a> {
    pub(super) builder: Builder,
    pub(super) dictionary: &'a mut Dictionary,
    pub(super) tick_ms: u64,
    pub(super) read_us: u64,
    pub(super) rng: &'a mut Rng,
}

impl Draft<'_> {
    /// Puts in a pod with everything below it; gives its memory.
    pub(super) fn pod(&mut self, node: EntityId, pod: &Pod, disk: (Space, u64)) -> Memory {
        let what = What {
            kind: EntityKind::Pod,
            parent: Some(node),
            name: &pod.name,
            namespace: &pod.namespace,
            uid: &pod.uid,
            labels: &[],
        };
        let id = self.dictionary.id(self.tick_ms, what);
        let start_ms = Some(pod.start_ms);
        let put = Put { id, start_ms };
        let (mut counters, mut memory) = (pod.beside, Memory::NONE);
        // The pod's own directory, beside what its containers write.
        let (mut used_bytes, mut inodes) = (4096, 1);
        for container in &pod.containers {
            let own = self.part(put, EntityKind::Container, &container.name, &[]);
            let (cgroup, written) = (&container.cgroup, container.written);
            self.cgroup(own, cgroup.counters, cgroup.memory);
            self.builder.value(own.id, table::SWAP_AVAILABLE, 0);
            let (space, image_ms) = disk;
            for (name, (bytes, nodes), time_ms) in [
                ("/", written.rootfs, image_ms),
                ("logs", written.logs, pod.storage_ms),
            ] {
                self.filesystem(own, (name, true), space.part(bytes, nodes), time_ms);
                used_bytes += bytes;
                inodes += nodes;
            }
            let value = (table::EPHEMERAL_STORAGE_USAGE, written.used_bytes());
            self.summary(
                own,
                Group::Filesystem,
                image_ms.min(pod.storage_ms),
                [value],
            );
            counters.add(cgroup.counters);
            memory.add(cgroup.memory);
        }
        self.cgroup(put, counters, memory);
        self.builder
            .value(id, table::PROCESS_COUNT, pod.process_count);
        let ephemeral = [
            (table::EPHEMERAL_STORAGE_USAGE, used_bytes),
            (table::EPHEMERAL_STORAGE_INODES_USED, inodes),
        ];
        self.summary(put, Group::Filesystem, pod.storage_ms, ephemeral);
        self.network(put, pod.network_ms, &pod.network);
        self.interface(put, "eth0", pod.network_ms, &pod.network);
        for volume in &pod.volumes {
            let part = self.part(put, EntityKind::Volume, &volume.name, &volume.labels);
            let values = volume.space.values(table::volume);
            self.summary(part, Group::Volume, volume.time_ms, values);
        }
        memory
    }

    /// The next cgroup's figures, read after the ones before.
    pub(super) fn cgroup(&mut self, put: Put, counters: Counters, memory: Memory) {
        let stamp = Stamp {
            time_ms: self.read_us / 1000,
            start_ms: put.start_ms,
            source: Source::Cgroup,
        };
        self.read_us += READ_MICROS + self.rng.below(READ_MICROS);
        self.builder.stamp(put.id, Group::Cpu, stamp);
        self.builder.stamp(put.id, Group::Memory, stamp);
        self.values(put.id, counters.values());
        let gauges = [
            (table::MEMORY_USAGE, memory.usage_bytes),
            (table::MEMORY_WORKING_SET, memory.working_set_bytes),
            (table::MEMORY_RSS, memory.rss_bytes),
            (table::SWAP_USAGE, 0),
        ];
        self.values(put.id, gauges);
        if let Some(limit_bytes) = memory.limit_bytes {
            let available_bytes = limit_bytes.saturating_sub(memory.working_set_bytes);
            self.builder
                .value(put.id, table::MEMORY_AVAILABLE, available_bytes);
        }
    }

    /// What the kubelet's summary said of a group at its time.
    pub(super) fn summary(
        &mut self,
        put: Put,
        group: Group,
        time_ms: u64,
        values: impl IntoIterator<Item = (FieldId, u64)>,
    ) {
        let stamp = Stamp {
            time_ms,
            start_ms: put.start_ms,
            source: Source::Summary,
        };
        self.builder.stamp(put.id, group, stamp);
        self.values(put.id, values);
    }

    pub(super) fn network(&mut self, put: Put, time_ms: u64, network: &Network) {
        let fields = [
            table::NETWORK_RX,
            table::NETWORK_TX,
            table::NETWORK_RX_ERRORS,
            table::NETWORK_TX_ERRORS,
        ];
        let values = fields.into_iter().zip(network.counters);
        self.summary(put, Group::Network, time_ms, values);
    }

    /// An interface of a node or pod, as the kubelet counts it.
    pub(super) fn interface(&mut self, of: Put, name: &str, time_ms: u64, network: &Network) {
        let part = self.part(of, EntityKind::Interface, name, &[]);
        self.network(part, time_ms, network);
    }

    pub(super) fn filesystem(
        &mut self,
        of: Put,
        (name, labelled): (&str, bool),
        space: Space,
        time_ms: u64,
    ) {
        let labels = [("resource_id".to_owned(), name.to_owned())];
        let labels = if labelled { &labels[..] } else { &[] };
        let part = self.part(of, EntityKind::Filesystem, name, labels);
        let values = space.values(table::filesystem);
        self.summary(part, Group::Filesystem, time_ms, values);
    }

    /// The machine's figures, its disks and interfaces.
    pub(super) fn host(&mut self, node: Put, host: &Host) {
        let time_ms = self.read_us / 1000;
        let stamp = Stamp {
            time_ms,
            start_ms: None,
            source: Source::Procfs,
        };
        self.builder.stamp(node.id, Group::Host, stamp);
        self.values(node.id, host.values(time_ms));
        let disks = host.disks.iter().map(|one| (EntityKind::BlockDevice, one));
        let interfaces = host.interfaces.iter();
        let interfaces = interfaces.map(|one| (EntityKind::Interface, one));
        for (kind, (name, values)) in disks.chain(interfaces) {
            let part = self.part(node, kind, name, &[]);
            self.builder.stamp(part.id, Group::Host, stamp);
            self.values(part.id, values.values());
        }
    }

    pub(super) fn values(
        &mut self,
        id: EntityId,
        values: impl IntoIterator<Item = (FieldId, u64)>,
    ) {
        for (field, value) in values {
            self.builder.value(id, field, value);
        }
    }

    /// A part of an entity, which begins with it.
    pub(super) fn part(
        &mut self,
        of: Put,
        kind: EntityKind,
        name: &str,
        labels: &[(String, String)],
    ) -> Put {
        let what = What {
            kind,
            parent: Some(of.id),
            name,
            namespace: "",
            uid: "",
            labels,
        };
        let id = self.dictionary.id(self.tick_ms, what);
        Put { id, ..of }
    }
}

//! File systems, volumes, interfaces and accelerators: parts with names of their own.

use cairn_proto::catalogue::Group;
use cairn_proto::catalogue::table::{self, Storage};
use cairn_proto::model::EntityKind;

use super::field::{Field, List};
use super::reader::Reader;
use super::shape::{RawAccelerator, RawFs, RawNetwork, RawRuntime, RawVolume, Text};
use crate::sources::summary::Stats;
use crate::sources::{Figures, Part};

/// The label by which the Heapster API tells file systems apart.
const RESOURCE_ID: &str = "resource_id";

/// Bytes in use of a file system, and when they were counted, Unix ms.
type Used = Option<(u64, u64)>;

impl Reader {
    /// The node's own file system and those of the runtime.
    pub(super) fn node_storage(
        &mut self,
        stats: &mut Stats,
        fs: Field<RawFs>,
        runtime: Field<RawRuntime>,
    ) {
        let used = self.filesystem(stats, "/", Some("/"), fs);
        ephemeral(stats, used);
        if let Some(runtime) = self.value(runtime) {
            self.filesystem(stats, "imagefs", None, runtime.image_fs);
            self.filesystem(stats, "containerfs", None, runtime.container_fs);
        }
    }

    /// What the container wrote, and its logs.
    pub(super) fn container_storage(
        &mut self,
        stats: &mut Stats,
        rootfs: Field<RawFs>,
        logs: Field<RawFs>,
    ) {
        let rootfs = self.filesystem(stats, "/", Some("/"), rootfs);
        let logs = self.filesystem(stats, "logs", Some("logs"), logs);
        // Half a sum would be a wrong number; the sum is as old as its older part.
        let sum = rootfs
            .zip(logs)
            .map(|((a, a_ms), (b, b_ms))| (a.saturating_add(b), a_ms.min(b_ms)));
        ephemeral(stats, sum);
    }

    /// A pod's ephemeral storage and its volumes.
    pub(super) fn pod_storage(
        &mut self,
        stats: &mut Stats,
        storage: Field<RawFs>,
        volumes: Field<List<RawVolume<'_>>>,
    ) {
        if let Some(storage) = self.value(storage) {
            let values = [
                (table::EPHEMERAL_STORAGE_USAGE, storage.used_bytes),
                (table::EPHEMERAL_STORAGE_INODES_USED, storage.inodes_used),
            ];
            self.group(&mut stats.figures, Group::Filesystem, values, storage.time);
        }
        for volume in self.items(volumes) {
            self.volume(stats, volume);
        }
    }

    fn volume(&mut self, stats: &mut Stats, raw: RawVolume<'_>) {
        let values = raw.values();
        let Some(name) = self.name(raw.name) else {
            return;
        };
        let mut labels = vec![(RESOURCE_ID.to_owned(), format!("Volume:{name}"))];
        if let Some(claim) = self.value(raw.pvc_ref) {
            for (label, text) in [("pvc_name", claim.name), ("pvc_namespace", claim.namespace)] {
                let text = self.value(text);
                labels.extend(text.map(|text| (label.to_owned(), text.into_owned())));
            }
        }
        labels.sort_unstable();
        let mut figures = Figures::with_capacity(values.len());
        if self
            .group(&mut figures, Group::Volume, values, raw.time)
            .is_some()
        {
            stats.parts.push(Part {
                kind: EntityKind::Volume,
                name,
                labels,
                figures,
            });
        }
    }

    /// Adds a file system with whatever is known of it.
    fn filesystem(
        &mut self,
        stats: &mut Stats,
        name: &str,
        resource_id: Option<&str>,
        raw: Field<RawFs>,
    ) -> Used {
        let raw = self.value(raw)?;
        let values = raw.values();
        let mut figures = Figures::with_capacity(values.len());
        let time_ms = self.group(&mut figures, Group::Filesystem, values, raw.time)?;
        let used = figures.value(table::filesystem(Storage::Usage));
        let labels = resource_id.map(|id| (RESOURCE_ID.to_owned(), id.to_owned()));
        stats.parts.push(Part {
            kind: EntityKind::Filesystem,
            name: name.to_owned(),
            labels: labels.into_iter().collect(),
            figures,
        });
        Some((used?, time_ms))
    }

    /// The default interface's counters, and each interface's.
    pub(super) fn network(&mut self, stats: &mut Stats, raw: Field<RawNetwork<'_>>) {
        let Some(raw) = self.value(raw) else { return };
        let mark = stats.figures.values().len();
        let own = raw.values();
        self.add(&mut stats.figures, own);
        let interfaces = self.items(raw.interfaces);
        let has_own = stats.figures.values().len() > mark;
        if !has_own && interfaces.is_empty() {
            return;
        }
        let Some(time_ms) = self.time(raw.time) else {
            stats.figures.truncate(mark);
            return;
        };
        if has_own {
            stats.figures.measured(Group::Network, time_ms);
        }
        for interface in interfaces {
            let values = interface.values();
            let mut figures = Figures::with_capacity(values.len());
            self.add(&mut figures, values);
            let name = self.name(interface.name);
            let Some(name) = name.filter(|_| !figures.values().is_empty()) else {
                continue;
            };
            figures.measured(Group::Network, time_ms);
            stats.parts.push(Part {
                kind: EntityKind::Interface,
                name,
                labels: Vec::new(),
                figures,
            });
        }
    }

    /// Accelerators, which have no time of their own: they are read with the container's memory.
    pub(super) fn accelerators(&mut self, stats: &mut Stats, raw: Field<List<RawAccelerator<'_>>>) {
        let time_ms = stats.figures.time_ms(Group::Memory);
        for raw in self.items(raw) {
            let mut figures = Figures::default();
            self.add(&mut figures, raw.values());
            let Some(id) = self.name(raw.id).filter(|_| !figures.values().is_empty()) else {
                continue;
            };
            if let Some(time_ms) = time_ms {
                figures.measured(Group::Memory, time_ms);
            }
            let mut labels = vec![("accelerator_id".to_owned(), id.clone())];
            for (label, text) in [("make", raw.make), ("model", raw.model)] {
                let text = self.value(text).unwrap_or_default();
                labels.push((label.to_owned(), text.into_owned()));
            }
            stats.parts.push(Part {
                kind: EntityKind::Accelerator,
                name: id,
                labels,
                figures,
            });
        }
    }

    /// The items of a list that were understood.
    fn items<T>(&mut self, raw: Field<List<T>>) -> Vec<T> {
        let Some(list) = self.value(raw) else {
            return Vec::new();
        };
        self.dropped_count += list.dropped_count;
        list.items
            .into_iter()
            .filter_map(|item| self.value(item))
            .collect()
    }

    /// A name; a part without one is none, and is counted.
    fn name(&mut self, text: Text<'_>) -> Option<String> {
        let name = text.known().filter(|name| !name.is_empty());
        self.odd_count += u64::from(name.is_none());
        name.map(std::borrow::Cow::into_owned)
    }
}

fn ephemeral(stats: &mut Stats, used: Used) {
    if let Some((bytes, time_ms)) = used {
        stats.figures.measured(Group::Filesystem, time_ms);
        stats
            .figures
            .push(table::EPHEMERAL_STORAGE_USAGE, Some(bytes));
    }
}

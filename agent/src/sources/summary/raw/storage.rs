//! File systems, volumes, interfaces and accelerators: parts with names of their own.

use std::borrow::Cow;

use cairn_proto::catalogue::Group;
use cairn_proto::catalogue::table::{self, Storage};
use cairn_proto::model::EntityKind;

use super::field::Field;
use super::lists::{Listed, Parts};
use super::reader::{Reader, known_name};
use super::shape::{RawAccelerator, RawFs, RawInterface, RawNetwork, RawRuntime, RawVolume, Text};
use super::spare::label;
use crate::sources::Part;
use crate::sources::summary::Stats;

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
        volumes: Field<Parts<RawVolume<'_>>>,
    ) {
        if let Some(storage) = self.value(storage) {
            let values = [
                (table::EPHEMERAL_STORAGE_USAGE, storage.used_bytes),
                (table::EPHEMERAL_STORAGE_INODES_USED, storage.inodes_used),
            ];
            self.group(&mut stats.figures, Group::Filesystem, values, storage.time);
        }
        let volumes = self.parts(volumes);
        self.add_parts(stats, volumes);
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
        let mut part = self.part(EntityKind::Filesystem, name, values.len());
        let figures = &mut part.figures;
        let Some(time_ms) = self.group(figures, Group::Filesystem, values, raw.time) else {
            self.spare.put_part(part);
            return None;
        };
        let used = figures.value(table::filesystem(Storage::Usage));
        if let Some(id) = resource_id {
            label(&mut part, 0, RESOURCE_ID, &[id]);
        }
        part.labels.truncate(usize::from(resource_id.is_some()));
        stats.parts.push(part);
        Some((used?, time_ms))
    }

    /// The default interface's counters, and each interface's.
    pub(super) fn network(&mut self, stats: &mut Stats, raw: Field<RawNetwork<'_>>) {
        let Some(raw) = self.value(raw) else { return };
        let mark = stats.figures.values().len();
        let own = raw.values();
        self.add(&mut stats.figures, own);
        let mut interfaces = self.parts(raw.interfaces);
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
        for interface in &mut interfaces {
            interface.figures.measured(Group::Network, time_ms);
        }
        self.add_parts(stats, interfaces);
    }

    /// Accelerators, which have no time of their own: they are read with the container's memory.
    pub(super) fn accelerators(
        &mut self,
        stats: &mut Stats,
        raw: Field<Parts<RawAccelerator<'_>>>,
    ) {
        let mut accelerators = self.parts(raw);
        if let Some(time_ms) = stats.figures.time_ms(Group::Memory) {
            for accelerator in &mut accelerators {
                accelerator.figures.measured(Group::Memory, time_ms);
            }
        }
        self.add_parts(stats, accelerators);
    }

    /// A name; a part without one is none, and is counted.
    fn name<'a>(&mut self, text: Text<'a>) -> Option<Cow<'a, str>> {
        let name = known_name(text);
        self.counts.odd += u64::from(name.is_none());
        name
    }

    /// A part that has room for so many values.
    fn part(&mut self, kind: EntityKind, name: &str, values: usize) -> Part {
        let mut part = self.spare.part(kind, name);
        part.figures.reserve(values);
        part
    }

    /// What has no value is no part.
    fn valued(&mut self, part: Part) -> Option<Part> {
        if part.figures.values().is_empty() {
            self.spare.put_part(part);
            return None;
        }
        Some(part)
    }
}

impl<'a> Listed<'a> for RawVolume<'a> {
    fn part(self, reader: &mut Reader) -> Option<Part> {
        let values = self.values();
        let name = reader.name(self.name)?;
        let mut part = reader.part(EntityKind::Volume, &name, values.len());
        let mut labels = 0;
        // In the order of their keys.
        if let Some(claim) = reader.value(self.pvc_ref) {
            for (key, text) in [("pvc_name", claim.name), ("pvc_namespace", claim.namespace)] {
                if let Some(text) = reader.value(text) {
                    label(&mut part, labels, key, &[&text]);
                    labels += 1;
                }
            }
        }
        label(&mut part, labels, RESOURCE_ID, &["Volume:", &name]);
        part.labels.truncate(labels + 1);
        reader.group(&mut part.figures, Group::Volume, values, self.time);
        reader.valued(part)
    }
}

impl<'a> Listed<'a> for RawInterface<'a> {
    fn part(self, reader: &mut Reader) -> Option<Part> {
        let values = self.values();
        let name = reader.name(self.name)?;
        let mut part = reader.part(EntityKind::Interface, &name, values.len());
        reader.add(&mut part.figures, values);
        part.labels.clear();
        reader.valued(part)
    }
}

impl<'a> Listed<'a> for RawAccelerator<'a> {
    fn part(self, reader: &mut Reader) -> Option<Part> {
        let values = self.values();
        let id = reader.name(self.id)?;
        let mut part = reader.part(EntityKind::Accelerator, &id, values.len());
        reader.add(&mut part.figures, values);
        let make = reader.value(self.make).unwrap_or_default();
        let model = reader.value(self.model).unwrap_or_default();
        let labels = [("accelerator_id", id), ("make", make), ("model", model)];
        part.labels.truncate(labels.len());
        for (at, (key, text)) in labels.iter().enumerate() {
            label(&mut part, at, key, &[text]);
        }
        reader.valued(part)
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

//! Block devices that cgroups read and wrote.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use cairn_proto::catalogue::{Group, table};
use cairn_proto::model::EntityKind;
use procfs::DiskStats;
use procfs::prelude::FromRead as _;

use super::text::{self, Device};
use crate::sources::{Figures, Part};

/// Devices taken of one cgroup: more than any machine has disks.
const MAX_DEVICES: usize = 64;

/// Names of block devices, from the node's /proc.
#[derive(Debug)]
pub(super) struct Devices {
    diskstats: PathBuf,
    names: HashMap<Device, String>,
    // An unknown device was met since the list was read last.
    missed: bool,
}

impl Devices {
    pub(super) fn new(proc_root: &Path) -> Self {
        Self {
            diskstats: proc_root.join("diskstats"),
            names: HashMap::new(),
            missed: true,
        }
    }

    /// Reads the list again when a device was not in it. Once a tick at most.
    pub(super) fn refresh(&mut self) {
        if !std::mem::take(&mut self.missed) {
            return;
        }
        // Without the list devices are called by their numbers, and nothing is missing.
        if let Ok(DiskStats(disks)) = DiskStats::from_file(&self.diskstats) {
            let named = disks.into_iter().filter_map(|disk| {
                let number = (
                    u32::try_from(disk.major).ok()?,
                    u32::try_from(disk.minor).ok()?,
                );
                Some((number, disk.name))
            });
            self.names = named.collect();
        }
    }

    /// The name of a device; its numbers when it is not in the list.
    fn name(&mut self, device: Device) -> String {
        let known = self.names.get(&device).cloned();
        self.missed |= known.is_none();
        known.unwrap_or_else(|| format!("{}:{}", device.0, device.1))
    }
}

/// What one cgroup did with block devices, collected from its files.
#[derive(Debug, Default)]
pub(super) struct Io {
    told: Vec<(Device, text::Io)>,
    // Of the parts that were made of it.
    numbers: Vec<Device>,
    // Devices that are left out.
    dropped_count: u64,
}

impl Io {
    /// Begins a reading.
    pub(super) fn begin(&mut self) {
        self.told.clear();
        self.dropped_count = 0;
    }

    /// Takes what is said of a device, of each figure what is said first.
    pub(super) fn add(&mut self, device: Device, io: text::Io) {
        let at = match self.told.iter().position(|(other, _)| *other == device) {
            Some(at) => at,
            None if self.told.len() >= MAX_DEVICES => {
                self.dropped_count += 1;
                return;
            }
            None => {
                self.told.push((device, text::Io::default()));
                self.told.len() - 1
            }
        };
        if let Some((_, sum)) = self.told.get_mut(at) {
            sum.read_bytes = sum.read_bytes.or(io.read_bytes);
            sum.write_bytes = sum.write_bytes.or(io.write_bytes);
            sum.reads = sum.reads.or(io.reads);
            sum.writes = sum.writes.or(io.writes);
        }
    }

    /// Makes parts of what was told. Where the devices are those of the reading before, nothing is
    /// allocated.
    pub(super) fn finish(&mut self, time_ms: u64, names: &mut Devices, parts: &mut Vec<Part>) {
        let same = self.told.iter().map(|(device, _)| device).eq(&self.numbers);
        if !same {
            self.numbers.clear();
            self.numbers
                .extend(self.told.iter().map(|(device, _)| *device));
            parts.clear();
            parts.extend(self.numbers.iter().map(|device| Part {
                kind: EntityKind::BlockDevice,
                name: names.name(*device),
                labels: Vec::new(),
                figures: Figures::default(),
            }));
        }
        for ((_, io), part) in self.told.iter().zip(parts) {
            let figures = &mut part.figures;
            figures.clear();
            figures.measured(Group::Detail, time_ms);
            figures.push(table::IO_READ_BYTES, io.read_bytes);
            figures.push(table::IO_WRITE_BYTES, io.write_bytes);
            figures.push(table::IO_READS, io.reads);
            figures.push(table::IO_WRITES, io.writes);
        }
    }
}

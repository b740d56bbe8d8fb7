//! Disks and interfaces of the machine.

use std::path::{Path, PathBuf};

use cairn_proto::catalogue::table;
use cairn_proto::catalogue::{FieldId, Group};
use cairn_proto::model::EntityKind;
use procfs::net::{DeviceStatus, InterfaceDeviceStatus};
use procfs::prelude::FromRead as _;
use procfs::{DiskStat, DiskStats};

use super::{Reader, routes};
use crate::sources::{Figures, Part, interfaces};

/// Disks and interfaces taken of a machine: more than any has, and few enough that one with
/// thousands of virtual ones costs nobody their window.
const MAX_DEVICES: usize = 64;

/// The kernel counts sectors of this size, whatever the disk's are.
const SECTOR_BYTES: u64 = 512;

impl Reader<'_> {
    pub(super) fn interfaces(&mut self) {
        let net = net(self.root);
        let read = InterfaceDeviceStatus::from_file(net.join("dev"));
        let Some(InterfaceDeviceStatus(devices)) = self.keep(read) else {
            return;
        };
        let named = routes::default_interfaces(&net);
        let counted = |device: &&DeviceStatus| match &named {
            Some(names) => names.contains(&device.name),
            None => device.name != "lo",
        };
        let bytes = |device: &DeviceStatus| [device.recv_bytes, device.sent_bytes];
        let counting = devices.values().filter(counted);
        let [received, sent] = self
            .traffic
            .take(counting.map(|device| (device.name.as_str(), bytes(device))));
        let figures = &mut self.host.figures;
        figures.push(table::HOST_NETWORK_RX, Some(received));
        figures.push(table::HOST_NETWORK_TX, Some(sent));
        let mut own: Vec<&DeviceStatus> = devices
            .values()
            .filter(|device| interfaces::is_own(&device.name))
            .collect();
        own.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.drop_beyond(own.len());
        for device in own.into_iter().take(MAX_DEVICES) {
            let values = [
                (table::INTERFACE_RX_BYTES, device.recv_bytes),
                (table::INTERFACE_RX_PACKETS, device.recv_packets),
                (table::INTERFACE_RX_ERRORS, device.recv_errs),
                (table::INTERFACE_RX_DROPPED, device.recv_drop),
                (table::INTERFACE_TX_BYTES, device.sent_bytes),
                (table::INTERFACE_TX_PACKETS, device.sent_packets),
                (table::INTERFACE_TX_ERRORS, device.sent_errs),
                (table::INTERFACE_TX_DROPPED, device.sent_drop),
            ];
            self.part(EntityKind::Interface, &device.name, &values);
        }
    }

    pub(super) fn disks(&mut self) {
        let read = DiskStats::from_file(self.root.join("diskstats"));
        let Some(DiskStats(mut disks)) = self.keep(read) else {
            return;
        };
        disks.retain(|disk| is_whole_disk(&disk.name));
        self.drop_beyond(disks.len());
        for disk in disks.iter().take(MAX_DEVICES) {
            self.part(EntityKind::BlockDevice, &disk.name, &disk_values(disk));
        }
    }

    /// Counts the devices of a list that are not taken.
    fn drop_beyond(&mut self, listed: usize) {
        self.host.dropped_count += listed.saturating_sub(MAX_DEVICES) as u64;
    }

    pub(super) fn part(&mut self, kind: EntityKind, name: &str, values: &[(FieldId, u64)]) {
        let mut figures = Figures::default();
        figures.reserve(values.len());
        figures.measured(Group::Host, self.time_ms);
        for (field, value) in values {
            figures.push(*field, Some(*value));
        }
        self.host.parts.push(Part {
            kind,
            name: name.to_owned(),
            labels: Vec::new(),
            figures,
        });
    }
}

/// Where the interfaces of a /proc are. `net` leads to the reader's own, wherever that /proc is mounted: of one that
/// is mounted elsewhere those of its first process are the node's. Where that process is hidden, or has no such
/// directory, `net` is what there is.
fn net(root: &Path) -> PathBuf {
    let first = root.join("1/net");
    if root != Path::new("/proc") && first.join("dev").exists() {
        return first;
    }
    root.join("net")
}

fn disk_values(disk: &DiskStat) -> [(FieldId, u64); 9] {
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR_BYTES);
    [
        (table::DISK_READS, disk.reads),
        (table::DISK_WRITES, disk.writes),
        (table::DISK_READ_BYTES, bytes(disk.sectors_read)),
        (table::DISK_WRITE_BYTES, bytes(disk.sectors_written)),
        (table::DISK_READ_TIME, disk.time_reading),
        (table::DISK_WRITE_TIME, disk.time_writing),
        (table::DISK_IO_TIME, disk.time_in_progress),
        (table::DISK_WEIGHTED_IO_TIME, disk.weighted_time_in_progress),
        (table::DISK_IO_IN_PROGRESS, disk.in_progress),
    ]
}

/// True for disks; false for partitions, whose figures are in their disk's, and for devices that
/// are no disk: loops, memory, floppy and optical drives.
fn is_whole_disk(name: &str) -> bool {
    const NONE: [&str; 5] = ["loop", "ram", "zram", "fd", "sr"];
    let numbered = |rest: &str| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
    if NONE
        .iter()
        .any(|none| name.strip_prefix(none).is_some_and(numbered))
    {
        return false;
    }
    // A disk whose name ends in a digit has a p before the partition's number.
    let behind_p = ["nvme", "mmcblk", "nbd", "md", "loop"]
        .iter()
        .any(|kind| name.starts_with(kind))
        && name.rsplit_once('p').is_some_and(|(disk, number)| {
            numbered(number) && disk.ends_with(|c: char| c.is_ascii_digit())
        });
    let behind_letters = ["sd", "hd", "vd", "xvd", "dasd"].iter().any(|kind| {
        name.strip_prefix(kind).is_some_and(|rest| {
            let number = rest.trim_start_matches(|c: char| c.is_ascii_lowercase());
            number.len() < rest.len() && numbered(number)
        })
    });
    !behind_p && !behind_letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_devices_that_are_no_disk_are_left_out() {
        for disk in [
            "sda", "vda", "xvdb", "nvme0n1", "mmcblk0", "dm-0", "md127", "sdaa", "nbd0", "dasda",
            "md_d0",
        ] {
            assert!(is_whole_disk(disk), "{disk}");
        }
        for other in [
            "sda1",
            "vda15",
            "xvda1",
            "nvme0n1p1",
            "mmcblk0p2",
            "nbd0p1",
            "md127p1",
            "loop0p1",
            "dasda1",
            "hdb10",
            "loop0",
            "ram15",
            "zram0",
            "sr0",
            "fd0",
        ] {
            assert!(!is_whole_disk(other), "{other}");
        }
    }
}

//! The families that the catalogue has fields for.

use cairn_proto::catalogue::{FieldId, table};

/// What a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Of the cgroup itself.
    Own,
    /// Of one of its devices.
    Device,
    /// Of one of its interfaces.
    Interface,
    /// The start of its life.
    Start,
    /// Of the scrape.
    Error,
}

/// How the lines of one family are read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub(super) what: What,
    /// The field of a value that is one.
    pub(super) field: FieldId,
    /// The text times ten to the power of this is the value.
    pub(super) scale: i32,
}

impl Family {
    /// The family of this name; `None` for one that is not read.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let (what, field, scale) = match name.strip_prefix(b"container_")? {
            b"cpu_cfs_periods_total" => (What::Own, table::CFS_PERIODS, 0),
            b"cpu_cfs_throttled_periods_total" => (What::Own, table::CFS_THROTTLED_PERIODS, 0),
            b"cpu_cfs_throttled_seconds_total" => (What::Own, table::CFS_THROTTLED_TIME, 9),
            b"memory_cache" => (What::Own, table::MEMORY_CACHE, 0),
            b"memory_mapped_file" => (What::Own, table::MEMORY_MAPPED_FILE, 0),
            b"oom_events_total" => (What::Own, table::OOM_EVENTS, 0),
            b"file_descriptors" => (What::Own, table::FILE_DESCRIPTORS, 0),
            b"threads" => (What::Own, table::THREADS, 0),
            b"fs_reads_bytes_total" => (What::Device, table::IO_READ_BYTES, 0),
            b"fs_writes_bytes_total" => (What::Device, table::IO_WRITE_BYTES, 0),
            b"fs_reads_total" => (What::Device, table::IO_READS, 0),
            b"fs_writes_total" => (What::Device, table::IO_WRITES, 0),
            b"network_receive_packets_total" => (What::Interface, table::NETWORK_RX_PACKETS, 0),
            b"network_receive_packets_dropped_total" => {
                (What::Interface, table::NETWORK_RX_DROPPED, 0)
            }
            b"network_transmit_packets_total" => (What::Interface, table::NETWORK_TX_PACKETS, 0),
            b"network_transmit_packets_dropped_total" => {
                (What::Interface, table::NETWORK_TX_DROPPED, 0)
            }
            b"start_time_seconds" => (What::Start, table::CPU, 3),
            b"scrape_error" => (What::Error, table::CPU, 0),
            _ => return None,
        };
        Some(Self { what, field, scale })
    }

    /// The label that names a part.
    pub(super) fn part_label(self) -> Option<&'static [u8]> {
        match self.what {
            What::Device => Some(b"device"),
            What::Interface => Some(b"interface"),
            What::Own | What::Start | What::Error => None,
        }
    }
}

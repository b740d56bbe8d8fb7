//! The families that the catalogue has fields for.

use cairn_proto::catalogue::table::{self, PressureOf, pressure_total};
use cairn_proto::catalogue::{EntityKind, FieldId};

use super::Teller;

/// What a value is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Of the cgroup itself.
    Own,
    /// Of one of its devices.
    Device,
    /// Of one of its interfaces.
    Interface,
    /// Its CPU time, of one processor or of all.
    Cpu,
    /// Its page faults, of one kind.
    Faults,
    /// The limit of its memory.
    Limit,
    /// The start of its life.
    Start,
    /// Of the scrape.
    Error,
}

impl What {
    /// The kind of the part that it is of; `None` of what is of the cgroup itself.
    pub(super) fn part(self) -> Option<EntityKind> {
        match self {
            What::Device => Some(EntityKind::BlockDevice),
            What::Interface => Some(EntityKind::Interface),
            _ => None,
        }
    }
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
    pub(super) fn of(name: &[u8], teller: Teller) -> Option<Self> {
        let name = name.strip_prefix(b"container_")?;
        match teller {
            Teller::Kubelet | Teller::Beside => Self::detail(name),
            Teller::Alone => Self::detail(name).or_else(|| Self::usage(name)),
        }
    }

    /// What a kubelet tells nowhere else.
    fn detail(name: &[u8]) -> Option<Self> {
        let (what, field, scale) = match name {
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

    /// What a kubelet tells elsewhere, and better.
    fn usage(name: &[u8]) -> Option<Self> {
        let pressure = |of, full| (What::Own, pressure_total(of, full), 6);
        let (what, field, scale) = match name {
            b"cpu_usage_seconds_total" => (What::Cpu, table::CPU, 9),
            b"memory_usage_bytes" => (What::Own, table::MEMORY_USAGE, 0),
            b"memory_working_set_bytes" => (What::Own, table::MEMORY_WORKING_SET, 0),
            b"memory_rss" => (What::Own, table::MEMORY_RSS, 0),
            b"memory_swap" => (What::Own, table::SWAP_USAGE, 0),
            b"memory_failures_total" => (What::Faults, table::MEMORY_PAGE_FAULTS, 0),
            b"spec_memory_limit_bytes" => (What::Limit, table::MEMORY_AVAILABLE, 0),
            b"pressure_cpu_waiting_seconds_total" => pressure(PressureOf::Cpu, false),
            b"pressure_cpu_stalled_seconds_total" => pressure(PressureOf::Cpu, true),
            b"pressure_memory_waiting_seconds_total" => pressure(PressureOf::Memory, false),
            b"pressure_memory_stalled_seconds_total" => pressure(PressureOf::Memory, true),
            b"pressure_io_waiting_seconds_total" => pressure(PressureOf::Io, false),
            b"pressure_io_stalled_seconds_total" => pressure(PressureOf::Io, true),
            b"network_receive_bytes_total" => (What::Interface, table::NETWORK_RX, 0),
            b"network_receive_errors_total" => (What::Interface, table::NETWORK_RX_ERRORS, 0),
            b"network_transmit_bytes_total" => (What::Interface, table::NETWORK_TX, 0),
            b"network_transmit_errors_total" => (What::Interface, table::NETWORK_TX_ERRORS, 0),
            _ => return None,
        };
        Some(Self { what, field, scale })
    }

    /// The label that names a part, a processor or a kind.
    pub(super) fn part_label(self) -> Option<&'static [u8]> {
        match self.what {
            What::Device => Some(b"device"),
            What::Interface => Some(b"interface"),
            What::Cpu => Some(b"cpu"),
            What::Faults => Some(b"failure_type"),
            What::Own | What::Limit | What::Start | What::Error => None,
        }
    }
}

//! The objects of a summary as they are written: every value may be anything.

use std::borrow::Cow;

use cairn_proto::catalogue::FieldId;
use cairn_proto::catalogue::table::{self, Storage};

use super::Input;
use super::again::{Psi, Share};
use super::field::{self, CentiPercent, Field, Passed, Wanted};
use super::lists::{Containers, Parts};
use super::time::Time;
use crate::sources::json::{Error, Inside};

pub(super) type Text<'a> = Field<Cow<'a, str>>;

field::objects! {
    Node<'a> {
        "nodeName" => node_name: Cow<'a, str>,
        "systemContainers" => system_containers: Containers,
        "startTime" => start_time: Time,
        "cpu" => cpu: RawCpu,
        "memory" => memory: RawMemory,
        "io" => io: RawIo,
        "network" => network: RawNetwork<'a>,
        "fs" => fs: RawFs,
        "runtime" => runtime: RawRuntime,
        "rlimit" => rlimit: RawRlimit,
        "swap" => swap: RawSwap,
    }

    RawPod<'a> {
        "podRef" => pod_ref: PodRef<'a>,
        "startTime" => start_time: Time,
        "containers" => containers: Containers,
        "cpu" => cpu: RawCpu,
        "memory" => memory: RawMemory,
        "io" => io: RawIo,
        "network" => network: RawNetwork<'a>,
        "volume" => volume: Parts<RawVolume<'a>>,
        "ephemeral-storage" => ephemeral_storage: RawFs,
        "process_stats" => process_stats: RawProcesses,
        "swap" => swap: RawSwap,
    }

    PodRef<'a> {
        "name" => name: Cow<'a, str>,
        "namespace" => namespace: Cow<'a, str>,
        "uid" => uid: Cow<'a, str>,
    }

    Container<'a> {
        "name" => name: Cow<'a, str>,
        "startTime" => start_time: Time,
        "cpu" => cpu: RawCpu,
        "memory" => memory: RawMemory,
        "io" => io: RawIo,
        "rootfs" => rootfs: RawFs,
        "logs" => logs: RawFs,
        "accelerators" => accelerators: Parts<RawAccelerator<'a>>,
        "swap" => swap: RawSwap,
    }

    RawCpu {
        "time" => time: Time,
        "usageNanoCores" => _usage_nano_cores: Passed,
        "usageCoreNanoSeconds" => usage_core_nano_seconds: u64,
        "psi" => psi: Psi,
    }

    RawMemory {
        "time" => time: Time,
        "availableBytes" => available_bytes: u64,
        "usageBytes" => usage_bytes: u64,
        "workingSetBytes" => working_set_bytes: u64,
        "rssBytes" => rss_bytes: u64,
        "pageFaults" => page_faults: u64,
        "majorPageFaults" => major_page_faults: u64,
        "psi" => psi: Psi,
    }

    RawIo {
        "time" => time: Time,
        "psi" => psi: Psi,
    }

    RawSwap {
        "time" => time: Time,
        "swapAvailableBytes" => swap_available_bytes: u64,
        "swapUsageBytes" => swap_usage_bytes: u64,
    }

    #[derive(Clone, Copy)]
    RawPsi {
        "full" => full: Share,
        "some" => some: Share,
    }

    #[derive(Clone, Copy)]
    RawShare {
        "total" => total: u64,
        "avg10" => avg10: CentiPercent,
        "avg60" => avg60: CentiPercent,
        "avg300" => avg300: CentiPercent,
    }

    RawProcesses {
        "process_count" => process_count: u64,
    }

    RawNetwork<'a> {
        "time" => time: Time,
        "name" => _name: Passed,
        "rxBytes" => rx_bytes: u64,
        "rxErrors" => rx_errors: u64,
        "txBytes" => tx_bytes: u64,
        "txErrors" => tx_errors: u64,
        "interfaces" => interfaces: Parts<RawInterface<'a>>,
    }

    RawInterface<'a> {
        "name" => name: Cow<'a, str>,
        "rxBytes" => rx_bytes: u64,
        "rxErrors" => rx_errors: u64,
        "txBytes" => tx_bytes: u64,
        "txErrors" => tx_errors: u64,
    }

    RawFs {
        "time" => time: Time,
        "availableBytes" => available_bytes: u64,
        "capacityBytes" => capacity_bytes: u64,
        "usedBytes" => used_bytes: u64,
        "inodesFree" => inodes_free: u64,
        "inodes" => inodes: u64,
        "inodesUsed" => inodes_used: u64,
    }

    RawVolume<'a> {
        "time" => time: Time,
        "availableBytes" => available_bytes: u64,
        "capacityBytes" => capacity_bytes: u64,
        "usedBytes" => used_bytes: u64,
        "inodesFree" => inodes_free: u64,
        "inodes" => inodes: u64,
        "inodesUsed" => inodes_used: u64,
        "name" => name: Cow<'a, str>,
        "pvcRef" => pvc_ref: PodRef<'a>,
    }

    RawRuntime {
        "imageFs" => image_fs: RawFs,
        "containerFs" => container_fs: RawFs,
    }

    RawRlimit {
        "time" => time: Time,
        "maxpid" => maxpid: u64,
        "curproc" => curproc: u64,
    }

    RawAccelerator<'a> {
        "make" => make: Cow<'a, str>,
        "model" => model: Cow<'a, str>,
        "id" => id: Cow<'a, str>,
        "memoryTotal" => memory_total: u64,
        "memoryUsed" => memory_used: u64,
        "dutyCycle" => duty_cycle: u64,
    }
}

/// What is read of a cgroup in one pass.
#[derive(Default)]
pub(super) struct RawCgroup {
    pub(super) start_time: Field<Time>,
    pub(super) cpu: Field<RawCpu>,
    pub(super) memory: Field<RawMemory>,
    pub(super) io: Field<RawIo>,
    pub(super) swap: Field<RawSwap>,
    /// Whether the averages of its pressure are kept too. They are of the node; elsewhere they
    /// would be a third of all values, and totals say the same over any time.
    pub(super) averages: bool,
}

impl RawMemory {
    pub(super) fn values(&self) -> [(FieldId, Field<u64>); 6] {
        [
            (table::MEMORY_USAGE, self.usage_bytes),
            (table::MEMORY_WORKING_SET, self.working_set_bytes),
            (table::MEMORY_RSS, self.rss_bytes),
            (table::MEMORY_AVAILABLE, self.available_bytes),
            (table::MEMORY_PAGE_FAULTS, self.page_faults),
            (table::MEMORY_MAJOR_PAGE_FAULTS, self.major_page_faults),
        ]
    }
}

impl RawSwap {
    pub(super) fn values(&self) -> [(FieldId, Field<u64>); 2] {
        [
            (table::SWAP_USAGE, self.swap_usage_bytes),
            (table::SWAP_AVAILABLE, self.swap_available_bytes),
        ]
    }
}

impl RawNetwork<'_> {
    pub(super) fn values(&self) -> [(FieldId, Field<u64>); 4] {
        [
            (table::NETWORK_RX, self.rx_bytes),
            (table::NETWORK_TX, self.tx_bytes),
            (table::NETWORK_RX_ERRORS, self.rx_errors),
            (table::NETWORK_TX_ERRORS, self.tx_errors),
        ]
    }
}

impl RawInterface<'_> {
    pub(super) fn values(&self) -> [(FieldId, Field<u64>); 4] {
        [
            (table::NETWORK_RX, self.rx_bytes),
            (table::NETWORK_TX, self.tx_bytes),
            (table::NETWORK_RX_ERRORS, self.rx_errors),
            (table::NETWORK_TX_ERRORS, self.tx_errors),
        ]
    }
}

impl RawFs {
    pub(super) fn values(&self) -> [(FieldId, Field<u64>); 6] {
        [
            (table::filesystem(Storage::Usage), self.used_bytes),
            (table::filesystem(Storage::Capacity), self.capacity_bytes),
            (table::filesystem(Storage::Available), self.available_bytes),
            (table::filesystem(Storage::Inodes), self.inodes),
            (table::filesystem(Storage::InodesFree), self.inodes_free),
            (table::filesystem(Storage::InodesUsed), self.inodes_used),
        ]
    }
}

impl RawVolume<'_> {
    pub(super) fn values(&self) -> [(FieldId, Field<u64>); 6] {
        [
            (table::volume(Storage::Usage), self.used_bytes),
            (table::volume(Storage::Capacity), self.capacity_bytes),
            (table::volume(Storage::Available), self.available_bytes),
            (table::volume(Storage::Inodes), self.inodes),
            (table::volume(Storage::InodesFree), self.inodes_free),
            (table::volume(Storage::InodesUsed), self.inodes_used),
        ]
    }
}

impl RawAccelerator<'_> {
    pub(super) fn values(&self) -> [(FieldId, Field<u64>); 3] {
        [
            (table::ACCELERATOR_MEMORY_TOTAL, self.memory_total),
            (table::ACCELERATOR_MEMORY_USED, self.memory_used),
            (table::ACCELERATOR_DUTY_CYCLE, self.duty_cycle),
        ]
    }
}

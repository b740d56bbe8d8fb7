//! The objects of a summary as they are written: every value may be anything.

use std::borrow::Cow;

use cairn_proto::catalogue::FieldId;
use cairn_proto::catalogue::table::{self, Storage};
use serde::Deserialize;
use serde::de::MapAccess;
use serde_json::value::RawValue;

use super::field::{self, CentiPercent, Field, List, Wanted};
use super::{Containers, Pods};

pub(super) type Text<'a> = Field<Cow<'a, str>>;

#[derive(Deserialize)]
pub(in crate::sources::summary) struct Summary<'a> {
    #[serde(borrow)]
    pub(super) node: Option<&'a RawValue>,
    pub(super) pods: Option<Pods>,
}

/// The node's values are cut out as text, so that one which cannot be read loses itself alone.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node<'a> {
    #[serde(borrow)]
    pub(super) node_name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) system_containers: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) start_time: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) cpu: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) memory: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) io: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) swap: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) network: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) fs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) runtime: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) rlimit: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawPod<'a> {
    #[serde(borrow)]
    pub(super) pod_ref: Field<PodRef<'a>>,
    pub(super) containers: Field<Containers>,
    #[serde(borrow)]
    pub(super) start_time: Text<'a>,
    #[serde(borrow)]
    pub(super) cpu: Field<RawCpu<'a>>,
    #[serde(borrow)]
    pub(super) memory: Field<RawMemory<'a>>,
    #[serde(borrow)]
    pub(super) io: Field<RawIo<'a>>,
    #[serde(borrow)]
    pub(super) swap: Field<RawSwap<'a>>,
    #[serde(borrow)]
    pub(super) network: Field<RawNetwork<'a>>,
    #[serde(borrow)]
    pub(super) volume: Field<List<RawVolume<'a>>>,
    #[serde(borrow, rename = "ephemeral-storage")]
    pub(super) ephemeral_storage: Field<RawFs<'a>>,
    #[serde(rename = "process_stats")]
    pub(super) process_stats: Field<RawProcesses>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct PodRef<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) namespace: Text<'a>,
    #[serde(borrow)]
    pub(super) uid: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) start_time: Text<'a>,
    #[serde(borrow)]
    pub(super) cpu: Field<RawCpu<'a>>,
    #[serde(borrow)]
    pub(super) memory: Field<RawMemory<'a>>,
    #[serde(borrow)]
    pub(super) io: Field<RawIo<'a>>,
    #[serde(borrow)]
    pub(super) swap: Field<RawSwap<'a>>,
    #[serde(borrow)]
    pub(super) rootfs: Field<RawFs<'a>>,
    #[serde(borrow)]
    pub(super) logs: Field<RawFs<'a>>,
    #[serde(borrow)]
    pub(super) accelerators: Field<List<RawAccelerator<'a>>>,
}

/// What is read of a cgroup in one pass.
#[derive(Default)]
pub(super) struct RawCgroup<'a> {
    pub(super) start_time: Text<'a>,
    pub(super) cpu: Field<RawCpu<'a>>,
    pub(super) memory: Field<RawMemory<'a>>,
    pub(super) io: Field<RawIo<'a>>,
    pub(super) swap: Field<RawSwap<'a>>,
    /// Whether the averages of its pressure are kept too. They are of the node; elsewhere they
    /// would be a third of all values, and totals say the same over any time.
    pub(super) averages: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawCpu<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) usage_core_nano_seconds: Field<u64>,
    pub(super) psi: Field<RawPsi>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawMemory<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) available_bytes: Field<u64>,
    pub(super) usage_bytes: Field<u64>,
    pub(super) working_set_bytes: Field<u64>,
    pub(super) rss_bytes: Field<u64>,
    pub(super) page_faults: Field<u64>,
    pub(super) major_page_faults: Field<u64>,
    pub(super) psi: Field<RawPsi>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawIo<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) psi: Field<RawPsi>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawSwap<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) swap_available_bytes: Field<u64>,
    pub(super) swap_usage_bytes: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPsi {
    pub(super) full: Field<RawShare>,
    pub(super) some: Field<RawShare>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawShare {
    pub(super) total: Field<u64>,
    pub(super) avg10: Field<CentiPercent>,
    pub(super) avg60: Field<CentiPercent>,
    pub(super) avg300: Field<CentiPercent>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawProcesses {
    pub(super) process_count: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawNetwork<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) rx_bytes: Field<u64>,
    pub(super) tx_bytes: Field<u64>,
    pub(super) rx_errors: Field<u64>,
    pub(super) tx_errors: Field<u64>,
    #[serde(borrow)]
    pub(super) interfaces: Field<List<RawInterface<'a>>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawInterface<'a> {
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    pub(super) rx_bytes: Field<u64>,
    pub(super) tx_bytes: Field<u64>,
    pub(super) rx_errors: Field<u64>,
    pub(super) tx_errors: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawFs<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) used_bytes: Field<u64>,
    pub(super) capacity_bytes: Field<u64>,
    pub(super) available_bytes: Field<u64>,
    pub(super) inodes: Field<u64>,
    pub(super) inodes_free: Field<u64>,
    pub(super) inodes_used: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawVolume<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) used_bytes: Field<u64>,
    pub(super) capacity_bytes: Field<u64>,
    pub(super) available_bytes: Field<u64>,
    pub(super) inodes: Field<u64>,
    pub(super) inodes_free: Field<u64>,
    pub(super) inodes_used: Field<u64>,
    #[serde(borrow)]
    pub(super) name: Text<'a>,
    #[serde(borrow)]
    pub(super) pvc_ref: Field<PodRef<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawRuntime<'a> {
    #[serde(borrow)]
    pub(super) image_fs: Field<RawFs<'a>>,
    #[serde(borrow)]
    pub(super) container_fs: Field<RawFs<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawRlimit<'a> {
    #[serde(borrow)]
    pub(super) time: Text<'a>,
    pub(super) maxpid: Field<u64>,
    pub(super) curproc: Field<u64>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawAccelerator<'a> {
    #[serde(borrow)]
    pub(super) make: Text<'a>,
    #[serde(borrow)]
    pub(super) model: Text<'a>,
    #[serde(borrow)]
    pub(super) id: Text<'a>,
    pub(super) memory_total: Field<u64>,
    pub(super) memory_used: Field<u64>,
    pub(super) duty_cycle: Field<u64>,
}

impl RawMemory<'_> {
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

impl RawSwap<'_> {
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

impl RawFs<'_> {
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

field::objects!(
    PodRef<'a>,
    Container<'a>,
    RawCpu<'a>,
    RawMemory<'a>,
    RawIo<'a>,
    RawSwap<'a>,
    RawPsi,
    RawShare,
    RawProcesses,
    RawNetwork<'a>,
    RawInterface<'a>,
    RawFs<'a>,
    RawVolume<'a>,
    RawRuntime<'a>,
    RawRlimit<'a>,
    RawAccelerator<'a>
);

//! What the agent tells a terminal: its form is in docs/top.md.
//!
//! Every field is always there, `null` where there is nothing to say. Absent is never 0.

use serde::{Deserialize, Serialize};

/// The form's number; it changes when a field goes or changes its meaning.
pub(super) const VERSION: u32 = 1;

/// Pods, containers and system containers of one document: a thousand pods and seven containers of
/// each. What is beyond is counted.
pub(super) const MAX_ENTITIES: usize = 8_192;

/// Points of the history.
pub(super) const MAX_POINTS: usize = 60;

/// A node at its newest tick.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// The form's number, 1; it changes when a field goes or changes its meaning.
    pub version: u32,
    /// The node's name.
    pub node: String,
    /// Distance of the ticks, ms.
    pub interval_ms: u64,
    /// When it was asked, by the agent's clock, Unix ms.
    pub unix_ms: u64,
    /// The newest tick, Unix ms; `None` before the first.
    pub tick_ms: Option<u64>,
    /// The sources that are switched on.
    pub sources: Vec<SourceState>,
    /// The machine as a whole.
    pub host: Host,
    /// The machine's past.
    pub history: History,
    /// The node, its system containers, and its pods, each followed by its containers.
    pub entities: Vec<Entity>,
    /// Pods and containers beyond the 8,192 that are told.
    pub left_out: u64,
}

/// How a source is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    /// Its name, as in the agent's metrics.
    pub source: String,
    /// `waiting`, `ok` or `failing`.
    pub state: String,
    /// When its last good answer came, Unix ms.
    pub last_success_ms: Option<u64>,
    /// How old its newest measurement in the row is, ms.
    pub age_ms: Option<u64>,
    /// Why it fails, and what to do.
    pub reason: Option<String>,
}

/// The machine as a whole, from its `/proc`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// CPU in use, billionths of a core.
    pub cpu_nanocores: Option<u64>,
    /// Processors, counted by the time that all of them had together.
    pub cores: Option<u64>,
    /// Memory that new work could not get.
    pub memory_used_bytes: Option<u64>,
    /// Memory that the kernel manages.
    pub memory_total_bytes: Option<u64>,
    /// Load averages over 1, 5 and 15 minutes.
    pub load: [Option<f64>; 3],
    /// Shares of the last 10 s in which tasks waited, percent.
    pub pressure: Pressure,
    /// Since the machine was started, ms.
    pub uptime_ms: Option<u64>,
}

/// Shares of the last 10 s in which tasks waited, percent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pressure {
    /// Some task for a processor.
    pub cpu_some: Option<f64>,
    /// Some task for memory.
    pub memory_some: Option<f64>,
    /// All tasks for memory.
    pub memory_full: Option<f64>,
    /// Some task for I/O.
    pub io_some: Option<f64>,
    /// All tasks for I/O.
    pub io_full: Option<f64>,
}

/// The machine's past, oldest first: three lists of one length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Grid times, Unix ms.
    pub tick_ms: Vec<u64>,
    /// CPU in use, billionths of a core.
    pub cpu_nanocores: Vec<Option<u64>>,
    /// Memory in use.
    pub memory_used_bytes: Vec<Option<u64>>,
}

/// The node, a system container, a pod or a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Entity {
    /// `node`, `system`, `pod` or `container`.
    pub kind: String,
    /// Namespace of a pod, and of a container's.
    pub namespace: Option<String>,
    /// The pod of a container.
    pub pod: Option<String>,
    /// UID of a pod, and of a container's.
    pub uid: Option<String>,
    /// Its name.
    pub name: String,
    /// CPU in use, billionths of a core.
    pub cpu_nanocores: Option<u64>,
    /// Memory in use without inactive page cache.
    pub memory_working_set_bytes: Option<u64>,
    /// Memory in use, page cache included.
    pub memory_usage_bytes: Option<u64>,
    /// Received bytes a second.
    pub network_rx_per_second: Option<f64>,
    /// Sent bytes a second.
    pub network_tx_per_second: Option<f64>,
    /// Bytes a second read from disks.
    pub disk_read_per_second: Option<f64>,
    /// Bytes a second written to disks.
    pub disk_write_per_second: Option<f64>,
    /// Share of the periods with a CPU quota in which that ran out: 0 to 1.
    pub throttled_ratio: Option<f64>,
    /// How old the values are.
    pub age_ms: Ages,
}

/// How old values are, ms: since they were measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ages {
    /// Of CPU.
    pub cpu: Option<u64>,
    /// Of memory.
    pub memory: Option<u64>,
    /// Of network.
    pub network: Option<u64>,
    /// Of disks, of the oldest of them.
    pub disk: Option<u64>,
    /// Of throttling.
    pub throttled: Option<u64>,
}

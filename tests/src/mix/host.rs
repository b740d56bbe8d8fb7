//! What /proc says of one machine from tick to tick.

use cairn_proto::catalogue::FieldId;
use cairn_proto::catalogue::table::{self, PressureOf};

use super::Kind;
use super::load::{PAGE_BYTES, Step};
use super::rng::Rng;
use super::series::{Bundle, Shape, shape};

/// The kernel counts the machine's CPU time in hundredths of a second.
const TICK_MS: u64 = 10;
const TICK_NANOS: u64 = TICK_MS * 1_000_000;

/// CPUs of the machine.
const CPUS: u64 = 16;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Of the whole node.
const NODE: &[Shape] = &[
    shape(table::HOST_LOAD1, 1500, 10, 1000),
    shape(table::HOST_LOAD5, 1400, 10, 300),
    shape(table::HOST_LOAD15, 1300, 10, 100),
    shape(table::HOST_MEMORY_TOTAL, 64 * GIB, PAGE_BYTES, 0),
    shape(table::HOST_MEMORY_AVAILABLE, 32 * GIB, PAGE_BYTES, 400_000),
    shape(table::HOST_MEMORY_FREE, 8 * GIB, PAGE_BYTES, 400_000),
    shape(table::HOST_MEMORY_BUFFERS, 512 * MIB, PAGE_BYTES, 500),
    shape(table::HOST_MEMORY_CACHED, 20 * GIB, PAGE_BYTES, 50_000),
    shape(table::HOST_MEMORY_SWAP_CACHED, 0, PAGE_BYTES, 0),
    shape(table::HOST_MEMORY_ACTIVE, 12 * GIB, PAGE_BYTES, 60_000),
    shape(table::HOST_MEMORY_INACTIVE, 14 * GIB, PAGE_BYTES, 60_000),
    shape(table::HOST_MEMORY_ANON, 10 * GIB, PAGE_BYTES, 60_000),
    shape(table::HOST_MEMORY_MAPPED, 2 * GIB, PAGE_BYTES, 2_000),
    shape(table::HOST_MEMORY_SHMEM, 64 * MIB, PAGE_BYTES, 100),
    shape(table::HOST_MEMORY_SLAB_RECLAIMABLE, GIB, PAGE_BYTES, 3_000),
    shape(
        table::HOST_MEMORY_SLAB_UNRECLAIMABLE,
        GIB,
        PAGE_BYTES,
        1_000,
    ),
    shape(table::HOST_MEMORY_KERNEL_STACK, 40 * MIB, PAGE_BYTES, 500),
    shape(table::HOST_MEMORY_PAGE_TABLES, 80 * MIB, PAGE_BYTES, 1_000),
    shape(table::HOST_MEMORY_DIRTY, 4 * MIB, PAGE_BYTES, 20_000),
    shape(table::HOST_MEMORY_WRITEBACK, MIB, PAGE_BYTES, 500),
    shape(table::HOST_MEMORY_COMMITTED, 24 * GIB, PAGE_BYTES, 100_000),
    shape(table::HOST_MEMORY_COMMIT_LIMIT, 32 * GIB, PAGE_BYTES, 0),
    shape(table::HOST_SWAP_TOTAL, 0, PAGE_BYTES, 0),
    shape(table::HOST_SWAP_FREE, 0, PAGE_BYTES, 0),
    shape(table::HOST_VM_PAGE_FAULTS, 1 << 32, 1, 20_000_000),
    shape(table::HOST_VM_MAJOR_PAGE_FAULTS, 1 << 16, 1, 500),
    shape(table::HOST_VM_PAGES_IN, 1 << 24, 4, 10_000),
    shape(table::HOST_VM_PAGES_OUT, 1 << 28, 4, 150_000),
    shape(table::HOST_VM_SWAP_PAGES_IN, 0, 1, 0),
    shape(table::HOST_VM_SWAP_PAGES_OUT, 0, 1, 0),
    shape(table::HOST_VM_OOM_KILLS, 2, 1, 0),
    shape(table::HOST_CONTEXT_SWITCHES, 1 << 34, 1, 12_000_000),
    shape(table::HOST_FORKS, 1 << 22, 1, 30_000),
    shape(table::HOST_PROCESSES_RUNNING, 3, 1, 200),
    shape(table::HOST_PROCESSES_BLOCKED, 1, 1, 20),
    shape(table::HOST_THREADS, 1200, 1, 500),
];

const DISK: &[Shape] = &[
    shape(table::DISK_READS, 1 << 20, 1, 2_000),
    shape(table::DISK_WRITES, 1 << 24, 1, 25_000),
    shape(table::DISK_READ_BYTES, 1 << 36, 4096, 10_000),
    shape(table::DISK_WRITE_BYTES, 1 << 40, 4096, 150_000),
    shape(table::DISK_READ_TIME, 1 << 20, 1, 1_000),
    shape(table::DISK_WRITE_TIME, 1 << 24, 1, 20_000),
    shape(table::DISK_IO_TIME, 1 << 23, 1, 15_000),
    shape(table::DISK_WEIGHTED_IO_TIME, 1 << 25, 1, 21_000),
    shape(table::DISK_IO_IN_PROGRESS, 1, 1, 20),
];

const INTERFACE: &[Shape] = &[
    shape(table::INTERFACE_RX_BYTES, 1 << 40, 1, 500_000_000),
    shape(table::INTERFACE_RX_PACKETS, 1 << 30, 1, 800_000),
    shape(table::INTERFACE_RX_ERRORS, 0, 1, 0),
    shape(table::INTERFACE_RX_DROPPED, 100, 1, 10),
    shape(table::INTERFACE_TX_BYTES, 1 << 39, 1, 250_000_000),
    shape(table::INTERFACE_TX_PACKETS, 1 << 29, 1, 600_000),
    shape(table::INTERFACE_TX_ERRORS, 0, 1, 0),
    shape(table::INTERFACE_TX_DROPPED, 0, 1, 0),
];

/// What of a machine waits: start of the total in us and its pace, and of the averages in
/// hundredths of a percent. Of the machine as a whole all tasks never wait for a CPU.
const PRESSURE: [(PressureOf, bool, u64, u64, u64); 6] = [
    (PressureOf::Cpu, false, 1 << 34, 150_000_000, 1500),
    (PressureOf::Cpu, true, 0, 0, 0),
    (PressureOf::Memory, false, 1 << 16, 20_000, 0),
    (PressureOf::Memory, true, 1 << 15, 15_000, 0),
    (PressureOf::Io, false, 1 << 32, 8_000_000, 80),
    (PressureOf::Io, true, 1 << 31, 5_000_000, 50),
];

/// The averages of all pressures; which field is which says the caller.
pub(super) fn averages(field: fn(PressureOf, bool, usize) -> FieldId) -> Vec<Shape> {
    let of = |(of, full, _, _, start): (PressureOf, bool, u64, u64, u64)| {
        // The longer the slower.
        let slow = [1, 6, 30].into_iter().enumerate();
        slow.map(move |(at, slowness)| shape(field(of, full, at), start, 1, start * 10 / slowness))
    };
    PRESSURE.into_iter().flat_map(of).collect()
}

/// One machine.
#[derive(Clone, Debug)]
pub(super) struct Host {
    node: Bundle,
    modes: [u64; table::HOST_CPU_MODE_COUNT],
    booted_ms: u64,
    pub(super) disks: [(&'static str, Bundle); 2],
    /// The first one is the default route's.
    pub(super) interfaces: [(&'static str, Bundle); 2],
}

impl Host {
    pub(super) fn new(start_ms: u64, rng: &mut Rng) -> Self {
        let totals = PRESSURE.map(|(of, full, start, pace, _)| {
            shape(table::host_pressure_total(of, full), start, 1, pace)
        });
        let averages = averages(table::host_pressure_average);
        let node = NODE.iter().copied().chain(totals).chain(averages);
        let device = |name, shapes: &[Shape], rng: &mut Rng| {
            (name, Bundle::new(shapes.iter().copied(), rng))
        };
        Self {
            node: Bundle::new(node, rng),
            modes: [1 << 26, 0, 1 << 25, 1 << 29, 1 << 18, 0, 1 << 21, 0, 0, 0],
            booted_ms: start_ms.saturating_sub(rng.below(1 << 32)),
            disks: ["nvme0n1", "nvme1n1"].map(|name| device(name, DISK, rng)),
            interfaces: ["eth0", "cni0"].map(|name| device(name, INTERFACE, rng)),
        }
    }

    /// A step in which the cgroups used so much CPU time, ns.
    pub(super) fn step(&mut self, used_nanos: u64, step: Step, rng: &mut Rng) {
        let over_ms = step.interval_ms;
        self.node.step(step, over_ms, rng);
        for (_, device) in self.disks.iter_mut().chain(&mut self.interfaces) {
            device.step(step, over_ms, rng);
        }
        let used = used_nanos / TICK_NANOS + 1;
        let (user, softirq, iowait) = (used * 2 / 3, rng.below(used / 16 + 2), rng.below(3));
        let idle = (CPUS * over_ms / TICK_MS).saturating_sub(used + softirq + iowait);
        let least = if step.kind == Kind::B { 1 } else { 0 };
        let grown = [user, 0, used - user, idle, iowait, 0, softirq, 0, 0, 0];
        for (mode, grown) in self.modes.iter_mut().zip(grown) {
            *mode += grown.max(least);
        }
    }

    /// The node's own values, read at a time.
    pub(super) fn values(&self, time_ms: u64) -> impl Iterator<Item = (FieldId, u64)> + '_ {
        let [user, nice, system, _, _, irq, softirq, steal, ..] = self.modes;
        let busy = user + nice + system + irq + softirq + steal;
        let default = self.interfaces.first();
        let sent = |field| default.map_or(0, |(_, one)| one.value(field));
        let uptime_ms = time_ms.saturating_sub(self.booted_ms);
        let own = [
            (table::HOST_CPU_BUSY, busy * TICK_NANOS),
            (table::HOST_NETWORK_RX, sent(table::INTERFACE_RX_BYTES)),
            (table::HOST_NETWORK_TX, sent(table::INTERFACE_TX_BYTES)),
            (table::HOST_UPTIME, uptime_ms / TICK_MS * TICK_MS),
        ];
        let modes = self.modes.iter().zip(table::HOST_CPU_MODES.0..);
        let modes = modes.map(|(ticks, number)| (FieldId(number), ticks * TICK_NANOS));
        self.node.values().chain(own).chain(modes)
    }
}

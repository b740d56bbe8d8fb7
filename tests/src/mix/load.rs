//! What one cgroup, one network namespace and one host do from tick to tick.

use super::Kind;
use super::rng::Rng;

/// Memory is handed out in pages of this size.
const PAGE_BYTES: u64 = 4096;

/// The host counts CPU time in hundredths of a second.
const HOST_TICK_NANOS: u64 = 10_000_000;

/// How a step is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) interval_ms: u64,
}

/// CPU and memory of one container or system service.
#[derive(Clone, Debug)]
pub(super) struct Cgroup {
    busy: bool,
    /// Thousandths of a core.
    millicores: u64,
    pub(super) cpu_nanos: u64,
    pub(super) memory: Memory,
}

/// Bytes, or pages while they are being drawn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) usage_bytes: u64,
    pub(super) working_set_bytes: u64,
    pub(super) rss_bytes: u64,
}

impl Memory {
    /// Adds what another cgroup has.
    pub(super) fn add(&mut self, other: Memory) {
        self.usage_bytes += other.usage_bytes;
        self.working_set_bytes += other.working_set_bytes;
        self.rss_bytes += other.rss_bytes;
    }
}

impl Cgroup {
    /// One that has lived for a while, or begins now.
    pub(super) fn new(rng: &mut Rng, is_old: bool, busy: bool) -> Self {
        let millicores = 1 << rng.below(9);
        let age_s = if is_old { rng.below(86_400) } else { 0 };
        let rss_bytes = (256 + rng.below(32_768)) * PAGE_BYTES;
        let cache_bytes = rng.below(8192) * PAGE_BYTES;
        let memory = Memory {
            usage_bytes: rss_bytes + cache_bytes,
            working_set_bytes: rss_bytes + cache_bytes / 2 / PAGE_BYTES * PAGE_BYTES,
            rss_bytes,
        };
        let cpu_nanos = (age_s * millicores * 1000 + rng.below(1_000_000)) * 1000;
        Self {
            busy,
            millicores,
            cpu_nanos,
            memory,
        }
    }

    /// One step; gives the CPU time used in it, ns.
    pub(super) fn step(&mut self, step: Step, rng: &mut Rng) -> u64 {
        let used = match step.kind {
            Kind::B => {
                let most = self.millicores * step.interval_ms * 1000;
                self.move_memory(1 + rng.below(64), rng);
                1 + most / 2 + rng.below(most)
            }
            _ if self.busy => {
                if !rng.one_in(4) {
                    let pages = rng.below(64);
                    self.move_memory(pages, rng);
                }
                // Whole microseconds, as cgroup v2 counts.
                let micros = self.millicores * step.interval_ms;
                (micros * 3 / 4 + rng.below(micros / 2 + 1)) * 1000
            }
            _ => {
                if rng.one_in(32) {
                    let pages = rng.below(4);
                    self.move_memory(pages, rng);
                }
                0
            }
        };
        self.cpu_nanos += used;
        used
    }

    /// Takes or gives back pages; what is given back is never more than there is.
    fn move_memory(&mut self, pages: u64, rng: &mut Rng) {
        let bytes = pages * PAGE_BYTES;
        let memory = &mut self.memory;
        let grow = rng.one_in(2) || memory.rss_bytes < bytes + PAGE_BYTES;
        for value in [
            &mut memory.usage_bytes,
            &mut memory.working_set_bytes,
            &mut memory.rss_bytes,
        ] {
            *value = if grow { *value + bytes } else { *value - bytes };
        }
        if rng.one_in(4) {
            // Page cache: in use, and half of it active.
            let cache = rng.below(16) * PAGE_BYTES;
            memory.usage_bytes += cache;
            memory.working_set_bytes += cache / 2 / PAGE_BYTES * PAGE_BYTES;
        }
    }
}

/// Counters of one network namespace, in the catalogue's order: received and sent bytes, receive
/// and send errors.
#[derive(Clone, Debug)]
pub(super) struct Network {
    bytes_per_s: u64,
    pub(super) counters: [u64; 4],
}

impl Network {
    pub(super) fn new(rng: &mut Rng, is_old: bool) -> Self {
        // A third of the pods talks to nobody.
        let bytes_per_s = if rng.one_in(3) {
            0
        } else {
            64 << rng.below(14)
        };
        let age_s = if is_old { rng.below(86_400) } else { 0 };
        let mut counters = [bytes_per_s * age_s, bytes_per_s * age_s / 2, 0, 0];
        if is_old && rng.one_in(16) {
            counters[2] = rng.below(100);
        }
        Self {
            bytes_per_s,
            counters,
        }
    }

    /// What has gone through in so many ms.
    pub(super) fn step(&mut self, step: Step, over_ms: u64, rng: &mut Rng) {
        let most = self.bytes_per_s * over_ms / 1000;
        let [rx, tx, rx_errors, tx_errors] = &mut self.counters;
        *rx += most / 2 + rng.below(most + 1);
        *tx += most / 4 + rng.below(most / 2 + 1);
        if step.kind == Kind::B {
            *rx += 1;
            *tx += 1;
            *rx_errors += 1 + rng.below(3);
            *tx_errors += 1 + rng.below(3);
        }
    }
}

/// The machine's own figures.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) load_milli: [u64; 3],
    pub(super) memory_total_bytes: u64,
    pub(super) memory_available_bytes: u64,
    pub(super) cpu_busy_nanos: u64,
    pub(super) rx_bytes: u64,
    pub(super) tx_bytes: u64,
}

impl Host {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            load_milli: [1500, 1400, 1300],
            memory_total_bytes: 64 << 30,
            memory_available_bytes: 32 << 30,
            cpu_busy_nanos: (1 + rng.below(1 << 30)) * HOST_TICK_NANOS,
            rx_bytes: rng.below(1 << 40),
            tx_bytes: rng.below(1 << 40),
        }
    }

    /// A step in which the cgroups used so much CPU time, ns.
    pub(super) fn step(&mut self, used_nanos: u64, step: Step, rng: &mut Rng) {
        for (load, slowness) in self.load_milli.iter_mut().zip([1, 5, 15]) {
            // /proc/loadavg has two places after the point.
            *load = (*load + rng.below(200 / slowness)).saturating_sub(100 / slowness) / 10 * 10;
        }
        let moved = rng.below(8192) * PAGE_BYTES;
        let available = self.memory_available_bytes + moved;
        self.memory_available_bytes = available
            .saturating_sub(4096 * PAGE_BYTES)
            .min(self.memory_total_bytes);
        self.cpu_busy_nanos += (used_nanos / HOST_TICK_NANOS + 1) * HOST_TICK_NANOS;
        self.rx_bytes += 1 + rng.below(step.interval_ms * 1000);
        self.tx_bytes += 1 + rng.below(step.interval_ms * 500);
    }
}

//! What one cgroup and one network namespace do from tick to tick.

use cairn_proto::catalogue::FieldId;
use cairn_proto::catalogue::table::{self, PressureOf};

use super::Kind;
use super::rng::Rng;

/// Memory is handed out in pages of this size.
pub(super) const PAGE_BYTES: u64 = 4096;

/// The counters of a cgroup.
const COUNTERS: [FieldId; 9] = [
    table::CPU,
    table::MEMORY_PAGE_FAULTS,
    table::MEMORY_MAJOR_PAGE_FAULTS,
    table::pressure_total(PressureOf::Cpu, false),
    table::pressure_total(PressureOf::Cpu, true),
    table::pressure_total(PressureOf::Memory, false),
    table::pressure_total(PressureOf::Memory, true),
    table::pressure_total(PressureOf::Io, false),
    table::pressure_total(PressureOf::Io, true),
];

/// How a step is made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    pub(super) interval_ms: u64,
}

impl Step {
    /// Whether every source measures anew at every tick.
    pub(super) fn reads_all(self) -> bool {
        self.kind == Kind::B
    }
}

/// Counters of a cgroup, or by how much they grew; in the order of the table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters([u64; COUNTERS.len()]);

impl Counters {
    /// Adds what another cgroup has.
    pub(super) fn add(&mut self, other: Counters) {
        for (one, more) in self.0.iter_mut().zip(other.0) {
            *one += more;
        }
    }

    /// What a pod has counted beside its containers, which are read at another moment: a little of
    /// their CPU time, whole microseconds, and some of their pressure, which is no sum in truth.
    pub(super) fn beside(self, rng: &mut Rng) -> Counters {
        let [cpu_nanos, _, _, pressure @ ..] = self.0;
        let mut beside = Counters::default();
        let [cpu_beside, _, _, pressure_beside @ ..] = &mut beside.0;
        *cpu_beside = cpu_nanos / 1000 * rng.below(8) / 1000 * 1000;
        for (one, of) in pressure_beside.iter_mut().zip(pressure) {
            *one = of * rng.below(10) / 100;
        }
        beside
    }

    pub(super) fn cpu_nanos(self) -> u64 {
        let [cpu_nanos, ..] = self.0;
        cpu_nanos
    }

    pub(super) fn values(self) -> impl Iterator<Item = (FieldId, u64)> {
        COUNTERS.into_iter().zip(self.0)
    }
}

/// Gauges of a cgroup.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    pub(super) usage_bytes: u64,
    pub(super) working_set_bytes: u64,
    pub(super) rss_bytes: u64,
    /// `None` where something is unlimited.
    pub(super) limit_bytes: Option<u64>,
}

impl Memory {
    /// Of nothing, which nothing limits yet.
    pub(super) const NONE: Self = Self {
        usage_bytes: 0,
        working_set_bytes: 0,
        rss_bytes: 0,
        limit_bytes: Some(0),
    };

    /// Adds what another cgroup has.
    pub(super) fn add(&mut self, other: Memory) {
        self.usage_bytes += other.usage_bytes;
        self.working_set_bytes += other.working_set_bytes;
        self.rss_bytes += other.rss_bytes;
        let limits = self.limit_bytes.zip(other.limit_bytes);
        self.limit_bytes = limits.map(|(one, more)| one + more);
    }
}

/// One container or system service.
#[derive(Clone, Debug)]
pub(super) struct Cgroup {
    pub(super) busy: bool,
    /// Thousandths of a core.
    millicores: u64,
    pub(super) counters: Counters,
    pub(super) memory: Memory,
}

impl Cgroup {
    /// One that has lived for a while, or begins now.
    pub(super) fn new(rng: &mut Rng, is_old: bool, busy: bool) -> Self {
        let millicores = 1 << rng.below(9);
        let age_s = if is_old { rng.below(86_400) } else { 0 };
        let rss_bytes = (256 + rng.below(32_768)) * PAGE_BYTES;
        let cache_bytes = rng.below(8192) * PAGE_BYTES;
        let usage_bytes = rss_bytes + cache_bytes;
        let limit_bytes = (usage_bytes * 2).next_multiple_of(16 << 20);
        let memory = Memory {
            usage_bytes,
            working_set_bytes: rss_bytes + cache_bytes / 2 / PAGE_BYTES * PAGE_BYTES,
            rss_bytes,
            // One in four has none.
            limit_bytes: (!rng.one_in(4)).then_some(limit_bytes),
        };
        let cpu_micros = age_s * millicores * 1000 + rng.below(1_000_000);
        let faults = 500 + age_s * rng.below(100);
        // Part of the time that it runs it also waits.
        let waited = if busy {
            cpu_micros / 8
        } else {
            rng.below(100_000)
        };
        let [stalled, io_waited, major] = [waited * 9 / 10, waited / 100, rng.below(50)];
        let pressure = [waited, stalled, 0, 0, io_waited, io_waited * 3 / 4];
        let [some, full, memory_some, memory_full, io_some, io_full] = pressure;
        let counters = [
            cpu_micros * 1000,
            faults,
            major,
            some,
            full,
            memory_some,
            memory_full,
            io_some,
            io_full,
        ];
        Self {
            busy,
            millicores,
            counters: Counters(counters),
            memory,
        }
    }

    /// One step; gives what it used and counted in it.
    pub(super) fn step(&mut self, step: Step, rng: &mut Rng) -> Counters {
        let grown = match step.kind {
            Kind::B => {
                let most = self.millicores * step.interval_ms * 1000;
                self.move_memory(1 + rng.below(64), rng);
                let mut grown = self.work(most / 2 + rng.below(most), step, rng);
                for one in &mut grown.0 {
                    *one += 1 + rng.below(3);
                }
                grown
            }
            _ if self.busy => {
                if !rng.one_in(4) {
                    let pages = rng.below(64);
                    self.move_memory(pages, rng);
                }
                // Whole microseconds, as cgroup v2 counts.
                let micros = self.millicores * step.interval_ms;
                let used_micros = micros * 3 / 4 + rng.below(micros / 2 + 1);
                self.work(used_micros * 1000, step, rng)
            }
            _ => {
                let mut grown = Counters::default();
                if rng.one_in(32) {
                    let pages = rng.below(4);
                    self.move_memory(pages, rng);
                    let [_, faults, ..] = &mut grown.0;
                    *faults = pages;
                }
                grown
            }
        };
        self.counters.add(grown);
        grown
    }

    /// What is counted beside so much CPU time.
    fn work(&self, used_nanos: u64, step: Step, rng: &mut Rng) -> Counters {
        let faults = rng.below(self.millicores * step.interval_ms / 1000 + 8);
        let major = if rng.one_in(200) { 1 + rng.below(4) } else { 0 };
        let cpu_some = used_nanos / 1000 * rng.below(30) / 100;
        let seldom = |n, most, rng: &mut Rng| if rng.one_in(n) { rng.below(most) } else { 0 };
        let memory_some = seldom(64, 20_000, rng);
        let io_some = seldom(8, step.interval_ms, rng);
        let full = |some: u64, rng: &mut Rng| some * (80 + rng.below(21)) / 100;
        Counters([
            used_nanos,
            faults,
            major,
            cpu_some,
            full(cpu_some, rng),
            memory_some,
            full(memory_some, rng),
            io_some,
            full(io_some, rng),
        ])
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

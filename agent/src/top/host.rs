//! The machine as a whole: what it uses now, and what it used.

use cairn_proto::catalogue::FieldId;
use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_proto::model::EntityId;

use super::document::{History, Host, MAX_POINTS, Pressure};
use super::series::Series;

/// User, nice, system, idle, I/O wait, interrupts, soft interrupts and stolen time are all the time there
/// is; that of guests is in the first two.
const DISJOINT_MODES: u16 = 8;

/// What is read of the machine beside what every cgroup has.
pub(super) fn wanted() -> Vec<FieldId> {
    let mut wanted = vec![
        table::HOST_CPU_BUSY,
        table::HOST_LOAD1,
        table::HOST_LOAD5,
        table::HOST_LOAD15,
        table::HOST_MEMORY_TOTAL,
        table::HOST_MEMORY_AVAILABLE,
        table::HOST_NETWORK_RX,
        table::HOST_NETWORK_TX,
        table::HOST_UPTIME,
    ];
    wanted.extend(modes());
    wanted.extend(PRESSURES.map(|(of, full)| table::host_pressure_average(of, full, 0)));
    wanted
}

const PRESSURES: [(PressureOf, bool); 5] = [
    (PressureOf::Cpu, false),
    (PressureOf::Memory, false),
    (PressureOf::Memory, true),
    (PressureOf::Io, false),
    (PressureOf::Io, true),
];

fn modes() -> impl Iterator<Item = FieldId> {
    (0..DISJOINT_MODES).map(|at| FieldId(table::HOST_CPU_MODES.0 + at))
}

/// The machine at a tick.
pub(super) fn host(series: &Series, node: EntityId, tick_ms: u64) -> Host {
    let value = |field| series.value(node, field, tick_ms).map(|point| point.value);
    let thousandths = |field| value(field).map(|value| ratio(value, 1_000));
    let pressures = PRESSURES.map(|(of, full)| {
        let share = value(table::host_pressure_average(of, full, 0));
        share.map(|share| ratio(share, 100))
    });
    let [cpu_some, memory_some, memory_full, io_some, io_full] = pressures;
    Host {
        cpu_nanocores: cpu(series, node, tick_ms),
        cores: cores(series, node, tick_ms),
        memory_used_bytes: memory_used(series, node, tick_ms),
        memory_total_bytes: value(table::HOST_MEMORY_TOTAL),
        load: [table::HOST_LOAD1, table::HOST_LOAD5, table::HOST_LOAD15].map(thousandths),
        pressure: Pressure {
            cpu_some,
            memory_some,
            memory_full,
            io_some,
            io_full,
        },
        uptime_ms: value(table::HOST_UPTIME),
    }
}

fn cpu(series: &Series, node: EntityId, tick_ms: u64) -> Option<u64> {
    let (rate, _) = series.rate(node, table::HOST_CPU_BUSY, tick_ms)?;
    Some(rate.nanocores())
}

fn memory_used(series: &Series, node: EntityId, tick_ms: u64) -> Option<u64> {
    let value = |field| series.value(node, field, tick_ms).map(|point| point.value);
    value(table::HOST_MEMORY_TOTAL)?.checked_sub(value(table::HOST_MEMORY_AVAILABLE)?)
}

/// All processors have a second of CPU time a second each, whatever they do with it.
fn cores(series: &Series, node: EntityId, tick_ms: u64) -> Option<u64> {
    let mut nanocores = 0_u64;
    for mode in modes() {
        // A kernel that lacks a mode has none of its time.
        if let Some((rate, _)) = series.rate(node, mode, tick_ms) {
            nanocores = nanocores.saturating_add(rate.nanocores());
        }
    }
    let cores = nanocores.saturating_add(500_000_000) / 1_000_000_000;
    (cores > 0).then_some(cores)
}

#[expect(clippy::cast_precision_loss, reason = "these are below 2^53")]
fn ratio(value: u64, of: u64) -> f64 {
    value as f64 / of as f64
}

/// Draws the machine's past while the rows go by.
pub(super) struct Past {
    next_ms: u64,
    end_ms: u64,
    step_ms: u64,
    pub(super) history: History,
}

impl Past {
    /// The points before a tick and at it, at multiples of a step.
    pub(super) fn new(tick_ms: u64, step_ms: u64) -> Self {
        let end_ms = tick_ms / step_ms * step_ms;
        Self {
            next_ms: end_ms.saturating_sub((MAX_POINTS as u64 - 1) * step_ms),
            end_ms,
            step_ms,
            history: History::default(),
        }
    }

    /// All points before this time, each as the last row at or before it says. Those before anything is
    /// known are left out.
    pub(super) fn until(&mut self, time_ms: u64, series: &Series, node: EntityId) {
        while self.next_ms < time_ms && self.next_ms <= self.end_ms {
            let at = self.next_ms;
            self.next_ms += self.step_ms;
            let (cpu, memory) = (cpu(series, node, at), memory_used(series, node, at));
            let is_empty = self.history.tick_ms.is_empty();
            if is_empty && cpu.is_none() && memory.is_none() {
                continue;
            }
            self.history.tick_ms.push(at);
            self.history.cpu_nanocores.push(cpu);
            self.history.memory_used_bytes.push(memory);
        }
    }
}

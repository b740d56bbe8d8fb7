//! Load, memory, CPU time, paging and pressure of the machine.

use std::fs;

use cairn_proto::catalogue::FieldId;
use cairn_proto::catalogue::table::{self, PressureOf};
use cairn_runtime::files;
use procfs::prelude::{FromRead as _, FromReadSI as _};
use procfs::{
    CpuTime, KernelStats, LoadAverage, LocalSystemInfo, Meminfo, ProcError, Uptime, VmStat,
};

use super::Reader;

/// Two lines of pressure have 130 bytes.
const MAX_PRESSURE_BYTES: usize = 1024;

impl Reader<'_> {
    pub(super) fn load(&mut self) {
        let read = LoadAverage::from_file(self.root.join("loadavg"));
        let Some(load) = self.keep(read) else { return };
        for (field, load) in [
            (table::HOST_LOAD1, load.one),
            (table::HOST_LOAD5, load.five),
            (table::HOST_LOAD15, load.fifteen),
        ] {
            self.push(field, hundredths(load).map(|hundredths| hundredths * 10));
        }
        self.push(table::HOST_THREADS, Some(u64::from(load.max)));
    }

    pub(super) fn memory(&mut self) {
        let read = Meminfo::from_file(self.root.join("meminfo"));
        let Some(memory) = self.keep(read) else {
            return;
        };
        for (field, bytes) in [
            (table::HOST_MEMORY_TOTAL, Some(memory.mem_total)),
            (table::HOST_MEMORY_AVAILABLE, memory.mem_available),
            (table::HOST_MEMORY_FREE, Some(memory.mem_free)),
            (table::HOST_MEMORY_BUFFERS, Some(memory.buffers)),
            (table::HOST_MEMORY_CACHED, Some(memory.cached)),
            (table::HOST_MEMORY_SWAP_CACHED, Some(memory.swap_cached)),
            (table::HOST_MEMORY_ACTIVE, Some(memory.active)),
            (table::HOST_MEMORY_INACTIVE, Some(memory.inactive)),
            (table::HOST_MEMORY_ANON, memory.anon_pages),
            (table::HOST_MEMORY_MAPPED, Some(memory.mapped)),
            (table::HOST_MEMORY_SHMEM, memory.shmem),
            (table::HOST_MEMORY_SLAB_RECLAIMABLE, memory.s_reclaimable),
            (table::HOST_MEMORY_SLAB_UNRECLAIMABLE, memory.s_unreclaim),
            (table::HOST_MEMORY_KERNEL_STACK, memory.kernel_stack),
            (table::HOST_MEMORY_PAGE_TABLES, memory.page_tables),
            (table::HOST_MEMORY_DIRTY, Some(memory.dirty)),
            (table::HOST_MEMORY_WRITEBACK, Some(memory.writeback)),
            (table::HOST_MEMORY_COMMITTED, Some(memory.committed_as)),
            (table::HOST_MEMORY_COMMIT_LIMIT, memory.commit_limit),
            (table::HOST_SWAP_TOTAL, Some(memory.swap_total)),
            (table::HOST_SWAP_FREE, Some(memory.swap_free)),
        ] {
            self.push(field, bytes);
        }
    }

    pub(super) fn stat(&mut self) {
        let bytes = fs::read(self.root.join("stat")).map_err(ProcError::from);
        let Some(bytes) = self.keep(bytes) else {
            return;
        };
        let read = KernelStats::from_read(bytes.as_slice(), &LocalSystemInfo);
        let Some(stat) = self.keep(read) else { return };
        if self.per_cpu {
            self.processors(&bytes, &stat);
        }
        let per_second = procfs::ticks_per_second();
        self.push(table::HOST_CPU_BUSY, nanos(busy(&stat.total), per_second));
        for (field, ticks) in (table::HOST_CPU_MODES.0..)
            .map(FieldId)
            .zip(modes(&stat.total))
        {
            let spent = ticks.and_then(|ticks| nanos(ticks, per_second));
            self.push(field, spent);
        }
        self.push(table::HOST_CONTEXT_SWITCHES, Some(stat.ctxt));
        self.push(table::HOST_FORKS, Some(stat.processes));
        let running = stat.procs_running.map(u64::from);
        self.push(table::HOST_PROCESSES_RUNNING, running);
        let blocked = stat.procs_blocked.map(u64::from);
        self.push(table::HOST_PROCESSES_BLOCKED, blocked);
    }

    pub(super) fn virtual_memory(&mut self) {
        let read = VmStat::from_file(self.root.join("vmstat"));
        let Some(VmStat(found)) = self.keep(read) else {
            return;
        };
        for (field, name) in [
            (table::HOST_VM_PAGE_FAULTS, "pgfault"),
            (table::HOST_VM_MAJOR_PAGE_FAULTS, "pgmajfault"),
            (table::HOST_VM_PAGES_IN, "pgpgin"),
            (table::HOST_VM_PAGES_OUT, "pgpgout"),
            (table::HOST_VM_SWAP_PAGES_IN, "pswpin"),
            (table::HOST_VM_SWAP_PAGES_OUT, "pswpout"),
            (table::HOST_VM_OOM_KILLS, "oom_kill"),
        ] {
            let count = found.get(name).and_then(|count| u64::try_from(*count).ok());
            self.push(field, count);
        }
    }

    pub(super) fn uptime(&mut self) {
        let read = Uptime::from_file(self.root.join("uptime"));
        let up = self.keep(read);
        let millis = up.map(|up| up.uptime_duration().as_millis());
        self.push(
            table::HOST_UPTIME,
            millis.and_then(|millis| u64::try_from(millis).ok()),
        );
    }

    /// Without pressure in the kernel the files are not there, and nobody misses them.
    pub(super) fn pressure(&mut self) {
        for of in PressureOf::ALL {
            let path = self.root.join("pressure").join(of.as_str());
            let Ok(bytes) = files::read_small(&path, MAX_PRESSURE_BYTES) else {
                continue;
            };
            let text = String::from_utf8_lossy(&bytes);
            for line in text.lines() {
                let full = line.starts_with("full");
                let Ok(record) = procfs::parse_pressure_record(line) else {
                    continue;
                };
                self.push(table::host_pressure_total(of, full), Some(record.total));
                let shares = [record.avg10, record.avg60, record.avg300];
                for (at, share) in shares.into_iter().enumerate() {
                    let field = table::host_pressure_average(of, full, at);
                    self.push(field, hundredths(share));
                }
            }
        }
    }

    fn push(&mut self, field: FieldId, value: Option<u64>) {
        self.host.figures.push(field, value);
    }
}

/// Hundredths of a number that the kernel writes with two decimals.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked before"
)]
fn hundredths(number: f32) -> Option<u64> {
    let hundredths = (f64::from(number) * 100.0).round();
    (0.0..1e12)
        .contains(&hundredths)
        .then_some(hundredths as u64)
}

/// Time that CPUs worked; guest time is part of user time already.
fn busy(cpu: &CpuTime) -> u64 {
    let optional = [cpu.irq, cpu.softirq, cpu.steal];
    [cpu.user, cpu.nice, cpu.system]
        .into_iter()
        .chain(optional.into_iter().flatten())
        .fold(0_u64, u64::saturating_add)
}

/// The modes in the order of their fields.
pub(super) fn modes(cpu: &CpuTime) -> [Option<u64>; table::HOST_CPU_MODE_COUNT] {
    [
        Some(cpu.user),
        Some(cpu.nice),
        Some(cpu.system),
        Some(cpu.idle),
        cpu.iowait,
        cpu.irq,
        cpu.softirq,
        cpu.steal,
        cpu.guest,
        cpu.guest_nice,
    ]
}

pub(super) fn nanos(ticks: u64, per_second: u64) -> Option<u64> {
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(per_second.max(1));
    u64::try_from(nanos).ok()
}

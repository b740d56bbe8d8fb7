//! The host's own figures from /proc.
//!
//! A thread of its own reads them: such a read can hang (a dead network file system, a dying disk)
//! and must hold up nothing else. It ends when the sampler is gone.

mod routes;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_runtime::logging;
use procfs::net::InterfaceDeviceStatus;
use procfs::prelude::{FromRead as _, FromReadSI as _};
use procfs::{CpuTime, KernelStats, LoadAverage, LocalSystemInfo, Meminfo, ProcError};
use tokio::time::Instant;

use super::{Answer, Failure, FailureKind, Reading, Worker};

/// The machine as a whole. Each value is `None` when its file could not be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// When it was read, Unix ms on the run's line.
    pub time_ms: u64,
    /// Load averages over one, five and 15 minutes, thousandths.
    pub load_milli: Option<[u64; 3]>,
    /// Memory that the kernel manages, bytes.
    pub memory_total_bytes: Option<u64>,
    /// Memory that new work could get, bytes; `None` before kernel 3.14.
    pub memory_available_bytes: Option<u64>,
    /// Time that CPUs were neither idle nor waiting for I/O, cumulative, ns.
    pub cpu_busy_nanos: Option<u64>,
    /// Received on the interfaces of the default routes, cumulative, bytes.
    pub rx_bytes: Option<u64>,
    /// Sent on them, cumulative, bytes.
    pub tx_bytes: Option<u64>,
}

/// Starts the thread that reads `root` at each question.
///
/// # Errors
///
/// The operating system refused a thread.
pub fn start(root: PathBuf, mut worker: Worker<Host>) -> io::Result<()> {
    let reading = move || {
        while let Some(trigger) = worker.blocking_next() {
            let began = Instant::now();
            let time_ms = trigger.line.unix_ms();
            let result = read(&root, time_ms).map(|host| Reading {
                values: Arc::new(host),
                taken_ms: time_ms,
            });
            worker.answer(Answer {
                result,
                took: began.elapsed(),
            });
        }
    };
    // The handle is let go: the thread ends with its queue, or with the process if it hangs.
    std::thread::Builder::new()
        .name("procfs".to_owned())
        .spawn(reading)
        .map(drop)
}

/// Reads the host's figures; those of an unreadable file are absent.
///
/// # Errors
///
/// Nothing could be read.
pub fn read(root: &Path, time_ms: u64) -> Result<Host, Failure> {
    let mut errors = Vec::new();
    let mut host = Host {
        time_ms,
        ..Host::default()
    };
    if let Some(load) = keep(LoadAverage::from_file(root.join("loadavg")), &mut errors) {
        host.load_milli = Some([load.one, load.five, load.fifteen].map(milli));
    }
    if let Some(memory) = keep(Meminfo::from_file(root.join("meminfo")), &mut errors) {
        host.memory_total_bytes = Some(memory.mem_total);
        host.memory_available_bytes = memory.mem_available;
    }
    let stat = KernelStats::from_file(root.join("stat"), &LocalSystemInfo);
    if let Some(stat) = keep(stat, &mut errors) {
        host.cpu_busy_nanos = busy_nanos(&stat.total, procfs::ticks_per_second());
    }
    let devices = InterfaceDeviceStatus::from_file(root.join("net/dev"));
    if let Some(InterfaceDeviceStatus(devices)) = keep(devices, &mut errors) {
        let counted = routes::default_interfaces(&root.join("net"));
        let counted = |name: &str| match &counted {
            Some(names) => names.contains(name),
            None => name != "lo",
        };
        let counted: Vec<_> = devices.values().filter(|d| counted(&d.name)).collect();
        host.rx_bytes = Some(
            counted
                .iter()
                .fold(0, |sum, d| d.recv_bytes.saturating_add(sum)),
        );
        host.tx_bytes = Some(
            counted
                .iter()
                .fold(0, |sum, d| d.sent_bytes.saturating_add(sum)),
        );
    }
    let nothing = Host {
        time_ms,
        ..Host::default()
    };
    match errors.into_iter().next() {
        Some(error) if host == nothing => {
            let reason = format!("{}: check --proc-root", logging::chain(&error));
            Err(Failure::new(FailureKind::Read, reason))
        }
        _ => Ok(host),
    }
}

fn keep<T>(result: Result<T, ProcError>, errors: &mut Vec<ProcError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}

/// Thousandths of a load average, which the kernel writes with two decimals.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped before"
)]
fn milli(load: f32) -> u64 {
    (f64::from(load) * 100.0).round().clamp(0.0, 1e12) as u64 * 10
}

/// Time that CPUs worked; guest time is part of user time already.
fn busy_nanos(cpu: &CpuTime, ticks_per_second: u64) -> Option<u64> {
    let optional = [cpu.irq, cpu.softirq, cpu.steal];
    let ticks = [cpu.user, cpu.nice, cpu.system]
        .into_iter()
        .chain(optional.into_iter().flatten())
        .fold(0_u64, u64::saturating_add);
    let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(ticks_per_second.max(1));
    u64::try_from(nanos).ok()
}

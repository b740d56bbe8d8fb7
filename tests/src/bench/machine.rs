//! What the figures were measured on.

use std::fs::read_to_string;

use anyhow::{Context as _, Result, ensure};

use crate::proc::used::after;

/// What must stay free: the processes themselves, the page cache, and others on the machine.
const SPARE_BYTES: u64 = 512 << 20;

/// Cores, memory, kernel and CPU model, a line each; what the kernel does not tell is `unknown`.
pub(crate) fn describe() -> Vec<String> {
    let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = read_to_string("/proc/meminfo").unwrap_or_default();
    let release = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = after(&meminfo, "MemTotal")
        .and_then(|text| text.strip_suffix(" kB")?.parse::<u64>().ok())
        .map_or("unknown".to_owned(), |kib| {
            format!("{:.1} GiB", kib as f64 / 1_048_576.0)
        });
    let kernel = release
        .split('-')
        .next()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    vec![
        format!("cores   {cores}"),
        format!("memory  {memory}"),
        format!("kernel  {}", kernel.unwrap_or("unknown")),
        format!(
            "CPU     {}",
            after(&cpuinfo, "model name").unwrap_or("unknown")
        ),
    ]
}

/// How busy the machine is: processes that run or want to, over the last minute, those of others
/// included.
pub(crate) fn load() -> String {
    let text = read_to_string("/proc/loadavg").unwrap_or_default();
    let minute = text.split_whitespace().next();
    minute.unwrap_or("unknown").to_owned()
}

/// Checks that a part which takes this much memory leaves some to others.
///
/// # Errors
///
/// When there is less.
pub(super) fn has_room(bytes: u64) -> Result<()> {
    let meminfo = read_to_string("/proc/meminfo")?;
    let available = after(&meminfo, "MemAvailable").and_then(|text| text.strip_suffix(" kB"));
    let available = available.context("the kernel does not tell MemAvailable")?;
    let available = available.parse::<u64>()? << 10;
    let needed = bytes + SPARE_BYTES;
    ensure!(
        available >= needed,
        "{} MiB of memory are needed and {} MiB are available: take fewer agents (--agents)",
        needed >> 20,
        available >> 20
    );
    Ok(())
}

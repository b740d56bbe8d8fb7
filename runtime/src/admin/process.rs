//! What the process uses, read from the kernel at each scrape.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use rustix::time::{ClockId, clock_gettime};

use crate::{files, memory};

/// `/proc/self/status` has about 1.5 KiB.
const MAX_STATUS_BYTES: usize = 64 * 1024;

/// Registers, each as `<prefix>_...`: `process_cpu_seconds_total`, `process_resident_memory_bytes`,
/// `process_open_fds` and `build_info` with the version. A prefix is such as `cairn_agent`.
///
/// What the kernel does not tell is left out of a scrape.
pub fn register_process_metrics(registry: &mut Registry, prefix: &str) {
    let registry = registry.sub_registry_with_prefix(prefix);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    registry.register("build", "The version of this binary", Info::new(version));
    registry.register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut put = |name: &str, help: &str, unit: Option<Unit>, metric: &dyn EncodeMetric| {
            let kind = metric.metric_type();
            metric.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)
        };
        let cpu = ConstCounter::new(cpu_seconds());
        put(
            "process_cpu",
            "CPU time used since the start",
            Some(Unit::Seconds),
            &cpu,
        )?;
        if let Some(bytes) = resident_bytes() {
            let resident = ConstGauge::new(bytes);
            put(
                "process_resident_memory",
                "Resident memory",
                Some(Unit::Bytes),
                &resident,
            )?;
        }
        if let Some(count) = open_fds() {
            put(
                "process_open_fds",
                "Open file descriptors",
                None,
                &ConstGauge::new(count),
            )?;
        }
        Ok(())
    }
}

fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(used).unwrap_or_default().as_secs_f64()
}

fn resident_bytes() -> Option<i64> {
    let status = files::read_small(Path::new("/proc/self/status"), MAX_STATUS_BYTES).ok()?;
    let bytes = memory::status_bytes(&String::from_utf8_lossy(&status), "VmRSS:")?;
    i64::try_from(bytes).ok()
}

fn open_fds() -> Option<i64> {
    // The descriptor of the listing itself is among them.
    let count = std::fs::read_dir("/proc/self/fd")
        .ok()?
        .count()
        .saturating_sub(1);
    i64::try_from(count).ok()
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;

    use super::*;

    #[test]
    fn the_exposition_has_all_four() {
        let mut registry = Registry::default();
        register_process_metrics(&mut registry, "cairn_agent");
        let mut out = String::new();
        text::encode(&mut out, &registry).unwrap();
        for name in [
            "cairn_agent_process_cpu_seconds_total ",
            "cairn_agent_process_resident_memory_bytes ",
            "cairn_agent_process_open_fds ",
            "cairn_agent_build_info{version=\"",
        ] {
            assert!(
                out.contains(&format!("\n{name}")),
                "{name} is not in:\n{out}"
            );
        }
    }
}

//! A recording of pods that use a whole core for a second now and then.
//!
//! A kubelet measures each container every ten to fifteen seconds, at moments of the container's own; between
//! two of them it says the same again. Six pods use a tenth of a core, and begin a burst every ten seconds on
//! average, each by chance of its own.

use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use testkit::rfc3339;
use testkit::usage::second;

const NODE: &str = "node1";
const PODS: u64 = 6;

/// The first capture, Unix ms.
const START_MS: u64 = 1_795_332_326_328;

/// Captures are so far apart, ms, and go on for so long: the downscaling of an autoscaler waits five minutes.
const CAPTURE_MS: u64 = 5_000;
const LENGTH_MS: u64 = 900_000;

/// Before the first capture each pod has lived so long, ms.
const AGE_MS: u64 = 600_000;

const BURST_MS: u64 = 1_000;

/// Nanoseconds of CPU in a millisecond, beside a burst and in it.
const BASE: u64 = 100_000;
const FULL: u64 = 1_000_000;

/// One container: when it bursts, and when it is measured, ms from its start.
struct Load {
    bursts: Vec<u64>,
    measured: Vec<u64>,
}

/// Writes the recording of a seed.
pub(super) fn write(archive: &Path, seed: u64) {
    let mut random = seed;
    let mut next = |below: u64| {
        // Knuth's MMIX generator; the low bits of such a one are weak.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let end_ms = AGE_MS + LENGTH_MS;
    let mut times = |least: u64, spread: u64| {
        let mut times = vec![next(spread)];
        while let Some(last) = times.last().copied().filter(|last| *last < end_ms) {
            times.push(last + least + next(spread));
        }
        times
    };
    let loads: Vec<Load> = (0..PODS)
        .map(|_| Load {
            bursts: times(BURST_MS, 18_000),
            measured: times(10_000, 5_000),
        })
        .collect();
    let gzip = GzEncoder::new(std::fs::File::create(archive).unwrap(), Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    for number in 0..=LENGTH_MS / CAPTURE_MS {
        let now_ms = START_MS + number * CAPTURE_MS;
        let age_ms = AGE_MS + number * CAPTURE_MS;
        let captured = format!("{}.{:03}", now_ms / 1_000, now_ms % 1_000);
        let (summary, resource) = bodies(&loads, age_ms);
        for (file, body) in [
            ("captured_at", captured),
            ("stats_summary", summary.to_string()),
            ("metrics_resource", resource),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(u64::try_from(body.len()).unwrap());
            header.set_mode(0o644);
            let path = format!("trace/{NODE}/{:03}/{file}", number + 1);
            tar.append_data(&mut header, path, body.as_bytes()).unwrap();
        }
    }
    tar.into_inner().unwrap().finish().unwrap();
}

impl Load {
    /// CPU used until then, ns.
    fn used(&self, at_ms: u64) -> u64 {
        let within = |from: &u64| at_ms.saturating_sub(*from).min(BURST_MS);
        let bursts: u64 = self.bursts.iter().map(within).sum();
        at_ms * BASE + bursts * (FULL - BASE)
    }

    /// When it was measured last, ms from its start.
    fn last(&self, age_ms: u64) -> u64 {
        let mut measured = self.measured.iter();
        measured.rfind(|at| **at <= age_ms).copied().unwrap()
    }
}

/// Both bodies of a kubelet when the pods are so old.
fn bodies(loads: &[Load], age_ms: u64) -> (Value, String) {
    let start_ms = START_MS - AGE_MS;
    let start = second(start_ms);
    let memory = 64 << 20;
    let mut pods = Vec::new();
    let (mut cpu_lines, mut memory_lines, mut start_lines) =
        (String::new(), String::new(), String::new());
    let mut all_nanos = 0;
    for (nth, load) in loads.iter().enumerate() {
        let at_ms = load.last(age_ms);
        let (time_ms, used_nanos) = (start_ms + at_ms, load.used(at_ms));
        all_nanos += used_nanos;
        let name = format!("web-{nth}");
        let time = rfc3339::format(time_ms / 1_000 * 1_000);
        pods.push(json!({
            "podRef": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}")},
            "startTime": start,
            "containers": [{"name": "main", "startTime": start,
                "cpu": {"time": time, "usageNanoCores": 0, "usageCoreNanoSeconds": used_nanos},
                "memory": {"time": time, "workingSetBytes": memory, "usageBytes": memory}}],
        }));
        let labels = format!("{{container=\"main\",namespace=\"shop\",pod=\"{name}\"}}");
        let used = format!(
            "{}.{:09}",
            used_nanos / 1_000_000_000,
            used_nanos % 1_000_000_000
        );
        cpu_lines.push_str(&format!(
            "container_cpu_usage_seconds_total{labels} {used} {time_ms}\n"
        ));
        memory_lines.push_str(&format!(
            "container_memory_working_set_bytes{labels} {memory} {time_ms}\n"
        ));
        let began = format!("{}.{:03}", start_ms / 1_000, start_ms % 1_000);
        start_lines.push_str(&format!("container_start_time_seconds{labels} {began}\n"));
    }
    let now_ms = start_ms + age_ms;
    let now = rfc3339::format(now_ms / 1_000 * 1_000);
    let used = format!(
        "{}.{:09}",
        all_nanos / 1_000_000_000,
        all_nanos % 1_000_000_000
    );
    let resource = format!(
        "{cpu_lines}{memory_lines}{start_lines}node_cpu_usage_seconds_total {used} {now_ms}\n\
         node_memory_working_set_bytes {memory} {now_ms}\n"
    );
    let summary = json!({
        "node": {"nodeName": NODE, "startTime": start,
            "cpu": {"time": now, "usageNanoCores": 0, "usageCoreNanoSeconds": all_nanos},
            "memory": {"time": now, "workingSetBytes": memory, "usageBytes": memory}},
        "pods": pods,
    });
    (summary, resource)
}

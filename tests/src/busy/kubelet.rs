//! What a kubelet says of a node's pods.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Pod;
use super::cgroup::Cgroup;
use super::files;
use crate::rfc3339;

/// The answer to `/stats/summary`.
pub(super) fn summary<'a>(
    recorded: &Value,
    pods: impl Iterator<Item = &'a Pod>,
    unix_ms: u64,
) -> String {
    let mut body = json!({"node": recorded["node"]});
    retime(&mut body, unix_ms);
    let pods = pods.filter(|pod| pod.listed_from_ms() <= unix_ms);
    let pods = pods.filter_map(|pod| {
        let mut told = recorded["pods"].get(pod.shape)?.clone();
        let measured_ms = pod.sandbox.measured_ms(unix_ms)?;
        retime(&mut told, measured_ms);
        told["podRef"] = json!({"name": pod.name, "namespace": "shop", "uid": pod.uid});
        told["startTime"] = seconds(pod.from_ms);
        let sums = pod.cgroups(measured_ms).map(|of| used(of, measured_ms));
        let sum = sums.fold([0, 0], |a, b| [a[0] + b[0], a[1] + b[1]]);
        measure(&mut told, measured_ms, sum);
        let containers = told["containers"].as_array_mut()?.iter_mut();
        for (told, container) in containers.zip(&pod.containers) {
            let measured_ms = container.measured_ms(unix_ms)?;
            retime(told, measured_ms);
            told["startTime"] = seconds(container.from_ms);
            measure(told, measured_ms, used(container, measured_ms));
        }
        Some(told)
    });
    body["pods"] = Value::Array(pods.collect());
    body.to_string()
}

fn used(cgroup: &Cgroup, unix_ms: u64) -> [u64; 2] {
    [cgroup.cpu_micros(unix_ms), cgroup.memory_bytes(unix_ms)]
}

fn measure(told: &mut Value, unix_ms: u64, [cpu_micros, memory_bytes]: [u64; 2]) {
    let time = seconds(unix_ms);
    told["cpu"]["time"] = time.clone();
    told["cpu"]["usageCoreNanoSeconds"] = (cpu_micros * 1_000).into();
    told["memory"]["time"] = time;
    for field in ["usageBytes", "workingSetBytes"] {
        told["memory"][field] = memory_bytes.into();
    }
}

/// Says of everything in it that it was measured at this time.
fn retime(value: &mut Value, unix_ms: u64) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if name == "time" {
                    *value = seconds(unix_ms);
                } else {
                    retime(value, unix_ms);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|of| retime(of, unix_ms)),
        _ => {}
    }
}

/// A time as a kubelet writes it.
fn seconds(unix_ms: u64) -> Value {
    Value::String(rfc3339::format(unix_ms / 1_000 * 1_000))
}

/// The answer to `/metrics/cadvisor`.
pub(super) fn cadvisor<'a>(pods: impl Iterator<Item = &'a Pod>, unix_ms: u64) -> String {
    let mut text = String::from("# TYPE container_cpu_usage_seconds_total counter\n");
    for pod in pods.filter(|pod| pod.listed_from_ms() <= unix_ms) {
        for cgroup in pod.cgroups(unix_ms) {
            let Some(measured_ms) = cgroup.measured_ms(unix_ms) else {
                continue;
            };
            let path = files::path(pod, Some(cgroup));
            let micros = cgroup.cpu_micros(measured_ms);
            // Writing into a String cannot fail.
            writeln!(
                text,
                "container_cpu_usage_seconds_total{{container=\"{}\",cpu=\"total\",id=\"/{}\",\
                 image=\"registry.local/web:1\",name=\"{}\",namespace=\"shop\",pod=\"{}\"}} \
                 {}.{:06} {measured_ms}",
                cgroup.name,
                path.display(),
                cgroup.id,
                pod.name,
                micros / 1_000_000,
                micros % 1_000_000,
            )
            .unwrap_or_default();
        }
    }
    text
}

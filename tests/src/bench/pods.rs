//! What the aggregator's watch of pods keeps of each.
//!
//! The program that reads them is an example of the aggregator's crate, as no other crate sees what it keeps.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use super::{Line, program};
use crate::proc;

/// The program, beside the binaries.
const PROGRAM: &str = "examples/pods";

/// Pods of the largest cluster.
const PODS: u64 = 150_000;

/// It is done long before.
const WITHIN: Duration = Duration::from_secs(120);

/// What the program says.
#[derive(Debug, Deserialize)]
struct Told {
    pods: u64,
    json_bytes: u64,
    bytes_each: f64,
    us_each: f64,
}

pub(super) fn run() -> Result<Vec<Line>> {
    let program = proc::find(PROGRAM).ok().with_context(|| {
        format!("{PROGRAM} is not built: cargo build --release -p cairn-aggregator --examples")
    })?;
    let (status, said) = program::run(&program, &[&PODS.to_string()], WITHIN)?;
    ensure!(status.success(), "the pods are not read: {status}");
    let told: Told = serde_json::from_str(&said)?;
    // The one that is read before the others counts among them.
    ensure!(told.pods == PODS + 1, "{} pods are known", told.pods);
    let data = format!(
        "{PODS} pods of the recorded shape, {} bytes of JSON each, fifty of a Deployment",
        told.json_bytes
    );
    let line = |name, value, unit, more: &str| Line {
        number: "-",
        name,
        value,
        unit,
        goal: None,
        data: format!("{data}; {more}"),
    };
    Ok(vec![
        line(
            "pod_watch_bytes_a_pod",
            told.bytes_each,
            "bytes",
            "pod watch: bytes a pod, by how much larger the process became",
        ),
        line(
            "pod_watch_decode",
            told.us_each,
            "us",
            "a pod read and taken in, one thread",
        ),
    ])
}

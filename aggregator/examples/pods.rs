//! What knowing a pod costs: `pods [COUNT]` reads that many pods as the API server writes them, each a recorded
//! one under names and ids of its own, fifty of each Deployment, and prints as JSON how much larger the process
//! became and how long it took.

use std::path::Path;
use std::process::ExitCode;

use cairn_aggregator::cluster::{Known, Resource};
use cairn_runtime::memory;
use tokio::time::Instant;

/// Pods of one namespace, and of one node.
const TOGETHER: usize = 50;

fn main() -> ExitCode {
    let count = std::env::args().nth(1).and_then(|text| text.parse().ok());
    let count: usize = count.unwrap_or(20_000);
    let fixture = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/fixtures/apiserver-1.36/pods.json"
    );
    let list = std::fs::read(fixture).expect("the recorded pods are there");
    let mut list: serde_json::Value = serde_json::from_slice(&list).expect("they are JSON");
    let pod = list["items"][0].take().to_string();
    let status = Path::new("/proc/self/status");
    let known = Known::default();
    // What the decoder and the allocator need once is there before it is measured.
    take(&known, &pod, 0);
    let before = memory::anonymous_bytes(status).unwrap_or(0);
    let began = Instant::now();
    for n in 1..=count {
        take(&known, &pod, n);
    }
    let took = began.elapsed();
    let grown = memory::anonymous_bytes(status)
        .unwrap_or(0)
        .saturating_sub(before);
    let per_pod = grown / u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    say(&format!(
        "{{\"pods\":{},\"json_bytes\":{},\"bytes_each\":{per_pod},\"us_each\":{:.1}}}",
        known.count(Resource::Pods),
        pod.len(),
        took.as_secs_f64() * 1e6 / count.max(1) as f64,
    ));
    ExitCode::SUCCESS
}

/// The recorded pod as the one of this number: two containers, three labels, an owner.
fn take(known: &Known, pod: &str, n: usize) {
    let (of, together) = (n % 1_000_000, n / TOGETHER);
    let pod = pod
        .replace("\"shop\"", &format!("\"shop-{together}\""))
        .replace("\"node2\"", &format!("\"node-{together}\""))
        .replace("6cb655c9bf", &format!("{together:010x}"))
        .replace("2gkn9", &format!("{n:05}"))
        .replace("5402d901", &format!("{of:08}"))
        .replace("5a3a25ec", &format!("{of:08}"))
        .replace("0069a216", &format!("{of:08}"));
    let change = Resource::Pods.present(pod.as_bytes());
    known.apply(change.expect("a recorded pod is read"));
}

#[expect(clippy::print_stdout, reason = "the result of a program for people")]
fn say(line: &str) {
    println!("{line}");
}

//! The node's cgroups.

use std::path::Path;
use std::time::Duration;

use cairn_proto::catalogue::Source;
use cairn_runtime::clock::Line;
use tokio::time::Instant;

use super::finding::{Finding, Trouble, Values};
use super::thread;
use crate::config::Config;
use crate::sources::Feed;
use crate::sources::cgroup::{self, Cgroups, Sandboxes, Tree};

/// Reads all cgroups once, in the thread that such a read needs.
pub(super) async fn look(
    config: &Config,
    root: &Path,
    line: Line,
    deadline: Duration,
) -> Vec<Finding> {
    let began = Instant::now();
    let mut found = Finding::new("cgroup", root.display().to_string());
    let sandboxes = Sandboxes::default();
    let tree = match Tree::open(root, &config.proc_root, config.interval_ms, sandboxes) {
        Ok(tree) => tree,
        Err(error) => {
            let reason = format!("{error}, or leave --cgroup-root out");
            found.failure = Some(Trouble::new("read", reason));
            return vec![found];
        }
    };
    let version = tree.version().as_str();
    let (mut feed, worker) = Feed::new(Source::Cgroup);
    if let Err(error) = cgroup::start(tree, worker) {
        found.failure = Some(thread::none(&error));
        return vec![found];
    }
    let late = "the load of this machine";
    let reading = thread::ask(&mut feed, line, deadline, &mut found, late).await;
    found.took = began.elapsed();
    if let Some(reading) = reading {
        tell(&mut found, &reading.values, version);
    }
    vec![found]
}

fn tell(found: &mut Finding, cgroups: &Cgroups, version: &str) {
    let containers = cgroups.pods.iter().map(|pod| pod.containers.len());
    found.values = Values {
        pods: Some(cgroups.pods.len()),
        containers: Some(containers.sum()),
        values: Some(cgroups.value_count()),
    };
    let driver = cgroups.driver.map_or("unknown", |driver| driver.as_str());
    found.notes.push(format!(
        "cgroups {version}, {driver} driver; sandboxes count as containers until the kubelet tells \
         which they are"
    ));
    found.notes.extend(cgroups.shortage());
}

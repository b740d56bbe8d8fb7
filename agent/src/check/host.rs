//! /proc, and the host's file systems.

use std::time::Duration;

use cairn_proto::catalogue::Source;
use cairn_runtime::clock::Line;
use cairn_runtime::readiness::Readiness;
use tokio::time::Instant;

use super::finding::Finding;
use super::thread;
use crate::config::Config;
use crate::metrics;
use crate::sources::procfs::{FileSystems, ProcRoot};
use crate::sources::{Feed, procfs};

/// Reads the host's figures once, in the thread that such a read needs.
pub(super) async fn look(config: &Config, line: Line, deadline: Duration) -> Vec<Finding> {
    let began = Instant::now();
    let (root, readiness) = (&config.proc_root, Readiness::new());
    let file_systems = config.host_root.clone().map(|host_root| {
        let uncounted = metrics::FileSystems::default();
        FileSystems::new(host_root, root, readiness.clone(), uncounted)
    });
    let (mut feed, worker) = Feed::new(Source::Procfs);
    let mut found = Finding::new("procfs", root.display().to_string());
    let proc_root = ProcRoot {
        path: root.clone(),
        per_cpu: config.per_cpu,
    };
    if let Err(error) = procfs::start(proc_root, file_systems, worker) {
        found.failure = Some(thread::none(&error));
        return vec![found];
    }
    let late = "--proc-root, and the disks and file systems of this machine";
    let reading = thread::ask(&mut feed, line, deadline, &mut found, late).await;
    found.took = began.elapsed();
    if let Some(reading) = reading {
        let of_host = &reading.values;
        let parts = of_host.parts.iter().chain(&*of_host.file_systems);
        let of_parts = parts.map(|part| part.figures.values().len());
        found.values.values = Some(of_host.figures.values().len() + of_parts.sum::<usize>());
        // What `/readyz?verbose` of an agent would say.
        let degraded = readiness.degraded().into_iter();
        let notes = degraded.map(|(name, reason)| format!("{name}: {reason}"));
        found.notes.extend(notes);
    }
    vec![found]
}

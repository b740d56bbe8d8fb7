//! The host's own figures from /proc.
//!
//! A thread of its own reads them: such a read can hang (a dead network file system, a dying disk)
//! and must hold up nothing else. It ends when the sampler is gone.

mod devices;
mod file_systems;
mod kernel;
mod lanes;
mod mounts;
mod processors;
mod routes;
mod space;
#[cfg(test)]
mod tests;
mod traffic;
mod troubles;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cairn_proto::catalogue::Group;
use cairn_runtime::logging;
use procfs::ProcError;
use tokio::time::Instant;

pub use self::file_systems::FileSystems;
pub use self::traffic::Traffic;
use super::{Answer, Failure, FailureKind, Figures, Part, Reading, Worker, thread_cpu};

/// The machine as a whole. What could not be read is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// Its values, all of group `host`.
    pub figures: Figures,
    /// Its disks and interfaces.
    pub parts: Vec<Part>,
    /// Its file systems, each measured at a time of its own; none without `--host-root`.
    pub file_systems: Arc<[Part]>,
    /// Disks, interfaces and file systems beyond the most that are taken.
    pub dropped_count: u64,
}

/// Which /proc is read, and how much of it.
#[derive(Clone, Debug)]
pub struct ProcRoot {
    /// Where it is.
    pub path: PathBuf,
    /// Whether each processor is told by itself.
    pub per_cpu: bool,
}

/// Starts the thread that reads `root`, and file systems if there are any, at each question.
///
/// # Errors
///
/// The operating system refused a thread.
pub fn start(
    root: ProcRoot,
    mut file_systems: Option<FileSystems>,
    mut worker: Worker<Host>,
) -> io::Result<()> {
    let mut traffic = Traffic::default();
    let reading = move || {
        while let Some(trigger) = worker.blocking_next() {
            let (began, cpu_began) = (Instant::now(), thread_cpu());
            let time_ms = trigger.line.unix_ms();
            let result = read(&root, time_ms, &mut traffic).map(|mut host| {
                if let Some(file_systems) = &mut file_systems {
                    let (parts, dropped_count) = file_systems.read(trigger.tick, &trigger.line);
                    host.file_systems = parts;
                    host.dropped_count += dropped_count;
                }
                Reading {
                    values: Arc::new(host),
                    taken_ms: time_ms,
                }
            });
            let took = began.elapsed();
            let cpu = thread_cpu().saturating_sub(cpu_began);
            worker.answer_at(Answer { result, took }, cpu);
        }
    };
    // The handle is let go: the thread ends with its queue, or with the process if it hangs.
    std::thread::Builder::new()
        .name("procfs".to_owned())
        .spawn(reading)
        .map(drop)
}

/// What is read of one /proc, and what could not be.
struct Reader<'a> {
    root: &'a Path,
    per_cpu: bool,
    time_ms: u64,
    traffic: &'a mut Traffic,
    host: Host,
    errors: Vec<ProcError>,
}

/// Reads the host's figures; those of an unreadable file are absent. The traffic is that of the
/// readings of the same `root` before.
///
/// # Errors
///
/// Nothing could be read.
pub fn read(root: &ProcRoot, time_ms: u64, traffic: &mut Traffic) -> Result<Host, Failure> {
    let mut reader = Reader {
        root: &root.path,
        per_cpu: root.per_cpu,
        time_ms,
        traffic,
        host: Host::default(),
        errors: Vec::new(),
    };
    reader.host.figures.measured(Group::Host, time_ms);
    reader.load();
    reader.memory();
    reader.stat();
    reader.virtual_memory();
    reader.uptime();
    reader.pressure();
    reader.interfaces();
    reader.disks();
    let nothing = reader.host.figures.values().is_empty() && reader.host.parts.is_empty();
    match reader.errors.into_iter().next() {
        Some(error) if nothing => {
            let reason = format!("{}: check --proc-root", logging::chain(&error));
            Err(Failure::new(FailureKind::Read, reason))
        }
        _ => Ok(reader.host),
    }
}

impl Reader<'_> {
    /// What was read; what could not be is remembered.
    fn keep<T>(&mut self, result: Result<T, ProcError>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }
}

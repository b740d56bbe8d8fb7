//! A process whose memory the kernel limits, in a cgroup of its own; needs root.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// Where cgroups are mounted.
const ROOT: &str = "/sys/fs/cgroup";

/// What the kernel says of a cgroup's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryTold {
    /// Processes that it killed for want of memory.
    pub oom_kills: u64,
    /// The most that was in use at a time, bytes; 0 where it does not say.
    pub peak_bytes: u64,
}

/// The cgroup; the process leaves it, and it goes, when this is dropped.
#[derive(Debug)]
pub(super) struct Confined {
    dir: PathBuf,
    parent: PathBuf,
    is_v1: bool,
}

impl Confined {
    /// Puts a process into a cgroup that may use so much memory, what it uses already not counted.
    ///
    /// # Errors
    ///
    /// When none can be made: root is needed, and the controller `memory`.
    pub(super) fn of(process: u32, bytes: u64) -> Result<Self> {
        let v1 = Path::new(ROOT).join("memory");
        let is_v1 = v1.join("memory.limit_in_bytes").exists();
        let parent = if is_v1 { v1 } else { PathBuf::from(ROOT) };
        let dir = parent.join(format!("cairn-test-{process}"));
        fs::create_dir(&dir).with_context(|| format!("no cgroup {}", dir.display()))?;
        let confined = Self { dir, parent, is_v1 };
        let limit = confined.named("memory.limit_in_bytes", "memory.max");
        let file = confined.dir.join(limit);
        ensure!(file.exists(), "no controller memory: {}", file.display());
        fs::write(&file, bytes.to_string())?;
        fs::write(confined.dir.join("cgroup.procs"), process.to_string())?;
        Ok(confined)
    }

    fn named(&self, v1: &'static str, v2: &'static str) -> &'static str {
        if self.is_v1 { v1 } else { v2 }
    }

    /// What the kernel says.
    pub(super) fn told(&self) -> Result<MemoryTold> {
        let events = self.named("memory.oom_control", "memory.events");
        let events = fs::read_to_string(self.dir.join(events))?;
        let kills = events
            .lines()
            .find_map(|line| line.strip_prefix("oom_kill "));
        let peak = self.named("memory.max_usage_in_bytes", "memory.peak");
        let peak = fs::read_to_string(self.dir.join(peak));
        Ok(MemoryTold {
            oom_kills: kills.context("no oom_kill")?.trim().parse()?,
            peak_bytes: peak
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0),
        })
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let processes = fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        for process in processes.lines() {
            drop(fs::write(self.parent.join("cgroup.procs"), process));
        }
        drop(fs::remove_dir(&self.dir));
    }
}

//! A binary whose memory the kernel limits: it starts in a control group of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, ensure};

use super::{As, Error, Proc};

/// Where control groups are mounted.
const TREE: &str = "/sys/fs/cgroup";

/// Groups that this process has made: each has a name of its own.
static MADE: AtomicU32 = AtomicU32::new(0);

/// What the kernel says of a group's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryTold {
    /// What there may be, bytes.
    pub limit_bytes: u64,
    /// Processes that it killed for want of memory.
    pub oom_kills: u64,
    /// The most that was in use at a time, pages of files too, bytes; what is in use now where the kernel
    /// does not keep it.
    pub peak_bytes: u64,
    /// How often the limit was met, and pages of files had to be given back, or more.
    pub met: u64,
}

/// A control group with a memory limit. Who is in it leaves it, and it goes, when this is dropped.
#[derive(Debug)]
pub struct MemoryGroup {
    dir: PathBuf,
    parent: PathBuf,
    is_v1: bool,
    limit_bytes: u64,
}

impl MemoryGroup {
    /// A group that may use so much memory, of either version of control groups.
    ///
    /// # Errors
    ///
    /// When none can be made: that takes root, and a tree that may be written.
    pub fn new(limit_bytes: u64) -> Result<Self> {
        let v1 = Path::new(TREE).join("memory");
        let is_v1 = v1.join("memory.limit_in_bytes").exists();
        let parent = if is_v1 { v1 } else { PathBuf::from(TREE) };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("cairn-test-{}-{number}", std::process::id());
        let dir = parent.join(name);
        fs::create_dir(&dir).with_context(|| format!("no control group {}", dir.display()))?;
        let group = Self {
            dir,
            parent,
            is_v1,
            limit_bytes,
        };
        let limit = group.file("memory.limit_in_bytes", "memory.max");
        if !limit.exists() {
            // The second version hands controllers on only where it is told to.
            let control = group.parent.join("cgroup.subtree_control");
            let handed = fs::write(&control, "+memory");
            handed.with_context(|| format!("no controller memory: {}", control.display()))?;
        }
        ensure!(limit.exists(), "no controller memory: {}", limit.display());
        fs::write(&limit, limit_bytes.to_string())?;
        Ok(group)
    }

    /// What the kernel says.
    ///
    /// # Errors
    ///
    /// When a file of the group cannot be read.
    pub fn told(&self) -> Result<MemoryTold> {
        let events = self.file("memory.oom_control", "memory.events");
        let events = fs::read_to_string(events)?;
        // Kernels before 5.19 say of the second version only what is used now.
        let peak = self.file("memory.max_usage_in_bytes", "memory.peak");
        let peak = fs::read_to_string(peak)
            .or_else(|_| fs::read_to_string(self.dir.join("memory.current")))?;
        let met = if self.is_v1 {
            fs::read_to_string(self.dir.join("memory.failcnt"))?
                .trim()
                .parse()?
        } else {
            line(&events, "max ").unwrap_or(0)
        };
        Ok(MemoryTold {
            limit_bytes: self.limit_bytes,
            oom_kills: line(&events, "oom_kill ").context("no oom_kill")?,
            peak_bytes: peak.trim().parse()?,
            met,
        })
    }

    fn file(&self, v1: &str, v2: &str) -> PathBuf {
        self.dir.join(if self.is_v1 { v1 } else { v2 })
    }

    /// A command that puts itself into the group and then becomes the binary.
    pub(super) fn command(&self, binary: &Path) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(self.dir.join("cgroup.procs"))
            .arg(binary);
        command
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let members = fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default();
        for member in members.lines() {
            drop(fs::write(self.parent.join("cgroup.procs"), member));
        }
        drop(fs::remove_dir(&self.dir));
    }
}

/// The number of a line that begins so.
fn line(text: &str, begin: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines
        .find_map(|line| line.strip_prefix(begin))?
        .trim()
        .parse()
        .ok()
}

impl Proc {
    /// Starts a binary in a group from its first page on, and waits until it has published its addresses.
    ///
    /// # Errors
    ///
    /// As [`Proc::start`].
    pub fn start_within(name: &str, args: &[&str], group: &MemoryGroup) -> Result<Self, Error> {
        let stdout = |_: &Path| Ok(std::process::Stdio::null());
        Self::spawn(name, args, &[], As::Member(group), stdout)?.up()
    }
}

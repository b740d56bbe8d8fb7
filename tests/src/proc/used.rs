//! What a process has used, as the kernel tells it.

use std::fs;

use anyhow::{Context as _, Result};

/// Memory of a process, bytes. Files that it maps may lie on tmpfs and would be counted as its
/// memory: they are its data on disk, so they are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: u64,
    /// The most that was ever resident.
    pub(crate) peak: u64,
    /// Resident now of files that it maps, its own code among them.
    files: u64,
}

impl Memory {
    /// Of a process of ours.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid} is gone"))?;
        Self::read(&status)
    }

    /// Lets the peak begin anew with what is resident now.
    pub(crate) fn forget_peak(pid: u32) -> Result<()> {
        fs::write(format!("/proc/{pid}/clear_refs"), "5")
            .with_context(|| format!("the peak of process {pid} cannot be set back"))
    }

    /// The most that it had at a time of what counts below a memory limit: without the pages of files, which the
    /// kernel takes back by itself. Somewhat less than it was where pages of files came later.
    pub(crate) fn anonymous_peak(&self) -> u64 {
        self.peak.saturating_sub(self.files)
    }

    fn read(status: &str) -> Result<Self> {
        let bytes = |key: &str| {
            let value = after(status, key).and_then(|text| text.strip_suffix("kB"));
            let value = value.with_context(|| format!("the kernel does not tell {key}"))?;
            Ok::<u64, anyhow::Error>(value.trim().parse::<u64>()? * 1024)
        };
        let mapped = bytes("RssShmem")?;
        Ok(Self {
            resident: bytes("VmRSS")?.saturating_sub(mapped),
            peak: bytes("VmHWM")?.saturating_sub(mapped),
            files: bytes("RssFile")?,
        })
    }
}

/// CPU time of a process so far, user and system, seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("process {pid} is gone"))?;
    let ticks = cpu_ticks(&stat).context("the kernel does not tell CPU time")?;
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// The 14th and 15th word; the second one is a name in parentheses that may have spaces.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut words = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system) = (words.next()?, words.next()?);
    Some(user.parse::<u64>().ok()? + system.parse::<u64>().ok()?)
}

/// What stands behind the first `key:` of a file of /proc.
pub(crate) fn after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == key).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::{Memory, cpu_ticks};

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "17 (a (b) c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("17 (a) S 1"), None);
        let status =
            "VmHWM:\t  900 kB\nVmRSS:\t  800 kB\nRssFile:\t     200 kB\nRssShmem:\t     300 kB\n";
        let memory = Memory::read(status).unwrap();
        assert_eq!((memory.resident, memory.peak), (500 << 10, 600 << 10));
        assert_eq!(memory.anonymous_peak(), 400 << 10);
    }

    #[test]
    fn a_process_can_look_at_itself() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.peak >= memory.resident && memory.resident > 0);
        assert!(super::cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}

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

/// The most that a process had at a time of what counts below a memory limit: without the pages of files, which the
/// kernel takes back by itself.
///
/// The kernel tells the most that was resident of all pages together, and how many of files are now, not then. Those come
/// as code is run for the first time, and hardly go. So between two readings there were no fewer than at the first one,
/// and what the peak at the second has beyond them is no less than what was right; the closer the readings, the less
/// it is more. Beyond those of the last reading it would be less, by all pages of files that came after the peak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnonymousPeak {
    files: u64,
    peak: u64,
    most: u64,
}

impl AnonymousPeak {
    /// Of a process that has just begun.
    pub(crate) fn begin(now: Memory) -> Self {
        Self {
            files: now.files,
            peak: now.peak,
            most: now.peak.saturating_sub(now.files),
        }
    }

    /// Takes the next reading.
    pub(crate) fn look(&mut self, now: Memory) {
        if now.peak > self.peak {
            // One that was there before has nothing to do with the pages of files that are there now.
            self.most = self.most.max(now.peak.saturating_sub(self.files));
            self.peak = now.peak;
        }
        self.files = now.files;
    }

    /// No less than it was since the first reading, bytes.
    pub(crate) fn bytes(self) -> u64 {
        self.most
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
    use super::{AnonymousPeak, Memory, cpu_ticks};

    #[test]
    fn the_kernels_words_are_read() {
        let stat = "17 (a (b) c) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 1 0 5";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(cpu_ticks("17 (a) S 1"), None);
        let status =
            "VmHWM:\t  900 kB\nVmRSS:\t  800 kB\nRssFile:\t     200 kB\nRssShmem:\t     300 kB\n";
        let memory = Memory::read(status).unwrap();
        assert_eq!((memory.resident, memory.peak), (500 << 10, 600 << 10));
    }

    #[test]
    fn pages_of_files_that_come_after_the_peak_are_not_taken_off_it() {
        let kib = |resident: u64, peak: u64, files: u64| Memory {
            resident: resident << 10,
            peak: peak << 10,
            files: files << 10,
        };
        let mut peak = AnonymousPeak::begin(kib(30, 30, 20));
        // 70 are anonymous, and then 10 with 60 of files.
        for now in [kib(90, 90, 20), kib(70, 90, 60), kib(70, 90, 60)] {
            peak.look(now);
        }
        assert_eq!(peak.bytes(), 70 << 10);
        // 40 more of files, and 35 of what is anonymous.
        peak.look(kib(145, 145, 100));
        assert_eq!(peak.bytes(), 85 << 10, "no less than 45");
        // The kernel takes most of the files' back, and nothing else happens.
        for now in [kib(55, 145, 10), kib(55, 145, 10)] {
            peak.look(now);
        }
        assert_eq!(peak.bytes(), 85 << 10);
    }

    #[test]
    fn a_process_can_look_at_itself() {
        let memory = Memory::of(std::process::id()).unwrap();
        assert!(memory.peak >= memory.resident && memory.resident > 0);
        assert!(super::cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}

//! Recorded files of a node's cgroups, shown to an agent frame by frame.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

/// More than ten times what the fixture holds.
const UNPACKED_LIMIT_BYTES: u64 = 64 << 20;

/// What begins a file of a cgroup.
const FILE: &str = "= ";

/// The files of one moment.
#[derive(Clone, Debug, Default)]
struct Frame {
    read_at_ms: u64,
    files: BTreeMap<PathBuf, String>,
}

/// The files of one node: per frame, by path below the root of its cgroups.
#[derive(Clone, Debug)]
pub struct CgroupFiles {
    frames: Vec<Frame>,
}

impl CgroupFiles {
    /// Reads those of node3, which the kubelet of the recording `cgroup-v2` tells of too.
    ///
    /// # Errors
    ///
    /// When the archive cannot be read or is not in the expected form.
    pub fn recorded() -> Result<Self> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubelet-1.36");
        let archive = fixtures.join("cgroup-v2-files.tar.gz");
        let file = fs::File::open(&archive).with_context(|| archive.display().to_string())?;
        let plain = flate2::read::GzDecoder::new(file).take(UNPACKED_LIMIT_BYTES);
        let mut frames: BTreeMap<PathBuf, Frame> = BTreeMap::new();
        for entry in tar::Archive::new(plain).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            let folder = path.parent().context("a file outside of a folder")?;
            let frame = frames.entry(folder.to_owned()).or_default();
            if path.ends_with("read_at") {
                frame.read_at_ms = millis(text.trim())?;
            } else {
                frame.files = files(&text)?;
            }
        }
        ensure!(!frames.is_empty(), "no cgroups in {}", archive.display());
        Ok(Self {
            frames: frames.into_values().collect(),
        })
    }

    /// When each frame was read, Unix ms; in order.
    pub fn times_ms(&self) -> impl Iterator<Item = u64> {
        self.frames.iter().map(|frame| frame.read_at_ms)
    }

    /// The frame that was read last at a time, counted from 0; `None` before the first.
    #[must_use]
    pub fn frame_at(&self, unix_ms: u64) -> Option<usize> {
        let later = self.times_ms().take_while(|read_ms| *read_ms <= unix_ms);
        later.count().checked_sub(1)
    }

    /// The text of a file in a frame.
    #[must_use]
    pub fn text(&self, frame: usize, path: &Path) -> Option<&str> {
        Some(self.frames.get(frame)?.files.get(path)?)
    }

    /// The cgroups of a frame that have CPU time: their paths, the root's empty.
    #[must_use]
    pub fn cgroups(&self, frame: usize) -> BTreeSet<PathBuf> {
        let files = self.frames.get(frame).map(|frame| &frame.files);
        let paths = files.into_iter().flat_map(BTreeMap::keys);
        let of_cpu = paths.filter(|path| path.ends_with("cpu.stat"));
        of_cpu
            .filter_map(|path| path.parent())
            .map(Path::to_owned)
            .collect()
    }

    /// Writes the files of a frame into a directory that stands for the root. What is there of the
    /// frame before is written over, or taken away: its CPU file gives nothing then to whoever has it
    /// open.
    ///
    /// # Errors
    ///
    /// When there is no such frame or a file cannot be written.
    pub fn show(&self, frame: usize, dir: &Path) -> Result<()> {
        let there = self.cgroups(frame);
        if let Some(before) = frame.checked_sub(1) {
            for path in self.cgroups(before).difference(&there) {
                let directory = dir.join(path);
                if directory.is_dir() {
                    fs::write(directory.join("cpu.stat"), "")?;
                    fs::remove_dir_all(directory)?;
                }
            }
        }
        let frame = self.frames.get(frame).context("no such frame")?;
        for (path, text) in &frame.files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            fs::write(&path, text)?;
        }
        Ok(())
    }
}

fn files(text: &str) -> Result<BTreeMap<PathBuf, String>> {
    let mut files: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut at = None;
    for line in text.lines() {
        if let Some(path) = line.strip_prefix(FILE) {
            at = Some(PathBuf::from(path));
            continue;
        }
        let path = at.clone().context("a line before any file")?;
        let file = files.entry(path).or_default();
        file.push_str(line);
        file.push('\n');
    }
    Ok(files)
}

/// Unix ms of seconds with three decimals.
fn millis(seconds: &str) -> Result<u64> {
    let digits: String = seconds.chars().filter(|c| *c != '.').collect();
    let (_, decimals) = seconds.split_once('.').context("no decimals")?;
    ensure!(decimals.len() == 3, "not three decimals: {seconds}");
    Ok(digits.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_shown_one_after_the_other() {
        let files = CgroupFiles::recorded().unwrap();
        let times: Vec<u64> = files.times_ms().collect();
        assert_eq!((times.len(), times[0]), (18, 1_795_335_912_309));
        assert!(times.is_sorted());
        assert_eq!(files.frame_at(times[0] - 1), None);
        assert_eq!(files.frame_at(times[4] + 1), Some(4));
        let in_memory = tempfile::tempdir_in("/dev/shm");
        let dir = in_memory.or_else(|_| tempfile::tempdir()).unwrap();
        for frame in 0..times.len() {
            files.show(frame, dir.path()).unwrap();
            let listed = files.cgroups(frame);
            assert!(listed.len() > 20, "{frame}");
            for path in listed {
                let shown = fs::read_to_string(dir.path().join(&path).join("cpu.stat")).unwrap();
                let text = files.text(frame, &path.join("cpu.stat")).unwrap();
                assert!(shown == text && shown.starts_with("usage_usec "));
            }
        }
        // A pod of the first frame was deleted meanwhile.
        let gone: Vec<_> = files
            .cgroups(0)
            .difference(&files.cgroups(17))
            .cloned()
            .collect();
        assert!(!gone.is_empty() && gone.iter().all(|path| !dir.path().join(path).exists()));
    }
}

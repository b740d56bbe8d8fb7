//! Files of a node's /proc: recorded ones, shown to an agent frame by frame, and some that are others at
//! each tick.

use std::collections::BTreeMap;
use std::io::Read;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{Options, System};

/// More than a hundred times what the fixtures hold.
const UNPACKED_LIMIT_BYTES: u64 = 64 << 20;

/// The files of one node: per frame, by path below /proc.
#[derive(Clone, Debug)]
pub struct HostFiles {
    frames: Vec<BTreeMap<PathBuf, Vec<u8>>>,
}

impl HostFiles {
    /// Those of node3 of the recording `cgroup-v2`.
    ///
    /// # Errors
    ///
    /// As [`HostFiles::load`].
    pub fn recorded() -> Result<Self> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/kubelet-1.36");
        Self::load(&fixtures.join("cgroup-v2.tar.gz"), "node3")
    }

    /// Reads `proc/NODE/NN/...` of an archive.
    ///
    /// # Errors
    ///
    /// When the archive cannot be read or has no such files.
    pub fn load(archive: &Path, node: &str) -> Result<Self> {
        let file = std::fs::File::open(archive).with_context(|| archive.display().to_string())?;
        let plain = flate2::read::GzDecoder::new(file).take(UNPACKED_LIMIT_BYTES);
        let prefix = Path::new("proc").join(node);
        let mut frames: BTreeMap<PathBuf, BTreeMap<PathBuf, Vec<u8>>> = BTreeMap::new();
        for entry in tar::Archive::new(plain).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let Ok(below) = path.strip_prefix(&prefix) else {
                continue;
            };
            let mut parts = below.iter();
            let (Some(number), rest) = (parts.next(), parts.as_path()) else {
                continue;
            };
            if entry.header().entry_type().is_file() && rest.file_name().is_some() {
                let mut body = Vec::new();
                entry.read_to_end(&mut body)?;
                let frame = frames.entry(PathBuf::from(number)).or_default();
                frame.insert(rest.to_path_buf(), body);
            }
        }
        ensure!(!frames.is_empty(), "no files of {node}'s /proc in it");
        Ok(Self {
            frames: frames.into_values().collect(),
        })
    }

    /// How many frames there are; at least 1.
    #[must_use]
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Writes the files of a frame, counted from 0, into a directory that stands for /proc.
    ///
    /// # Errors
    ///
    /// When there is no such frame or a file cannot be written.
    pub fn show(&self, frame: usize, dir: &Path) -> Result<()> {
        let files = self.frames.get(frame).context("no such frame")?;
        for (name, body) in files {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
            std::fs::write(&path, body)?;
        }
        Ok(())
    }
}

/// One node whose machine has another load at each tick, so that a figure which is only held shows.
#[derive(Debug)]
pub struct MovingHost {
    system: System,
    proc_root: tempfile::TempDir,
}

impl MovingHost {
    /// Starts the node with a driven clock.
    ///
    /// # Errors
    ///
    /// As [`System::start`], or when the recorded files cannot be shown.
    pub fn start() -> Result<Self> {
        let proc_root = tempfile::tempdir()?;
        HostFiles::recorded()?.show(0, proc_root.path())?;
        let root = proc_root.path().display().to_string();
        let system = System::start(Options {
            extra_agent_args: vec!["--proc-root".to_owned(), root],
            ..Options::one_node()
        })?;
        Ok(Self { system, proc_root })
    }

    /// Shows the load of a tick, steps every clock to it, and waits until the aggregator holds it.
    ///
    /// # Errors
    ///
    /// As [`System::tick`].
    pub fn tick(&self, tick_ms: u64) -> Result<()> {
        self.show(tick_ms)?;
        self.system.tick(tick_ms)
    }

    /// Shows the load of a tick.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn show(&self, tick_ms: u64) -> Result<()> {
        let load = format!("{} 0.20 0.10 1/100 4000\n", load(tick_ms));
        Ok(std::fs::write(self.proc_root.path().join("loadavg"), load)?)
    }

    /// Says whether the newest row is of this tick, and has the load of this very tick.
    ///
    /// # Errors
    ///
    /// When it is another one, or the aggregator does not answer.
    pub fn has_host(&self, tick_ms: u64) -> Result<()> {
        let node = self.system.first_node()?;
        ensure!(node["newest_tick_ms"] == tick_ms, "{tick_ms}: {node}");
        let shown = node["series"]["load1"][0].as_f64();
        let shown = shown.map(|load| format!("{load:.2}"));
        let expected = load(tick_ms);
        ensure!(
            shown.as_ref() == Some(&expected),
            "a load of {shown:?}, not {expected}, at {tick_ms}: {node}"
        );
        Ok(())
    }
}

impl Deref for MovingHost {
    type Target = System;

    fn deref(&self) -> &System {
        &self.system
    }
}

impl DerefMut for MovingHost {
    fn deref_mut(&mut self) -> &mut System {
        &mut self.system
    }
}

/// The load of a tick: another one at each for longer than anything is held.
fn load(tick_ms: u64) -> String {
    let hundredths = tick_ms / 1_000 % 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::HostFiles;
    use crate::system::Recording;

    #[test]
    fn each_frame_replaces_the_one_before() {
        let archive = Recording::named("cgroup-v2").unwrap().archive.unwrap();
        let files = HostFiles::load(&archive, "node3").unwrap();
        assert_eq!(files.frame_count(), 18);
        let dir = tempfile::tempdir().unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        files.show(0, dir.path()).unwrap();
        assert_eq!(read("uptime"), "373.33 177.01\n");
        let boot = read("sys/kernel/random/boot_id");
        files.show(17, dir.path()).unwrap();
        assert_eq!(read("uptime"), "770.33 219.15\n");
        assert_eq!(read("sys/kernel/random/boot_id"), boot);
        assert!(read("net/dev").contains("cni0"));
        assert!(files.show(18, dir.path()).is_err());
        assert!(HostFiles::load(&archive, "node1").is_err());
    }
}

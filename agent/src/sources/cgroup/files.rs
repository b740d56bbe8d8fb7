//! The files of one cgroup.
//!
//! The directory is kept open, and so are the files of every tick; others are opened below it for
//! each reading, since the kernel keeps a page for each open file that was read. What is kept open is
//! this very cgroup: one that is made later in the same place is not taken for it, and once it is
//! gone reading fails.

use std::ffi::CStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::{Errno, pread};

use super::hierarchy::{Controller, Hierarchy, Version};

/// A page of the kernel is enough for all files but long lists, and this for those that can be looked
/// at: what is longer is cut.
const MAX_BYTES: usize = 256 * 1024;

/// Room for every file but long lists.
const USUAL_BYTES: usize = 8 * 1024;

/// Files that are kept open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Often {
    Cpu = 0,
    Usage = 1,
    Memory = 2,
}

const OFTEN_COUNT: usize = 3;

/// Controllers whose directories v1 has apart.
const APART: [Controller; 4] = [
    Controller::Cpu,
    Controller::Memory,
    Controller::Pids,
    Controller::Blkio,
];

/// The text of the file that was read last.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            bytes: vec![0; USUAL_BYTES],
        }
    }
}

impl Buffer {
    /// Reads a file from its beginning.
    fn read(&mut self, file: BorrowedFd<'_>) -> Result<&[u8], Errno> {
        let mut length = 0;
        loop {
            let Some(room) = self.bytes.get_mut(length..).filter(|room| !room.is_empty()) else {
                if self.bytes.len() >= MAX_BYTES {
                    break;
                }
                self.bytes.resize(self.bytes.len() * 2, 0);
                continue;
            };
            let offset = length as u64;
            let count = pread(file, room, offset)?;
            length += count;
            // A short answer is not the end of a list, which comes a page at a time.
            if count == 0 {
                break;
            }
        }
        Ok(self.bytes.get(..length).unwrap_or_default())
    }

    /// Reads a file that the kernel writes in one piece, which saves asking for the end.
    fn read_piece(&mut self, file: BorrowedFd<'_>) -> Result<&[u8], Errno> {
        let count = pread(file, &mut self.bytes[..], 0)?;
        if count == self.bytes.len() {
            return self.read(file);
        }
        Ok(self.bytes.get(..count).unwrap_or_default())
    }
}

/// A file that is kept open.
#[derive(Debug)]
enum Kept {
    Closed,
    Open(OwnedFd),
    Missing,
}

/// One cgroup.
#[derive(Debug)]
pub(super) struct Files {
    version: Version,
    // Of v2 the only one.
    first: File,
    // In the order of `APART`; none of v2.
    apart: [Option<File>; APART.len()],
    often: [Kept; OFTEN_COUNT],
}

impl Files {
    /// Opens the cgroup at a path.
    pub(super) fn open(hierarchy: &Hierarchy, path: &str) -> Result<Self, Errno> {
        let directory = |controller| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let path = hierarchy.directory(controller, path);
            open(path, flags, Mode::empty()).map(File::from)
        };
        let version = hierarchy.version();
        let first = directory(Controller::Cpuacct)?;
        let apart = match version {
            Version::V1 => APART.map(|controller| directory(controller).ok()),
            Version::V2 => [const { None }; APART.len()],
        };
        Ok(Self {
            version,
            first,
            apart,
            often: [const { Kept::Closed }; OFTEN_COUNT],
        })
    }

    /// Descriptors that one cgroup holds.
    pub(super) fn descriptor_count(version: Version) -> u64 {
        let directories = match version {
            Version::V1 => 1 + APART.len(),
            Version::V2 => 1,
        };
        (directories + OFTEN_COUNT) as u64
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Number of cgroups directly below; `None` where the file system does not count them.
    pub(super) fn child_count(&self) -> Option<u64> {
        self.first.metadata().ok()?.nlink().checked_sub(2)
    }

    /// When the directory was made, as far as the kernel still knows, Unix ms.
    pub(super) fn made_ms(&self) -> Option<u64> {
        let made = self.first.metadata().ok()?;
        let seconds = u64::try_from(made.mtime()).ok()?;
        let nanos = u64::try_from(made.mtime_nsec()).ok()?;
        Some(seconds.saturating_mul(1_000) + nanos / 1_000_000)
    }

    /// Reads a file of every tick. `None` when this cgroup has none such.
    pub(super) fn often<'b>(
        &mut self,
        which: Often,
        buffer: &'b mut Buffer,
    ) -> Result<Option<&'b [u8]>, Errno> {
        let (controller, name) = match (which, self.version) {
            (Often::Cpu, Version::V2) => (Controller::Cpuacct, c"cpu.stat"),
            (Often::Cpu, Version::V1) => (Controller::Cpuacct, c"cpuacct.usage"),
            (Often::Usage, Version::V2) => (Controller::Memory, c"memory.current"),
            (Often::Usage, Version::V1) => (Controller::Memory, c"memory.usage_in_bytes"),
            (Often::Memory, _) => (Controller::Memory, c"memory.stat"),
        };
        let slot = which as usize;
        if matches!(self.often.get(slot), Some(Kept::Closed)) {
            let opened = match self.open_file(controller, name) {
                Ok(file) => Kept::Open(file),
                // Without its CPU file a cgroup is gone.
                Err(Errno::NOENT) if which != Often::Cpu => Kept::Missing,
                Err(error) => return Err(error),
            };
            if let Some(kept) = self.often.get_mut(slot) {
                *kept = opened;
            }
        }
        match self.often.get(slot) {
            Some(Kept::Open(file)) => buffer.read_piece(file.as_fd()).map(Some),
            _ => Ok(None),
        }
    }

    /// Reads a file that is not kept open. `None` when it cannot be read.
    pub(super) fn seldom<'b>(
        &self,
        controller: Controller,
        name: &CStr,
        buffer: &'b mut Buffer,
    ) -> Option<&'b [u8]> {
        let file = self.open_file(controller, name).ok()?;
        buffer.read_piece(file.as_fd()).ok()
    }

    /// Reads a list that is not kept open.
    pub(super) fn list<'b>(
        &self,
        controller: Controller,
        name: &CStr,
        buffer: &'b mut Buffer,
    ) -> Option<&'b [u8]> {
        let file = self.open_file(controller, name).ok()?;
        buffer.read(file.as_fd()).ok()
    }

    fn open_file(&self, controller: Controller, name: &CStr) -> Result<OwnedFd, Errno> {
        let apart = APART.iter().position(|other| *other == controller);
        let directory = match (self.version, apart) {
            (Version::V2, _) | (Version::V1, None) => Some(&self.first),
            (Version::V1, Some(at)) => self.apart.get(at).and_then(Option::as_ref),
        };
        let directory = directory.ok_or(Errno::NOENT)?;
        openat(
            directory,
            name,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
    }
}

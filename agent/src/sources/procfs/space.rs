//! What one file system has and what of it is in use.

use std::io;
use std::path::Path;

use cairn_proto::catalogue::Group;
use cairn_proto::catalogue::table::{self, Storage};
use cairn_proto::model::EntityKind;
use rustix::fs::{self, AtFlags, StatxAttributes, StatxFlags};

use super::mounts::{Device, Mount};
use crate::sources::{Figures, Part};

/// The label by which the Heapster API tells file systems apart.
const RESOURCE_ID: &str = "resource_id";

/// The longest type that is told.
const MAX_TYPE_BYTES: usize = 32;

/// The numbers of the types whose mounts have no number that tells them apart.
const TYPES: [(&str, u64); 2] = [("btrfs", 0x9123_683E), ("bcachefs", 0xCA45_1A4E)];

/// What a file system says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Space {
    /// Bytes in all; never 0.
    pub(super) capacity: u64,
    /// Bytes that nobody uses.
    pub(super) free: u64,
    /// Bytes that everybody may write: what is free less what is kept for root.
    pub(super) available: u64,
    /// Inodes in all; 0 where they are not counted.
    pub(super) inodes: u64,
    /// Inodes that nobody uses.
    pub(super) inodes_free: u64,
}

/// Asks the file system of `mount`, whose path is `path` for us. May take for ever.
///
/// # Errors
///
/// There is no such path, it may not be looked at, or something else is mounted there; `None` for
/// one that has no space at all.
pub(super) fn ask(mount: &Mount, path: &Path) -> io::Result<Option<Space>> {
    let number = fs::stat(path)?.st_dev;
    let device = Device {
        major: fs::major(number),
        minor: fs::minor(number),
    };
    let is_there = if mount.has_one_number() {
        device == mount.device
    } else if mount.point == "/" {
        // Something is mounted there whatever it is: the type has to tell.
        is_of_type(&mount.fs_type, fs::statfs(path)?.f_type.cast_unsigned())
    } else {
        is_mounted(path)
    };
    if !is_there {
        return Err(io::Error::other(
            "another file system is there: mount the host's root with all that is mounted below it \
             (mountPropagation: HostToContainer)",
        ));
    }
    let said = fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(said.f_frsize);
    let space = Space {
        capacity: bytes(said.f_blocks),
        free: bytes(said.f_bfree),
        available: bytes(said.f_bavail),
        inodes: said.f_files,
        inodes_free: said.f_ffree,
    };
    Ok((space.capacity > 0).then_some(space))
}

/// Whether a file system that says this number of its type is of `fs_type`. Of a type whose number is
/// not known here it is believed.
fn is_of_type(fs_type: &str, said: u64) -> bool {
    let known = TYPES.iter().find(|(name, _)| *name == fs_type);
    // It has 32 bits, whatever the width and the sign of the field.
    known.is_none_or(|(_, number)| said & 0xFFFF_FFFF == *number)
}

/// Whether something is mounted at a path. A kernel that does not tell (before 5.8) is believed to
/// have it.
fn is_mounted(path: &Path) -> bool {
    let told = fs::statx(fs::CWD, path, AtFlags::empty(), StatxFlags::empty());
    told.map_or(true, |told| {
        let is_told = told
            .stx_attributes_mask
            .contains(StatxAttributes::MOUNT_ROOT);
        !is_told || told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
    })
}

/// The file system as a part of the node; measured at `time_ms`, Unix ms. The values are computed as
/// the kubelet does, so that both say the same of the same one.
pub(super) fn part(mount: &Mount, space: Space, time_ms: u64) -> Part {
    let mut figures = Figures::default();
    figures.measured(Group::Filesystem, time_ms);
    let counted = space.inodes > 0;
    for (what, value) in [
        (
            Storage::Usage,
            Some(space.capacity.saturating_sub(space.free)),
        ),
        (Storage::Capacity, Some(space.capacity)),
        (Storage::Available, Some(space.available)),
        (Storage::Inodes, counted.then_some(space.inodes)),
        (Storage::InodesFree, counted.then_some(space.inodes_free)),
        (
            Storage::InodesUsed,
            counted.then(|| space.inodes.saturating_sub(space.inodes_free)),
        ),
    ] {
        figures.push(table::filesystem(what), value);
    }
    let mut labels = vec![(RESOURCE_ID.to_owned(), mount.point.clone())];
    if mount.fs_type.len() <= MAX_TYPE_BYTES {
        labels.insert(0, ("fs_type".to_owned(), mount.fs_type.clone()));
    }
    Part {
        kind: EntityKind::Filesystem,
        name: mount.point.clone(),
        labels,
        figures,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(device: Device) -> Mount {
        Mount {
            device,
            point: "/data".to_owned(),
            fs_type: "ext4".to_owned(),
            source: "/dev/sda".to_owned(),
        }
    }

    #[test]
    fn values_are_as_the_kubelet_computes_them() {
        let space = Space {
            capacity: 1_000,
            free: 300,
            available: 250,
            inodes: 50,
            inodes_free: 20,
        };
        let device = Device { major: 8, minor: 1 };
        let told = part(&mount(device), space, 7);
        let values = (0..6).map(|n| told.figures.values()[n].1);
        assert_eq!(values.collect::<Vec<u64>>(), [700, 1_000, 250, 50, 20, 30]);
        assert_eq!(told.figures.time_ms(Group::Filesystem), Some(7));
        // Without a number of inodes there is none of them, instead of a full file system.
        let btrfs = part(&mount(device), Space { inodes: 0, ..space }, 7);
        assert_eq!(btrfs.figures.values().len(), 3);
    }

    #[test]
    fn a_type_is_told_by_its_number() {
        for (fs_type, said, expected) in [
            ("btrfs", 0x9123_683E, true),
            // As a field with a sign of 32 bits has it.
            ("btrfs", 0xFFFF_FFFF_9123_683E, true),
            ("btrfs", 0xEF53, false),
            ("btrfs", 0xCA45_1A4E, false),
            ("bcachefs", 0xCA45_1A4E, true),
            ("ext4", 0x9123_683E, true),
        ] {
            assert_eq!(is_of_type(fs_type, said), expected, "{fs_type} {said:x}");
        }
    }

    #[test]
    fn what_is_mounted_elsewhere_is_not_taken_for_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let number = fs::stat(&path).unwrap().st_dev;
        let device = Device {
            major: fs::major(number),
            minor: fs::minor(number),
        };
        let space = ask(&mount(device), &path).unwrap().unwrap();
        assert!(space.available <= space.capacity && space.free <= space.capacity);
        let other = Device {
            minor: device.minor + 1,
            ..device
        };
        let error = ask(&mount(other), &path).unwrap_err().to_string();
        assert!(error.contains("HostToContainer"), "{error}");
        // Subvolumes have numbers of their own: there it counts whether anything is mounted.
        let btrfs = |point: &str| Mount {
            fs_type: "btrfs".to_owned(),
            point: point.to_owned(),
            ..mount(other)
        };
        let error = ask(&btrfs("/data"), &path).unwrap_err().to_string();
        assert!(error.contains("HostToContainer"), "{error}");
        assert!(ask(&btrfs("/data"), Path::new("/")).unwrap().is_some());
        // At the root something is always mounted, so the type counts. Few have temporary files there.
        let root = Mount {
            fs_type: "bcachefs".to_owned(),
            ..btrfs("/")
        };
        let error = ask(&root, &path).unwrap_err().to_string();
        assert!(error.contains("HostToContainer"), "{error}");
        let missing = ask(&mount(device), &path.join("absent")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }
}

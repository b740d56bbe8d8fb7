//! Which file systems a machine has, by the list of mounts of its first process.
//!
//! Pure. A node's list is mostly of other things: what the kernel shows as files, memory, the layers
//! of containers, volumes of pods (whose pods' statistics have them), and one file system under many
//! names. What is left is what somebody has to keep from running full.

use std::collections::{BTreeMap, BTreeSet};

/// File systems taken of a machine, as many as disks: those at the shortest paths, which are the
/// oldest.
pub(super) const MAX_MOUNTS: usize = 64;

/// Bytes of a path that is taken: it is the name and a label, and both have to fit a `Define`.
const MAX_POINT_BYTES: usize = 200;

/// Types that hold nothing on a disk of their own. Overlays are the layers of containers, on a file
/// system that is listed itself; read-only images are always full.
const PSEUDO: [&str; 33] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cramfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "erofs",
    "fuse.gvfsd-fuse",
    "fuse.lxcfs",
    "fuse.portal",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nfsd",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "udf",
];

/// Beginnings of the types that somebody else serves, over a network or in a process: they are the
/// ones that stop to answer.
const REMOTE: [&str; 15] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "nfs",
    "ocfs2",
    "smb",
    "virtiofs",
];

/// The number of a mounted file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Device {
    /// Its driver; 0 without a device.
    pub(super) major: u32,
    /// Which of the driver's.
    pub(super) minor: u32,
}

/// A file system, where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its number.
    pub(super) device: Device,
    /// Its path as the first process has it; begins with a slash.
    pub(super) point: String,
    /// What type it is.
    pub(super) fs_type: String,
    /// What is mounted: a device, or a server and its path.
    pub(super) source: String,
}

impl Mount {
    /// True of what stops to answer when somebody else does.
    pub(super) fn is_remote(&self) -> bool {
        REMOTE.iter().any(|kind| self.fs_type.starts_with(kind))
    }

    /// True when files in it have the number that the mount has. Btrfs gives each of its subvolumes
    /// one of its own.
    pub(super) fn has_one_number(&self) -> bool {
        !["btrfs", "bcachefs"].contains(&self.fs_type.as_str())
    }
}

/// The file systems of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Listed {
    /// Those to read, by path.
    pub(super) mounts: Vec<Mount>,
    /// Those beyond the most that are taken, and those whose paths cannot be names.
    pub(super) dropped_count: u64,
}

/// A line of the list.
struct Line<'a> {
    mount: Mount,
    // Which directory of the file system is mounted.
    root: &'a str,
}

/// Reads the text of a `mountinfo`. Lines that are none are passed over.
pub(super) fn list(text: &[u8]) -> Listed {
    let mut listed = Listed::default();
    // Of two at one path the later covers the earlier, whatever they are.
    let mut on_top: BTreeMap<String, Line<'_>> = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else {
            listed.dropped_count += 1;
            continue;
        };
        if let Some(line) = read(line) {
            on_top.insert(line.mount.point.clone(), line);
        }
    }
    let mut real: Vec<Line<'_>> = on_top
        .into_values()
        .filter(|line| is_real(&line.mount))
        .collect();
    // One mounted in several places is where it is mounted whole, or at the shortest path.
    real.sort_by_key(|line| (line.root != "/", line.mount.point.len()));
    let mut seen = BTreeSet::new();
    real.retain(|line| seen.insert(line.mount.device));
    let before = real.len();
    real.retain(|line| line.mount.point.len() <= MAX_POINT_BYTES);
    real.sort_by_key(|line| line.mount.point.len());
    real.truncate(MAX_MOUNTS);
    listed.dropped_count += (before - real.len()) as u64;
    listed.mounts = real.into_iter().map(|line| line.mount).collect();
    listed.mounts.sort_by(|a, b| a.point.cmp(&b.point));
    listed
}

/// Takes a line apart: id, parent, number, root, path, options, further fields up to a dash, type,
/// source, options of the file system.
fn read(line: &str) -> Option<Line<'_>> {
    let (mounted, file_system) = line.split_once(" - ")?;
    let mut mounted = mounted.split(' ');
    let (major, minor) = mounted.nth(2)?.split_once(':')?;
    let (root, point) = (mounted.next()?, mounted.next()?);
    let mut file_system = file_system.split(' ');
    let (fs_type, source) = (file_system.next()?, file_system.next()?);
    let device = Device {
        major: major.parse().ok()?,
        minor: minor.parse().ok()?,
    };
    let point = unescape(point)?;
    let mount = Mount {
        device,
        fs_type: fs_type.to_owned(),
        source: unescape(source)?,
        point,
    };
    mount.point.starts_with('/').then_some(Line { mount, root })
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescape(text: &str) -> Option<String> {
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| *first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = behind.get(3..)?;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

/// True of a file system that can run full and that no pod has as its volume.
fn is_real(mount: &Mount) -> bool {
    // Whatever a machine has as its root, that is its root.
    if mount.point == "/" {
        return mount.fs_type != "rootfs";
    }
    !PSEUDO.contains(&mount.fs_type.as_str()) && !is_volume(&mount.point)
}

/// True of a path that the kubelet mounts a volume at, wherever its own directory is: each kind of
/// volume has a directory `kubernetes.io~KIND`, drivers one that is called `kubernetes.io`.
fn is_volume(point: &str) -> bool {
    point
        .split('/')
        .any(|part| part.starts_with("kubernetes.io") || part == "volume-subpaths")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_a_list_holds_what_is_taken_of_it_has_its_limits(
            lines in prop::collection::vec(
                "[0-9]{1,3} 1 [0-9]{1,2}:[0-9]{1,2} [/a]{1,3} [/a\\\\0-7 ]{0,9} rw ?-? (ext4|nfs|tmpfs) .{0,5}",
                0..200,
            ),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut text = lines.join("\n").into_bytes();
            text.extend(bytes);
            let mounts = list(&text).mounts;
            prop_assert!(mounts.len() <= MAX_MOUNTS);
            prop_assert!(mounts.is_sorted_by(|a, b| a.point < b.point));
            prop_assert!(mounts.iter().all(|mount| mount.point.starts_with('/')));
        }
    }

    fn points(text: &str) -> Vec<String> {
        let listed = list(text.as_bytes());
        listed.mounts.into_iter().map(|m| m.point).collect()
    }

    /// The recording has the older form of the list, without numbers: each line gets one of its own.
    fn recorded() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/mounts");
        let text = std::fs::read_to_string(path).unwrap();
        let line = |(nth, line): (usize, &str)| {
            let mut parts = line.split(' ');
            let (source, point) = (parts.next().unwrap(), parts.next().unwrap());
            let fs_type = parts.next().unwrap();
            format!("{nth} 1 0:{nth} / {point} rw - {fs_type} {source} rw\n")
        };
        text.lines().enumerate().map(line).collect()
    }

    #[test]
    fn of_all_that_a_recorded_node_has_mounted_its_disk_is_real() {
        assert!(recorded().lines().count() > 60);
        assert_eq!(points(&recorded()), ["/"]);
    }

    #[test]
    fn a_file_system_is_there_once_and_what_is_covered_is_not() {
        let text = "\
22 1 0:21 / /proc rw - proc proc rw
25 27 8:1 /docker/volumes /data/volumes rw shared:1 - ext4 /dev/sda1 rw
27 1 8:1 / / rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw,discard
28 27 8:17 / /mnt/long rw - xfs /dev/sdb1 rw
29 27 8:17 / /mnt/b rw - xfs /dev/sdb1 rw
30 27 8:33 / /mnt/under rw - ext4 /dev/sdc1 rw
31 30 0:40 / /mnt/under rw - tmpfs tmpfs rw
32 27 0:41 / /srv rw - nfs4 files:/export rw
33 27 0:42 / /var/lib/kubelet/pods/u1/volumes/kubernetes.io~nfs/data rw - nfs4 files:/pods rw
34 27 8:49 / /var/lib/kubelet/plugins/kubernetes.io/csi/x/globalmount rw - ext4 /dev/sdd rw
35 27 0:43 / /run/k3s/rootfs rw - overlay overlay rw,lowerdir=/a
no line at all
36 27 x:1 / /bad rw - ext4 /dev/sde rw
37 27 8:65 / relative rw - ext4 /dev/sdf rw
";
        assert_eq!(points(text), ["/", "/mnt/b", "/srv"]);
        let listed = list(text.as_bytes());
        let remote: Vec<bool> = listed.mounts.iter().map(Mount::is_remote).collect();
        assert_eq!(
            (remote, listed.dropped_count),
            (vec![false, false, true], 0)
        );
        assert_eq!(listed.mounts[2].source, "files:/export");
        assert_eq!(listed.mounts[0].device, Device { major: 8, minor: 1 });
    }

    #[test]
    fn a_root_of_layers_is_a_root() {
        let text = "1 0 0:2 / / rw - rootfs rootfs rw\n2 1 0:9 / / rw - overlay overlay rw\n";
        assert_eq!(points(text), ["/"]);
        assert!(points("1 0 0:2 / / rw - rootfs rootfs rw\n").is_empty());
    }

    #[test]
    fn paths_are_as_they_are_on_the_machine() {
        let text = "5 1 8:2 / /my\\040disk\\134x rw - ext4 /dev/disk/by-label/a\\011b rw\n";
        let listed = list(text.as_bytes());
        assert_eq!(listed.mounts[0].point, "/my disk\\x");
        assert_eq!(listed.mounts[0].source, "/dev/disk/by-label/a\tb");
        assert_eq!(unescape("\\9\\04").unwrap(), "\\9\\04");
        assert_eq!(unescape("\\377"), None);
    }

    #[test]
    fn those_beyond_the_most_are_counted_and_the_same_ones_stay() {
        let line = |n: usize| format!("{n} 1 8:{n} / /m{n:03} rw - ext4 /dev/x rw\n");
        let long = format!("9 1 9:9 / /{} rw - ext4 /dev/x rw\n", "d".repeat(200));
        let rising: String = (0..70).map(line).collect();
        let falling: String = (0..70).rev().map(line).collect();
        let listed = list((rising + &long).as_bytes());
        assert_eq!((listed.mounts.len(), listed.dropped_count), (64, 7));
        assert_eq!(list(falling.as_bytes()).mounts, listed.mounts);
        assert_eq!(list(b"\xff\xfe\n").dropped_count, 1);
    }
}

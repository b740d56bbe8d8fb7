//! How much memory the process has, and how much it may have.
//!
//! Both come from files of the kernel, read when somebody asks. What counts is anonymous memory: the
//! kernel takes pages of files back by itself before it ends a process, and never the others.

use std::path::{Component, Path};

use crate::files;

/// `/proc/self/status` has about 1.5 KiB, `/proc/self/cgroup` a line for each controller.
const MAX_FILE_BYTES: usize = 64 * 1024;

/// The first generation writes "no limit" as the largest multiple of a page; nothing that large is a
/// limit, whatever the size of a page.
const NO_LIMIT: u64 = 1 << 62;

/// Reads how many bytes of anonymous memory a process has in its status file, such as
/// `/proc/self/status`; of a kernel that does not tell them apart (before 4.5), all that is resident.
/// `None` when the file says neither.
#[must_use]
pub fn anonymous_bytes(status: &Path) -> Option<u64> {
    let text = read(status)?;
    status_bytes(&text, "RssAnon:").or_else(|| status_bytes(&text, "VmRSS:"))
}

/// Parses a line such as `VmRSS:     1234 kB` of a status file.
pub(crate) fn status_bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

/// Finds the lowest memory limit, in bytes, of the control groups that this process is in: of its own
/// and of all above it that can be seen. `root` is `/` but in tests. `None` when there is none.
///
/// Both generations are understood. A container may see its own group as the top of the tree,
/// whatever path it is told to be in; so a path that is not there is looked for further up.
#[must_use]
pub fn cgroup_limit(root: &Path) -> Option<u64> {
    let groups = read(&root.join("proc/self/cgroup"))?;
    let tree = root.join("sys/fs/cgroup");
    let limits = groups.lines().filter_map(|line| {
        // `hierarchy:controllers:path`; the second generation has no controllers here.
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.is_empty() {
            lowest(&tree, path, "memory.max")
        } else if controllers.split(',').any(|name| name == "memory") {
            lowest(&tree.join("memory"), path, "memory.limit_in_bytes")
        } else {
            None
        }
    });
    limits.min()
}

/// The lowest limit from a group up to the top of its tree.
fn lowest(tree: &Path, group: &str, file: &str) -> Option<u64> {
    let group = Path::new(group.trim_start_matches('/'));
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    // A group outside of what this process sees is told with dots: only the top is left then.
    let group = if group.components().all(is_plain) {
        group
    } else {
        Path::new("")
    };
    let limits = group.ancestors().filter_map(|group| {
        let text = read(&tree.join(group).join(file))?;
        // `max` in the second generation.
        text.trim().parse::<u64>().ok()
    });
    limits.filter(|limit| *limit < NO_LIMIT).min()
}

fn read(path: &Path) -> Option<String> {
    let bytes = files::read_small(path, MAX_FILE_BYTES).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A machine of these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        cgroup_limit(machine(files).path())
    }

    #[test]
    fn the_second_generation_tells_the_lowest_from_the_own_group_up() {
        let own = ("proc/self/cgroup", "0::/kubepods/pod1/app\n");
        let at = |group: &'static str, text| (group, text);
        let app = "sys/fs/cgroup/kubepods/pod1/app/memory.max";
        let pod = "sys/fs/cgroup/kubepods/pod1/memory.max";
        assert_eq!(limit(&[own, at(app, "max\n"), at(pod, "max\n")]), None);
        assert_eq!(
            limit(&[own, at(app, "1000\n"), at(pod, "max\n")]),
            Some(1000)
        );
        assert_eq!(
            limit(&[own, at(app, "1000\n"), at(pod, "600\n")]),
            Some(600)
        );
        assert_eq!(limit(&[own, at(app, "max\n"), at(pod, "600\n")]), Some(600));
        assert_eq!(limit(&[own]), None);
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_top() {
        let top = ("sys/fs/cgroup/memory.max", "1000\n");
        for path in ["0::/\n", "0::/../../kubepods/pod1\n", "0::/not/there\n"] {
            assert_eq!(
                limit(&[("proc/self/cgroup", path), top]),
                Some(1000),
                "{path}"
            );
        }
    }

    #[test]
    fn the_first_generation_is_told_by_its_controller() {
        let groups = "12:cpu,cpuacct:/docker/abc\n7:memory:/docker/abc\n1:name=systemd:/x\n0::/x\n";
        let own = ("proc/self/cgroup", groups);
        let here = "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes";
        let top = "sys/fs/cgroup/memory/memory.limit_in_bytes";
        let none = "9223372036854771712\n";
        assert_eq!(limit(&[own, (here, "4096\n"), (top, none)]), Some(4096));
        assert_eq!(limit(&[own, (here, none), (top, none)]), None);
        // The tree of the container, under the path of the host.
        assert_eq!(limit(&[own, (top, "8192\n")]), Some(8192));
    }

    #[test]
    fn without_groups_there_is_no_limit() {
        assert_eq!(limit(&[]), None);
        assert_eq!(limit(&[("proc/self/cgroup", "what\n::\n")]), None);
    }

    #[test]
    fn anonymous_memory_counts_and_resident_memory_where_it_is_not_told() {
        let read = |text| anonymous_bytes(&machine(&[("status", text)]).path().join("status"));
        assert_eq!(
            read("VmRSS:\t  9 kB\nRssAnon:\t    2048 kB\n"),
            Some(2_097_152)
        );
        assert_eq!(read("Name:\tx\nVmRSS:\t    3 kB\n"), Some(3_072));
        assert_eq!(read("Name:\tx\n"), None);
        assert_eq!(read("VmRSS:\t18446744073709551615 kB"), None);
        assert_eq!(anonymous_bytes(Path::new("/nowhere")), None);
    }
}

//! Trees of plain files.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::hierarchy::Version;
use crate::sources::place::Driver;

pub(super) const UID: &str = "03a70c4b-ca1d-4b94-9704-26a125eae027";
pub(super) const OTHER_UID: &str = "1630cfdb-0cc4-488e-8412-6dd8441a36ee";
pub(super) const ID: &str = "305f1c79670865583009fa5bbf7a2949978da6f8fe86c0ee96139cba69f3d6cd";
pub(super) const OTHER_ID: &str =
    "3fa805655d22db36f4eba61954feee327c3396c1e757882a869befe8f3726c6d";

/// Before a container's id.
pub(super) const RUNTIMES: [&str; 3] = ["cri-containerd", "crio", "docker"];

/// A version and a driver.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) version: Version,
    pub(super) driver: Driver,
}

pub(super) const V2_SYSTEMD: Shape = Shape {
    version: Version::V2,
    driver: Driver::Systemd,
};
pub(super) const V2_CGROUPFS: Shape = Shape {
    version: Version::V2,
    driver: Driver::Cgroupfs,
};
pub(super) const V1_SYSTEMD: Shape = Shape {
    version: Version::V1,
    driver: Driver::Systemd,
};
pub(super) const V1_CGROUPFS: Shape = Shape {
    version: Version::V1,
    driver: Driver::Cgroupfs,
};

const V2_FILES: [(&str, &str); 13] = [
    (
        "cpu.stat",
        "usage_usec 7000\nuser_usec 1\nnr_periods 15\nnr_throttled 16\nthrottled_usec 17\n",
    ),
    ("memory.current", "9000000\n"),
    (
        "memory.stat",
        "anon 5000000\nfile 3000000\nfile_mapped 14\ninactive_file 1000000\npgfault 11\npgmajfault \
         12\n",
    ),
    ("memory.max", "10000000\n"),
    ("memory.swap.current", "13\n"),
    ("memory.swap.max", "20\n"),
    ("memory.events", "oom 30\noom_kill 18\n"),
    ("pids.current", "19\n"),
    ("cgroup.procs", "1\n2\n3\n"),
    (
        "cpu.pressure",
        "some avg10=0.00 total=20\nfull avg10=0.00 total=21\n",
    ),
    (
        "memory.pressure",
        "some avg10=0.00 total=22\nfull avg10=0.00 total=23\n",
    ),
    ("io.pressure", "some avg10=0.00 total=24\n"),
    (
        "io.stat",
        "254:0 rbytes=25 wbytes=26 rios=27 wios=28 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=0\n",
    ),
];

const V1_FILES: [(&str, &str, &str); 10] = [
    ("cpuacct", "cpuacct.usage", "7654321\n"),
    ("cpuacct", "cgroup.procs", "1\n2\n3\n"),
    (
        "cpu",
        "cpu.stat",
        "nr_periods 15\nnr_throttled 16\nthrottled_time 17000\n",
    ),
    ("memory", "memory.usage_in_bytes", "9000000\n"),
    ("memory", "memory.limit_in_bytes", "9223372036854771712\n"),
    (
        "memory",
        "memory.stat",
        "cache 1\nrss 1\ninactive_file 1\ntotal_cache 3000000\ntotal_rss \
         5000000\ntotal_mapped_file 14\ntotal_inactive_file 1000000\ntotal_pgfault \
         11\ntotal_pgmajfault 12\ntotal_swap 13\n",
    ),
    (
        "memory",
        "memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 18\n",
    ),
    ("pids", "pids.current", "19\n"),
    (
        "blkio",
        "blkio.throttle.io_service_bytes_recursive",
        "254:0 Read 25\n254:0 Write 26\n254:0 Total 51\nTotal 51\n",
    ),
    (
        "blkio",
        "blkio.throttle.io_serviced_recursive",
        "254:0 Read 27\n254:0 Write 28\nTotal 55\n",
    ),
];

/// A tree in a directory of its own.
pub(super) struct Fake {
    directory: TempDir,
    root: PathBuf,
    shape: Shape,
}

impl Fake {
    /// A node without pods.
    pub(super) fn new(shape: Shape) -> Self {
        // In memory where there is such a place: a disk takes a minute for ten thousand directories.
        let in_memory = tempfile::tempdir_in("/dev/shm");
        let directory = in_memory.or_else(|_| tempfile::tempdir()).unwrap();
        let root = directory.path().join("cgroup");
        let proc_root = directory.path().join("proc");
        fs::create_dir_all(&proc_root).unwrap();
        let disk = " 254       0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n";
        fs::write(proc_root.join("diskstats"), disk).unwrap();
        fs::create_dir(&root).unwrap();
        let fake = Self {
            directory,
            root,
            shape,
        };
        if shape.version == Version::V2 {
            fs::write(fake.root.join("cgroup.controllers"), "cpu memory\n").unwrap();
            let [(_, cpu), ..] = V2_FILES;
            fs::write(fake.root.join("cpu.stat"), cpu).unwrap();
        } else {
            fake.fill("");
        }
        fake.fill(fake.pods());
        fake
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn proc_root(&self) -> PathBuf {
        self.directory.path().join("proc")
    }

    /// The cgroup of all pods, once more.
    pub(super) fn pods_again(&self) {
        self.fill(self.pods());
    }

    fn pods(&self) -> &'static str {
        match self.shape.driver {
            Driver::Systemd => "kubepods.slice",
            Driver::Cgroupfs => "kubepods",
        }
    }

    /// A pod of a class (empty for Guaranteed); gives its path.
    pub(super) fn pod(&self, class: &str, uid: &str) -> String {
        let pods = self.pods();
        let path = match (self.shape.driver, class) {
            (Driver::Systemd, "") => {
                format!("{pods}/kubepods-pod{}.slice", uid.replace('-', "_"))
            }
            (Driver::Systemd, class) => format!(
                "{pods}/kubepods-{class}.slice/kubepods-{class}-pod{}.slice",
                uid.replace('-', "_")
            ),
            (Driver::Cgroupfs, "") => format!("{pods}/pod{uid}"),
            (Driver::Cgroupfs, class) => format!("{pods}/{class}/pod{uid}"),
        };
        self.fill(&path);
        path
    }

    /// A container of a pod; gives its path.
    pub(super) fn container(&self, pod: &str, runtime: &str, id: &str) -> String {
        let path = match self.shape.driver {
            Driver::Systemd => format!("{pod}/{runtime}-{id}.scope"),
            Driver::Cgroupfs if runtime.starts_with("crio") => format!("{pod}/{runtime}-{id}"),
            Driver::Cgroupfs => format!("{pod}/{id}"),
        };
        self.fill(&path);
        path
    }

    /// A cgroup without files.
    pub(super) fn directory(&self, path: &str) {
        let directories = match self.shape.version {
            Version::V2 => vec![self.root.join(path)],
            Version::V1 => ["cpuacct", "cpu", "memory", "pids", "blkio"]
                .map(|controller| self.root.join(controller).join(path))
                .into(),
        };
        for directory in directories {
            fs::create_dir_all(directory).unwrap();
        }
    }

    /// Writes a file of a v2 cgroup.
    pub(super) fn write(&self, path: &str, file: &str, text: &str) {
        fs::write(self.root.join(path).join(file), text).unwrap();
    }

    /// Removes a v2 cgroup with all that is in it. A kernel's files then give nothing more, which
    /// those of a file system do: its CPU file is emptied for that.
    pub(super) fn remove(&self, path: &str) {
        let directory = self.root.join(path);
        fs::write(directory.join("cpu.stat"), "").unwrap();
        fs::remove_dir_all(directory).unwrap();
    }

    fn fill(&self, path: &str) {
        self.directory(path);
        match self.shape.version {
            Version::V2 => {
                for (file, text) in V2_FILES {
                    self.write(path, file, text);
                }
            }
            Version::V1 => {
                for (controller, file, text) in V1_FILES {
                    let directory = self.root.join(controller).join(path);
                    fs::write(directory.join(file), text).unwrap();
                }
            }
        }
    }
}

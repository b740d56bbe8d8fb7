//! A tree of cgroups, as a node has it.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cairn_agent::sources::cgroup::hierarchy::Version;
use cairn_agent::sources::cgroup::{Cgroups, Sandboxes, Tree};
use cairn_agent::sources::place::Driver;
use cairn_runtime::clock::Clock;
use tokio::time::Instant;

const MOUNT: &str = "/sys/fs/cgroup";
const V1_CONTROLLERS: [&str; 5] = ["cpuacct", "cpu", "memory", "pids", "blkio"];

/// What the tests of figures need of v2. What a node has besides (cpuset, hugetlb) is not read.
const V2_CONTROLLERS: [&str; 4] = ["cpu", "io", "memory", "pids"];

pub(crate) const UID: &str = "03a70c4b-ca1d-4b94-9704-26a125eae027";
pub(crate) const ID: &str = "305f1c79670865583009fa5bbf7a2949978da6f8fe86c0ee96139cba69f3d6cd";
pub(crate) const INTERVAL_MS: u64 = 10_000;

/// Set in the virtual machine of `make test-vm`: everything is there, so nothing may be skipped, and
/// nobody else's cgroups are, so the tree begins at the mount itself, as a node's does.
pub(crate) fn is_vm() -> bool {
    std::env::var_os("CAIRN_TEST_VM").is_some()
}

/// Says that something is missing for a test.
pub(crate) fn lacks(what: &str) {
    assert!(!is_vm(), "missing in the virtual machine: {what}");
    say(&format!("SKIPPED: {what}"));
}

/// Says something past the harness, which keeps what a test that passes has printed.
fn say(what: &str) {
    let line = format!("{what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}

/// A container's cgroup: a directory for each controller of v1, one of v2.
pub(crate) struct Container {
    pub(crate) directories: Vec<PathBuf>,
}

impl Container {
    /// Writes a setting, in whichever of its directories it is; false where there is none that takes it.
    pub(crate) fn set(&self, file: &str, value: &str) -> bool {
        let mut settings = self
            .directories
            .iter()
            .map(|directory| directory.join(file));
        settings.any(|path| path.is_file() && fs::write(path, value).is_ok())
    }

    /// Takes its directories away, and makes others in their place.
    pub(crate) fn replace(&self) {
        for directory in &self.directories {
            remove(directory);
            fs::create_dir(directory).unwrap();
        }
    }
}

/// A tree that lasts as long as the test.
pub(crate) struct Bed {
    /// What is the node's `/sys/fs/cgroup`.
    pub(crate) root: PathBuf,
    driver: Driver,
    version: Version,
    // Where it begins, for each controller of v1.
    tops: Vec<PathBuf>,
    // The directories to remove, parents before children.
    made: Vec<PathBuf>,
    /// For files.
    pub(crate) dir: tempfile::TempDir,
}

impl Bed {
    /// Makes a tree without a pod. Says why not when it may not.
    pub(crate) fn new(version: Version, driver: Driver) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("cairn-test-{}-{count}", std::process::id());
        let dir = tempfile::tempdir().unwrap();
        let mut bed = Self {
            root: dir.path().to_owned(),
            driver,
            version,
            tops: Vec::new(),
            made: Vec::new(),
            dir,
        };
        match version {
            Version::V1 => {
                for controller in V1_CONTROLLERS {
                    let top = Path::new(MOUNT).join(controller).join(&name);
                    symlink(&top, bed.root.join(controller)).unwrap();
                    bed.tops.push(top);
                }
            }
            Version::V2 => {
                let mounts = ["", "unified"].map(|of| Path::new(MOUNT).join(of));
                let mut mounts = mounts.into_iter();
                let Some(mount) = mounts.find(|at| at.join("cgroup.controllers").is_file()) else {
                    lacks(&format!("{MOUNT} has no cgroups of version 2"));
                    return None;
                };
                bed.root = if is_vm() { mount } else { mount.join(&name) };
                bed.tops.push(bed.root.clone());
            }
        }
        let top = bed.make("")?;
        bed.hand_down(&top);
        Some(bed)
    }

    /// Makes the tree of a pod with one container.
    pub(crate) fn with_container(version: Version, driver: Driver) -> Option<(Self, Container)> {
        let mut bed = Self::new(version, driver)?;
        let container = bed.container("burstable", UID, ID)?;
        Some((bed, container))
    }

    /// The same of v2, with the controllers that all figures need.
    pub(crate) fn with_controllers(driver: Driver) -> Option<(Self, Container)> {
        let (bed, container) = Self::with_container(Version::V2, driver)?;
        let given = fs::read_to_string(container.directories[0].join("cgroup.controllers"));
        let given = given.unwrap();
        let mut needed = V2_CONTROLLERS.iter();
        if let Some(missing) = needed.find(|name| !given.split_whitespace().any(|of| of == **name))
        {
            lacks(&format!(
                "cgroups of version 2 have no controller {missing} here"
            ));
            return None;
        }
        Some((bed, container))
    }

    /// Makes a container of a pod of a class (none is Guaranteed), and its parents as far as they are not
    /// there.
    pub(crate) fn container(&mut self, class: &str, uid: &str, id: &str) -> Option<Container> {
        let path = match self.driver {
            Driver::Systemd => {
                let (parent, front) = match class {
                    "" => (String::new(), "kubepods".to_owned()),
                    _ => (
                        format!("kubepods-{class}.slice/"),
                        format!("kubepods-{class}"),
                    ),
                };
                let uid = uid.replace('-', "_");
                let pod = format!("{parent}{front}-pod{uid}.slice");
                format!("kubepods.slice/{pod}/cri-containerd-{id}.scope")
            }
            Driver::Cgroupfs if class.is_empty() => format!("kubepods/pod{uid}/{id}"),
            Driver::Cgroupfs => format!("kubepods/{class}/pod{uid}/{id}"),
        };
        for (end, _) in path.match_indices('/') {
            let parent = self.make(path.get(..end).unwrap())?;
            self.hand_down(&parent);
        }
        let directories = self.make(&path)?;
        Some(Container { directories })
    }

    /// Takes a container away, and its pod.
    pub(crate) fn remove_pod(&mut self, container: &Container) {
        for directory in &container.directories {
            let pod = directory.parent().unwrap();
            remove(directory);
            remove(pod);
            self.made.retain(|made| made != directory && made != pod);
        }
    }

    /// Makes a cgroup, unless it is there; `None` when it may not.
    fn make(&mut self, path: &str) -> Option<Vec<PathBuf>> {
        let mut directories = Vec::new();
        for top in &self.tops {
            let directory = if path.is_empty() {
                top.clone()
            } else {
                top.join(path)
            };
            if !directory.is_dir() {
                if let Err(error) = fs::create_dir(&directory) {
                    lacks(&format!("{}: {error}: run as root", directory.display()));
                    return None;
                }
                self.made.push(directory.clone());
            }
            directories.push(directory);
        }
        Some(directories)
    }

    /// Gives what is below a cgroup of v2 the controllers that it has itself, as systemd and runtimes do.
    fn hand_down(&self, directories: &[PathBuf]) {
        if self.version == Version::V1 {
            return;
        }
        for (directory, controller) in directories
            .iter()
            .flat_map(|of| V2_CONTROLLERS.map(|c| (of, c)))
        {
            // One that it has not cannot be given: who needs it looks for it.
            drop(fs::write(
                directory.join("cgroup.subtree_control"),
                format!("+{controller}"),
            ));
        }
    }

    /// The tree as the agent reads it.
    pub(crate) fn tree(&self) -> Tree {
        self.tree_with(Sandboxes::default())
    }

    /// The same, with ticks so far apart.
    pub(crate) fn tree_at(&self, interval_ms: u64) -> Tree {
        let sandboxes = Sandboxes::default();
        Tree::open(&self.root, Path::new("/proc"), interval_ms, sandboxes).unwrap()
    }

    pub(crate) fn tree_with(&self, sandboxes: Sandboxes) -> Tree {
        Tree::open(&self.root, Path::new("/proc"), INTERVAL_MS, sandboxes).unwrap()
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for directory in self.made.iter().rev() {
            remove(directory);
        }
    }
}

/// Removes a cgroup, which is busy for as long as its last process takes to be gone.
fn remove(directory: &Path) {
    let began = Instant::now();
    while fs::remove_dir(directory).is_err_and(|error| error.kind() == ErrorKind::ResourceBusy) {
        if began.elapsed() > Duration::from_secs(20) {
            say(&format!("{} is left behind", directory.display()));
            return;
        }
        std::thread::yield_now();
    }
}

/// Reads the tree at a tick.
pub(crate) fn read(tree: &mut Tree, tick: u64) -> Cgroups {
    let mut read = Cgroups::default();
    tree.read(tick, &Clock::system().line(), &mut read).unwrap();
    read
}

/// Reads the tree at all the ticks of half a minute after one that is a multiple of it: one of them is each
/// cgroup's own for what is read seldom.
pub(crate) fn read_half_a_minute(tree: &mut Tree, after: u64) -> Cgroups {
    let mut last = Cgroups::default();
    for n in 1..=3 {
        last = read(tree, after + n * INTERVAL_MS);
    }
    last
}

//! Where cgroups are: one tree (v2), or one for each controller (v1).

use std::path::{Path, PathBuf};

use super::parent::Parent;
use crate::sources::place::Driver;

/// Where kubelets put the cgroup of all pods: their own default with each driver, then below a
/// `--cgroup-root` that is called `kubelet`, as nodes that are containers have it.
const POD_ROOTS: [&str; 4] = [
    "kubepods.slice",
    "kubepods",
    "kubelet.slice/kubelet-kubepods.slice",
    "kubelet/kubepods",
];

/// The version of the kernel's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A tree for each controller.
    V1,
    /// One tree.
    V2,
}

impl Version {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Version::V1 => "v1",
            Version::V2 => "v2",
        }
    }
}

/// Why nothing can be read of cgroups.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No tree at all.
    #[error("{} has no cgroups that can be read: mount the node's /sys/fs/cgroup there, read-only", .root.display())]
    NoTree {
        /// Where they were looked for.
        root: PathBuf,
    },
    /// A tree without a kubelet's pods.
    #[error("{} has no cgroup of a kubelet's pods, {}: check that the kubelet of this node runs and puts them there", .root.display(), POD_ROOTS.join(" or "))]
    NoPods {
        /// Where they were looked for.
        root: PathBuf,
    },
}

/// The controllers that something is read of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Cpuacct,
    Cpu,
    Memory,
    Pids,
    Blkio,
}

impl Controller {
    fn as_str(self) -> &'static str {
        match self {
            Controller::Cpuacct => "cpuacct",
            Controller::Cpu => "cpu",
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Blkio => "blkio",
        }
    }
}

/// The tree, or trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    root: PathBuf,
    version: Version,
}

impl Hierarchy {
    /// Looks at what is below `root`, a node's `/sys/fs/cgroup`.
    ///
    /// # Errors
    ///
    /// [`Error::NoTree`].
    pub fn open(root: &Path) -> Result<Self, Error> {
        let version = if root.join("cgroup.controllers").is_file() {
            Version::V2
        } else if root.join("cpuacct").is_dir() {
            Version::V1
        } else {
            return Err(Error::NoTree {
                root: root.to_owned(),
            });
        };
        Ok(Self {
            root: root.to_owned(),
            version,
        })
    }

    /// The version of its interface.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// The directory of a cgroup, given by its path below the root, with what this controller tells.
    pub(super) fn directory(&self, controller: Controller, path: &str) -> PathBuf {
        let mut directory = match self.version {
            Version::V1 => self.root.join(controller.as_str()),
            Version::V2 => self.root.clone(),
        };
        // Joining nothing would leave a slash at the end.
        if !path.is_empty() {
            directory.push(path);
        }
        directory
    }

    /// That there is no cgroup of all pods.
    pub(super) fn no_pods(&self) -> Error {
        Error::NoPods {
            root: self.root.clone(),
        }
    }

    /// Finds the cgroup of all pods. Looked for again until it is there: a kubelet makes it when it
    /// starts.
    ///
    /// # Errors
    ///
    /// [`Error::NoPods`].
    pub(super) fn pods(&self) -> Result<Pods, Error> {
        let is_there =
            |path: &&&str| -> bool { self.directory(Controller::Cpuacct, path).is_dir() };
        let path = POD_ROOTS.iter().find(is_there);
        let path = path.ok_or_else(|| self.no_pods())?;
        Ok(Pods {
            path,
            parents: Parent::all(path),
        })
    }
}

/// The cgroup of all pods.
#[derive(Clone, Debug)]
pub(super) struct Pods {
    /// Its path below the root.
    pub(super) path: &'static str,
    /// Directly below which pods are.
    pub(super) parents: [Parent; 3],
}

impl Pods {
    pub(super) fn driver(&self) -> Driver {
        let [of_all, ..] = &self.parents;
        of_all.driver()
    }
}

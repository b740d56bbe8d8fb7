//! What the Kubernetes API knows of the cluster: its nodes and pods, stripped to what is served and
//! judged by. Whoever asks gets what is known now; nothing here waits for the API server.
//!
//! Names, labels and places come from here and never from an agent, once the cluster is watched. Without
//! a Kubernetes API ([`Cluster::off`]) there is nothing here, and what agents say is all there is.

use std::sync::Arc;

pub mod access;
mod amounts;
pub mod authority;
mod client;
mod decode;
mod dial;
mod error;
mod gone;
mod known;
mod lines;
mod metrics;
mod pool;
mod quantity;
pub mod replicas;
pub(crate) mod slots;
pub mod token;
mod watch;
mod workload;

pub use amounts::{Amounts, Requirements};
pub use client::{Client, Dated};
pub use decode::Resource;
pub use error::{Error, Kind};
pub use known::{Change, Known};
pub use metrics::Metrics;
pub use watch::Watch;
pub use workload::{Workload, WorkloadKind};

/// Labels of a node or pod, sorted by name. Pods of a workload mostly have the same.
pub type Labels = Arc<[(Box<str>, Box<str>)]>;

/// A node, as its object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Arc<str>,
    /// Of the object.
    pub uid: Box<str>,
    /// Sorted by name.
    pub labels: Labels,
    /// When the object was made, Unix ms.
    pub created_ms: u64,
    /// What pods can ask for on it.
    pub allocatable: Amounts,
    /// What it has.
    pub capacity: Amounts,
    /// Its condition `Ready` is `True`.
    pub ready: bool,
    /// Amounts that could not be read.
    pub bad_amounts: u16,
}

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not all of its containers have begun.
    #[default]
    Pending,
    /// It runs: the only one in which it has metrics.
    Running,
    /// All containers ended well.
    Succeeded,
    /// All containers ended, one of them badly.
    Failed,
    /// Its node does not tell.
    Unknown,
}

/// A pod, as its object says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// Of the object.
    pub uid: Box<str>,
    /// The node that it is placed on; empty while it is on none.
    pub node: Arc<str>,
    /// Of a static pod, the UID that its node calls it by (`kubernetes.io/config.mirror`); empty otherwise.
    pub mirror_of: Box<str>,
    /// The service account that it runs as.
    pub service_account: Box<str>,
    /// Sorted by name.
    pub labels: Labels,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its condition `Ready` is true: its probes succeed, and its node is heard of.
    pub ready: bool,
    /// When the object was made, Unix ms.
    pub created_ms: u64,
    /// Who controls it.
    pub owner: Option<Arc<Owner>>,
    /// Containers and sidecars, in the order of its spec.
    pub containers: Box<[Container]>,
    /// Names of containers that only prepare it, and of those that were put in to look at it.
    pub others: Box<[Box<str>]>,
    /// Amounts of its containers that could not be read, or were too many.
    pub bad_amounts: u16,
}

/// Who controls a pod, one step up: such as a `ReplicaSet` `web-7d4`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// What it is.
    pub kind: Box<str>,
    /// Its name, in the pod's namespace.
    pub name: Box<str>,
}

impl Pod {
    /// The UID by which its node calls it: of a static pod its own, of others the object's.
    #[must_use]
    pub fn uid_on_node(&self) -> &str {
        if self.mirror_of.is_empty() {
            &self.uid
        } else {
            &self.mirror_of
        }
    }

    /// True when its node calls it by this UID.
    #[must_use]
    pub fn is_called(&self, uid: &str) -> bool {
        self.uid_on_node() == uid
    }
}

/// Whether a container runs, as the status of its pod says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// The status does not say.
    #[default]
    Unknown,
    /// It has not begun, or is to begin again.
    Waiting,
    /// It runs.
    Running,
    /// It has ended.
    Terminated,
}

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: Box<str>,
    /// The runtime's id without its scheme; empty while it has none.
    pub runtime_id: Box<str>,
    /// How often it was begun again.
    pub restarts: u64,
    /// Whether it runs.
    pub state: ContainerState,
    /// What it asks for, and may have.
    pub requirements: Arc<Requirements>,
}

/// The cluster, for whoever asks; clones share what is known.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    known: Option<Arc<Known>>,
}

impl Cluster {
    /// There is no Kubernetes API.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// What is known is kept by somebody else, who hears it from the API server.
    #[must_use]
    pub fn watched(known: Arc<Known>) -> Self {
        Self { known: Some(known) }
    }

    /// What is known, to be kept by whoever hears it; `None` without a Kubernetes API.
    #[must_use]
    pub fn shared(&self) -> Option<Arc<Known>> {
        self.known.clone()
    }

    /// True when there is a Kubernetes API.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        self.known.is_some()
    }

    /// What is known; `None` without a Kubernetes API.
    #[must_use]
    pub fn known(&self) -> Option<&Known> {
        self.known.as_deref()
    }
}

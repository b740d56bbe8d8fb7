//! The node's cgroups: what its pods and containers use, as the kernel counts it.
//!
//! A thread of its own reads them, at each question all that is due. Which cgroup is a pod or a
//! container is told by its place in the tree alone: pods are directly below the kubelet's parents,
//! containers directly below a pod, and nothing below a container is opened or listed, whatever it
//! makes there and however much of it. Pods are known by UID, containers by the id that their runtime
//! gave them; their names are the sampler's business.
//!
//! Bounds: 1,024 pods, 64 containers a pod, and as many cgroups as there are descriptors for. Each
//! one that is left out is counted. A reading is made in the room of the one before the last, so in a
//! steady state nothing is allocated.

mod devices;
mod files;
pub mod hierarchy;
mod limit;
mod listing;
mod member;
pub mod parent;
mod pod;
mod sandboxes;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod walks;

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use self::hierarchy::{Hierarchy, Version};
pub use self::sandboxes::Sandboxes;
pub use self::tree::Tree;
use super::place::Driver;
use super::{Answer, Figures, Part, Reading, Worker, thread_cpu};

/// What was read of one cgroup.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// Its values: CPU, memory and details each have a time of their own.
    pub figures: Figures,
    /// The block devices that it read or wrote.
    pub devices: Vec<Part>,
    /// When it was made, as far as can be known, Unix ms: never earlier than it was, and the same as
    /// long as it is read.
    pub start_ms: u64,
}

impl Clone for Stat {
    fn clone(&self) -> Self {
        Self {
            figures: self.figures.clone(),
            devices: self.devices.clone(),
            start_ms: self.start_ms,
        }
    }

    fn clone_from(&mut self, from: &Self) {
        self.figures.clone_from(&from.figures);
        self.devices.clone_from(&from.devices);
        self.start_ms = from.start_ms;
    }
}

/// A container, known by its runtime's id.
#[derive(Debug, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id.
    pub id: Arc<str>,
    /// What was read of it.
    pub stat: Stat,
}

/// A pod.
#[derive(Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its UID as the kubelet knows it.
    pub uid: Arc<str>,
    /// Its own cgroup, with all that is below.
    pub own: Stat,
    /// Its containers in the order of their ids. What may be its sandbox is among them until that is
    /// known.
    pub containers: Vec<Container>,
}

/// One reading.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Who names the cgroups.
    pub driver: Option<Driver>,
    /// The root.
    pub node: Option<Stat>,
    /// All pods together.
    pub system: Option<Stat>,
    /// Pods in the order of their UIDs.
    pub pods: Vec<Pod>,
    /// Pods and containers that are left out because there are too many.
    pub dropped_count: u64,
    /// Cgroups that are left out for want of descriptors.
    pub shut_out_count: u64,
    /// Directories of pods or containers that could not be listed: who is new there is not known.
    pub unlisted_count: u64,
    /// Cgroups whose block I/O was put off to another tick, since it takes the kernel long to add it up.
    pub put_off_count: u64,
    /// Descriptors that are held.
    pub descriptor_count: u64,
    /// Descriptors that may be held.
    pub descriptor_limit: u64,
}

impl Cgroups {
    /// The pod with this UID.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&Pod> {
        let at = self.pods.binary_search_by(|pod| pod.uid.as_ref().cmp(uid));
        at.ok().and_then(|at| self.pods.get(at))
    }

    /// What to say of cgroups that are left out, if any are.
    #[must_use]
    pub fn shortage(&self) -> Option<String> {
        let (left_out, limit) = (self.shut_out_count, self.descriptor_limit);
        (left_out > 0).then(|| {
            format!(
                "{left_out} cgroups are not read, for only {limit} descriptors may be held: raise the \
                 agent's limit of open files (RLIMIT_NOFILE)"
            )
        })
    }

    /// Number of values.
    #[must_use]
    pub fn value_count(&self) -> usize {
        let containers = self.pods.iter().flat_map(|pod| &pod.containers);
        let stats = [&self.node, &self.system].into_iter().flatten();
        let stats = stats.chain(self.pods.iter().map(|pod| &pod.own));
        let stats = stats.chain(containers.map(|container| &container.stat));
        let of_devices = |part: &Part| part.figures.values().len();
        stats
            .map(|stat| {
                let devices: usize = stat.devices.iter().map(of_devices).sum();
                stat.figures.values().len() + devices
            })
            .sum()
    }
}

/// Starts the thread that reads the cgroups of a node at each question.
///
/// # Errors
///
/// The operating system refused a thread.
pub fn start(mut tree: Tree, mut worker: Worker<Cgroups>) -> io::Result<()> {
    // The sampler holds the newest reading, so the one before can be written over.
    let mut rooms: [Arc<Cgroups>; 2] = [Arc::default(), Arc::default()];
    let reading = move || {
        while let Some(trigger) = worker.blocking_next() {
            let (began, used) = (Instant::now(), thread_cpu());
            rooms.swap(0, 1);
            let [room, _] = &mut rooms;
            if Arc::get_mut(room).is_none() {
                *room = Arc::default();
            }
            let taken_ms = trigger.line.unix_ms();
            let read = match Arc::get_mut(room) {
                Some(room) => tree.read(trigger.tick, &trigger.line, room),
                None => Ok(()),
            };
            let values = Arc::clone(room);
            let answer = Answer {
                result: read.map(|()| Reading { values, taken_ms }),
                took: began.elapsed(),
            };
            worker.answer_at(answer, thread_cpu().saturating_sub(used));
        }
    };
    // The handle is let go: the thread ends with its queue.
    std::thread::Builder::new()
        .name("cgroup".to_owned())
        .spawn(reading)
        .map(drop)
}

/// What can be read below a `--cgroup-root`.
///
/// # Errors
///
/// [`hierarchy::Error::NoTree`].
pub fn look(root: &Path) -> Result<Version, hierarchy::Error> {
    Hierarchy::open(root).map(|hierarchy| hierarchy.version())
}

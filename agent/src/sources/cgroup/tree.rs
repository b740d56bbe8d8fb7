//! Which cgroups are there, and all of them read once.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use cairn_runtime::clock::Line;
use rustix::io::Errno;

use super::devices::Devices;
use super::files::{Buffer, Files};
use super::hierarchy::{self, Controller, Hierarchy, Pods};
use super::listing::{Listing, directories};
use super::member::{Member, Moment, Of};
use super::parent::Parent;
use super::pod::{Limit, OfPod, Who, is_want_of_descriptors, seed};
use super::walks::Walks;
use super::{Cgroups, Sandboxes, limit};
use crate::sources::{Failure, FailureKind};

/// Pods of a node. The sampler takes as many of a summary.
const MAX_PODS: usize = 1_024;

/// A parent of pods.
#[derive(Debug)]
struct OfParent {
    parent: Parent,
    // Held to count what is in it.
    files: Option<Files>,
    listing: Listing,
}

/// Everything that is read of a node's cgroups.
#[derive(Debug)]
pub struct Tree {
    hierarchy: Hierarchy,
    interval_ms: u64,
    sandboxes: Sandboxes,
    sandbox_ids: HashSet<Box<str>>,
    sandbox_version: Option<u64>,
    limit: u64,
    buffer: Buffer,
    devices: Devices,
    walks: Walks,
    place: Option<Pods>,
    node: Option<Member>,
    system: Option<Member>,
    parents: Vec<OfParent>,
    // By UID; so two directories for one UID are one pod.
    pods: BTreeMap<Arc<str>, OfPod>,
    dropped_count: u64,
    shut_out_count: u64,
    // Parents that could not be listed at this tick.
    unlisted_count: u64,
}

impl Tree {
    /// Prepares to read the cgroups below `root` every `interval_ms`.
    ///
    /// # Errors
    ///
    /// There is none that can be read.
    pub fn open(
        root: &Path,
        proc_root: &Path,
        interval_ms: u64,
        sandboxes: Sandboxes,
    ) -> Result<Self, hierarchy::Error> {
        Ok(Self {
            hierarchy: Hierarchy::open(root)?,
            interval_ms,
            sandboxes,
            sandbox_ids: HashSet::new(),
            sandbox_version: None,
            limit: limit::descriptors(),
            buffer: Buffer::default(),
            devices: Devices::new(proc_root),
            walks: Walks::default(),
            place: None,
            node: None,
            system: None,
            parents: Vec::new(),
            pods: BTreeMap::new(),
            dropped_count: 0,
            shut_out_count: 0,
            unlisted_count: 0,
        })
    }

    /// The version of the kernel's interface.
    #[must_use]
    pub fn version(&self) -> hierarchy::Version {
        self.hierarchy.version()
    }

    /// Sets how many descriptors may be held.
    #[cfg(test)]
    pub(super) fn limit_to(&mut self, descriptors: u64) {
        self.limit = descriptors;
    }

    /// Reads all that is due at a tick into `room`, whatever is in it.
    ///
    /// # Errors
    ///
    /// There is no cgroup of a kubelet's pods.
    pub fn read(&mut self, tick: u64, line: &Line, room: &mut Cgroups) -> Result<(), Failure> {
        let told = |error: hierarchy::Error| Failure::new(FailureKind::Read, error.to_string());
        self.find().map_err(told)?;
        self.devices.refresh();
        self.walks.begin(tick);
        self.learn_sandboxes();
        self.read_whole(tick, line).map_err(told)?;
        self.list_pods(tick, line.unix_ms());
        // Whoever came in the place of one that ended left the number of directories as it was. Once: one that
        // comes and goes while it is looked for is left to the next tick.
        if self.read_pods(tick, line, Who::All) {
            self.list_pods(tick, line.unix_ms());
            self.read_pods(tick, line, Who::Newcomers);
        }
        self.put(room);
        Ok(())
    }

    /// Finds the cgroup of all pods; again when it is gone.
    fn find(&mut self) -> Result<(), hierarchy::Error> {
        if self.place.is_some() {
            return Ok(());
        }
        let place = self.hierarchy.pods()?;
        self.parents = place.parents.clone().map(OfParent::new).into();
        self.place = Some(place);
        Ok(())
    }

    fn learn_sandboxes(&mut self) {
        let (ids, before) = (&mut self.sandbox_ids, self.sandbox_version);
        let version = self
            .sandboxes
            .changed_since(before, |known| ids.clone_from(known));
        if before == Some(version) {
            return;
        }
        self.sandbox_version = Some(version);
        for pod in self.pods.values_mut() {
            pod.learn_sandboxes(&self.sandbox_ids);
        }
    }

    fn list_pods(&mut self, tick: u64, now_ms: u64) {
        self.unlisted_count = 0;
        let mut parents = std::mem::take(&mut self.parents);
        let mut counts = None;
        for of in &mut parents {
            let count = of.count(&self.hierarchy);
            if !of.listing.is_due(tick, count) {
                continue;
            }
            of.listing.done(tick, count);
            let path = self
                .hierarchy
                .directory(Controller::Cpuacct, &of.parent.path);
            // Who is known stays: whoever is gone cannot be read.
            let Ok(names) = directories(&path) else {
                of.listing.stale = true;
                self.unlisted_count += 1;
                continue;
            };
            let (dropped, shut_out) = counts.get_or_insert((0, 0));
            let listed: HashSet<String> = names
                .iter()
                .map(|name| format!("{}/{name}", of.parent.path))
                .collect();
            self.pods
                .retain(|_, pod| !of.holds(pod) || listed.contains(pod.path()));
            for name in names {
                let Some(uid) = of.parent.pod_uid(&name) else {
                    continue;
                };
                if self.pods.contains_key(uid.as_str()) {
                    continue;
                }
                if self.pods.len() >= MAX_PODS {
                    *dropped += 1;
                    continue;
                }
                let path = format!("{}/{name}", of.parent.path);
                match self.member(&path, Of::Work, now_ms) {
                    Ok(own) => {
                        let pod = OfPod::new(uid.into(), path, own);
                        self.pods.insert(pod.uid(), pod);
                    }
                    Err(error) if is_want_of_descriptors(error) => *shut_out += 1,
                    Err(_) => {}
                }
            }
        }
        self.parents = parents;
        // What is left out has no place in the lists, so it is counted when they are made.
        if let Some((dropped, shut_out)) = counts {
            self.dropped_count = dropped;
            self.shut_out_count = shut_out;
        }
        if self.dropped_count + self.shut_out_count > 0 {
            for of in &mut self.parents {
                of.listing.stale = true;
            }
        }
    }

    /// Reads the root and the cgroup of all pods. When that is gone, nothing is said of who is not there:
    /// a kubelet begins anew, maybe in another place.
    fn read_whole(&mut self, tick: u64, line: &Line) -> Result<(), hierarchy::Error> {
        let path = self.place.as_ref().map_or("", |place| place.path);
        for (of, path) in [(Of::Node, ""), (Of::System, path)] {
            let known = match of {
                Of::Node => self.node.take(),
                _ => self.system.take(),
            };
            let now_ms = line.unix_ms();
            let member = known.or_else(|| self.member(path, of, now_ms).ok());
            let Some(mut member) = member else {
                if of == Of::System {
                    self.place = None;
                    self.pods.clear();
                    self.find()?;
                }
                continue;
            };
            let mut moment = Moment {
                tick,
                interval_ms: self.interval_ms,
                time_ms: now_ms,
                buffer: &mut self.buffer,
                devices: &mut self.devices,
                walks: &mut self.walks,
                is_below_dear: false,
            };
            let is_there = member.read(&mut moment).is_ok();
            match of {
                Of::Node => self.node = Some(member).filter(|_| is_there),
                _ if is_there => self.system = Some(member),
                _ => return Err(self.hierarchy.no_pods()),
            }
        }
        Ok(())
    }

    /// Reads pods; true when one that was read before has ended.
    fn read_pods(&mut self, tick: u64, line: &Line, who: Who) -> bool {
        let mut pods = std::mem::take(&mut self.pods);
        let mut held: u64 = pods.values().map(OfPod::open_count).sum();
        let parents = &mut self.parents;
        let mut ended = false;
        pods.retain(|_, pod| {
            if who == Who::Newcomers && pod.is_known() {
                return true;
            }
            let was_known = pod.is_known();
            let mut moment = Moment {
                tick,
                interval_ms: self.interval_ms,
                time_ms: line.unix_ms(),
                buffer: &mut self.buffer,
                devices: &mut self.devices,
                walks: &mut self.walks,
                is_below_dear: false,
            };
            let limit = Limit {
                hierarchy: &self.hierarchy,
                sandboxes: &self.sandbox_ids,
                most: self.limit / Files::descriptor_count(self.hierarchy.version()),
            };
            let is_there = pod.read(&mut moment, line, &limit, &mut held);
            if !is_there {
                ended |= was_known;
                held = held.saturating_sub(pod.open_count());
                let parent = parents.iter_mut().find(|of| of.holds(pod));
                parent.into_iter().for_each(|of| of.listing.stale = true);
            }
            is_there
        });
        self.pods = pods;
        ended
    }

    fn put(&self, room: &mut Cgroups) {
        room.driver = self.place.as_ref().map(Pods::driver);
        put_whole(&mut room.node, self.node.as_ref());
        put_whole(&mut room.system, self.system.as_ref());
        room.pods.truncate(self.pods.len());
        for (at, pod) in self.pods.values().enumerate() {
            match room.pods.get_mut(at) {
                Some(slot) => pod.put(slot),
                None => room.pods.push(pod.copy()),
            }
        }
        let of_pods = |count: fn(&OfPod) -> u64| self.pods.values().map(count).sum::<u64>();
        room.dropped_count = self.dropped_count + of_pods(OfPod::dropped_count);
        room.shut_out_count = self.shut_out_count + of_pods(OfPod::shut_out_count);
        room.put_off_count = self.walks.put_off_count();
        room.unlisted_count = self.unlisted_count + of_pods(OfPod::unlisted_count);
        let each = Files::descriptor_count(self.hierarchy.version());
        room.descriptor_count = of_pods(OfPod::open_count) * each;
        room.descriptor_limit = self.limit;
    }

    fn member(&self, path: &str, of: Of, now_ms: u64) -> Result<Member, Errno> {
        let each = Files::descriptor_count(self.hierarchy.version());
        let held: u64 = self.pods.values().map(OfPod::open_count).sum();
        if of == Of::Work && (held + 1) * each > self.limit {
            return Err(Errno::MFILE);
        }
        let files = Files::open(&self.hierarchy, path)?;
        Ok(Member::new(files, of, seed(path), now_ms))
    }
}

impl OfParent {
    fn new(parent: Parent) -> Self {
        Self {
            parent,
            files: None,
            listing: Listing::default(),
        }
    }

    /// Whether a pod is directly below it.
    fn holds(&self, pod: &OfPod) -> bool {
        let rest = pod.path().strip_prefix(self.parent.path.as_str());
        rest.and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|name| !name.contains('/'))
    }

    fn count(&mut self, hierarchy: &Hierarchy) -> Option<u64> {
        if self.files.is_none() {
            self.files = Files::open(hierarchy, &self.parent.path).ok();
        }
        // A class without pods may have no cgroup, and one that was made anew is another.
        let count = self.files.as_ref().and_then(Files::child_count);
        if count.is_none_or(|count| count == 0) {
            self.files = None;
        }
        count
    }
}

fn put_whole(slot: &mut Option<super::Stat>, member: Option<&Member>) {
    match (slot.as_mut(), member) {
        (Some(slot), Some(member)) => slot.clone_from(member.stat()),
        (_, member) => *slot = member.map(|member| member.stat().clone()),
    }
}

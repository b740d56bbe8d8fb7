//! One pod's cgroup with those of its containers.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use cairn_runtime::clock::Line;
use rustix::io::Errno;

use super::files::Files;
use super::hierarchy::{Controller, Hierarchy};
use super::listing::{Listing, directories};
use super::member::{Member, Moment, Of};
use super::{Container, Pod};
use crate::sources::place;

/// Containers of a pod, beside its sandbox.
const MAX_CONTAINERS: usize = 64;

/// A container's cgroup.
#[derive(Debug)]
struct OfContainer {
    id: Arc<str>,
    // `None` of a sandbox.
    member: Option<Member>,
}

/// A pod's cgroup with its containers, by their directories' names.
#[derive(Debug)]
pub(super) struct OfPod {
    uid: Arc<str>,
    path: String,
    own: Member,
    containers: BTreeMap<String, OfContainer>,
    listing: Listing,
    dropped_count: u64,
    shut_out_count: u64,
    // It could not be listed at the last tick.
    is_unlisted: bool,
    // Its processes were told.
    is_counted: bool,
}

/// Who is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    All,
    /// Who was never read.
    Newcomers,
}

/// What a pod needs to list its containers.
pub(super) struct Limit<'a> {
    pub(super) hierarchy: &'a Hierarchy,
    pub(super) sandboxes: &'a HashSet<Box<str>>,
    /// Cgroups that may be open.
    pub(super) most: u64,
}

impl OfPod {
    pub(super) fn new(uid: Arc<str>, path: String, own: Member) -> Self {
        Self {
            uid,
            path,
            own,
            containers: BTreeMap::new(),
            listing: Listing::default(),
            dropped_count: 0,
            shut_out_count: 0,
            is_unlisted: false,
            is_counted: false,
        }
    }

    pub(super) fn uid(&self) -> Arc<str> {
        Arc::clone(&self.uid)
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Containers that are left out because there are too many.
    pub(super) fn dropped_count(&self) -> u64 {
        self.dropped_count
    }

    /// Containers that are left out for want of descriptors.
    pub(super) fn shut_out_count(&self) -> u64 {
        self.shut_out_count
    }

    /// One when it could not be listed at the last tick.
    pub(super) fn unlisted_count(&self) -> u64 {
        u64::from(self.is_unlisted)
    }

    /// Whether it was ever read.
    pub(super) fn is_known(&self) -> bool {
        self.own.is_known()
    }

    /// Takes note of which ids are sandboxes: those are not read any more.
    pub(super) fn learn_sandboxes(&mut self, ids: &HashSet<Box<str>>) {
        for container in self.containers.values_mut() {
            if ids.contains(container.id.as_ref()) {
                container.member = None;
            } else if container.member.is_none() {
                self.listing.stale = true;
            }
        }
    }

    /// Reads all that is due of it; false when it is gone. `held` counts the cgroups that are open.
    pub(super) fn read(
        &mut self,
        moment: &mut Moment<'_>,
        line: &Line,
        limit: &Limit<'_>,
        held: &mut u64,
    ) -> bool {
        if self.own.read(moment).is_err() {
            return false;
        }
        moment.is_below_dear = self.own.is_dear();
        self.list_when_due(moment.tick, line, limit, held);
        // With its sandbox among them the pod would have one too many. Once that is known nobody waits for
        // the pod's turn the first time.
        let knows_sandbox = self.containers.values().any(|of| of.member.is_none());
        let is_turn = !self.is_counted || self.own.was_slow(moment.tick);
        let is_due = knows_sandbox && is_turn && self.own.has_memory_of(moment.time_ms);
        let mut processes = is_due.then_some(0);
        // As in a class of pods: who came in the place of another is found at once, and once a tick.
        let before = self.open_count();
        let ended = self.read_containers(moment, line, Who::All, &mut processes);
        *held = held.saturating_sub(before - self.open_count());
        if ended {
            self.list_when_due(moment.tick, line, limit, held);
            let before = self.open_count();
            self.read_containers(moment, line, Who::Newcomers, &mut processes);
            *held = held.saturating_sub(before - self.open_count());
            // Its sandbox may have been made anew as well.
            let knows_sandbox = self.containers.values().any(|of| of.member.is_none());
            processes = processes.filter(|_| knows_sandbox);
        }
        if let Some(count) = processes {
            self.own.tell_processes(count);
            self.is_counted = true;
        }
        true
    }

    fn list_when_due(&mut self, tick: u64, line: &Line, limit: &Limit<'_>, held: &mut u64) {
        let count = self.own.child_count();
        if self.listing.is_due(tick, count) {
            self.listing.done(tick, count);
            self.list(limit, held, line.unix_ms());
        }
    }

    /// Cgroups of it that are open.
    pub(super) fn open_count(&self) -> u64 {
        let open = self.containers.values().filter(|of| of.member.is_some());
        1 + open.count() as u64
    }

    fn list(&mut self, limit: &Limit<'_>, held: &mut u64, now_ms: u64) {
        let path = limit.hierarchy.directory(Controller::Cpuacct, &self.path);
        // Who is known stays: whoever is gone cannot be read.
        let names = directories(&path);
        self.is_unlisted = names.is_err();
        let Ok(names) = names else {
            self.listing.stale = true;
            return;
        };
        self.containers
            .retain(|name, _| names.binary_search(name).is_ok());
        (self.dropped_count, self.shut_out_count) = (0, 0);
        for name in names {
            let Some(id) = place::container_id(&name) else {
                continue;
            };
            let is_sandbox = limit.sandboxes.contains(id);
            let known = self.containers.get(&name);
            if known.is_some_and(|of| of.member.is_some() || is_sandbox) {
                continue;
            }
            let count = self.containers.len() - usize::from(known.is_some());
            // One of them is the sandbox.
            if count > MAX_CONTAINERS {
                self.dropped_count += 1;
                continue;
            }
            let id: Arc<str> = id.into();
            let member = if is_sandbox {
                None
            } else if *held >= limit.most {
                self.shut_out_count += 1;
                continue;
            } else {
                let path = format!("{}/{name}", self.path);
                match Files::open(limit.hierarchy, &path) {
                    Ok(files) => {
                        *held += 1;
                        Some(Member::new(files, Of::Work, seed(&path), now_ms))
                    }
                    Err(error) => {
                        self.shut_out_count += u64::from(is_want_of_descriptors(error));
                        continue;
                    }
                }
            };
            self.containers.insert(name, OfContainer { id, member });
        }
        // Whoever is left out may have room at the next tick.
        self.listing.stale |= self.shut_out_count > 0;
    }

    /// Reads containers and adds up their processes, where those are counted; true when one that was read
    /// before has ended.
    fn read_containers(
        &mut self,
        moment: &mut Moment<'_>,
        line: &Line,
        who: Who,
        processes: &mut Option<u64>,
    ) -> bool {
        let (mut ended, mut known_ended) = (false, false);
        self.containers.retain(|_, of| {
            let Some(member) = &mut of.member else {
                return true;
            };
            if who == Who::Newcomers && member.is_known() {
                return true;
            }
            let was_known = member.is_known();
            moment.time_ms = line.unix_ms();
            let is_there = member.read(moment).is_ok();
            ended |= !is_there;
            known_ended |= was_known && !is_there;
            if is_there && processes.is_some() {
                let more = member.count_processes(moment.buffer);
                *processes = processes.zip(more).map(|(sum, more)| sum + more);
            }
            is_there
        });
        self.listing.stale |= ended;
        known_ended
    }

    /// Puts what was read into a slot, whatever is in it.
    pub(super) fn put(&self, slot: &mut Pod) {
        slot.uid = Arc::clone(&self.uid);
        slot.own.clone_from(self.own.stat());
        let read = self.containers.values().filter_map(|of| {
            let member = of.member.as_ref()?;
            Some((&of.id, member.stat()))
        });
        let mut count = 0;
        for (id, stat) in read {
            match slot.containers.get_mut(count) {
                Some(container) => {
                    container.id = Arc::clone(id);
                    container.stat.clone_from(stat);
                }
                None => slot.containers.push(Container {
                    id: Arc::clone(id),
                    stat: stat.clone(),
                }),
            }
            count += 1;
        }
        slot.containers.truncate(count);
    }

    /// What was read, in room of its own.
    pub(super) fn copy(&self) -> Pod {
        let mut pod = Pod {
            uid: Arc::clone(&self.uid),
            own: self.own.stat().clone(),
            containers: Vec::new(),
        };
        self.put(&mut pod);
        pod
    }
}

pub(super) fn is_want_of_descriptors(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE)
}

/// Which of the ticks is a cgroup's own for slow readings: any number that is its own.
pub(super) fn seed(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

//! Who cgroups without names are, by what a summary says of their pods.

use std::collections::{HashMap, HashSet};

use super::evidence::{self, Fit, Measured};
use super::{ASKED_FOR_AFTER_MS, Called, Joined, OfContainer, Roster, START_TOLERANCE_MS};
use crate::sources::Reading;
use crate::sources::cgroup::{self, Cgroups};
use crate::sources::summary::{self, Stats, Summary};

/// How long before a summary is read a cgroup has to be there to be missed in it, ms: a kubelet lists a
/// container a moment after it is there.
pub(super) const LISTED_WITHIN_MS: u64 = 5_000;

/// How far apart two summaries are read, ms, that both count: one that is asked for out of turn may be read
/// right after another, and says the same.
const MISSES_APART_MS: u64 = 10_000;

/// Summaries that have to miss a cgroup before it is taken for a sandbox and not read any more. One that
/// misses it keeps others from being asked for it.
const MISSED_BY: u8 = 2;

/// What cgroups are left of a pod, and what containers.
struct Open<'a> {
    cgroups: Vec<&'a str>,
    containers: Vec<&'a Stats>,
    known_count: usize,
    // Of the cgroups, those that have an aggregator's name.
    told_count: usize,
}

impl Roster {
    /// Names cgroups that only one of a pod's containers can be, at a tick. Returns the ids of all
    /// sandboxes that are known when one was found.
    pub fn recognise(
        &mut self,
        tick: u64,
        cgroups: &Cgroups,
        summary: &Reading<Summary>,
    ) -> Option<HashSet<Box<str>>> {
        let mut joined = Joined::default();
        let mut found_sandbox = false;
        let mut by_uid: HashMap<&str, &summary::Pod> = HashMap::new();
        let is_open = |roster: &Self, pod: &cgroup::Pod| {
            let mut ids = pod.containers.iter();
            ids.any(|of| roster.is_nobodys(&of.id))
        };
        if cgroups.pods.iter().any(|pod| is_open(self, pod)) {
            let pods = summary.values.pods.iter();
            by_uid.extend(pods.map(|pod| (pod.uid.as_str(), pod)));
        }
        for pod in &cgroups.pods {
            if !is_open(self, pod) {
                joined.known += pod.containers.len();
                continue;
            }
            let Some(told) = by_uid.get(pod.uid.as_ref()) else {
                continue;
            };
            for container in &pod.containers {
                self.compare(tick, &container.id, told, summary.taken_ms);
            }
            self.list(&self.open(pod, told), summary.taken_ms);
            self.join(&self.open(pod, told));
            let open = self.open(pod, told);
            let may_be_sandbox = open.containers.is_empty() && !told.containers.is_empty();
            found_sandbox |= self.leave_over(pod, &open, may_be_sandbox, summary.taken_ms);
            if let Some(known) = self.pods.get_mut(pod.uid.as_ref()) {
                known.is_short = open.containers.len() > open.told_count;
            }
            joined.known += open.known_count + open.told_count;
            if open.cgroups.iter().any(|id| self.waits(id, tick)) {
                // One of them is the sandbox: a container that has ended is listed for a while.
                let sandbox_count = usize::from(!self.knows_sandbox(&pod.uid));
                let [may_be, listed] = [open.cgroups.len() - sandbox_count, open.containers.len()];
                joined.waiting += listed.min(may_be).saturating_sub(open.told_count);
            }
        }
        self.joined = joined;
        found_sandbox.then(|| self.sandboxes())
    }

    fn is_nobodys(&self, id: &str) -> bool {
        let known = self.containers.get(id);
        known.is_some_and(OfContainer::is_open)
    }

    /// True when it has had no name for so long that others are asked for it.
    fn waits(&self, id: &str, tick: u64) -> bool {
        let known = self.containers.get(id).filter(|of| of.is_unnamed());
        let waited_ms = known.and_then(|of| of.waited_ms(tick));
        waited_ms.is_some_and(|waited_ms| waited_ms >= ASKED_FOR_AFTER_MS)
    }

    fn knows_sandbox(&self, uid: &str) -> bool {
        let mut all = self.containers.values();
        all.any(|of| of.called == Called::Sandbox && *of.uid == *uid)
    }

    /// What is there that the node has not named, and what is listed without a cgroup.
    fn open<'a>(&self, pod: &'a cgroup::Pod, told: &'a summary::Pod) -> Open<'a> {
        let mut cgroups = Vec::new();
        let mut named: Vec<&str> = Vec::new();
        let mut told_count = 0;
        for container in &pod.containers {
            let Some(known) = self.containers.get(container.id.as_ref()) else {
                continue;
            };
            match &known.called {
                Called::Nothing | Called::Told(_) => {
                    told_count += usize::from(!known.is_unnamed());
                    cgroups.push(container.id.as_ref());
                }
                Called::Container(name) => named.push(name),
                Called::Sandbox => {}
            }
        }
        let listed = told.containers.iter();
        let without = listed.filter(|of| !named.contains(&of.name.as_str()));
        let containers: Vec<&Stats> = without.collect();
        Open {
            cgroups,
            containers,
            known_count: named.len(),
            told_count,
        }
    }

    /// Marks those of whom a summary that was read at `taken_ms` tells: of all but one, which is the
    /// sandbox, it lists a container that began about then or later.
    fn list(&mut self, open: &Open<'_>, taken_ms: u64) {
        let expected = open.cgroups.len().saturating_sub(1).max(1);
        for id in &open.cgroups {
            let Some(known) = self.containers.get_mut(*id) else {
                continue;
            };
            let made_ms = known.made_ms;
            let of_now = |stats: &&&Stats| {
                let start_ms = stats.start_ms;
                start_ms.is_none_or(|start_ms| start_ms + START_TOLERANCE_MS >= made_ms)
            };
            let count = open.containers.iter().filter(of_now).count();
            let since = known.seen.is_some_and(|seen| seen.first_tick <= taken_ms);
            known.is_listed |= since && count >= expected;
        }
    }

    fn join(&mut self, open: &Open<'_>) {
        let measured: Vec<Measured<'_>> = open
            .containers
            .iter()
            .filter_map(|stats| Measured::of(stats))
            .collect();
        let fit = |at: usize, of: Measured<'_>| -> Fit {
            let id = open.cgroups.get(at);
            let known = id.and_then(|id| self.containers.get(*id));
            known.map_or(Fit::No, |known| known.readings.fit(known.made_ms, of))
        };
        let pairs = evidence::pairs(&measured, fit, open.cgroups.len());
        for (container, cgroup) in pairs {
            let of = measured.get(container).zip(open.cgroups.get(cgroup));
            let Some((of, id)) = of else { continue };
            if let Some(known) = self.containers.get_mut(*id) {
                known.call(Called::Container(of.name.into()));
            }
            self.take_back(&open.cgroups, of.name);
        }
    }

    /// Takes the one cgroup of a pod that is left for the sandbox, which it may be when all that a summary
    /// lists have theirs. True when it is known for one from now on.
    fn leave_over(
        &mut self,
        pod: &cgroup::Pod,
        open: &Open<'_>,
        may_be_sandbox: bool,
        taken_ms: u64,
    ) -> bool {
        let [id] = &open.cgroups[..] else {
            return false;
        };
        let Some(known) = self.containers.get_mut(*id) else {
            return false;
        };
        if !may_be_sandbox {
            known.left_over = 0;
            return false;
        }
        let first_ms = known.readings.first_ms();
        let is_old = first_ms.is_some_and(|first_ms| first_ms + LISTED_WITHIN_MS <= taken_ms);
        let is_next = taken_ms >= known.left_over_ms.saturating_add(MISSES_APART_MS);
        // A pod has one, and it is there before all others.
        if !is_old || !is_next || self.knows_sandbox(&pod.uid) || !self.is_first(pod, id) {
            return false;
        }
        let Some(known) = self.containers.get_mut(*id) else {
            return false;
        };
        known.left_over += 1;
        known.left_over_ms = taken_ms;
        let is_sandbox = known.left_over >= MISSED_BY;
        if is_sandbox {
            known.call(Called::Sandbox);
        }
        is_sandbox
    }

    /// True when no other cgroup of its pod was made before it, as far as can be known: of those that were
    /// there before the agent was, it cannot.
    fn is_first(&self, pod: &cgroup::Pod, id: &str) -> bool {
        let Some(known) = self.containers.get(id) else {
            return false;
        };
        let seen = known.seen;
        let was_there = seen.is_some_and(|seen| seen.is_from_before(self.first_tick));
        let mut made_ms = pod.containers.iter().map(|of| of.stat.start_ms);
        was_there || made_ms.all(|made_ms| made_ms >= known.made_ms)
    }
}

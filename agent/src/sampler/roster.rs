//! Who is who among cgroups.
//!
//! Pure. Cgroups know pods by UID and containers by their runtime's id, and nothing else. A summary
//! names pods, and what it measured of their containers tells whose cgroup is whose; cAdvisor's answer
//! says which runtime id is which container of which pod, and costs a kubelet five times as much, so it
//! is for those that the summary leaves open. An aggregator that watches pods may tell before either does;
//! its word counts until the node itself has one. What the node named stays named for as long as it is there,
//! whatever becomes of the kubelet; what is gone is forgotten after the window.

mod began;
mod evidence;
mod newcomers;
mod recognise;
mod told;

use std::collections::{HashMap, HashSet};

use cairn_proto::catalogue::{Group, table};

use self::evidence::Readings;
use self::told::Inquiry;
pub use self::told::Odd;
use crate::sources::cadvisor::{Cadvisor, Identity};
use crate::sources::cgroup::{Cgroups, Stat};
use crate::sources::summary::Summary;

/// For so long a container waits for its name; then it is called by its runtime id, ms. A kubelet that
/// answers has named it long before.
const NAMED_WITHIN_MS: u64 = 60_000;

/// For so long a container waits for the summaries to tell whose it is, ms, before cAdvisor is asked for
/// its name: beside cgroups one comes every half minute, and what it says was measured half a minute before
/// at most, so the third one was measured when the cgroup had been read.
const ASKED_FOR_AFTER_MS: u64 = 75_000;

/// How much earlier than its cgroup a container may have begun by the kubelet's word, ms. Half of the
/// shortest time between two lives of one name.
const START_TOLERANCE_MS: u64 = 5_000;

/// Answers of cAdvisor without a container's name after which nobody is asked for it any more: a cgroup
/// that was left behind has none.
const CONTAINER_ASKS: u8 = 3;

/// The same of summaries and a pod's name. A pod is not listed before its network is there.
const POD_ASKS: u8 = 10;

/// How much later than the cgroups of a tick its summary may be read, ms.
const SUMMARY_AFTER_MS: u64 = 2_500;

/// The most names that are remembered: those of pods and containers that can be there, twice.
const MAX_NAMES: usize = 1 << 17;

/// A pod's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodName {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// When it began, by the kubelet's word, Unix ms.
    pub start_ms: Option<u64>,
}

/// A pod that was heard of.
#[derive(Debug, Default)]
struct OfPod {
    named: Option<PodName>,
    // The name is an aggregator's word.
    is_told: bool,
    // An aggregator named a container of it.
    has_told: bool,
    // The last summary lists a container of it whose cgroup nobody knows.
    is_short: bool,
    inquiry: Inquiry,
    // When its cgroup was seen first and last, and when anybody spoke of it last.
    cgroup: Option<Seen>,
    heard_tick: u64,
    // Summaries that did not name it while it was there.
    asks: u8,
}

/// Ticks at which something was there.
#[derive(Clone, Copy, Debug)]
struct Seen {
    first_tick: u64,
    last_tick: u64,
}

impl Seen {
    /// True of what was there when the agent first looked, at `first_tick`.
    fn is_from_before(self, first_tick: Option<u64>) -> bool {
        Some(self.first_tick) == first_tick
    }
}

/// What a cgroup below a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Called {
    Nothing,
    /// By an aggregator's word.
    Told(Box<str>),
    Sandbox,
    Container(Box<str>),
}

/// A cgroup below a pod that was heard of.
#[derive(Debug)]
struct OfContainer {
    uid: Box<str>,
    called: Called,
    // It was called by a name that a summary of its time does not list.
    is_doubted: bool,
    // An aggregator was asked for it and did not know it.
    is_passed_over: bool,
    inquiry: Inquiry,
    seen: Option<Seen>,
    heard_tick: u64,
    // Its directory's time.
    made_ms: u64,
    // When it began, told as long as it lives.
    start_ms: Option<u64>,
    // Answers of cAdvisor that did not name it while it was there.
    asks: u8,
    // What it used, while the node has not said who it is.
    readings: Readings,
    // A summary that was read since it came lists as many containers as there are cgroups like it.
    is_listed: bool,
    // Summaries that list others of its pod, each with its cgroup, and nothing that it may be; and when
    // the last of them was read.
    left_over: u8,
    left_over_ms: u64,
}

/// All that are known.
#[derive(Debug, Default)]
pub struct Roster {
    pods: HashMap<Box<str>, OfPod>,
    containers: HashMap<Box<str>, OfContainer>,
    // The tick of the newest reading of cgroups, and of the first.
    last_tick: Option<u64>,
    first_tick: Option<u64>,
    // Containers that the newest summary lists: those whose cgroup is known, and those that wait for
    // theirs for too long.
    joined: Joined,
}

/// How many of the containers that a summary lists have a cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Joined {
    /// Those of which it is known which one it is.
    pub known: usize,
    /// Those that wait for it for longer than anybody should, though cgroups of nobody are in their pod.
    pub waiting: usize,
}

impl Roster {
    /// Takes the names of an answer of cAdvisor. Returns the ids of all sandboxes that are known.
    pub fn learn_identities(&mut self, tick: u64, cadvisor: &Cadvisor) -> HashSet<Box<str>> {
        for (id, identity) in &cadvisor.identities {
            let Identity {
                uid,
                namespace,
                pod,
                container,
            } = identity;
            if self.containers.len() < MAX_NAMES || self.containers.contains_key(id) {
                let known = self.containers.entry(id.clone());
                let known = known.or_insert_with(|| OfContainer::new(uid));
                known.heard_tick = tick;
                known.call(match container {
                    Some(name) => Called::Container(name.clone()),
                    None => Called::Sandbox,
                });
            }
            if self.pods.len() < MAX_NAMES || self.pods.contains_key(uid) {
                let known = self.pods.entry(uid.clone()).or_default();
                known.heard_tick = tick;
                if std::mem::take(&mut known.is_told) {
                    known.named = None;
                }
                known.named.get_or_insert_with(|| PodName {
                    namespace: namespace.clone(),
                    name: pod.clone(),
                    start_ms: None,
                });
            }
        }
        let last_tick = self.last_tick;
        for of in self.containers.values_mut() {
            let is_there = of.seen.map(|seen| seen.last_tick) == last_tick;
            if of.is_unnamed() && is_there {
                of.asks = of.asks.saturating_add(1);
            }
        }
        self.sandboxes()
    }

    /// Takes the names of a summary.
    pub fn learn_pods(&mut self, tick: u64, summary: &Summary) {
        for pod in &summary.pods {
            if self.pods.len() >= MAX_NAMES && !self.pods.contains_key(pod.uid.as_str()) {
                continue;
            }
            let known = self.pods.entry(pod.uid.as_str().into()).or_default();
            known.heard_tick = tick;
            known.is_told = false;
            let is_same = known.named.as_ref().is_some_and(|named| {
                *named.name == *pod.name && *named.namespace == *pod.namespace
            });
            if !is_same {
                known.named = Some(PodName {
                    namespace: pod.namespace.as_str().into(),
                    name: pod.name.as_str().into(),
                    start_ms: None,
                });
            }
            if let Some(named) = &mut known.named {
                named.start_ms = named.start_ms.or(pod.stats.start_ms);
            }
        }
        for of in self.pods.values_mut().filter(|of| of.is_unlisted()) {
            of.asks = of.asks.saturating_add(1);
        }
    }

    /// Takes who is there at a tick.
    pub fn see(&mut self, tick: u64, cgroups: &Cgroups) {
        self.last_tick = Some(tick);
        self.first_tick.get_or_insert(tick);
        for pod in &cgroups.pods {
            if let Some(known) = self.pods.get_mut(pod.uid.as_ref()) {
                Seen::again(&mut known.cgroup, tick);
            } else {
                let mut known = OfPod::default();
                Seen::again(&mut known.cgroup, tick);
                self.pods.insert(pod.uid.as_ref().into(), known);
            }
            for container in &pod.containers {
                if !self.containers.contains_key(container.id.as_ref()) {
                    let known = OfContainer::new(&pod.uid);
                    self.containers.insert(container.id.as_ref().into(), known);
                }
                if let Some(known) = self.containers.get_mut(container.id.as_ref()) {
                    Seen::again(&mut known.seen, tick);
                    known.made_ms = container.stat.start_ms;
                    known.read(&container.stat);
                }
            }
        }
    }

    /// The names of a pod; `None` until somebody named it.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<&PodName> {
        self.pods.get(uid)?.named.as_ref()
    }

    /// What a container whose cgroup is there is called at a tick. One that nobody named in time has
    /// its runtime id for a name; `None` while it waits, and of a sandbox.
    #[must_use]
    pub fn container<'a>(&'a self, tick: u64, id: &'a str) -> Option<&'a str> {
        let known = self.containers.get(id)?;
        if known.name().is_some() || known.called == Called::Sandbox {
            return known.name();
        }
        let waited = known.waited_ms(tick)? >= NAMED_WITHIN_MS;
        let may_be = waited && known.left_over == 0 && !self.is_no_container(known);
        may_be.then_some(id)
    }

    /// True when a name of it came from somebody who knows.
    #[must_use]
    pub fn is_named(&self, id: &str) -> bool {
        let known = self.containers.get(id);
        known.is_some_and(|of| of.name().is_some())
    }

    /// True when the pod still had a cgroup when a summary was read, and has none any more.
    #[must_use]
    pub fn pod_is_gone(&self, uid: &str, since_ms: u64) -> bool {
        let seen = self.pods.get(uid).and_then(|of| of.cgroup);
        self.is_gone(seen, since_ms)
    }

    /// The same of the container of this name.
    #[must_use]
    pub fn container_is_gone(&self, uid: &str, name: &str, since_ms: u64) -> bool {
        let mut named = self
            .containers
            .values()
            .filter(|of| *of.uid == *uid && of.name() == Some(name));
        let mut any = false;
        let all = named.all(|of| {
            any |= self.is_gone(of.seen, since_ms);
            !self.is_there(of.seen)
        });
        any && all
    }

    fn is_there(&self, seen: Option<Seen>) -> bool {
        seen.is_some_and(|seen| Some(seen.last_tick) == self.last_tick)
    }

    fn is_gone(&self, seen: Option<Seen>, since_ms: u64) -> bool {
        seen.is_some_and(|seen| {
            let last = seen.last_tick;
            Some(last) != self.last_tick && last.saturating_add(SUMMARY_AFTER_MS) >= since_ms
        })
    }

    /// True when the cgroup of a pod is there that the node has not named.
    #[must_use]
    pub fn has_unnamed_pod(&self) -> bool {
        let mut pods = self.pods.values();
        pods.any(|of| of.is_unlisted() && of.asks < POD_ASKS && self.is_there(of.cgroup))
    }

    /// True when a container is there that no summary could tell and that has waited long enough to be
    /// asked for.
    #[must_use]
    pub fn has_unnamed_container(&self, tick: u64) -> bool {
        self.containers.values().any(|of| {
            of.is_unnamed()
                && of.left_over == 0
                && !self.is_no_container(of)
                && of.asks < CONTAINER_ASKS
                && self.is_there(of.seen)
                && of
                    .waited_ms(tick)
                    .is_some_and(|waited_ms| waited_ms >= ASKED_FOR_AFTER_MS)
        })
    }

    /// How many of the containers that the newest summary lists have a cgroup.
    #[must_use]
    pub fn joined(&self) -> Joined {
        self.joined
    }

    /// How many pods and containers are there that nobody named.
    #[must_use]
    pub fn unnamed_counts(&self) -> [usize; 2] {
        let pods = self.pods.values();
        let pods = pods.filter(|of| of.named.is_none() && self.is_there(of.cgroup));
        let containers = self.containers.values();
        let containers = containers.filter(|of| of.is_unnamed() && self.is_there(of.seen));
        [pods.count(), containers.count()]
    }

    fn sandboxes(&self) -> HashSet<Box<str>> {
        let all = self.containers.iter();
        all.filter(|(_, of)| of.called == Called::Sandbox)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Forgets who was not heard of since `tick`.
    pub fn forget_before(&mut self, tick: u64) {
        let is_kept = |seen: Option<Seen>, heard_tick: u64| {
            heard_tick >= tick || seen.is_some_and(|seen| seen.last_tick >= tick)
        };
        let last_tick = self.last_tick;
        let pods = &self.pods;
        // A sandbox is not read and so never seen; it is there as long as its pod is.
        self.containers.retain(|_, of| {
            let is_pod_there = pods
                .get(&of.uid)
                .and_then(|pod| pod.cgroup)
                .is_some_and(|seen| Some(seen.last_tick) == last_tick);
            is_kept(of.seen, of.heard_tick) || (of.called == Called::Sandbox && is_pod_there)
        });
        self.pods.retain(|_, of| is_kept(of.cgroup, of.heard_tick));
    }

    /// Forgets when anything was seen: a new run begins, on another line of time. Names stay.
    pub fn begin_run(&mut self, tick: u64) {
        (self.first_tick, self.last_tick) = (None, None);
        for of in self.pods.values_mut() {
            of.cgroup = None;
            of.heard_tick = tick;
            of.inquiry.forget_times();
        }
        for of in self.containers.values_mut() {
            of.seen = None;
            of.heard_tick = tick;
            of.readings.forget();
            (of.left_over, of.left_over_ms, of.is_listed) = (0, 0, false);
            of.inquiry.forget_times();
        }
        self.joined = Joined::default();
    }
}

impl Seen {
    fn again(seen: &mut Option<Self>, tick: u64) {
        let first_tick = seen.map_or(tick, |seen| seen.first_tick);
        *seen = Some(Self {
            first_tick,
            last_tick: tick,
        });
    }
}

impl OfContainer {
    fn new(uid: &str) -> Self {
        Self {
            uid: uid.into(),
            called: Called::Nothing,
            is_doubted: false,
            is_passed_over: false,
            inquiry: Inquiry::default(),
            seen: None,
            heard_tick: 0,
            made_ms: 0,
            start_ms: None,
            asks: 0,
            readings: Readings::default(),
            is_listed: false,
            left_over: 0,
            left_over_ms: 0,
        }
    }

    /// Takes what it used, as long as that may tell who it is.
    fn read(&mut self, stat: &Stat) {
        let figures = &stat.figures;
        let cpu = figures.time_ms(Group::Cpu).zip(figures.value(table::CPU));
        if let Some((time_ms, core_nanos)) = cpu.filter(|_| self.is_open()) {
            self.readings.add(time_ms, core_nanos);
        }
    }

    /// How long it is there; `None` of one that was not seen.
    fn waited_ms(&self, tick: u64) -> Option<u64> {
        let seen = self.seen?;
        Some(tick.saturating_sub(seen.first_tick))
    }

    /// The name of a container.
    fn name(&self) -> Option<&str> {
        match &self.called {
            Called::Container(name) => Some(name),
            Called::Told(name) => Some(&**name).filter(|_| !self.is_doubted),
            Called::Nothing | Called::Sandbox => None,
        }
    }

    /// True while the node itself has not said who it is.
    fn is_open(&self) -> bool {
        matches!(self.called, Called::Nothing | Called::Told(_))
    }

    /// True while nobody has who counts.
    fn is_unnamed(&self) -> bool {
        self.is_open() && self.name().is_none()
    }

    /// Says who it is, by the node's own word.
    fn call(&mut self, called: Called) {
        self.correct(&called);
        self.called = called;
        self.readings.forget();
    }
}

#[cfg(test)]
mod tests;

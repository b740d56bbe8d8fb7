//! Figures of cgroups, and who they are of.

use cairn_proto::catalogue::Source;

use super::row::{Held, Statement};
use crate::sampler::roster::{PodName, Roster};
use crate::sources::cgroup::{Cgroups, Container, Pod, Stat};
use crate::sources::{Part, Reading};

/// One reading of cgroups, with the names of what is in it.
#[derive(Clone, Copy, Debug)]
pub struct Grouped<'a> {
    /// The reading.
    pub reading: &'a Reading<Cgroups>,
    /// The names.
    pub roster: &'a Roster,
}

impl<'a> Grouped<'a> {
    pub(super) fn dropped_count(self) -> u64 {
        self.reading.values.dropped_count
    }

    /// The machine; it began when the kubelet says.
    pub(super) fn node(self, start_ms: Option<u64>) -> Option<Member<'a>> {
        self.member(self.reading.values.node.as_ref()?, start_ms)
    }

    /// All pods together.
    pub(super) fn system(self, start_ms: Option<u64>) -> Option<Member<'a>> {
        self.member(self.reading.values.system.as_ref()?, start_ms)
    }

    fn member(self, stat: &'a Stat, start_ms: Option<u64>) -> Option<Member<'a>> {
        let taken_ms = self.reading.taken_ms;
        Some(Member {
            id: "",
            stat,
            start_ms,
            taken_ms,
        })
    }

    /// The pod with this UID.
    pub(super) fn pod(self, uid: &str) -> Option<OfPod<'a>> {
        let pod = self.reading.values.pod(uid)?;
        Some(OfPod { all: self, pod })
    }

    /// Pods that are there and have a name, in the order of their UIDs.
    pub(super) fn named_pods(self) -> impl Iterator<Item = (OfPod<'a>, &'a PodName)> {
        let pods = self.reading.values.pods.iter();
        pods.filter_map(move |pod| {
            let named = self.roster.pod(&pod.uid)?;
            Some((OfPod { all: self, pod }, named))
        })
    }

    /// True when the pod had a cgroup when it was listed at `since_ms` or later, and has none now.
    pub(super) fn pod_is_gone(self, uid: &str, since_ms: u64) -> bool {
        self.roster.pod_is_gone(uid, since_ms)
    }
}

/// One pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfPod<'a> {
    all: Grouped<'a>,
    pod: &'a Pod,
}

impl<'a> OfPod<'a> {
    pub(super) fn uid(self) -> &'a str {
        &self.pod.uid
    }

    pub(super) fn own(self) -> Option<Member<'a>> {
        let stat = &self.pod.own;
        let roster = self.all.roster;
        let start_ms = roster.pod_start_ms(&self.pod.uid, stat.start_ms);
        self.all.member(stat, start_ms)
    }

    /// Its containers by name at a tick, of two of one name the one that began later. Those that have
    /// no name but their runtime id are among them only when `nameless`.
    pub(super) fn containers(self, tick: u64, nameless: bool) -> Vec<(&'a str, Member<'a>)> {
        let roster = self.all.roster;
        let mut found: Vec<(&str, Member<'_>)> = Vec::new();
        for Container { id, stat } in &self.pod.containers {
            let named = roster.container(tick, id);
            let Some(name) = named.filter(|_| nameless || roster.is_named(id)) else {
                continue;
            };
            let Some(member) = self.all.member(stat, roster.start_ms(id)) else {
                continue;
            };
            let member = Member { id, ..member };
            match found.iter_mut().find(|(other, _)| *other == name) {
                Some((_, other)) if other.began_ms() <= member.began_ms() => *other = member,
                Some(_) => {}
                None => found.push((name, member)),
            }
        }
        found
    }

    /// True when the container of this name had a cgroup when it was listed at `since_ms` or later, and
    /// has none now.
    pub(super) fn container_is_gone(self, name: &str, since_ms: u64) -> bool {
        let roster = self.all.roster;
        roster.container_is_gone(&self.pod.uid, name, since_ms)
    }
}

/// One cgroup whose owner is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    // The runtime's id of a container, else empty.
    id: &'a str,
    stat: &'a Stat,
    start_ms: Option<u64>,
    taken_ms: u64,
}

impl<'a> Member<'a> {
    pub(super) fn statement(self) -> Statement<'a> {
        Statement {
            source: Source::Cgroup,
            start_ms: self.start_ms,
            taken_ms: self.taken_ms,
            figures: Held::Borrowed(&self.stat.figures),
        }
    }

    /// When it began, or its directory's time.
    fn began_ms(self) -> u64 {
        self.start_ms.unwrap_or(self.stat.start_ms)
    }

    /// By what it was called before it had a name.
    pub(super) fn id(self) -> &'a str {
        self.id
    }

    pub(super) fn devices(self) -> &'a [Part] {
        &self.stat.devices
    }
}

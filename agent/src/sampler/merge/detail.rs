//! Figures of cAdvisor for what a summary names.

use cairn_proto::catalogue::Source;

use super::row::{Held, Statement};
use crate::sources::cadvisor::{Cadvisor, Cgroup, Pod};
use crate::sources::{Part, Reading, summary};

/// One answer of cAdvisor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail<'a> {
    reading: &'a Reading<Cadvisor>,
}

impl<'a> Detail<'a> {
    pub(super) fn new(reading: &'a Reading<Cadvisor>) -> Self {
        Self { reading }
    }

    pub(super) fn dropped_count(self) -> u64 {
        self.reading.values.dropped_count
    }

    pub(super) fn node(self) -> Option<Named<'a>> {
        self.named(self.reading.values.node.as_ref())
    }

    /// What is said of a pod. One whose UID is not told is the newest of its name.
    pub(super) fn pod(self, pod: &summary::Pod, is_newest: bool) -> Option<OfPod<'a>> {
        let found = self
            .reading
            .values
            .pod(&pod.namespace, &pod.name, &pod.uid)?;
        let is_meant = found.uid.is_some() || is_newest;
        is_meant.then_some(OfPod {
            detail: self,
            pod: found,
        })
    }

    /// The same of a pod of this answer.
    pub(super) fn of(self, pod: &'a Pod) -> OfPod<'a> {
        OfPod { detail: self, pod }
    }

    pub(super) fn named(self, cgroup: Option<&'a Cgroup>) -> Option<Named<'a>> {
        let taken_ms = self.reading.taken_ms;
        cgroup.map(|cgroup| Named { cgroup, taken_ms })
    }
}

/// What is said of one pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfPod<'a> {
    detail: Detail<'a>,
    pod: &'a Pod,
}

impl<'a> OfPod<'a> {
    pub(super) fn own(self) -> Option<Named<'a>> {
        self.detail.named(self.pod.own.as_ref())
    }

    pub(super) fn container(self, name: &str) -> Option<Named<'a>> {
        let container = self.pod.containers.get(name);
        self.detail.named(container.map(Box::as_ref))
    }
}

/// A cgroup whose owner a summary names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named<'a> {
    cgroup: &'a Cgroup,
    taken_ms: u64,
}

impl<'a> Named<'a> {
    pub(super) fn statement(self) -> Statement<'a> {
        Statement {
            source: Source::Cadvisor,
            start_ms: self.cgroup.start_ms,
            taken_ms: self.taken_ms,
            figures: Held::Borrowed(&self.cgroup.figures),
        }
    }

    pub(super) fn parts(self) -> &'a [Part] {
        &self.cgroup.parts
    }
}

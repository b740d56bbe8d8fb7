//! A host without a kubelet: what cAdvisor tells of is what is there.
//!
//! Its pods become a list like a summary's, and so go by the same rules. What belongs to no pod is an
//! entity right below the node.

use cairn_proto::catalogue::Group;
use cairn_proto::model::{EntityId, EntityKind};

use super::detail::{Detail, OfPod};
use super::row::Row;
use super::{Chosen, Description, Inputs, Told, add_details, add_pod, crowd};
use crate::sources::cadvisor::{Cadvisor, Cgroup};
use crate::sources::summary::{Pod, Stats};
use crate::sources::{Figures, Reading};

/// What cAdvisor said last.
#[derive(Clone, Copy, Debug)]
pub struct Alone<'a> {
    /// Its newest good answer.
    pub reading: &'a Reading<Cadvisor>,
    /// Whether it is its newest word, so that what it does not list is gone.
    pub is_fresh: bool,
}

/// A pod of its list, and what it says of it.
#[derive(Debug)]
pub(super) struct Listed<'a> {
    pod: Pod,
    // `None` of one that nobody can tell from others of its name.
    of: Option<OfPod<'a>>,
}

impl Listed<'_> {
    pub(super) fn pod(&self) -> &Pod {
        &self.pod
    }
}

/// The pods that it lists. The figures have times and no values: these are a statement of their own.
pub(super) fn pods(alone: Alone<'_>) -> Vec<Listed<'_>> {
    let (detail, taken_ms) = (Detail::new(alone.reading), alone.reading.taken_ms);
    let stats = |name: &str, cgroup: Option<&Cgroup>| Stats {
        name: name.to_owned(),
        start_ms: cgroup.and_then(|cgroup| cgroup.start_ms),
        figures: cgroup.map_or_else(Figures::default, |of| times(of, taken_ms)),
        parts: Vec::new(),
    };
    let mut listed = Vec::new();
    for (namespace, named) in &alone.reading.values.pods {
        for (name, of) in named
            .iter()
            .flat_map(|(name, of)| of.iter().map(move |of| (name, of)))
        {
            let containers = of.containers.iter();
            let containers = containers.map(|(name, cgroup)| stats(name, Some(cgroup)));
            let mut containers: Vec<Stats> = containers.collect();
            containers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            // A runtime may tell of a pod nothing but its containers.
            let earliest = containers.iter().filter_map(|stats| stats.start_ms).min();
            let mut own = stats("", of.own.as_ref());
            own.start_ms = own.start_ms.or(earliest);
            listed.push(Listed {
                pod: Pod {
                    name: name.as_ref().to_owned(),
                    namespace: namespace.as_ref().to_owned(),
                    uid: of.uid.as_deref().unwrap_or_default().to_owned(),
                    stats: own,
                    containers,
                },
                of: of.uid.as_ref().map(|_| detail.of(of)),
            });
        }
    }
    listed.sort_unstable_by(|a, b| a.pod.uid.cmp(&b.pod.uid));
    listed
}

/// When a cgroup was measured: without a time, when it was read.
fn times(cgroup: &Cgroup, taken_ms: u64) -> Figures {
    let mut figures = Figures::default();
    for group in Group::ALL {
        if cgroup.figures.has(group) {
            let time_ms = cgroup.figures.time_ms(group);
            figures.measured(group, time_ms.unwrap_or(taken_ms));
        }
    }
    figures
}

/// Adds the pods of its list.
pub(super) fn add_pods(
    row: &mut Row<'_>,
    node: EntityId,
    inputs: &Inputs<'_>,
    (alone, listed): (Alone<'_>, &[Listed<'_>]),
) {
    let known = listed
        .iter()
        .filter_map(|listed| Some((&listed.pod, listed.of?)));
    let (taken, dropped) = crowd::first(known.collect(), |(pod, _)| pod);
    row.drop_more(dropped);
    let nobodys = listed.iter().filter(|listed| listed.of.is_none());
    nobodys.for_each(|listed| row.refuse(1 + listed.pod.containers.len()));
    let mut containers = Vec::new();
    for (pod, of) in taken {
        let cgroup = inputs.cgroups.and_then(|grouped| grouped.pod(&pod.uid));
        let taken_ms = alone.reading.taken_ms;
        let is_gone = |grouped: super::Grouped<'_>| grouped.pod_is_gone(&pod.uid, taken_ms);
        if cgroup.is_none() && inputs.cgroups.is_some_and(is_gone) {
            continue;
        }
        let told = Told {
            node,
            chosen: Chosen::CADVISOR,
            taken_ms,
            measured: None,
            detail: Some(of),
            cgroup,
            nameless: true,
        };
        add_pod(row, pod, told, &mut containers);
    }
}

/// Adds what belongs to no pod.
pub(super) fn add_free(row: &mut Row<'_>, node: EntityId, alone: Alone<'_>) {
    let (taken, dropped) = crowd::free(&alone.reading.values);
    row.drop_more(dropped);
    for (name, cgroup) in taken {
        let stats = Stats {
            figures: times(cgroup, alone.reading.taken_ms),
            ..Stats::default()
        };
        if !row.belongs(&stats) {
            continue;
        }
        let what = Description {
            kind: EntityKind::System,
            parent: Some(node),
            name,
            namespace: "",
            uid: "",
            labels: &[],
        };
        let named = Detail::new(alone.reading).named(Some(cgroup));
        let said = named.map(super::Named::statement);
        if let Some(id) = row.add(what, Chosen::CADVISOR, said) {
            add_details(row, id, named);
        }
    }
}

//! The newest readings of all sources become one row.
//!
//! Pure but for the [`Registry`], which gives out ids. What exists is what the newest good summary
//! lists. While the summary is silent its last answer goes on, value by value, until each is too
//! old to mean anything. Figures of the resource endpoint are put to the summary's entities by
//! namespace, pod and container name, with their own measurement times, and cAdvisor's by the pod's
//! UID; they keep nothing in the row that the summary does not name any more. Where there is no kubelet,
//! what cAdvisor lists is what exists, by the same rules. A measurement from the
//! future is not taken: after the clock is set right, every later one would seem to be late.

mod alone;

mod crowd;

mod detail;

mod grouped;

mod measured;

mod row;

mod twice;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cairn_proto::catalogue::{Group, Source};
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Snapshot};

pub use self::alone::Alone;
use self::alone::Listed;
use self::detail::{Detail, Named, OfPod};
pub use self::grouped::Grouped;
use self::grouped::Member;
use self::measured::{Measured, statement};
pub(super) use self::row::FUTURE_TOLERANCE_MS;
use self::row::{Held, Row, Statement};
use super::registry::{Description, Registry};
use crate::sources::Reading;
use crate::sources::cadvisor::Cadvisor;
use crate::sources::procfs::Host;
use crate::sources::resource::Resource;
use crate::sources::summary::{Pod, Stats, Summary};

/// What a row is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The tick, Unix ms.
    pub tick: u64,
    /// When the row is made, Unix ms on the run's line: nothing was measured later.
    pub made_ms: u64,
    /// The node's name.
    pub node: &'a str,
    /// The newest good summary.
    pub summary: Option<&'a Reading<Summary>>,
    /// Whether it is the newest word of the source, so that what it does not list is gone.
    pub summary_is_fresh: bool,
    /// The newest good resource answer.
    pub resource: Option<&'a Reading<Resource>>,
    /// The newest good answer of cAdvisor, beside a kubelet.
    pub cadvisor: Option<&'a Reading<Cadvisor>>,
    /// The same where there is no kubelet, and it lists what is there.
    pub alone: Option<Alone<'a>>,
    /// The newest reading of cgroups, while it is what says what pods use.
    pub cgroups: Option<Grouped<'a>>,
    /// The newest host figures.
    pub host: Option<&'a Reading<Host>>,
    /// Whether they are the newest word, so that a disk that they do not list is gone.
    pub host_is_fresh: bool,
    /// Which of the kubelet's endpoints is taken where both could.
    pub chosen: Chosen,
}

/// Who measures now what several sources could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// CPU time.
    pub cpu: Source,
    /// Memory and swap.
    pub memory: Source,
}

impl Chosen {
    /// The summary for everything: for what nobody else knows.
    pub const SUMMARY: Self = Self {
        cpu: Source::Summary,
        memory: Source::Summary,
    };

    /// cAdvisor for everything, where there is no kubelet.
    pub const CADVISOR: Self = Self {
        cpu: Source::Cadvisor,
        memory: Source::Cadvisor,
    };

    fn takes(self, group: Group, source: Source) -> bool {
        match group {
            Group::Cpu => source == self.cpu,
            Group::Memory => source == self.memory,
            _ => true,
        }
    }
}

/// A row, and what was noticed while it was made.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// The row.
    pub snapshot: Snapshot,
    /// The definitions of its entities, in its order.
    pub defs: Vec<Arc<EntityDef>>,
    /// Measurements with an earlier time than the one before of the same source.
    pub late_count: u64,
    /// Measurements that were not taken because their time is still to come.
    pub future_count: u64,
    /// Entities that got no id.
    pub refused_count: u64,
    /// Pods, containers, system containers and parts beyond what is taken of one answer.
    pub dropped_count: u64,
}

/// Makes the row of a tick.
#[must_use]
pub fn merge(inputs: &Inputs<'_>, registry: &mut Registry) -> Merged {
    let mut row = Row::new(inputs, registry);
    let what = Description {
        kind: EntityKind::Node,
        parent: None,
        name: inputs.node,
        namespace: "",
        uid: "",
        labels: &[],
    };
    let by_summary = inputs
        .summary
        .map(|reading| by_summary(&reading.values.node, reading.taken_ms));
    let by_resource = inputs
        .resource
        .map(|reading| statement(&reading.values.node, reading.taken_ms, None));
    let by_host = inputs.host.map(|reading| Statement {
        source: Source::Procfs,
        start_ms: None,
        taken_ms: reading.taken_ms,
        figures: Held::Borrowed(&reading.values.figures),
    });
    row.drop_more(inputs.resource.map_or(0, |r| r.values.dropped_count));
    row.drop_more(inputs.host.map_or(0, |r| r.values.dropped_count));
    let alone = inputs.alone.map(|alone| alone.reading);
    let detail = inputs.cadvisor.or(alone).map(Detail::new);
    row.drop_more(detail.map_or(0, Detail::dropped_count));
    let by_cadvisor = detail.and_then(Detail::node);
    let own = by_cadvisor.map(Named::statement);
    let start_ms = by_summary.as_ref().and_then(|said| said.start_ms);
    let by_cgroup = inputs.cgroups.and_then(|grouped| grouped.node(start_ms));
    row.drop_more(inputs.cgroups.map_or(0, Grouped::dropped_count));
    let said = [
        by_cgroup.map(Member::statement),
        by_summary.clone(),
        by_resource,
        own,
        by_host.clone(),
    ];
    let Some(id) = row.add(what, inputs.chosen, said.into_iter().flatten()) else {
        return row.finish();
    };
    add_details(&mut row, id, by_cadvisor);
    if let (Some(host), Some(said)) = (inputs.host, by_host) {
        row.add_parts(id, &host.values.parts, &said);
        let listed = inputs.summary.map(|summary| &summary.values.node.parts[..]);
        row.add_file_systems(
            id,
            &host.values.file_systems,
            listed.unwrap_or_default(),
            &said,
        );
    }
    if let (Some(summary), Some(said)) = (inputs.summary, by_summary) {
        row.drop_more(summary.values.dropped_count);
        row.add_parts(id, &summary.values.node.parts, &said);
        add_system(&mut row, id, inputs, summary);
        add_pods(&mut row, id, inputs, summary);
    }
    let listed = inputs.alone.map(alone::pods).unwrap_or_default();
    if let Some(alone) = inputs.alone {
        alone::add_pods(&mut row, id, inputs, (alone, &listed));
        alone::add_free(&mut row, id, alone);
    }
    add_unlisted_pods(&mut row, id, inputs, &listed);
    row.finish()
}

/// What the kubelet calls the cgroup of all pods.
const SYSTEM_PODS: &str = "pods";

fn add_system(row: &mut Row<'_>, node: EntityId, inputs: &Inputs<'_>, summary: &Reading<Summary>) {
    let mut system = Vec::new();
    row.drop_more(crowd::containers(&summary.values.system, &mut system));
    for stats in system {
        let of_pods = inputs.cgroups.filter(|_| stats.name == SYSTEM_PODS);
        let by_cgroup = of_pods.and_then(|grouped| grouped.system(stats.start_ms));
        if by_cgroup.is_none() && !row.belongs(stats) {
            continue;
        }
        let what = Description {
            kind: EntityKind::System,
            parent: Some(node),
            name: &stats.name,
            namespace: "",
            uid: "",
            labels: &[],
        };
        let said = by_summary(stats, summary.taken_ms);
        let all = [by_cgroup.map(Member::statement), Some(said.clone())];
        if let Some(id) = row.add(what, Chosen::SUMMARY, all.into_iter().flatten()) {
            row.add_parts(id, &stats.parts, &said);
        }
    }
}

fn add_pods(row: &mut Row<'_>, node: EntityId, inputs: &Inputs<'_>, summary: &Reading<Summary>) {
    let pods = &summary.values.pods;
    // Of two pods of one name (an old one still going) the later start is the one that the resource
    // endpoint, which knows no UID, means.
    let mut newest: HashMap<(&str, &str), &Pod> = HashMap::new();
    let told_by_name = inputs.resource.is_some() || inputs.cadvisor.is_some();
    for pod in pods.iter().filter(|_| told_by_name) {
        let entry = newest.entry((&pod.namespace, &pod.name)).or_insert(pod);
        if entry.stats.start_ms <= pod.stats.start_ms {
            *entry = pod;
        }
    }
    let (taken, dropped) = crowd::pods(pods);
    row.drop_more(dropped);
    let mut containers = Vec::new();
    for pod in taken {
        let cgroup = inputs.cgroups.and_then(|grouped| grouped.pod(&pod.uid));
        let is_gone = |grouped: Grouped<'_>| grouped.pod_is_gone(&pod.uid, summary.taken_ms);
        if cgroup.is_none() && inputs.cgroups.is_some_and(is_gone) {
            continue;
        }
        let named = newest.get(&(pod.namespace.as_str(), pod.name.as_str()));
        let is_newest = named.is_some_and(|newest| std::ptr::eq(*newest, pod));
        let measured = inputs.resource.filter(|_| is_newest);
        let measured = measured.and_then(|reading| Measured::new(reading, pod, summary.taken_ms));
        let told = Told {
            node,
            chosen: inputs.chosen,
            taken_ms: summary.taken_ms,
            measured,
            detail: inputs
                .cadvisor
                .and_then(|reading| Detail::new(reading).pod(pod, is_newest)),
            cgroup,
            nameless: !inputs.summary_is_fresh,
        };
        add_pod(row, pod, told, &mut containers);
    }
}

/// Adds pods whose cgroups are there and that the last summary does not list: the kubelet has not
/// answered for a while, or answers something else.
fn add_unlisted_pods(
    row: &mut Row<'_>,
    node: EntityId,
    inputs: &Inputs<'_>,
    by_cadvisor: &[Listed<'_>],
) {
    let Some(grouped) = inputs.cgroups else {
        return;
    };
    let listed = inputs
        .summary
        .map_or(&[][..], |reading| &reading.values.pods);
    let by_cadvisor = by_cadvisor.iter().map(Listed::pod);
    let listed = listed.iter().chain(by_cadvisor);
    let listed: HashSet<&str> = listed.map(|pod| pod.uid.as_str()).collect();
    for (cgroup, named) in grouped.named_pods() {
        if listed.contains(cgroup.uid()) {
            continue;
        }
        let pod = Pod {
            name: named.name.as_ref().to_owned(),
            namespace: named.namespace.as_ref().to_owned(),
            uid: cgroup.uid().to_owned(),
            stats: Stats {
                start_ms: named.start_ms,
                ..Stats::default()
            },
            containers: Vec::new(),
        };
        let told = Told {
            node,
            chosen: inputs.chosen,
            taken_ms: grouped.reading.taken_ms,
            measured: None,
            detail: None,
            cgroup: Some(cgroup),
            nameless: !inputs.summary_is_fresh,
        };
        add_pod(row, &pod, told, &mut Vec::new());
    }
}

/// What is known of a pod beside what the summary says of it.
#[derive(Clone, Copy, Debug)]
struct Told<'a> {
    node: EntityId,
    chosen: Chosen,
    // When the summary was read.
    taken_ms: u64,
    measured: Option<Measured<'a>>,
    detail: Option<OfPod<'a>>,
    cgroup: Option<grouped::OfPod<'a>>,
    // Whether cgroups without a name are containers: a kubelet that answers lists all that there are, and
    // what it does not list is a sandbox.
    nameless: bool,
}

/// The list of containers is anything before and after: the next pod takes its room.
fn add_pod<'a>(row: &mut Row<'_>, pod: &'a Pod, told: Told<'_>, containers: &mut Vec<&'a Stats>) {
    let dropped = crowd::containers(&pod.containers, containers);
    let mut grouped = told
        .cgroup
        .map_or_else(Vec::new, |of| of.containers(row.tick, false));
    let has_cgroup = |stats: &Stats| grouped.iter().any(|(name, _)| *name == stats.name);
    let is_gone = |stats: &Stats| {
        let is_gone = |of: grouped::OfPod<'_>| of.container_is_gone(&stats.name, told.taken_ms);
        told.cgroup.is_some_and(is_gone)
    };
    let belongs = |stats: &Stats| has_cgroup(stats) || (row.belongs(stats) && !is_gone(stats));
    containers.retain(|stats| belongs(stats));
    // A cgroup without a name may be that of a container which the summary names.
    if told.nameless && containers.iter().all(|stats| has_cgroup(stats)) {
        grouped = told
            .cgroup
            .map_or_else(Vec::new, |of| of.containers(row.tick, true));
    }
    if containers.is_empty() && told.cgroup.is_none() && !row.belongs(&pod.stats) {
        return;
    }
    row.drop_more(dropped);
    let what = Description {
        kind: EntityKind::Pod,
        parent: Some(told.node),
        name: &pod.name,
        namespace: &pod.namespace,
        uid: &pod.uid,
        labels: &[],
    };
    let own = by_summary(&pod.stats, told.taken_ms);
    let measured = told.measured.map(|measured| measured.own());
    let detail = told.detail.and_then(OfPod::own);
    let cgroup = told.cgroup.and_then(grouped::OfPod::own);
    let said = [
        cgroup.map(Member::statement),
        Some(own.clone()),
        measured,
        detail.map(Named::statement),
    ];
    let said = said.into_iter().flatten();
    let Some(id) = row.add(what, told.chosen, said) else {
        row.refuse(containers.len());
        return;
    };
    row.add_parts(id, &pod.stats.parts, &own);
    add_details(row, id, detail);
    add_devices(row, id, cgroup);
    for (name, member) in &grouped {
        row.name_container(id, member.id(), name);
    }
    add_containers(row, id, containers, &grouped, told);
}

fn add_containers(
    row: &mut Row<'_>,
    pod: EntityId,
    listed: &[&Stats],
    grouped: &[(&str, Member<'_>)],
    told: Told<'_>,
) {
    for stats in listed {
        let what = Description {
            kind: EntityKind::Container,
            parent: Some(pod),
            name: &stats.name,
            namespace: "",
            uid: "",
            labels: &[],
        };
        let own = by_summary(stats, told.taken_ms);
        let measured = told
            .measured
            .and_then(|measured| measured.container(&stats.name));
        let detail = told.detail.and_then(|detail| detail.container(&stats.name));
        let mut named = grouped.iter().filter(|(name, _)| *name == stats.name);
        let cgroup = named.next().map(|(_, member)| *member);
        let said = [
            cgroup.map(Member::statement),
            Some(own.clone()),
            measured,
            detail.map(Named::statement),
        ];
        let said = said.into_iter().flatten();
        if let Some(id) = row.add(what, told.chosen, said) {
            row.add_parts(id, &stats.parts, &own);
            add_details(row, id, detail);
            add_devices(row, id, cgroup);
        }
    }
    for (name, member) in grouped {
        if listed.iter().any(|stats| stats.name == *name) {
            continue;
        }
        let what = Description {
            kind: EntityKind::Container,
            parent: Some(pod),
            name,
            namespace: "",
            uid: "",
            labels: &[],
        };
        if let Some(id) = row.add(what, told.chosen, [member.statement()]) {
            add_devices(row, id, Some(*member));
        }
    }
}

/// Adds the block devices that a cgroup tells of.
fn add_devices(row: &mut Row<'_>, id: EntityId, of: Option<Member<'_>>) {
    if let Some(of) = of {
        row.add_parts(id, of.devices(), &of.statement());
    }
}

/// Adds the devices and interfaces that cAdvisor tells of.
fn add_details(row: &mut Row<'_>, id: EntityId, of: Option<Named<'_>>) {
    if let Some(of) = of {
        row.add_parts(id, of.parts(), &of.statement());
    }
}

/// What the summary says of an entity.
fn by_summary(stats: &Stats, taken_ms: u64) -> Statement<'_> {
    Statement {
        source: Source::Summary,
        start_ms: stats.start_ms,
        taken_ms,
        figures: Held::Borrowed(&stats.figures),
    }
}

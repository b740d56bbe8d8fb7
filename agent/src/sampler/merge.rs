//! The newest readings of all sources become one row.
//!
//! Pure but for the [`Registry`], which gives out ids. What exists is what the newest good summary
//! lists. While the summary is silent its last answer goes on, value by value, until each is too
//! old to mean anything. Figures of the resource endpoint are put to the summary's entities by
//! namespace, pod and container name, with their own measurement times, and cAdvisor's by the pod's
//! UID; they keep nothing in the row that the summary does not name any more. A measurement from the
//! future is not taken: after the clock is set right, every later one would seem to be late.

mod crowd;

mod detail;

mod measured;

mod row;

mod twice;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use cairn_proto::catalogue::{Group, Source};
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Snapshot};

use self::detail::{Detail, Named, OfPod};
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
    /// Whether it came at this tick, so that what it does not list is gone.
    pub summary_is_fresh: bool,
    /// The newest good resource answer.
    pub resource: Option<&'a Reading<Resource>>,
    /// The newest good answer of cAdvisor.
    pub cadvisor: Option<&'a Reading<Cadvisor>>,
    /// The newest host figures.
    pub host: Option<&'a Reading<Host>>,
    /// Whether they came at this tick, so that a disk that they do not list is gone.
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
    let detail = inputs.cadvisor.map(Detail::new);
    row.drop_more(detail.map_or(0, Detail::dropped_count));
    let by_cadvisor = detail.and_then(Detail::node);
    let own = by_cadvisor.map(Named::statement);
    let said = [by_summary.clone(), by_resource, own, by_host.clone()];
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
        add_system(&mut row, id, summary);
        add_pods(&mut row, id, inputs, summary);
    }
    row.finish()
}

fn add_system(row: &mut Row<'_>, node: EntityId, summary: &Reading<Summary>) {
    let mut system = Vec::new();
    row.drop_more(crowd::containers(&summary.values.system, &mut system));
    for stats in system {
        if !row.belongs(stats) {
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
        if let Some(id) = row.add(what, Chosen::SUMMARY, [said.clone()]) {
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
        let named = newest.get(&(pod.namespace.as_str(), pod.name.as_str()));
        let is_newest = named.is_some_and(|newest| std::ptr::eq(*newest, pod));
        let measured = inputs.resource.filter(|_| is_newest).and_then(|reading| {
            let measured = reading.values.pod(&pod.namespace, &pod.name)?;
            Measured::new(measured, reading.taken_ms, summary.taken_ms)
        });
        let told = Told {
            node,
            chosen: inputs.chosen,
            taken_ms: summary.taken_ms,
            measured,
            detail: inputs
                .cadvisor
                .and_then(|reading| Detail::new(reading).pod(pod, is_newest)),
        };
        add_pod(row, pod, told, &mut containers);
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
}

/// The list of containers is anything before and after: the next pod takes its room.
fn add_pod<'a>(row: &mut Row<'_>, pod: &'a Pod, told: Told<'_>, containers: &mut Vec<&'a Stats>) {
    let dropped = crowd::containers(&pod.containers, containers);
    containers.retain(|stats| row.belongs(stats));
    if containers.is_empty() && !row.belongs(&pod.stats) {
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
    let said = [Some(own.clone()), measured, detail.map(Named::statement)];
    let said = said.into_iter().flatten();
    let Some(id) = row.add(what, told.chosen, said) else {
        row.refuse(containers.len());
        return;
    };
    row.add_parts(id, &pod.stats.parts, &own);
    add_details(row, id, detail);
    for stats in containers.iter().copied() {
        let what = Description {
            kind: EntityKind::Container,
            parent: Some(id),
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
        let said = [Some(own.clone()), measured, detail.map(Named::statement)];
        let said = said.into_iter().flatten();
        if let Some(id) = row.add(what, told.chosen, said) {
            row.add_parts(id, &stats.parts, &own);
            add_details(row, id, detail);
        }
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

//! The newest readings of all sources become one row.
//!
//! Pure but for the [`Registry`], which gives out ids. What exists is what the newest good summary
//! lists. While the summary is silent its last answer goes on, value by value, until each is too
//! old to mean anything. Figures of the resource endpoint are put to the summary's entities by
//! namespace, pod and container name, with their own measurement times; they keep nothing in the
//! row that the summary does not name any more. A measurement from the future is not taken: after
//! the clock is set right, every later one would seem to be late.

mod crowd;

mod measured;

mod row;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use cairn_proto::catalogue::Source;
use cairn_proto::model::{EntityDef, EntityId, EntityKind, Snapshot, Stamp};

use self::measured::{Measured, counter};
use self::row::{Figures, Row};
use super::registry::{Description, Key, Registry};
use crate::sources::Reading;
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
    /// The newest host figures.
    pub host: Option<&'a Reading<Host>>,
    /// Who measures CPU time now, where both kubelet endpoints could.
    pub cpu: Source,
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
    /// Pods, containers and system containers beyond what is taken of one summary.
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
    };
    let mut node = inputs.summary.map_or_else(Figures::default, |reading| {
        figures(&reading.values.node, inputs.cpu)
    });
    if let (Source::Resource, Some(reading)) = (inputs.cpu, inputs.resource) {
        node.cpu = reading
            .values
            .node
            .map(|cpu| counter(cpu, reading.taken_ms, None));
    }
    node.host = inputs.host.map(|reading| *reading.values);
    if let (Some(id), Some(summary)) = (row.add(Key::Node, what, &node), inputs.summary) {
        row.drop_more(summary.values.dropped_count);
        add_system(&mut row, id, &summary.values.system);
        add_pods(&mut row, id, inputs, summary);
    }
    row.finish()
}

fn add_system(row: &mut Row<'_>, node: EntityId, system: &[Stats]) {
    let (system, dropped) = crowd::containers(system);
    row.drop_more(dropped);
    for stats in system {
        if !row.belongs(stats) {
            continue;
        }
        let (kind, parent) = (EntityKind::System, Some(node));
        let what = Description {
            kind,
            parent,
            name: &stats.name,
            namespace: "",
            uid: "",
        };
        let figures = figures(stats, Source::Summary);
        row.add(Key::System(stats.name.clone()), what, &figures);
    }
}

fn add_pods(row: &mut Row<'_>, node: EntityId, inputs: &Inputs<'_>, summary: &Reading<Summary>) {
    let pods = &summary.values.pods;
    // Of two pods of one name (an old one still going) the later start is the one that the resource
    // endpoint, which knows no UID, means.
    let mut newest: HashMap<(&str, &str), &Pod> = HashMap::new();
    for pod in pods {
        let entry = newest.entry((&pod.namespace, &pod.name)).or_insert(pod);
        if entry.stats.start_ms <= pod.stats.start_ms {
            *entry = pod;
        }
    }
    let (taken, dropped) = crowd::pods(pods);
    row.drop_more(dropped);
    for pod in taken {
        let named = newest.get(&(pod.namespace.as_str(), pod.name.as_str()));
        let is_newest = named.is_some_and(|newest| std::ptr::eq(*newest, pod));
        let measured = inputs.resource.filter(|_| is_newest).and_then(|reading| {
            let measured = reading.values.pod(&pod.namespace, &pod.name)?;
            Measured::new(measured, reading.taken_ms, summary.taken_ms)
        });
        add_pod(row, node, inputs.cpu, pod, measured);
    }
}

fn add_pod(
    row: &mut Row<'_>,
    node: EntityId,
    source: Source,
    pod: &Pod,
    measured: Option<Measured<'_>>,
) {
    let (listed, dropped) = crowd::containers(&pod.containers);
    let containers: Vec<&Stats> = listed
        .into_iter()
        .filter(|stats| row.belongs(stats))
        .collect();
    if containers.is_empty() && !row.belongs(&pod.stats) {
        return;
    }
    row.drop_more(dropped);
    let mut own = figures(&pod.stats, source);
    if source == Source::Resource {
        own.cpu = measured.and_then(|measured| measured.own());
    }
    let what = Description {
        kind: EntityKind::Pod,
        parent: Some(node),
        name: &pod.name,
        namespace: &pod.namespace,
        uid: &pod.uid,
    };
    let Some(id) = row.add(Key::Pod(pod.uid.clone()), what, &own) else {
        row.refuse(containers.len());
        return;
    };
    for stats in containers {
        let mut figures = figures(stats, source);
        if source == Source::Resource {
            figures.cpu = measured.and_then(|measured| measured.container(&stats.name));
        }
        let (kind, parent) = (EntityKind::Container, Some(id));
        let what = Description {
            kind,
            parent,
            name: &stats.name,
            namespace: "",
            uid: "",
        };
        row.add(
            Key::Container(pod.uid.clone(), stats.name.clone()),
            what,
            &figures,
        );
    }
}

/// What the summary says of an entity; its CPU time only when that is what is taken.
fn figures(stats: &Stats, cpu_source: Source) -> Figures {
    let stamp = |time_ms| Stamp {
        time_ms,
        start_ms: stats.start_ms,
        source: Source::Summary,
    };
    Figures {
        cpu: stats
            .cpu
            .filter(|_| cpu_source == Source::Summary)
            .map(|cpu| (cpu.usage_core_nanos, stamp(cpu.time_ms))),
        memory: stats.memory.map(|memory| (memory, stamp(memory.time_ms))),
        network: stats
            .network
            .map(|network| (network, stamp(network.time_ms))),
        host: None,
    }
}

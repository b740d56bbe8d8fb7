//! The recording as an agent without cgroups samples it.
//!
//! Shares no code with the agent: what it should have sampled is what this reads.

mod resource;
mod summary;

use std::collections::HashMap;

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::model::{Builder, EntityDef, EntityId, EntityKind, Snapshot, Stamp};

use super::Error;
use super::dictionary::{Dictionary, What};
use crate::trace::Replay;

use resource::{Counter, Resource};
use summary::{Pod, Stats, Summary};

/// One replayed node.
#[derive(Debug)]
pub(super) struct Recorded {
    replay: Replay,
    /// Gives the pods names and UIDs of their own, when another node shows the same recording.
    copy: Option<usize>,
    dictionary: Dictionary,
}

impl Recorded {
    pub(super) fn new(replay: Replay, copy: Option<usize>) -> Self {
        Self {
            replay,
            copy,
            dictionary: Dictionary::default(),
        }
    }

    pub(super) fn dictionary(&self) -> &Dictionary {
        &self.dictionary
    }

    /// Makes the row of a tick of both answers at a moment.
    pub(super) fn row(
        &mut self,
        tick_ms: u64,
        read_ms: u64,
    ) -> Result<(Snapshot, Vec<EntityDef>), Error> {
        let frame = self.replay.at(read_ms);
        let summary = Summary::read(&frame.summary, tick_ms)?;
        let resource = Resource::read(&frame.resource, tick_ms)?;
        let mut builder = Builder::default();
        let id = self.dictionary.node(tick_ms, &summary.node.node_name);
        put(&mut builder, id, &summary.node.stats, resource.node);
        for system in &summary.node.system_containers {
            let (kind, name) = (EntityKind::System, system.name.as_str());
            let part = self.dictionary.part(tick_ms, kind, id, name);
            // The resource endpoint knows no system containers.
            let cpu = system.stats.cpu.map(|(nanos, time_ms)| Counter {
                nanos,
                time_ms,
                start_ms: system.stats.start_ms,
                source: Source::Summary,
            });
            put(&mut builder, part, &system.stats, cpu);
        }
        let newest = newest_of_name(&summary.pods);
        for (at, pod) in summary.pods.iter().enumerate() {
            let key = (pod.namespace.clone(), pod.name.clone());
            // The resource endpoint has no UIDs: of two pods of one name it means the newer one.
            let counted = newest.get(&key) == Some(&at);
            self.pod(
                &mut builder,
                (id, tick_ms),
                pod,
                counted.then_some(&resource),
            );
        }
        Ok((builder.build(), self.dictionary.take_fresh(tick_ms)))
    }

    fn pod(
        &mut self,
        builder: &mut Builder,
        (node, tick_ms): (EntityId, u64),
        pod: &Pod,
        resource: Option<&Resource>,
    ) {
        let (mut name, mut uid) = (pod.name.clone(), pod.uid.clone());
        if let Some(copy) = self.copy {
            name = format!("{name}-n{copy}");
            uid = format!("{}{copy:012x}", uid.get(..24).unwrap_or_default());
        }
        let (kind, namespace) = (EntityKind::Pod, pod.namespace.as_str());
        let what = What {
            kind,
            parent: Some(node),
            name: &name,
            namespace,
            uid: &uid,
        };
        let id = self.dictionary.id(tick_ms, what);
        let counter = |container: &str| resource?.counter(&pod.namespace, &pod.name, container);
        put(builder, id, &pod.stats, counter(""));
        for container in &pod.containers {
            let (kind, name) = (EntityKind::Container, container.name.as_str());
            let part = self.dictionary.part(tick_ms, kind, id, name);
            put(builder, part, &container.stats, counter(name));
        }
    }
}

/// Which of the pods of one name began last.
fn newest_of_name(pods: &[Pod]) -> HashMap<(String, String), usize> {
    let mut newest: HashMap<(String, String), usize> = HashMap::new();
    for (at, pod) in pods.iter().enumerate() {
        let slot = newest
            .entry((pod.namespace.clone(), pod.name.clone()))
            .or_insert(at);
        if pods
            .get(*slot)
            .is_some_and(|other| other.stats.start_ms <= pod.stats.start_ms)
        {
            *slot = at;
        }
    }
    newest
}

/// Puts in what is known of an entity; each group with the stamp of whoever measured it.
fn put(builder: &mut Builder, id: EntityId, stats: &Stats, cpu: Option<Counter>) {
    builder.entity(id);
    if let Some(cpu) = cpu {
        let Counter {
            time_ms,
            start_ms,
            source,
            nanos,
        } = cpu;
        builder.stamp(
            id,
            Group::Cpu,
            Stamp {
                time_ms,
                start_ms,
                source,
            },
        );
        builder.value(id, table::CPU, nanos);
    }
    let (start_ms, source) = (stats.start_ms, Source::Summary);
    if let Some((values, time_ms)) = stats.memory {
        builder.stamp(
            id,
            Group::Memory,
            Stamp {
                time_ms,
                start_ms,
                source,
            },
        );
        let fields = [
            table::MEMORY_USAGE,
            table::MEMORY_WORKING_SET,
            table::MEMORY_RSS,
        ];
        for (field, value) in fields.into_iter().zip(values) {
            if let Some(value) = value {
                builder.value(id, field, value);
            }
        }
    }
    if let Some((values, time_ms)) = stats.network {
        builder.stamp(
            id,
            Group::Network,
            Stamp {
                time_ms,
                start_ms,
                source,
            },
        );
        let fields = [
            table::NETWORK_RX,
            table::NETWORK_TX,
            table::NETWORK_RX_ERRORS,
            table::NETWORK_TX_ERRORS,
        ];
        for (field, value) in fields.into_iter().zip(values) {
            if let Some(value) = value {
                builder.value(id, field, value);
            }
        }
    }
}

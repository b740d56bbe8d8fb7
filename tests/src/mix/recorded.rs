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
use summary::Entity;

/// One replayed node.
#[derive(Debug)]
pub(super) struct Recorded {
    replay: Replay,
    /// Gives the pods names and UIDs of their own, when another node shows the same recording.
    copy: Option<usize>,
    dictionary: Dictionary,
}

/// Where an entity belongs, and who counts its CPU time.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    tick_ms: u64,
    parent: Option<EntityId>,
    /// Start of what a part belongs to: parts tell none of their own.
    start_ms: Option<u64>,
    resource: &'a Resource,
    /// Namespace and name of the pod that the entity is in, when the resource endpoint means it.
    pod: Option<(&'a str, &'a str)>,
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
        let node = summary::read(&frame.summary, tick_ms)?;
        let resource = Resource::read(&frame.resource, tick_ms)?;
        let mut builder = Builder::default();
        let place = Place {
            tick_ms,
            parent: None,
            start_ms: None,
            resource: &resource,
            pod: None,
        };
        self.add(&mut builder, place, &node);
        Ok((builder.build(), self.dictionary.take_fresh(tick_ms)))
    }

    /// Puts in an entity with everything below it.
    fn add(&mut self, builder: &mut Builder, place: Place<'_>, entity: &Entity) {
        let (mut name, mut uid) = (entity.name.clone(), entity.uid.clone());
        if let (EntityKind::Pod, Some(copy)) = (entity.kind, self.copy) {
            name = format!("{name}-n{copy}");
            uid = format!("{}{copy:012x}", uid.get(..24).unwrap_or_default());
        }
        let what = What {
            kind: entity.kind,
            parent: place.parent,
            name: &name,
            namespace: &entity.namespace,
            uid: &uid,
            labels: &entity.labels,
        };
        let id = self.dictionary.id(place.tick_ms, what);
        let start_ms = entity.start_ms.or(place.start_ms);
        put(builder, id, start_ms, entity);
        if let Some(cpu) = place.counter(entity) {
            put_cpu(builder, id, cpu);
        }
        let newest = newest_of_name(&entity.parts);
        for (at, part) in entity.parts.iter().enumerate() {
            let names = (part.namespace.as_str(), part.name.as_str());
            // The resource endpoint has no UIDs: of two pods of one name it means the newer one.
            let pod = match part.kind {
                EntityKind::Pod => (newest.get(&names) == Some(&at)).then_some(names),
                _ => place.pod,
            };
            let place = Place {
                parent: Some(id),
                start_ms,
                pod,
                ..place
            };
            self.add(builder, place, part);
        }
    }
}

impl Place<'_> {
    /// What the resource endpoint says of an entity here.
    fn counter(&self, entity: &Entity) -> Option<Counter> {
        let (namespace, pod) = self.pod.unwrap_or_default();
        match (entity.kind, self.pod) {
            (EntityKind::Node, _) => self.resource.node,
            (EntityKind::Pod, Some(_)) => self.resource.counter(namespace, pod, ""),
            (EntityKind::Container, Some(_)) => self.resource.counter(namespace, pod, &entity.name),
            _ => None,
        }
    }
}

/// Which of the pods of one name began last.
fn newest_of_name(parts: &[Entity]) -> HashMap<(&str, &str), usize> {
    let mut newest: HashMap<(&str, &str), usize> = HashMap::new();
    let pods = parts.iter().enumerate();
    for (at, pod) in pods.filter(|(_, part)| part.kind == EntityKind::Pod) {
        let slot = newest.entry((&pod.namespace, &pod.name)).or_insert(at);
        if parts
            .get(*slot)
            .is_some_and(|other| other.start_ms <= pod.start_ms)
        {
            *slot = at;
        }
    }
    newest
}

/// Puts in what the summary says of an entity; each group with a stamp of its own.
fn put(builder: &mut Builder, id: EntityId, start_ms: Option<u64>, entity: &Entity) {
    builder.entity(id);
    for measured in &entity.measured {
        let stamp = Stamp {
            time_ms: measured.time_ms,
            start_ms,
            source: Source::Summary,
        };
        builder.stamp(id, measured.group, stamp);
        for (field, value) in &measured.values {
            builder.value(id, *field, *value);
        }
    }
}

fn put_cpu(builder: &mut Builder, id: EntityId, cpu: Counter) {
    let stamp = Stamp {
        time_ms: cpu.time_ms,
        start_ms: cpu.start_ms,
        source: Source::Resource,
    };
    builder.stamp(id, Group::Cpu, stamp);
    builder.value(id, table::CPU, cpu.nanos);
}

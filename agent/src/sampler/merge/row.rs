//! A row in the making.

use std::collections::BTreeMap;
use std::sync::Arc;

use cairn_proto::catalogue::{FieldId, Group, Source, table};
use cairn_proto::model::{Builder, EntityDef, EntityId, Stamp};

use super::{Inputs, Merged};
use crate::sampler::registry::{Description, Entry, Key, Registry};
use crate::sources::procfs::Host;
use crate::sources::summary::{Memory, Network, Stats};

/// How far a measurement may lie ahead of the row, ms: the kubelet's times are rounded to the second.
const FUTURE_TOLERANCE_MS: u64 = 1_000;

/// All that is known of one entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) cpu: Option<(u64, Stamp)>,
    pub(super) memory: Option<(Memory, Stamp)>,
    pub(super) network: Option<(Network, Stamp)>,
    pub(super) host: Option<Host>,
}

impl Figures {
    fn stamps(&self) -> [(Group, Option<Stamp>); 3] {
        [
            (Group::Cpu, self.cpu.map(|(_, stamp)| stamp)),
            (Group::Memory, self.memory.map(|(_, stamp)| stamp)),
            (Group::Network, self.network.map(|(_, stamp)| stamp)),
        ]
    }
}

/// Collects the entities of one row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    tick: u64,
    made_ms: u64,
    is_fresh: bool,
    registry: &'a mut Registry,
    builder: Builder,
    defs: BTreeMap<EntityId, Arc<EntityDef>>,
    late_count: u64,
    future_count: u64,
    refused_count: u64,
    dropped_count: u64,
}

impl<'a> Row<'a> {
    pub(super) fn new(inputs: &Inputs<'_>, registry: &'a mut Registry) -> Self {
        let (builder, defs) = (Builder::default(), BTreeMap::new());
        Self {
            tick: inputs.tick,
            made_ms: inputs.made_ms,
            is_fresh: inputs.summary_is_fresh,
            registry,
            builder,
            defs,
            late_count: 0,
            future_count: 0,
            refused_count: 0,
            dropped_count: 0,
        }
    }

    /// True when an entity that a summary lists belongs into the row: the summary is of this tick,
    /// or something that it says of the entity still means something. What the resource endpoint
    /// says does not count: it knows names only, and goes on for the next pod of the same name.
    pub(super) fn belongs(&self, stats: &Stats) -> bool {
        self.is_fresh
            || [
                (Group::Cpu, stats.cpu.map(|cpu| cpu.time_ms)),
                (Group::Memory, stats.memory.map(|memory| memory.time_ms)),
                (Group::Network, stats.network.map(|network| network.time_ms)),
            ]
            .into_iter()
            .any(|(group, time_ms)| time_ms.is_some_and(|time_ms| self.is_young(group, time_ms)))
    }

    /// True when a measurement still means something.
    fn is_young(&self, group: Group, time_ms: u64) -> bool {
        !self.is_future(time_ms) && self.tick.saturating_sub(time_ms) <= group.max_age_ms()
    }

    fn is_future(&self, time_ms: u64) -> bool {
        time_ms > self.made_ms.saturating_add(FUTURE_TOLERANCE_MS)
    }

    /// Takes a measurement unless its time is still to come.
    fn measured<T>(&mut self, figure: Option<(T, Stamp)>) -> Option<(T, Stamp)> {
        let (_, stamp) = figure.as_ref()?;
        if self.is_future(stamp.time_ms) {
            self.future_count += 1;
            return None;
        }
        figure
    }

    /// Counts entities that are listed beyond what is taken.
    pub(super) fn drop_more(&mut self, count: u64) {
        self.dropped_count += count;
    }

    /// Counts entities that cannot be there because what they belong to is refused.
    pub(super) fn refuse(&mut self, count: usize) {
        self.refused_count += count as u64;
    }

    /// Adds an entity with its figures; `None` when it is refused.
    pub(super) fn add(
        &mut self,
        key: Key,
        what: Description<'_>,
        figures: &Figures,
    ) -> Option<EntityId> {
        let figures = &Figures {
            cpu: self.measured(figures.cpu),
            memory: self.measured(figures.memory),
            network: self.measured(figures.network),
            host: figures.host,
        };
        let Some(entry) = self.registry.see(key, self.tick, what) else {
            self.refused_count += 1;
            return None;
        };
        self.late_count += figures
            .stamps()
            .into_iter()
            .filter(|(group, stamp)| is_late(entry, *group, *stamp))
            .count() as u64;
        let id = entry.def().id;
        self.defs.insert(id, Arc::clone(entry.def()));
        self.builder.entity(id);
        if let Some((nanos, stamp)) = figures.cpu {
            self.group(id, Group::Cpu, stamp, [(table::CPU, Some(nanos))]);
        }
        if let Some((memory, stamp)) = figures.memory {
            let values = [
                (table::MEMORY_USAGE, memory.usage_bytes),
                (table::MEMORY_WORKING_SET, memory.working_set_bytes),
                (table::MEMORY_RSS, memory.rss_bytes),
            ];
            self.group(id, Group::Memory, stamp, values);
        }
        if let Some((network, stamp)) = figures.network {
            let values = [
                (table::NETWORK_RX, network.rx_bytes),
                (table::NETWORK_TX, network.tx_bytes),
                (table::NETWORK_RX_ERRORS, network.rx_errors),
                (table::NETWORK_TX_ERRORS, network.tx_errors),
            ];
            self.group(id, Group::Network, stamp, values);
        }
        if let Some(host) = figures.host {
            self.host(id, &host);
        }
        Some(id)
    }

    fn host(&mut self, id: EntityId, host: &Host) {
        let stamp = Stamp {
            time_ms: host.time_ms,
            start_ms: None,
            source: Source::Procfs,
        };
        let load = |at: usize| host.load_milli.and_then(|load| load.get(at).copied());
        let values = [
            (table::HOST_LOAD1, load(0)),
            (table::HOST_LOAD5, load(1)),
            (table::HOST_LOAD15, load(2)),
            (table::HOST_MEMORY_TOTAL, host.memory_total_bytes),
            (table::HOST_MEMORY_AVAILABLE, host.memory_available_bytes),
            (table::HOST_CPU_BUSY, host.cpu_busy_nanos),
            (table::HOST_NETWORK_RX, host.rx_bytes),
            (table::HOST_NETWORK_TX, host.tx_bytes),
        ];
        self.group(id, Group::Host, stamp, values);
    }

    fn group<const N: usize>(
        &mut self,
        id: EntityId,
        group: Group,
        stamp: Stamp,
        values: [(FieldId, Option<u64>); N],
    ) {
        self.builder.stamp(id, group, stamp);
        for (field, value) in values {
            if let Some(value) = value {
                self.builder.value(id, field, value);
            }
        }
    }

    pub(super) fn finish(self) -> Merged {
        Merged {
            snapshot: self.builder.build(),
            defs: self.defs.into_values().collect(),
            late_count: self.late_count,
            future_count: self.future_count,
            dropped_count: self.dropped_count,
            refused_count: self.refused_count,
        }
    }
}

fn is_late(entry: &mut Entry, group: Group, stamp: Option<Stamp>) -> bool {
    stamp.is_some_and(|stamp| entry.is_late(group, stamp.source, stamp.time_ms))
}

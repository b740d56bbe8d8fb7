//! What a kubelet would tell of a cgroup in other words: its CPU time, what is left of its memory, its
//! page faults, its network.

use cairn_proto::catalogue::{EntityKind, FieldId, Group, table};

use super::{Cadvisor, Cgroup};
use crate::sources::exposition::Refused;
use crate::sources::{Figures, Part};

/// From here on a limit is none: what a kernel writes where nobody set one, in pages or in bytes.
const NO_LIMIT: u64 = 1 << 62;

/// The interface that is a container's own where it has several.
const DEFAULT_INTERFACE: &str = "eth0";

/// The groups of what is told.
const GROUPS: [Group; 4] = [Group::Cpu, Group::Memory, Group::Network, Group::Detail];

/// What becomes figures when all lines are read.
#[derive(Debug, Default)]
pub(super) struct Usage {
    // CPU time, and whether it is of all processors.
    cpu: Option<(u64, bool)>,
    limit: Option<u64>,
}

impl Usage {
    /// Takes the CPU time of one processor, or of all: cAdvisor tells the one or the other.
    pub(super) fn cpu(&mut self, processor: &str, nanos: u64) -> Result<(), Refused> {
        let is_all = matches!(processor, "" | "total");
        let sum = match self.cpu {
            None => Some(nanos),
            Some((before, false)) if !is_all => before.checked_add(nanos),
            Some(_) => None,
        };
        self.cpu = Some((sum.ok_or(Refused::Odd)?, is_all));
        Ok(())
    }

    /// Takes the most memory that it may have; 0 is no limit.
    pub(super) fn limit(&mut self, bytes: u64) {
        self.limit = Some(bytes).filter(|bytes| (1..NO_LIMIT).contains(bytes));
    }

    /// Makes figures of it.
    pub(super) fn settle(self, figures: &mut Figures) {
        figures.push(table::CPU, self.cpu.map(|(nanos, _)| nanos));
        let left = self.limit.zip(figures.value(table::MEMORY_WORKING_SET));
        let left = left.map(|(limit, used)| limit.saturating_sub(used));
        figures.push(table::MEMORY_AVAILABLE, left);
    }
}

/// The field of faults of such a kind, in the scope that a kubelet tells of; `None` of others.
pub(super) fn faults(kind: &str, scope: &str) -> Option<FieldId> {
    match (kind, scope) {
        ("pgfault", "container") => Some(table::MEMORY_PAGE_FAULTS),
        ("pgmajfault", "container") => Some(table::MEMORY_MAJOR_PAGE_FAULTS),
        _ => None,
    }
}

/// Says when figures were measured, all at once.
pub(super) fn measured(figures: &mut Figures, time_ms: u64) {
    for group in GROUPS {
        if figures.has(group) {
            figures.measured(group, time_ms);
        }
    }
}

impl Cadvisor {
    /// Gives each thing the network of its default interface, as a kubelet does with pods.
    pub(super) fn settle_networks(&mut self) {
        let pods = self.pods.values_mut().flat_map(|named| named.values_mut());
        let pods = pods.flatten().filter_map(|pod| pod.own.as_mut());
        let free = self.free.values_mut().map(Box::as_mut);
        self.node
            .iter_mut()
            .chain(pods)
            .chain(free)
            .for_each(Cgroup::settle_network);
    }
}

impl Cgroup {
    fn settle_network(&mut self) {
        let is_interface = |part: &&Part| part.kind == EntityKind::Interface;
        let mut interfaces = self.parts.iter().filter(is_interface);
        let named = |part: &&Part| part.name == DEFAULT_INTERFACE;
        let Some(default) = interfaces.clone().find(named).or_else(|| {
            // The only one is the default one, whatever its name.
            let only = interfaces.next()?;
            interfaces.next().is_none().then_some(only)
        }) else {
            return;
        };
        for field in [
            table::NETWORK_RX,
            table::NETWORK_TX,
            table::NETWORK_RX_ERRORS,
            table::NETWORK_TX_ERRORS,
        ] {
            self.figures.push(field, default.figures.value(field));
        }
        if let Some(time_ms) = default.figures.time_ms(Group::Network) {
            self.figures.measured(Group::Network, time_ms);
        }
    }
}

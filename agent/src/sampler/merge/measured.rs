//! Figures of the resource endpoint, which knows names only, for what a summary names.

use cairn_proto::catalogue::{Group, Source, table};

use super::row::Statement;
use crate::sources::resource::{Pod, Resource, Usage};
use crate::sources::{Figures, Reading, summary};

/// How much later than a summary a container may have begun and still be the one that it names, ms:
/// the two endpoints round and disagree on starts by up to this much.
const START_TOLERANCE_MS: u64 = 2_000;

/// What the resource endpoint says of the pod that a summary names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured<'a> {
    reading: &'a Reading<Resource>,
    named: &'a summary::Pod,
    pod: &'a Pod,
    // When the summary was read that names the pod.
    named_ms: u64,
}

impl<'a> Measured<'a> {
    /// `None` when it says nothing of that pod, or when all that is measured began after the pod was
    /// named: then it is another pod of that name.
    pub(super) fn new(
        reading: &'a Reading<Resource>,
        named: &'a summary::Pod,
        named_ms: u64,
    ) -> Option<Self> {
        let pod = reading.values.pod(&named.namespace, &named.name)?;
        let this = Self {
            reading,
            named,
            pod,
            named_ms,
        };
        let is_another = pod.first_start_ms.is_some_and(|ms| this.is_another(ms));
        (!is_another).then_some(this)
    }

    fn is_another(&self, start_ms: u64) -> bool {
        start_ms > self.named_ms.saturating_add(START_TOLERANCE_MS)
    }

    pub(super) fn own(&self) -> Statement<'static> {
        statement(&self.pod.usage, self.reading.taken_ms, None)
    }

    pub(super) fn container(&self, name: &str) -> Option<Statement<'static>> {
        let summary::Pod {
            namespace,
            name: pod,
            ..
        } = self.named;
        let container = self.reading.values.container(namespace, pod, name)?;
        if container.start_ms.is_some_and(|ms| self.is_another(ms)) {
            return None;
        }
        Some(statement(
            &container.usage,
            self.reading.taken_ms,
            container.start_ms,
        ))
    }
}

/// What the resource endpoint says of one thing.
pub(super) fn statement(usage: &Usage, taken_ms: u64, start_ms: Option<u64>) -> Statement<'static> {
    let mut figures = Figures::default();
    if let Some(cpu) = usage.cpu {
        figures.measured(Group::Cpu, cpu.time_ms.unwrap_or(taken_ms));
        figures.push(table::CPU, Some(cpu.usage_core_nanos));
    }
    if let Some(memory) = usage.memory {
        figures.measured(Group::Memory, memory.time_ms.unwrap_or(taken_ms));
        figures.push(table::MEMORY_WORKING_SET, Some(memory.bytes));
        // One group has one time: swap of another is left to the next answer.
        let swap = usage.swap.filter(|swap| swap.time_ms == memory.time_ms);
        figures.push(table::SWAP_USAGE, swap.map(|swap| swap.bytes));
    }
    Statement {
        source: Source::Resource,
        start_ms,
        taken_ms,
        figures: figures.into(),
    }
}

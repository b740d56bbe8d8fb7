//! Why there is no use of something that is there: what was measured, and what of it is missing.

use cairn_proto::catalogue::table;
use cairn_proto::rate::Point;

use super::super::View;
use super::super::series::walk;
use super::{Series, wanted};
use crate::store::{Entity, RawRow};

/// What is missing of the use of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacks {
    /// No source has told CPU time, as far back as it would count.
    Cpu,
    /// The last measurement of CPU is too old; so long before its node's newest tick, ms.
    CpuSince(u64),
    /// Measurements of CPU since it began, or its counter began anew, are not far enough apart: so far, ms.
    CpuOver(u64),
    /// No source has told the working set, as far back as it would count.
    Memory,
    /// The last measurement of the working set is too old; so long before its node's newest tick, ms.
    MemorySince(u64),
}

impl View {
    /// What is missing of the use of something at its node's newest tick; `None` when nothing is, and of what is not
    /// there. CPU comes first. `span_ms` is the least distance of the two measurements of CPU.
    #[must_use]
    pub fn lacks(&self, entity: &Entity, span_ms: u64) -> Option<Lacks> {
        if self.usages(&[entity], span_ms).iter().any(Option::is_some) {
            return None;
        }
        let tick_ms = self.newest_of_node(&entity.node);
        let wanted = wanted(tick_ms, span_ms);
        let (mut cpu, mut memory) = (None, None);
        self.visit_rows(&[entity], &wanted, &mut |at, _, rows| match wanted
            .get(at)
            .map(|(id, _)| *id)
        {
            Some(table::CPU) => cpu = Some(of_cpu(rows, tick_ms, span_ms)),
            Some(table::MEMORY_WORKING_SET) => memory = Some(of_memory(rows, tick_ms)),
            _ => {}
        });
        cpu.unwrap_or(Some(Lacks::Cpu))
            .or(memory.unwrap_or(Some(Lacks::Memory)))
    }
}

fn of_cpu(rows: &[RawRow], tick_ms: u64, span_ms: u64) -> Option<Lacks> {
    let Some(told) = newest(rows, tick_ms) else {
        return Some(Lacks::Cpu);
    };
    let series = Series::of(table::field(table::CPU)?, rows, tick_ms);
    if !series.is_held {
        return Some(Lacks::CpuSince(age_ms(told, tick_ms)));
    }
    let times = series.points.iter().map(|point| point.stamp.time_ms);
    let over_ms = times.clone().max()? - times.min()?;
    (over_ms < span_ms.max(1)).then_some(Lacks::CpuOver(over_ms))
}

fn of_memory(rows: &[RawRow], tick_ms: u64) -> Option<Lacks> {
    let Some(told) = newest(rows, tick_ms) else {
        return Some(Lacks::Memory);
    };
    let mut value = None;
    let field = table::field(table::MEMORY_WORKING_SET)?;
    walk(field, rows, &[tick_ms], |told| value = told.sample);
    value
        .is_none()
        .then(|| Lacks::MemorySince(age_ms(told, tick_ms)))
}

fn newest(rows: &[RawRow], tick_ms: u64) -> Option<Point> {
    let mut rows = rows.iter().rev().filter(|row| row.tick_ms <= tick_ms);
    rows.find_map(|row| row.point)
}

fn age_ms(point: Point, tick_ms: u64) -> u64 {
    tick_ms.saturating_sub(point.stamp.time_ms)
}

#[cfg(test)]
mod tests;

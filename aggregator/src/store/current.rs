//! The newest measurements of entities, read from the window.

use cairn_proto::catalogue::table;
use cairn_proto::rate::Point;

use super::{Current, Door, Entity, RawRow};

/// How far back the measurement before the newest may be, ms: a rate reaches over no more.
pub(super) const REACH_MS: u64 = 90_000;

/// What the newest rows of these entities' nodes say of them.
pub(super) fn read(store: &impl Door, entities: &[&Entity]) -> Vec<Option<Current>> {
    if entities.is_empty() {
        return Vec::new();
    }
    let newest = entities.iter().map(|entity| entity.last_tick_ms).max();
    let ticks_ms = (newest.unwrap_or(0).saturating_sub(REACH_MS), u64::MAX);
    let cpu = store.read_all(entities, table::CPU, ticks_ms);
    let memory = store.read_all(entities, table::MEMORY_WORKING_SET, ticks_ms);
    cpu.iter()
        .zip(&memory)
        .map(|(cpu, memory)| newest_of(cpu, memory))
        .collect()
}

fn newest_of(cpu: &[RawRow], memory: &[RawRow]) -> Option<Current> {
    let newest = cpu.last().filter(|row| row.present)?;
    let before = newest.point.and_then(|point| before(cpu, point));
    Some(Current {
        tick_ms: newest.tick_ms,
        cpu: newest.point,
        cpu_before: before,
        memory: memory.last().and_then(|row| row.point),
    })
}

/// The last measurement of another time, if it is of the same life and by the same source.
fn before(rows: &[RawRow], newest: Point) -> Option<Point> {
    let mut points = rows.iter().rev().filter_map(|row| row.point);
    let before = points.find(|point| point.stamp.time_ms != newest.stamp.time_ms)?;
    let (one, other) = (before.stamp, newest.stamp);
    let is_one_life = one.source == other.source && one.start_ms == other.start_ms;
    is_one_life.then_some(before)
}

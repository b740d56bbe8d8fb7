//! The newest measurements of each entity, without reading the window.

use cairn_proto::catalogue::{Group, table};
use cairn_proto::model::{ColumnId, EntityId, Snapshot, Stamp};
use cairn_proto::rate::Point;

use crate::store::Current;
use crate::store::slim::Slim;

/// CPU as it was measured before the newest time, of entities of which that is known.
#[derive(Debug, Default)]
pub(super) struct Befores {
    // Rising by id.
    known: Vec<Before>,
}

/// One of them. Of the same life and by the same source as the newest measurement, or it is not
/// kept: who needs more reads the window.
#[derive(Clone, Copy, Debug)]
struct Before {
    id: EntityId,
    value: u64,
    time_ms: u64,
    // The last row that told it.
    tick_ms: u64,
}

impl Befores {
    /// Forgets everything: rows came in between.
    pub(super) fn clear(&mut self) {
        self.known = Vec::new();
    }

    /// Bytes that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.known.capacity() * size_of::<Before>()
    }

    /// Goes on from one row to the next one held.
    pub(super) fn advance(&mut self, old: (u64, &Snapshot), new: &Snapshot) {
        let Some(times) = new.column(ColumnId::time(Group::Cpu)) else {
            return self.clear();
        };
        let mut before = std::mem::take(&mut self.known).into_iter().peekable();
        let mut known = Vec::with_capacity(times.len());
        for place in times.places() {
            let place = usize::try_from(*place).unwrap_or(usize::MAX);
            let Some(id) = new.entities().get(place).copied() else {
                continue;
            };
            while before.next_if(|known| known.id < id).is_some() {}
            let kept = before.next_if(|known| known.id == id);
            let now = point(new, place);
            let was = old.1.position(id).and_then(|place| point(old.1, place));
            let same = now
                .zip(was)
                .filter(|(now, was)| is_one_life(now.stamp, was.stamp));
            let Some((now, was)) = same else { continue };
            if now.stamp.time_ms == was.stamp.time_ms {
                known.extend(kept);
            } else {
                known.push(Before {
                    id,
                    value: was.value,
                    time_ms: was.stamp.time_ms,
                    tick_ms: old.0,
                });
            }
        }
        known.shrink_to_fit();
        self.known = known;
    }

    /// What the newest row says of an entity; of CPU the measurement before it too, if that is known
    /// and its row has not expired. `None` when the row does not have the entity.
    pub(super) fn current(
        &self,
        newest: (u64, &Slim),
        id: EntityId,
        oldest_ms: u64,
    ) -> Option<Current> {
        let (tick_ms, row) = newest;
        let place = row.position(id)?;
        let cpu = row.point(place, table::CPU, Group::Cpu);
        let at = self.known.binary_search_by_key(&id, |known| known.id);
        let before = at.ok().and_then(|at| self.known.get(at));
        let before = before.filter(|before| before.tick_ms >= oldest_ms);
        let cpu_before = cpu.zip(before).map(|(cpu, before)| Point {
            value: before.value,
            stamp: Stamp {
                time_ms: before.time_ms,
                ..cpu.stamp
            },
        });
        Some(Current {
            tick_ms,
            cpu,
            cpu_before,
            memory: row.point(place, table::MEMORY_WORKING_SET, Group::Memory),
        })
    }
}

fn point(row: &Snapshot, place: usize) -> Option<Point> {
    Some(Point {
        value: row.cell(place, ColumnId::field(table::CPU))?,
        stamp: row.stamp(place, Group::Cpu)?,
    })
}

fn is_one_life(one: Stamp, other: Stamp) -> bool {
    one.source == other.source && one.start_ms == other.start_ms
}

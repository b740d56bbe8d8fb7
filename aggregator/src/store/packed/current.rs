//! The newest measurements of each entity, without reading the window.

use cairn_proto::catalogue::{FieldId, Group, Source, table};
use cairn_proto::codec::slim::Slim;
use cairn_proto::model::{ColumnId, EntityId, Stamp};
use cairn_proto::rate::Point;

use crate::store::Current;
use crate::store::current::REACH_MS;

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
    pub(super) fn advance(&mut self, old: (u64, &Slim), new: &Slim) {
        let before = std::mem::take(&mut self.known);
        let mut before = before.iter().peekable();
        let (before_ms, old) = old;
        let was = cpus(old);
        let mut was = old.entities().iter().zip(&was).peekable();
        // Not cut to what is in it: the next row's is as long, and fits where this one was.
        // File systems and interfaces have none.
        let mut known = Vec::with_capacity(new.count(ColumnId::field(table::CPU)));
        for (id, now) in new.entities().iter().zip(&cpus(new)) {
            while was.next_if(|(was, _)| *was < id).is_some() {}
            let was = was.next_if(|(was, _)| *was == id).map(|(_, was)| was);
            let Some(was) = was.filter(|was| was.is_known() && now.is_known()) else {
                continue;
            };
            let is_one_life = was.source == now.source && was.start_ms == now.start_ms;
            let (Some(value), Some(time_ms), true) = (was.value, was.time_ms, is_one_life) else {
                continue;
            };
            if now.time_ms == was.time_ms {
                while before.next_if(|known| known.id < *id).is_some() {}
                known.extend(before.next_if(|known| known.id == *id));
            } else {
                known.push(Before {
                    id: *id,
                    value,
                    time_ms,
                    tick_ms: before_ms,
                });
            }
        }
        self.known = known;
    }

    /// What the newest row says of an entity; of CPU the measurement before it too, if that is known
    /// its row has not expired and a rate reaches so far. `None` when the row does not have the entity.
    pub(super) fn current(
        &self,
        newest: (u64, &Slim),
        id: EntityId,
        oldest_ms: u64,
    ) -> Option<Current> {
        let (tick_ms, row) = newest;
        let place = row.position(id)?;
        let cpu = point(row, place, table::CPU, Group::Cpu);
        let at = self.known.binary_search_by_key(&id, |known| known.id);
        let before = at.ok().and_then(|at| self.known.get(at));
        let reached_ms = oldest_ms.max(tick_ms.saturating_sub(REACH_MS));
        let before = before.filter(|before| before.tick_ms >= reached_ms);
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
            memory: point(row, place, table::MEMORY_WORKING_SET, Group::Memory),
        })
    }
}

/// A field of an entity of a row, with its stamp.
fn point(row: &Slim, place: usize, field: FieldId, group: Group) -> Option<Point> {
    let value = row.cell(place, ColumnId::field(field))?;
    let source = row.cell(place, ColumnId::source(group))?;
    let stamp = Stamp {
        time_ms: row.cell(place, ColumnId::time(group))?,
        start_ms: row.cell(place, ColumnId::start(group)),
        source: Source::from_number(source)?,
    };
    Some(Point { value, stamp })
}

/// The CPU of one entity in a row, as far as it is told.
#[derive(Clone, Copy, Default)]
struct Cpu {
    value: Option<u64>,
    time_ms: Option<u64>,
    source: Option<u64>,
    start_ms: Option<u64>,
}

impl Cpu {
    fn is_known(&self) -> bool {
        let source = self.source.and_then(Source::from_number);
        source.is_some() && self.value.is_some() && self.time_ms.is_some()
    }
}

/// The CPU of each entity of a row.
fn cpus(row: &Slim) -> Vec<Cpu> {
    let mut cpus = vec![Cpu::default(); row.entities().len()];
    let all = &mut cpus;
    spread(row, ColumnId::field(table::CPU), all, |cpu| &mut cpu.value);
    spread(row, ColumnId::time(Group::Cpu), all, |cpu| &mut cpu.time_ms);
    spread(row, ColumnId::source(Group::Cpu), all, |cpu| {
        &mut cpu.source
    });
    spread(row, ColumnId::start(Group::Cpu), all, |cpu| {
        &mut cpu.start_ms
    });
    cpus
}

#[inline]
fn spread(row: &Slim, id: ColumnId, cpus: &mut [Cpu], of: impl Fn(&mut Cpu) -> &mut Option<u64>) {
    row.each(id, |place, value| {
        if let Some(cpu) = cpus.get_mut(place) {
            *of(cpu) = Some(value);
        }
    });
}

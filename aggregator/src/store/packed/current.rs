//! The newest measurements of each entity, without reading the window.

use cairn_proto::catalogue::{Group, Source, table};
use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot, Stamp};
use cairn_proto::rate::Point;

use crate::store::Current;
use crate::store::current::REACH_MS;
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
        let mut before = std::mem::take(&mut self.known).into_iter().peekable();
        let mut olds = Cpus::of(old.1).peekable();
        // Not cut to what is in it: the next row's is as long, and fits where this one was.
        // File systems and interfaces have none.
        let cpus = new.column(ColumnId::field(table::CPU));
        let mut known = Vec::with_capacity(cpus.map_or(0, |cpus| cpus.places().len()));
        for now in Cpus::of(new) {
            while before.next_if(|known| known.id < now.id).is_some() {}
            let kept = before.next_if(|known| known.id == now.id);
            while olds.next_if(|was| was.id < now.id).is_some() {}
            let was = olds.next_if(|was| was.id == now.id);
            let Some(was) = was.filter(|was| was.is_one_life(&now)) else {
                continue;
            };
            if now.time_ms == was.time_ms {
                known.extend(kept);
            } else {
                known.push(Before {
                    id: now.id,
                    value: was.value,
                    time_ms: was.time_ms,
                    tick_ms: old.0,
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
        let cpu = row.point(place, table::CPU, Group::Cpu);
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
            memory: row.point(place, table::MEMORY_WORKING_SET, Group::Memory),
        })
    }
}

/// The CPU of one entity in a row.
struct Cpu {
    id: EntityId,
    value: u64,
    time_ms: u64,
    source: u64,
    start_ms: Option<u64>,
}

impl Cpu {
    fn is_one_life(&self, other: &Cpu) -> bool {
        self.source == other.source && self.start_ms == other.start_ms
    }
}

/// The CPUs of a row, rising by entity: its columns are walked side by side.
struct Cpus<'a> {
    entities: &'a [EntityId],
    value: Along<'a>,
    time: Along<'a>,
    source: Along<'a>,
    start: Along<'a>,
}

impl<'a> Cpus<'a> {
    fn of(row: &'a Snapshot) -> Self {
        let along = |id| Along::of(row.column(id));
        Self {
            entities: row.entities(),
            value: along(ColumnId::field(table::CPU)),
            time: along(ColumnId::time(Group::Cpu)),
            source: along(ColumnId::source(Group::Cpu)),
            start: along(ColumnId::start(Group::Cpu)),
        }
    }
}

impl Iterator for Cpus<'_> {
    type Item = Cpu;

    fn next(&mut self) -> Option<Cpu> {
        loop {
            let (place, time_ms) = self.time.next()?;
            let (value, source) = (self.value.at(place), self.source.at(place));
            let known = source.filter(|source| Source::from_number(*source).is_some());
            let id = usize::try_from(place).ok();
            let id = id.and_then(|place| self.entities.get(place));
            if let (Some(id), Some(value), Some(source)) = (id, value, known) {
                return Some(Cpu {
                    id: *id,
                    value,
                    time_ms,
                    source,
                    start_ms: self.start.at(place),
                });
            }
        }
    }
}

/// What is left of a column.
struct Along<'a> {
    places: &'a [u32],
    values: &'a [u64],
}

impl<'a> Along<'a> {
    fn of(column: Option<&'a Column>) -> Self {
        Self {
            places: column.map_or(&[], Column::places),
            values: column.map_or(&[], Column::values),
        }
    }

    fn next(&mut self) -> Option<(u32, u64)> {
        let (place, places) = self.places.split_first()?;
        let (value, values) = self.values.split_first()?;
        (self.places, self.values) = (places, values);
        Some((*place, *value))
    }

    /// The value at a place, which must rise from call to call.
    fn at(&mut self, place: u32) -> Option<u64> {
        while *self.places.first()? < place {
            self.next();
        }
        let value = self.values.first().copied();
        value.filter(|_| self.places.first() == Some(&place))
    }
}

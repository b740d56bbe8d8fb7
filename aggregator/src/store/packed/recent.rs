//! The CPU of the last rows, and what else containers say in the newest one, at hand without reading the window.

use std::collections::VecDeque;
use std::hint;
use std::ops::BitXor;
use std::sync::Arc;

use cairn_proto::catalogue::{FieldId, Group, Source, table};
use cairn_proto::codec::slim::Slim;
use cairn_proto::model::{ColumnId, EntityId, Stamp};
use cairn_proto::rate::Point;

use super::run::RunRows;
use crate::store::RawRow;
use crate::store::recent::{REACH_MS, Recent, SeeRecent, Ticks};

/// Rows at most, beside the newest: those of [`REACH_MS`] at five seconds. A node that tells rows more often has
/// none here, since so few of them say nothing that is long enough: it is read from the window.
const ROWS: usize = 9;

/// The newest row and its tick, its run, and the ticks of the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest<'a> {
    pub(super) run: &'a RunRows,
    pub(super) row: (u64, &'a Slim),
    pub(super) ticks: Ticks,
}

/// The rows before the newest, of its run, with CPU alone.
#[derive(Debug, Default)]
pub(super) struct Recents {
    // Rising by tick.
    rows: VecDeque<(u64, Slim)>,
}

impl Recents {
    /// Forgets everything: rows came or went in between.
    pub(super) fn clear(&mut self) {
        self.rows = VecDeque::new();
    }

    /// Bytes that it takes. The lists of entities are nearly always those of the newest row.
    pub(super) fn bytes(&self) -> usize {
        let rows = self.rows.iter();
        rows.map(|(_, row)| row.bytes() - size_of_val(&**row.entities()))
            .sum()
    }

    /// Takes in what was the newest row until now; `newest_ms` is the tick of the one that is now.
    pub(super) fn advance(&mut self, (tick_ms, row): (u64, &Slim), newest_ms: u64) {
        let step_ms = newest_ms.saturating_sub(tick_ms);
        if step_ms.saturating_mul(ROWS as u64) < REACH_MS || step_ms > REACH_MS {
            self.clear();
            return;
        }
        let is_old = |(tick_ms, _): &(u64, Slim)| newest_ms.saturating_sub(*tick_ms) > REACH_MS;
        while self.rows.len() >= ROWS || self.rows.front().is_some_and(is_old) {
            self.rows.pop_front();
        }
        self.rows.push_back((tick_ms, row.narrowed(&COLUMNS)));
    }

    /// Shows what the containers of one namespace, or of all, say in the newest row of their run; rows of CPU
    /// before that only as far as they have not expired.
    pub(super) fn show(
        &self,
        of: Newest<'_>,
        (namespace, oldest_ms): (Option<&str>, u64),
        see: &mut SeeRecent<'_>,
    ) {
        let Newest {
            run,
            row: (newest_ms, newest),
            ticks,
        } = of;
        // A node has one or two pods of a namespace, and thirty of others.
        let pods = namespace.map(|one| run.names.pods_of(one));
        if pods.as_ref().is_some_and(Vec::is_empty) {
            return;
        }
        let before = self
            .rows
            .iter()
            .filter(|(tick_ms, _)| *tick_ms >= oldest_ms);
        let rows = before.map(|(tick_ms, row)| (*tick_ms, row));
        // To unpack a column costs as much as to look up a few dozen of its cells.
        let is_unpacked = namespace.is_none();
        let cells = |row, field, group| Cells::of(row, (field, group), is_unpacked);
        let rows: Vec<(u64, Cells<'_>)> = rows
            .chain([(newest_ms, newest)])
            .map(|(tick_ms, row)| (tick_ms, cells(row, table::CPU, Group::Cpu)))
            .collect();
        let memory = cells(newest, table::MEMORY_WORKING_SET, Group::Memory);
        let swap = cells(newest, table::SWAP_USAGE, swap_group());
        let mut pod = Pod::default();
        let mut cpu = Vec::with_capacity(rows.len());
        for (id, in_pod) in run.names.containers() {
            let is_other = |pods: &Vec<EntityId>| pods.binary_search(&in_pod).is_err();
            if pods.as_ref().is_some_and(is_other) {
                continue;
            }
            let Some(place) = newest.position(id) else {
                continue;
            };
            if !is_unpacked && pod.id != Some(in_pod) {
                let touched = self.rows.iter().map(|(_, row)| row.touch(place));
                hint::black_box(touched.fold(0, BitXor::bitxor));
            }
            if !pod.turn_to(run, in_pod) {
                continue;
            }
            let Some(face) = run.names.face(id) else {
                continue;
            };
            cpu.clear();
            let seen = |(tick_ms, row): &(u64, Cells<'_>)| row.seen(*tick_ms, id, (newest, place));
            cpu.extend(rows.iter().map(seen));
            face.name.with(|name| {
                see(&Recent {
                    ticks,
                    namespace: &pod.namespace,
                    pod: &pod.name,
                    pod_uid: &pod.uid,
                    name,
                    cpu: &cpu,
                    memory: memory.point(place),
                    swap: swap.point(place),
                });
            });
        }
    }
}

/// The columns of CPU.
const COLUMNS: [ColumnId; 4] = [
    ColumnId::time(Group::Cpu),
    ColumnId::start(Group::Cpu),
    ColumnId::source(Group::Cpu),
    ColumnId::field(table::CPU),
];

fn swap_group() -> Group {
    table::field(table::SWAP_USAGE).map_or(Group::Memory, |field| field.group)
}

/// The pod of the container that was looked at last: those of one pod stand together.
#[derive(Debug, Default)]
struct Pod {
    id: Option<EntityId>,
    namespace: String,
    name: String,
    uid: Arc<str>,
}

impl Pod {
    /// Goes on to a pod; false when it has no name.
    fn turn_to(&mut self, run: &RunRows, id: EntityId) -> bool {
        if self.id == Some(id) {
            return true;
        }
        let Some(face) = run.names.face(id) else {
            return false;
        };
        self.id = Some(id);
        self.namespace.clear();
        self.namespace.push_str(face.namespace);
        self.name.clear();
        face.name.with(|name| self.name.push_str(name));
        self.uid = run.names.uid(id);
        true
    }
}

/// A field of a row: of all of its entities, or as it is kept.
struct Cells<'a> {
    row: &'a Slim,
    of: (FieldId, Group),
    all: Option<Vec<Option<Point>>>,
}

impl<'a> Cells<'a> {
    fn of(row: &'a Slim, of: (FieldId, Group), is_unpacked: bool) -> Self {
        Self {
            row,
            of,
            all: is_unpacked.then(|| points(row, of)),
        }
    }

    /// What the entity at a place says, with its stamp.
    fn point(&self, place: usize) -> Option<Point> {
        match &self.all {
            Some(all) => all.get(place).copied().flatten(),
            None => point(self.row, place, self.of),
        }
    }

    /// The row as one entity sees it, which stands at a place of the newest row.
    fn seen(&self, tick_ms: u64, id: EntityId, (newest, place): (&Slim, usize)) -> RawRow {
        let is_same = Arc::ptr_eq(self.row.entities(), newest.entities());
        let place = if is_same {
            Some(place)
        } else {
            self.row.position(id)
        };
        RawRow {
            tick_ms,
            present: place.is_some(),
            point: place.and_then(|place| self.point(place)),
            began: None,
            interrupted: false,
        }
    }
}

/// A field of an entity of a row, with its stamp.
fn point(row: &Slim, place: usize, (field, group): (FieldId, Group)) -> Option<Point> {
    let value = row.cell(place, ColumnId::field(field))?;
    let source = row.cell(place, ColumnId::source(group))?;
    let stamp = Stamp {
        time_ms: row.cell(place, ColumnId::time(group))?,
        start_ms: row.cell(place, ColumnId::start(group)),
        source: Source::from_number(source)?,
    };
    Some(Point { value, stamp })
}

/// The same of each entity of a row.
fn points(row: &Slim, (field, group): (FieldId, Group)) -> Vec<Option<Point>> {
    let mut points = Vec::new();
    let columns = [
        ColumnId::field(field),
        ColumnId::time(group),
        ColumnId::source(group),
        ColumnId::start(group),
    ];
    row.together(columns, |place, [value, time_ms, source, start_ms]| {
        let point = || {
            let stamp = Stamp {
                time_ms: time_ms?,
                start_ms,
                source: Source::from_number(source?)?,
            };
            let value = value?;
            Some(Point { value, stamp })
        };
        points.resize(place, None);
        points.push(point());
    });
    points
}

//! Rows made from any bytes: each is a step in a story of entities and values that come, move and go.

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::codec::chunk::ChunkRow;
use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot};

/// Times, starts, sources and fields.
const COLUMNS: [u16; 16] = [0, 1, 2, 4, 5, 6, 8, 12, 64, 65, 66, 67, 70, 80, 81, 100];

/// Rows of a story at most.
const MAX_ROWS: usize = 20;

/// What was told so far.
struct Story<'a> {
    script: &'a [u8],
    tick: u64,
    offset: u64,
    entities: BTreeSet<u32>,
    cells: BTreeMap<u16, BTreeMap<u32, u64>>,
    rows: Vec<ChunkRow>,
}

/// The rows of a story, at least one; offsets and ticks rise.
pub(crate) fn rows(script: &[u8]) -> Vec<ChunkRow> {
    let mut story = Story {
        script,
        tick: 1_795_332_330_000,
        offset: 0,
        entities: BTreeSet::new(),
        cells: BTreeMap::new(),
        rows: Vec::new(),
    };
    while let Some(step) = story.byte() {
        if story.rows.len() + 1 == MAX_ROWS {
            break;
        }
        story.step(step);
    }
    story.end_row();
    story.rows
}

impl Story<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.script.split_first()?;
        self.script = rest;
        Some(*first)
    }

    fn number(&mut self) -> u64 {
        let bytes = [(); 8].map(|()| self.byte().unwrap_or(0));
        u64::from_le_bytes(bytes)
    }

    /// The low bits say what happens, the high ones to which column.
    fn step(&mut self, step: u8) {
        let column = COLUMNS[usize::from(step >> 4)];
        let argument = self.byte().unwrap_or(0);
        let entity = u32::from(argument % 40);
        match step & 15 {
            0 | 1 => {
                self.end_row();
                self.offset += u64::from(argument & 3);
                self.tick += [0, 1, 999, 10_000][usize::from(argument >> 2 & 3)];
            }
            2 => {
                self.entities.remove(&entity);
                self.cells.values_mut().for_each(|cells| {
                    cells.remove(&entity);
                });
            }
            3 => drop(self.cells.remove(&column)),
            4 => drop(self.entities.insert(entity)),
            5 => {
                if let Some(cells) = self.cells.get_mut(&column) {
                    cells.remove(&entity);
                }
            }
            6 => {
                let value = self.number();
                self.put(column, entity, value);
            }
            7 | 8 => {
                // All entities get one.
                let entities: Vec<u32> = self.entities.iter().copied().collect();
                let step = self.byte().unwrap_or(0);
                for (entity, nth) in entities.into_iter().zip(0..) {
                    self.put(column, entity, self.tick + u64::from(step) * nth);
                }
            }
            9 => {
                // One column becomes as another.
                let from = COLUMNS[usize::from(argument & 15)];
                if let Some(cells) = self.cells.get(&from).cloned() {
                    self.cells.insert(column, cells);
                }
            }
            10 | 11 => self.add(column, |_| true),
            12 => self.add(column, |nth| nth % 3 == 0),
            13 => self.put(column, entity, 0),
            _ => {
                let value = u64::from(self.byte().unwrap_or(0)) * 1000;
                self.put(column, entity, value);
            }
        }
    }

    fn put(&mut self, column: u16, entity: u32, value: u64) {
        self.entities.insert(entity);
        self.cells.entry(column).or_default().insert(entity, value);
    }

    /// Moves cells of a column by a number that is the same for all or grows.
    fn add(&mut self, column: u16, which: impl Fn(u64) -> bool) {
        let how = self.byte().unwrap_or(0);
        let scale = [1, 1000, 1024, 4096, 1 << 61, 7, 10_000, 1_000_000][usize::from(how & 7)];
        let (by, grows) = (u64::from(how >> 3), u64::from(self.byte().unwrap_or(0)));
        let cells = self.cells.get_mut(&column).into_iter().flatten();
        for ((_, value), nth) in cells.zip(0..).filter(|(_, nth)| which(*nth)) {
            let by = (by + grows * nth).wrapping_mul(scale);
            *value = if how & 8 == 0 {
                value.wrapping_add(by)
            } else {
                value.wrapping_sub(by)
            };
        }
    }

    fn end_row(&mut self) {
        let entities: Vec<u32> = self.entities.iter().copied().collect();
        let columns = self.cells.iter().filter(|(_, cells)| !cells.is_empty());
        let columns = columns.map(|(id, cells)| {
            let place = |entity: &u32| {
                let place = entities.binary_search(entity).expect("an entity");
                u32::try_from(place).expect("few entities")
            };
            let places: Vec<u32> = cells.keys().map(place).collect();
            let values = cells.values().copied().collect();
            Column::from_parts(ColumnId(*id), places, values).expect("rising cells")
        });
        let columns = columns.collect();
        let entities = entities.iter().copied().map(EntityId).collect();
        self.rows.push(ChunkRow {
            offset: self.offset,
            tick: self.tick,
            snapshot: Snapshot::from_parts(entities, columns).expect("rising columns"),
        });
        self.offset += 1;
        self.tick += 10_000;
    }
}

//! Stories of random rows: entities and columns that come and go, values of every kind.

use cairn_proto::codec::chunk::ChunkRow;
use cairn_proto::codec::{DENSE, PLAIN};
use cairn_proto::model::Snapshot;

use super::vector::{T0, Vectors, snapshot};

/// A small generator (xorshift64*): the file must not change with a library.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, count: u64) -> u64 {
        (self.roll() >> 16) % count
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// Appends so many stories: a few rows, each in both codecs, and the chunk of them. Each payload
/// also this many times damaged, by one bit more each time.
pub(crate) fn stories(to: &mut Vectors, seed: u64, count: u64, damaged: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for story in 0..count {
        let rows = rows(&mut dice);
        for (codec, word) in [(PLAIN, "plain"), (DENSE, "dense")] {
            let mut base: Option<String> = None;
            for row in &rows {
                let name = format!("random-{seed}-{story}-{word}-{}", row.offset);
                to.row(
                    &name,
                    codec,
                    base.as_deref(),
                    (row.tick, row.snapshot.clone()),
                );
                damage(to, &mut dice, &name, damaged);
                base = Some(name);
            }
            let name = format!("random-{seed}-{story}-{word}-chunk");
            to.chunk(&name, codec, &rows);
            damage(to, &mut dice, &name, damaged);
        }
    }
}

fn damage(to: &mut Vectors, dice: &mut Dice, name: &str, count: u64) {
    for nth in 0..count {
        to.damaged(&format!("{name}-damaged-{nth}"), dice.roll() >> 16);
    }
}

/// A column's ways: how its cells come, go and move.
struct Ways {
    column: u16,
    moves_one_in: u64,
    scale: u64,
    shared: bool,
    is_time: bool,
}

fn rows(dice: &mut Dice) -> Vec<ChunkRow> {
    let columns = [0, 1, 2, 4, 8, 64, 65, 66, 70];
    let mut ways: Vec<Ways> = columns.into_iter().map(|one| ways(dice, one)).collect();
    ways.retain(|_| dice.one_in(2));
    let mut entities: Vec<u32> = (1..30).filter(|_| dice.one_in(4)).collect();
    let mut cells: Vec<Vec<(u32, u64)>> = ways.iter().map(|_| Vec::new()).collect();
    let (mut offset, mut rows) = (dice.below(3), Vec::new());
    let mut tick = T0 + 10_000 * offset;
    for _ in 0..=dice.below(6) {
        if dice.one_in(4) {
            let change = 1 + u32::try_from(dice.below(30)).unwrap_or(0);
            match entities.binary_search(&change) {
                Ok(at) => drop(entities.remove(at)),
                Err(at) => entities.insert(at, change),
            }
        }
        for (ways, cells) in ways.iter().zip(&mut cells) {
            step(dice, ways, cells, (&entities, tick));
        }
        let all: Vec<(u16, &[(u32, u64)])> = ways
            .iter()
            .zip(&cells)
            .filter(|(_, cells)| !cells.is_empty())
            .map(|(ways, cells)| (ways.column, cells.as_slice()))
            .collect();
        let snapshot: Snapshot = snapshot(&entities, &all);
        rows.push(ChunkRow {
            offset,
            tick,
            snapshot,
        });
        let skipped = if dice.one_in(5) { 1 } else { 0 };
        offset += 1 + skipped;
        tick += 10_000 * (1 + skipped + if dice.one_in(9) { 2 } else { 0 });
    }
    rows
}

fn ways(dice: &mut Dice, column: u16) -> Ways {
    let scales = [1, 1, 1000, 1024, 4096, 10_000_000];
    Ways {
        column,
        moves_one_in: 1 + dice.below(4),
        scale: scales[usize::try_from(dice.below(6)).unwrap_or(0)],
        shared: dice.one_in(3),
        is_time: column < 64 && column.is_multiple_of(4) && !dice.one_in(4),
    }
}

/// Moves the cells of a column from one row to the next.
fn step(dice: &mut Dice, ways: &Ways, cells: &mut Vec<(u32, u64)>, row: (&[u32], u64)) {
    let (entities, tick) = row;
    let old = std::mem::take(cells);
    let shared = dice.below(1000);
    for entity in entities {
        let before = old.iter().find(|(id, _)| id == entity);
        let value = match before {
            _ if ways.is_time => tick - 10 * u64::from(entity % 3),
            _ if dice.one_in(60) => dice.roll(),
            Some((_, value)) if !dice.one_in(ways.moves_one_in) => *value,
            Some((_, value)) => {
                let by = if ways.shared {
                    shared
                } else {
                    dice.below(5000)
                };
                let by = by * ways.scale;
                if dice.one_in(8) {
                    value.wrapping_sub(by)
                } else {
                    value.wrapping_add(by)
                }
            }
            None if dice.one_in(5) => continue,
            None => dice.below(3) * dice.below(1 << 40),
        };
        // Now and then it is not told.
        if !dice.one_in(20) {
            cells.push((*entity, value));
        }
    }
}

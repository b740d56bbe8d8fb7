//! Blocks of a run that are large, or out of order.

use std::sync::Arc;

use cairn_proto::codec::chunk::{RowOf, Sealed};
use cairn_proto::model::{Column, ColumnId, EntityId, Snapshot};

use super::*;

const STEP_MS: u64 = 10_000;

/// Entities of a row that takes some ten KB on the wire, however many columns it has.
const MANY: u32 = 8_192;

fn run() -> RunRows {
    let run = Run {
        epoch_ms: 1,
        boot_id: [1; 16],
        clock_stepped: false,
    };
    RunRows::new(run, STEP_MS, 0)
}

/// A row in which so many entities have the same cell in so many stamps.
fn row(entities: u32, stamps: u16) -> Snapshot {
    let places: Arc<[u32]> = (0..entities).collect();
    let first = Column::from_parts(ColumnId(0), places, vec![7; entities as usize]).unwrap();
    let columns = (0..stamps).map(|id| first.renamed(ColumnId(id))).collect();
    Snapshot::from_parts((1..=entities).map(EntityId).collect(), columns).unwrap()
}

/// A chunk of these rows of a block, all of them alike.
fn sealed(offsets: impl Iterator<Item = u64>, first_tick_ms: u64, row: &Snapshot) -> Sealed {
    let rows: Vec<RowOf<'_>> = offsets
        .map(|offset| RowOf {
            offset,
            tick: first_tick_ms + offset * STEP_MS,
            snapshot: row,
        })
        .collect();
    Sealed::encode(&rows).unwrap()
}

/// A whole block whose ticks are those of another one.
fn block(number: u64, of: u64, row: &Snapshot) -> Block {
    let first_tick_ms = of * BLOCK_ROWS * STEP_MS;
    let sealed = sealed(0..BLOCK_ROWS, first_tick_ms, row);
    Block::adopt(number * BLOCK_ROWS, sealed).unwrap()
}

#[test]
fn blocks_with_too_many_cells_together_are_never_tried() {
    let joined = |stamps| {
        let (mut run, row) = (run(), row(MANY, stamps));
        (0..6).for_each(|n| run.adopt(block(n, n, &row)));
        let group = run.group(4);
        run.join(VERY_LONG_ROWS);
        (group, run.blocks.len())
    };
    assert_eq!(joined(15), (Some(0), 3));
    assert_eq!(joined(17), (None, 6));
}

#[test]
fn a_group_that_cannot_be_put_together_is_tried_once() {
    let (mut run, row) = (run(), row(1, 1));
    for (number, of) in [(0, 0), (1, 2), (2, 1), (3, 3), (4, 4), (5, 5)] {
        run.adopt(block(number, of, &row));
    }
    assert_eq!(run.group(4), Some(0));
    run.join(VERY_LONG_ROWS);
    assert_eq!((run.group(4), run.blocks.len()), (None, 6));
}

/// Rows 0 to 63 but the sixth, in one block, with nearly as many cells as it may have.
fn nearly_full() -> RunRows {
    let (mut run, row) = (run(), row(MANY, 15));
    let rows = (0..BLOCK_ROWS).filter(|offset| *offset != 5);
    run.adopt(Block::adopt(0, sealed(rows, 0, &row)).unwrap());
    (1..6).for_each(|n| run.adopt(block(n, n, &row)));
    run.join(VERY_LONG_ROWS);
    assert_eq!(run.blocks[0].times.count(), 63);
    run
}

#[test]
fn a_late_row_that_makes_a_block_too_large_leaves_it_as_it_was() {
    let mut run = nearly_full();
    let large = row(MANY, 61);
    let before = run.size();
    let taken = run.take(0, &sealed(5..6, 0, &large), 1);
    assert!(
        matches!(taken, Err(Error::Decode { seq: 0, .. })),
        "{taken:?}"
    );
    assert!(!run.insert(Incoming::of(5, 5 * STEP_MS, &large)));
    assert_eq!((run.size(), run.blocks[0].times.count()), (before, 63));
}

#[test]
fn a_late_row_that_fits_is_put_into_its_block() {
    let mut run = nearly_full();
    let late = sealed(4..7, 0, &row(MANY, 15));
    let taken = run.take(0, &late, 0b010).unwrap();
    assert_eq!((taken.rows, taken.lowest), (1, Some(5 * STEP_MS)));
    assert_eq!(run.blocks[0].times.count(), 64);
    assert!(run.blocks[0].cell_count().is_some(), "sealed");
}

/// A block stays open when its rows have too many cells for a chunk.
#[test]
fn the_tail_of_a_block_that_stays_open_is_counted() {
    let (mut run, row) = (run(), row(MANY, 3));
    run.blocks.extend(Block::begin(0, Incoming::of(0, 0, &row)));
    run.recount();
    let open = run.size().bytes;
    let tail = run.blocks[0].tail().unwrap().bytes() as u64;
    run.blocks.push_back(block(1, 1, &row));
    run.recount();
    let last = run.blocks[1].bytes();
    assert_eq!(run.size().bytes, open + tail + last);
}

/// The longer the window, the more blocks are put together.
#[test]
fn as_many_blocks_are_put_together_as_the_window_is_long() {
    for (window_rows, rows) in [(63, 16), (64, 32), (90, 32), (255, 32), (256, 64)] {
        let (mut run, row) = (run(), row(3, 1));
        (0..6).for_each(|n| run.adopt(block(n, n, &row)));
        (0..6).for_each(|_| run.join(window_rows));
        assert_eq!(run.blocks[0].times.count(), rows, "{window_rows}");
        assert_eq!(run.size().rows, 6 * BLOCK_ROWS);
    }
}

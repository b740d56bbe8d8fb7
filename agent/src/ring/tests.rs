//! What stays and what goes.

use cairn_proto::catalogue::table;
use cairn_proto::model::{Builder, EntityId};

use super::*;

const RUN: Run = Run {
    epoch_ms: 1,
    boot_id: [1; 16],
    clock_stepped: false,
};

fn snapshot(entities: u32) -> Snapshot {
    let mut builder = Builder::default();
    for id in 1..=entities {
        builder.value(EntityId(id), table::CPU, u64::from(id));
    }
    builder.build()
}

/// A ring with rows of one entity at ticks 0, 10, 20...
fn ring(rows: u64, window_ms: u64) -> Ring {
    let ring = Ring::new(RUN, window_ms, 1 << 20);
    for seq in 0..rows {
        assert_eq!(ring.push(seq * 10, snapshot(1), Vec::new()), seq);
    }
    ring
}

#[test]
fn rows_are_found_by_their_seq_and_blocks_when_they_are_full() {
    let ring = ring(40, 100_000);
    assert_eq!(ring.row(&RUN, 39).map(|row| row.tick), Some(390));
    assert!(ring.row(&RUN, 40).is_none());
    let Block::Rows(rows) = ring.block(&RUN, 1) else {
        panic!("block 1 is full")
    };
    assert_eq!((rows.len(), rows[0].seq, rows[15].seq), (16, 16, 31));
    let Block::Rows(rows) = ring.block(&RUN, 2) else {
        panic!("block 2 has begun")
    };
    assert_eq!((rows.len(), rows[0].seq, rows[7].seq), (8, 32, 39));
    assert!(matches!(ring.block(&RUN, 3), Block::Ahead));
    assert!(matches!(ring.block(&RUN, u64::MAX), Block::Ahead));
}

#[test]
fn a_value_that_is_not_there_takes_no_room() {
    // A thousand entities, and a hundred columns about one of them, as the host's are.
    let mut builder = Builder::default();
    for id in 1..=1_000 {
        builder.value(EntityId(id), table::CPU, 1);
    }
    for field in table::FIELDS.iter().skip(1).take(100) {
        builder.value(EntityId(1), field.id, 1);
    }
    let ring = Ring::new(RUN, 1_000, 1 << 20);
    ring.push(0, builder.build(), Vec::new());
    let bytes = ring.stock().bytes;
    assert!((1_100 * 12..60_000).contains(&bytes), "{bytes}");
}

#[test]
fn age_takes_whole_blocks_only() {
    // The newest tick is 500, so rows before 300 are too old; block 0 ends at 150, block 1 at 310.
    let ring = ring(51, 200);
    let stock = ring.stock();
    assert_eq!(
        (stock.oldest_block, stock.aged_rows, stock.rows),
        (1, 16, 35)
    );
    assert!(matches!(ring.block(&RUN, 0), Block::Evicted));
    assert!(matches!(ring.block(&RUN, 1), Block::Rows(_)));
    assert!(ring.row(&RUN, 15).is_none() && ring.row(&RUN, 16).is_some());
}

#[test]
fn too_many_bytes_take_the_oldest_blocks_first_and_never_the_newest_row() {
    let one = estimate(&snapshot(100));
    let ring = Ring::new(RUN, 1_000_000, one * 20);
    for seq in 0..40 {
        ring.push(seq, snapshot(100), Vec::new());
    }
    let stock = ring.stock();
    assert!(stock.bytes <= one * 20, "{stock:?}");
    assert_eq!(
        (stock.oldest_block, stock.crowded_rows, stock.aged_rows),
        (2, 32, 0)
    );
    let tiny = Ring::new(RUN, 1_000_000, 0);
    for seq in 0..5 {
        tiny.push(seq, snapshot(100), Vec::new());
    }
    assert_eq!((tiny.stock().rows, tiny.stock().crowded_rows), (1, 4));
    assert!(tiny.row(&RUN, 4).is_some());
    // A block whose first rows went is never offered as a whole one.
    for seq in 5..20 {
        tiny.push(seq, snapshot(100), Vec::new());
    }
    assert!(matches!(tiny.block(&RUN, 0), Block::Evicted));
}

#[test]
fn a_new_run_starts_empty_at_zero() {
    let ring = ring(20, 100_000);
    let mut watcher = ring.subscribe();
    let run = Run {
        epoch_ms: 2,
        clock_stepped: true,
        ..RUN
    };
    ring.begin(run);
    let head = *watcher.borrow_and_update();
    assert_eq!(
        head,
        Head {
            run,
            next_seq: 0,
            closed: false
        }
    );
    let stock = ring.stock();
    assert_eq!(
        (
            stock.rows,
            stock.bytes,
            stock.stepped_rows,
            stock.oldest_block
        ),
        (0, 0, 20, 0)
    );
    assert_eq!(ring.push(1_000, snapshot(1), Vec::new()), 0);
    assert!(ring.row(&RUN, 0).is_none() && ring.row(&run, 0).is_some());
    assert_eq!(ring.stock().evicted_of_run(), 0);
}

#[tokio::test]
async fn watchers_wake_on_rows_and_on_the_end() {
    let ring = ring(1, 1_000);
    let mut watcher = ring.subscribe();
    ring.push(10, snapshot(1), Vec::new());
    watcher.changed().await.unwrap();
    assert_eq!(watcher.borrow_and_update().next_seq, 2);
    ring.close();
    watcher.changed().await.unwrap();
    assert!(watcher.borrow().closed);
}

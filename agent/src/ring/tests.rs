//! What stays and what goes.

mod model;

mod readers;

use cairn_proto::catalogue::table;
use cairn_proto::codec::chunk;
use cairn_proto::model::{Builder, EntityId, EntityKind};

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

fn def(id: u32, name: &str) -> Arc<EntityDef> {
    Arc::new(EntityDef {
        id: EntityId(id),
        kind: EntityKind::Pod,
        parent: None,
        name: name.into(),
        namespace: String::new(),
        uid: String::new(),
        runtime_id: String::new(),
        labels: Vec::new(),
    })
}

/// A ring with rows of one entity at ticks 0, 10, 20...
fn ring(rows: u64, window_ms: u64) -> Ring {
    let ring = Ring::new(RUN, window_ms, 1 << 20);
    for seq in 0..rows {
        assert_eq!(ring.push(seq * 10, snapshot(1), Vec::new()), seq);
        ring.seal();
    }
    ring
}

/// Seqs, ticks and values of a block; `None` when there is none.
pub(crate) fn rows_of(ring: &Ring, block: u64) -> Option<Vec<(u64, u64, Snapshot)>> {
    match ring.block(&ring.head().run, block) {
        Block::Sealed(sealed) => {
            let rows = chunk::decode(&sealed.chunk).unwrap().into_iter();
            let row = |row: chunk::ChunkRow| (block * 16 + row.offset, row.tick, row.snapshot);
            Some(rows.map(row).collect())
        }
        Block::Rows(rows) => {
            let decoded = decode(&rows).unwrap();
            let row = |(row, decoded): (&OfBlock, chunk::ChunkRow)| {
                assert_eq!((row.seq % 16, row.tick), (decoded.offset, decoded.tick));
                (row.seq, row.tick, decoded.snapshot)
            };
            Some(rows.iter().zip(decoded).map(row).collect())
        }
        Block::Ahead | Block::Evicted => None,
    }
}

#[test]
fn the_newest_rows_are_found_by_their_seq_and_full_blocks_are_chunks() {
    let ring = ring(40, 100_000);
    assert_eq!(ring.row(&RUN, 39).map(|row| row.tick), Some(390));
    assert!(ring.row(&RUN, 40).is_none());
    assert!(matches!(ring.block(&RUN, 1), Block::Sealed(_)));
    let rows = rows_of(&ring, 1).unwrap();
    assert_eq!((rows.len(), rows[0].0, rows[15].0), (16, 16, 31));
    assert_eq!((rows[15].1, &rows[15].2), (310, &snapshot(1)));
    let Block::Rows(rows) = ring.block(&RUN, 2) else {
        panic!("block 2 is open")
    };
    assert_eq!((rows.len(), rows[0].seq, rows[7].seq), (8, 32, 39));
    assert!(matches!(ring.block(&RUN, 3), Block::Ahead));
    assert!(matches!(ring.block(&RUN, u64::MAX), Block::Ahead));
}

#[test]
fn rows_that_go_before_anybody_has_them_are_counted_as_dropped() {
    let ring = ring(20, 100);
    (0..20).for_each(|seq| ring.sent(&RUN, seq));
    ring.acknowledged(&RUN, 19);
    let push = |rows: Range<u64>| {
        rows.for_each(|seq| _ = ring.push(seq * 10, snapshot(1), Vec::new()));
        ring.seal();
    };
    push(20..40);
    let stock = ring.stock();
    assert_eq!((stock.aged_rows, stock.dropped_rows), (16, 0));
    // Of rows 16 to 31 four were acknowledged.
    push(40..60);
    let stock = ring.stock();
    assert_eq!((stock.aged_rows, stock.dropped_rows), (48, 28));
    let next = Run { epoch_ms: 2, ..RUN };
    ring.begin(next);
    let stock = ring.stock();
    assert_eq!((stock.dropped_rows, stock.dropped_of_run()), (40, 0));
    assert_eq!(stock.stepped_rows, 12);
}

#[test]
fn rows_that_were_never_sent_are_dropped_though_later_ones_were_acknowledged() {
    let ring = ring(40, 300);
    // A stream began with row 17, passed two over, and was asked for the four rows before.
    [17, 20].into_iter().for_each(|seq| ring.sent(&RUN, seq));
    ring.given(&RUN, 13..17);
    ring.acknowledged(&RUN, 20);
    (40..80).for_each(|seq| _ = ring.push(seq * 10, snapshot(1), Vec::new()));
    let stock = ring.stock();
    assert_eq!((stock.evicted_of_run(), stock.dropped_rows), (48, 48 - 6));
}

#[test]
fn a_full_block_is_its_rows_until_it_is_sealed() {
    let ring = ring(16, 100_000);
    // It is whole, but the newest row is one that sessions still want.
    assert!(matches!(ring.block(&RUN, 0), Block::Rows(rows) if rows.len() == 16));
    ring.push(160, snapshot(1), Vec::new());
    let before = rows_of(&ring, 0);
    assert!(matches!(ring.block(&RUN, 0), Block::Rows(rows) if rows.len() == 16));
    let bytes = ring.stock().bytes;
    ring.seal();
    assert!(matches!(ring.block(&RUN, 0), Block::Sealed(_)));
    assert_eq!(rows_of(&ring, 0), before);
    assert!(ring.stock().bytes < bytes);
    assert_eq!((ring.stock().rows, ring.stock().span_ms), (17, 160));
    // The row before the newest may not be sent yet; those before it are in the chunk alone.
    assert!(ring.row(&RUN, 15).is_some() && ring.row(&RUN, 14).is_none());
    ring.push(170, snapshot(1), Vec::new());
    assert!(ring.row(&RUN, 16).is_some() && ring.row(&RUN, 15).is_none());
}

#[test]
fn a_block_keeps_the_newest_definition_of_everything_in_it() {
    let ring = Ring::new(RUN, 1_000_000, 1 << 20);
    let (old, new, brief) = (def(1, "id"), def(1, "name"), def(2, "brief"));
    let push = |entities, defs: &[&Arc<EntityDef>]| {
        let seq = ring.head().next_seq;
        let defs = defs.iter().map(|def| Arc::clone(def)).collect();
        ring.push(seq * 10, snapshot(entities), defs);
        ring.seal();
    };
    push(1, &[&old]);
    push(2, &[&old, &brief]);
    (2..40).for_each(|_| push(1, &[&new]));
    let defs = |block| match ring.block(&RUN, block) {
        Block::Sealed(sealed) => sealed.defs,
        other => panic!("block {block} is {other:?}"),
    };
    let (first, second) = (defs(0), defs(1));
    assert!(first.len() == 2 && Arc::ptr_eq(&first[0], &new) && Arc::ptr_eq(&first[1], &brief));
    // What nobody changed is there once, for the block and for the rows behind it.
    let row = ring.row(&RUN, 39).unwrap();
    assert!(Arc::ptr_eq(&second, &row.defs) && second.len() == 1);
}

#[test]
fn blocks_with_the_same_comings_and_goings_share_their_definitions() {
    let ring = Ring::new(RUN, 1_000_000, 1 << 20);
    let (pod, job) = (def(1, "pod"), def(2, "job"));
    for seq in 0..48 {
        let defs = [&pod, &job].into_iter().take(1 + seq % 2);
        let entities = u32::try_from(defs.len()).unwrap();
        ring.push(seq as u64, snapshot(entities), defs.cloned().collect());
        ring.seal();
    }
    let (Block::Sealed(first), Block::Sealed(second)) = (ring.block(&RUN, 0), ring.block(&RUN, 1))
    else {
        panic!("two blocks are sealed")
    };
    assert!(first.defs.len() == 2 && Arc::ptr_eq(&first.defs, &second.defs));
}

#[test]
fn a_row_takes_little_room_once_others_have_come() {
    let one = snapshot(100).bytes();
    let ring = Ring::new(RUN, 1_000_000, 1 << 20);
    (0..16).for_each(|seq| _ = ring.push(seq * 10, snapshot(100), Vec::new()));
    // The newest two with their cells at hand, and the others as they travel.
    let bytes = ring.stock().bytes;
    assert!((one * 2..one * 3).contains(&bytes), "{bytes}, a row {one}");
    assert!(ring.row(&RUN, 14).is_some() && ring.row(&RUN, 13).is_none());
    assert_eq!(rows_of(&ring, 0).unwrap().len(), 16);
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
    assert!(matches!(ring.block(&RUN, 1), Block::Sealed(_)));
    assert_eq!((stock.span_ms, stock.evicted_of_run()), (340, 16));
}

#[test]
fn age_takes_a_block_that_is_not_sealed_too() {
    let ring = Ring::new(RUN, 5, 1 << 20);
    (0..33).for_each(|seq| _ = ring.push(seq * 10, snapshot(1), Vec::new()));
    let stock = ring.stock();
    assert_eq!(
        (stock.oldest_block, stock.aged_rows, stock.rows),
        (2, 32, 1)
    );
    assert!(ring.row(&RUN, 31).is_some() && ring.row(&RUN, 30).is_none());
}

#[test]
fn too_many_bytes_take_the_oldest_blocks_first() {
    let one = snapshot(100).bytes();
    let ring = Ring::new(RUN, 1_000_000, one * 6);
    let mut most = 0;
    for seq in 0..640 {
        ring.push(seq, snapshot(100), Vec::new());
        ring.seal();
        most = most.max(ring.stock().bytes);
    }
    assert!(most <= one * 6, "{most}");
    let stock = ring.stock();
    let held = stock.oldest_block..40;
    assert!(held.end - held.start > 3 && held.start > 3, "{stock:?}");
    assert_eq!(stock.crowded_rows, held.start * 16);
    assert_eq!(
        (stock.aged_rows, stock.rows as u64),
        (0, 640 - held.start * 16)
    );
    assert!(matches!(ring.block(&RUN, held.start - 1), Block::Evicted));
    assert!(
        held.clone()
            .all(|block| rows_of(&ring, block).is_some_and(|rows| rows.len() == 16))
    );
}

#[test]
fn the_newest_row_always_stays_and_a_torn_block_is_never_offered() {
    let tiny = Ring::new(RUN, 1_000_000, 0);
    for seq in 0..5 {
        tiny.push(seq, snapshot(100), Vec::new());
    }
    assert_eq!((tiny.stock().rows, tiny.stock().crowded_rows), (1, 4));
    assert!(tiny.row(&RUN, 4).is_some() && tiny.row(&RUN, 3).is_none());
    for seq in 5..20 {
        tiny.push(seq, snapshot(100), Vec::new());
        tiny.seal();
    }
    assert!(matches!(tiny.block(&RUN, 0), Block::Evicted));
    assert_eq!((tiny.stock().rows, tiny.stock().oldest_block), (1, 1));
    // Rows of a torn block go once the next one has begun, though there is room. There is none for two
    // large rows with their cells at hand.
    let one = snapshot(100).bytes();
    let small = Ring::new(RUN, 1_000_000, one * 2);
    for seq in 0..17 {
        small.push(seq, snapshot(if seq < 12 { 100 } else { 1 }), Vec::new());
        small.seal();
    }
    assert_eq!((small.stock().rows, small.stock().crowded_rows), (1, 16));
    assert!(small.row(&RUN, 15).is_some(), "a session may wait for it");
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

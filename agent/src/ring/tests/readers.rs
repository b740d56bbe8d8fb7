//! Sessions that read while rows come, blocks are sealed and others go.

use std::thread;

use super::*;

const ROWS: u64 = 4_000;

/// A row whose values say which one it is.
fn values(seq: u64) -> Snapshot {
    let mut builder = Builder::default();
    for id in 1..=3 {
        builder.value(EntityId(id), table::CPU, seq * u64::from(id));
    }
    builder.build()
}

/// Reads all that is held, again and again, until the ring is closed; says how often a block was
/// sealed.
fn read(ring: &Ring) -> u64 {
    let mut sealed_count = 0;
    loop {
        let now = ring.head();
        for block in ring.stock().oldest_block..=now.next_seq / 16 {
            let is_sealed = matches!(ring.block(&RUN, block), Block::Sealed(_));
            sealed_count += u64::from(is_sealed);
            // It may have gone since, never in part.
            let Some(rows) = rows_of(ring, block) else {
                continue;
            };
            let full = (block + 1) * 16 <= now.next_seq;
            assert!(!full || rows.len() == 16, "{} of block {block}", rows.len());
            for (row, seq) in rows.iter().zip(block * 16..) {
                assert_eq!(*row, (seq, seq * 10, values(seq)));
            }
        }
        // The newest row that was announced can be had, unless others came since.
        if let Some(newest) = now.next_seq.checked_sub(1) {
            let found = ring.row(&RUN, newest).map(|row| row.tick);
            let passed = ring.head().next_seq > now.next_seq;
            assert!(found == Some(newest * 10) || (found.is_none() && passed));
        }
        if now.closed {
            return sealed_count;
        }
    }
}

#[test]
fn every_block_that_is_read_is_whole_while_rows_come_and_go() {
    let ring = Ring::new(RUN, 800, 1 << 20);
    thread::scope(|scope| {
        let readers = [(); 2].map(|()| scope.spawn(|| read(&ring)));
        for seq in 0..ROWS {
            ring.push(seq * 10, values(seq), vec![def(1, "a"), def(2, "b")]);
            ring.seal();
        }
        ring.close();
        for reader in readers {
            assert!(reader.join().unwrap() > 0, "sealed blocks were read");
        }
    });
    assert!(ring.stock().aged_rows > ROWS - 200);
}

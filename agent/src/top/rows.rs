//! The rows of the ring that a document is made of.

use cairn_proto::codec::chunk;
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{Run, Snapshot};

use crate::ring::{Block, RECENT_ROWS, Ring, Row};

/// References to blocks, oldest first; nothing of them is decoded yet.
pub(super) struct Rows {
    blocks: Vec<Block>,
    /// The newest row.
    pub(super) newest: Row,
}

impl Rows {
    /// The newest `count` rows of a ring and those before them in their block; `None` while it has none.
    /// The ring is locked for a moment for each block.
    pub(super) fn of(ring: &Ring, count: u64) -> Option<Self> {
        let head = ring.head();
        let end = head.next_seq;
        let first = end.saturating_sub(count) / BLOCK_ROWS;
        let mut blocks: Vec<Block> = (first..end.div_ceil(BLOCK_ROWS))
            .map(|block| ring.block(&head.run, block))
            .filter(|block| matches!(block, Block::Sealed(_) | Block::Rows(_)))
            .collect();
        let open = blocks.last().and_then(|block| match block {
            Block::Rows(rows) => rows.last().cloned(),
            _ => None,
        });
        let newest = match open {
            Some(newest) => newest,
            // Memory is so short that the open block is not held whole.
            None => {
                let recent = recent(ring, &head.run, end);
                let newest = recent.last().cloned()?;
                blocks.push(Block::Rows(recent));
                newest
            }
        };
        Some(Self { blocks, newest })
    }

    /// Shows each row with its tick, in order. One block at a time is decoded.
    pub(super) fn each(&self, mut see: impl FnMut(u64, &Snapshot)) {
        for block in &self.blocks {
            match block {
                Block::Sealed(sealed) => {
                    // What this process has written itself can be read.
                    for row in chunk::decode(&sealed.chunk).unwrap_or_default() {
                        see(row.tick, &row.snapshot);
                    }
                }
                Block::Rows(rows) => rows.iter().for_each(|row| see(row.tick, &row.snapshot)),
                Block::Ahead | Block::Evicted => {}
            }
        }
    }
}

fn recent(ring: &Ring, run: &Run, end: u64) -> Vec<Row> {
    (end.saturating_sub(RECENT_ROWS)..end)
        .filter_map(|seq| ring.row(run, seq))
        .collect()
}

//! The rows of the ring that a document is made of.

use cairn_proto::codec::chunk;
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::Snapshot;

use crate::ring::{self, Block, Head, RECENT_ROWS, Ring, Row};

/// How often the newest row is looked for: each time others came meanwhile.
const TRIES: usize = 3;

/// References to rows, oldest first; nothing of them is decoded yet but the newest.
pub(super) struct Rows {
    blocks: Vec<Block>,
    // Of a block that memory is too short for, those that are there.
    recent: Vec<Row>,
    /// The newest row.
    pub(super) newest: Row,
}

impl Rows {
    /// The newest `count` rows of a ring and those before them in their block; `None` while it has none.
    /// The ring is locked for a moment for each block.
    pub(super) fn of(ring: &Ring, count: u64) -> Option<Self> {
        // The newest row may become one that is not held by itself before it is taken: then there is a newer.
        (0..TRIES).find_map(|_| Self::now(ring, count))
    }

    fn now(ring: &Ring, count: u64) -> Option<Self> {
        let Head { run, next_seq, .. } = ring.head();
        let newest = ring.row(&run, next_seq.checked_sub(1)?)?;
        let first = next_seq.saturating_sub(count) / BLOCK_ROWS;
        let blocks = (first..next_seq.div_ceil(BLOCK_ROWS)).map(|block| ring.block(&run, block));
        let blocks: Vec<Block> = blocks.collect();
        let is_held = |block: &Block| matches!(block, Block::Sealed(_) | Block::Rows(_));
        let mut recent = Vec::new();
        if !blocks.last().is_some_and(is_held) {
            let before = (next_seq.saturating_sub(RECENT_ROWS)..next_seq - 1)
                .filter_map(|seq| ring.row(&run, seq));
            recent.extend(before);
            recent.push(newest.clone());
        }
        Some(Self {
            blocks,
            recent,
            newest,
        })
    }

    /// Shows each row with its tick, in order. One block at a time is decoded.
    pub(super) fn each(&self, mut see: impl FnMut(u64, &Snapshot)) {
        for block in &self.blocks {
            // What this process has written itself can be read.
            let rows = match block {
                Block::Sealed(sealed) => chunk::decode(&sealed.chunk).unwrap_or_default(),
                Block::Rows(rows) => ring::decode(rows).unwrap_or_default(),
                Block::Ahead | Block::Evicted => Vec::new(),
            };
            // Others may have come since the newest was looked for.
            let rows = rows.iter().filter(|row| row.tick <= self.newest.tick);
            rows.for_each(|row| see(row.tick, &row.snapshot));
        }
        let recent = self.recent.iter();
        recent.for_each(|row| see(row.tick, &row.snapshot));
    }
}

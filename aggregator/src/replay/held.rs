//! Which rows the asker has, as they are written in `Recall`.

use std::collections::HashMap;
use std::ops::Range;

use cairn_proto::model::Run;
use cairn_proto::{v1, wire};

use crate::store::HeldRun;

/// All rows of a block.
const WHOLE: u16 = u16::MAX;

/// Entries of `held` in one `Recall`: runs of a node within a window, and the holes in them.
const MAX_ENTRIES: usize = 1_024;

/// Blocks named in one `Recall`: a day of rows of one second has 5,400.
const MAX_BLOCKS: usize = 16_384;

/// What the asker has, or will get from the agent.
pub(super) fn to_wire(held: &[HeldRun], ring: Option<&(Run, Range<u64>)>) -> Vec<v1::HeldRows> {
    let mut out: Vec<v1::HeldRows> = Vec::new();
    let mut left = MAX_BLOCKS;
    if let Some((run, blocks)) = ring {
        // The newest, should there be too many.
        let first = blocks.end.saturating_sub(MAX_BLOCKS as u64 / 2);
        let blocks = blocks.start.max(first)..blocks.end;
        let rows: Vec<u32> = blocks.clone().map(|_| u32::from(WHOLE)).collect();
        left -= rows.len();
        out.push(v1::HeldRows {
            run: Some(run.into()),
            first_block: blocks.start,
            rows,
        });
    }
    for run in held {
        let mut next = None;
        for (block, rows) in run.blocks.iter().take(left) {
            let rows = u32::from(*rows);
            let is_full = out.len() == MAX_ENTRIES;
            match out.last_mut().filter(|_| next == Some(*block)) {
                Some(entry) => entry.rows.push(rows),
                None if is_full => return out,
                None => out.push(v1::HeldRows {
                    run: Some((&run.run).into()),
                    first_block: *block,
                    rows: vec![rows],
                }),
            }
            next = block.checked_add(1);
        }
        left -= run.blocks.len().min(left);
    }
    out
}

/// Rows that need not be sent, by run and block.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<(Run, u64), u16>);

impl Held {
    /// Reads what the asker has.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the status.
    pub(super) fn from_wire(entries: &[v1::HeldRows]) -> Result<Self, String> {
        let blocks: usize = entries.iter().map(|entry| entry.rows.len()).sum();
        if entries.len() > MAX_ENTRIES || blocks > MAX_BLOCKS {
            return Err("more held rows than the limit allows".to_owned());
        }
        let mut held = HashMap::new();
        for entry in entries {
            let run = wire::run(entry.run.as_ref()).map_err(|e| e.to_string())?;
            for (nth, rows) in (0..).zip(&entry.rows) {
                let block = entry.first_block.checked_add(nth);
                let rows = u16::try_from(*rows);
                let (Some(block), Ok(rows)) = (block, rows) else {
                    return Err("held rows that no block has".to_owned());
                };
                *held.entry((run, block)).or_default() |= rows;
            }
        }
        Ok(Self(held))
    }

    /// True when one of these rows is not held.
    pub(super) fn lacks(&self, run: Run, block: u64, rows: u16) -> bool {
        let held = self.0.get(&(run, block)).copied().unwrap_or_default();
        rows & !held != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(epoch_ms: u64) -> Run {
        Run {
            epoch_ms,
            boot_id: [1; 16],
            clock_stepped: false,
        }
    }

    #[test]
    fn rows_come_back_as_they_were_held() {
        let held = [HeldRun {
            run: run(1),
            interval_ms: 10_000,
            blocks: vec![(3, 0xffff), (4, 0x00ff), (9, 1)],
        }];
        let ring = (run(2), 5..7);
        let wire = to_wire(&held, Some(&ring));
        assert_eq!(wire.len(), 3, "{wire:?}");
        let read = Held::from_wire(&wire).unwrap();
        assert!(!read.lacks(run(1), 4, 0x000f) && read.lacks(run(1), 4, 0x0100));
        assert!(read.lacks(run(1), 5, 1) && !read.lacks(run(1), 9, 1));
        assert!(!read.lacks(run(2), 6, 0xffff) && read.lacks(run(2), 7, 1));
        assert!(read.lacks(run(3), 0, 1));
    }

    #[test]
    fn lists_are_bounded_on_both_sides() {
        let blocks = (0..40_000).map(|n| (2 * n, 1)).collect();
        let held = [HeldRun {
            run: run(1),
            interval_ms: 1_000,
            blocks,
        }];
        let wire = to_wire(&held, Some(&(run(2), 0..u64::MAX)));
        assert!(Held::from_wire(&wire).is_ok(), "what is written is read");
        let one = |first_block, rows: Vec<u32>| v1::HeldRows {
            run: Some((&run(1)).into()),
            first_block,
            rows,
        };
        assert!(Held::from_wire(&vec![one(0, vec![1]); MAX_ENTRIES + 1]).is_err());
        assert!(Held::from_wire(&[one(0, vec![1; MAX_BLOCKS + 1])]).is_err());
        assert!(Held::from_wire(&[one(u64::MAX, vec![1, 1])]).is_err());
        assert!(Held::from_wire(&[one(0, vec![0x1_0000])]).is_err());
        assert!(Held::from_wire(&[v1::HeldRows::default()]).is_err());
    }
}

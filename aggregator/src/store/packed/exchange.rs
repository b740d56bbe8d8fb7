//! Blocks of a node as other aggregators give and get them.

use std::cmp::Reverse;
use std::collections::HashSet;

use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::{self, RowOf, Sealed};
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::{EntityId, Run};

use super::block::{Block, Rows};
use super::node::Node;
use super::run::{RunRows, check_known};
use crate::store::Error;
use crate::store::exchange::{Blocks, Encode, HeldRun, Named, Piece};
use crate::store::frame::{Taken, Window as _};

impl Blocks for Node {
    fn outline(&self) -> Vec<HeldRun> {
        let mut runs: Vec<&RunRows> = self.runs.iter().filter(|run| !run.is_empty()).collect();
        runs.sort_by_key(|run| Reverse(run.newest_tick()));
        runs.into_iter().map(RunRows::outline).collect()
    }

    fn copy(&self, run: Run, block: u64) -> Option<(Vec<Named>, Encode)> {
        let run = self.runs.iter().find(|held| held.run == run)?;
        let first = block.checked_mul(BLOCK_ROWS)?;
        let at = run.position(first.checked_add(BLOCK_ROWS - 1)?).ok()?;
        let held = run.blocks.get(at)?;
        let names = run.names.named(&held.entities());
        let held = held.clone();
        Some((names, Box::new(move || encode(&held, first))))
    }

    fn restore(
        &mut self,
        piece: &Piece<'_>,
        sealed: &Sealed,
        window_ms: u64,
    ) -> Result<Taken, Error> {
        // Taken out for the while, so that the other runs can be looked at.
        let held = self.runs.iter().position(|run| run.run == piece.run);
        let (at, mut run) = match held {
            Some(at) => (at, self.runs.remove(at)),
            None => {
                // Runs are looked through from the oldest to the newest.
                let later = |run: &RunRows| run.run.epoch_ms > piece.run.epoch_ms;
                let at = self.runs.iter().position(later).unwrap_or(self.runs.len());
                let fresh = RunRows::new(piece.run, piece.interval_ms, self.expired_ms());
                (at, fresh)
            }
        };
        let taken = self.restore_into(&mut run, piece, sealed, window_ms);
        // A row that came in between may have a measurement that is nearer.
        self.changed();
        if held.is_some() || !run.is_empty() {
            if self.attendance.run() != Some(run.run) {
                run.seal_last();
            }
            self.runs.insert(at, run);
        }
        if let Ok(Taken { rows: 1.., .. }) = taken {
            self.attendance.learn(piece.known, piece.interval_ms);
        }
        taken
    }
}

impl Node {
    fn restore_into(
        &self,
        run: &mut RunRows,
        piece: &Piece<'_>,
        sealed: &Sealed,
        window_ms: u64,
    ) -> Result<Taken, Error> {
        let past = self.past(window_ms);
        let keeps = |offset, tick_ms| piece.keeps((offset, tick_ms), &self.attendance, past);
        let first = piece.first_seq();
        let head = sealed.head();
        let (mut kept, mut fresh) = (0_u64, 0_u64);
        for ((offset, tick_ms), nth) in head.rows.iter().zip(0_u32..) {
            if keeps(*offset, *tick_ms)? {
                let seq = first.saturating_add(*offset);
                run.check_rises(seq, *tick_ms)?;
                kept |= 1 << nth;
                let is_held = self.holds_tick(run, *tick_ms) || run.holds_seq(seq);
                fresh |= u64::from(!is_held) << nth;
            }
        }
        run.names.check(piece.names)?;
        let named: HashSet<EntityId> = piece.names.iter().map(Named::id).collect();
        let knows = |id| run.names.knows(id) || named.contains(&id);
        check_known(first, &head, kept, knows)?;
        if kept == 0 {
            return Ok(Taken::default());
        }
        run.names.learn(piece.names)?;
        run.take(first, sealed, fresh)
    }

    fn holds_tick(&self, run: &RunRows, tick_ms: u64) -> bool {
        let mut all = self.runs.iter().chain([run]);
        all.any(|run| run.holds_tick(tick_ms))
    }
}

impl RunRows {
    fn outline(&self) -> HeldRun {
        let mut held = HeldRun {
            run: self.run,
            interval_ms: self.interval_ms,
            blocks: Vec::new(),
        };
        for block in &self.blocks {
            let rows = self.visible(block);
            rows.for_each(|row| held.add(block.first_seq + row.offset));
        }
        held
    }
}

/// The payload of one block: as it is kept, unless it is kept with others or open.
fn encode(held: &Block, first: u64) -> Option<Vec<u8>> {
    let last = first + BLOCK_ROWS - 1;
    if let Rows::Sealed(sealed) = &held.rows
        && held.first_seq == first
        && held.last_seq() <= last
    {
        return Some(sealed.bytes().to_vec());
    }
    let mut rows = held.decode();
    rows.retain(|row| (first..=last).contains(&(held.first_seq + row.offset)));
    let rows = rows.iter().map(|row| RowOf {
        offset: held.first_seq + row.offset - first,
        tick: row.tick,
        snapshot: &row.snapshot,
    });
    let rows: Vec<RowOf<'_>> = rows.collect();
    (!rows.is_empty()).then(|| chunk::encode(DENSE, &rows))
}

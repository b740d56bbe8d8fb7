//! Blocks of a node of the plain store as other aggregators give and get them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use cairn_proto::codec::DENSE;
use cairn_proto::codec::chunk::{self, RowOf, Sealed};
use cairn_proto::limits;
use cairn_proto::model::{EntityDef, EntityId, Run, Snapshot};

use super::node::Node;
use super::run::{Held, RunRows, check_rises};
use crate::store::Error;
use crate::store::entity::same_identity;
use crate::store::exchange::{Blocks, Encode, HeldRun, Named, Piece};
use crate::store::frame::{Taken, Window as _};

impl Blocks for Node {
    fn outline(&self) -> Vec<HeldRun> {
        let newest = |run: &&RunRows| Reverse(run.rows.values().next_back().map(|row| row.tick_ms));
        let mut runs: Vec<&RunRows> = self.runs.iter().filter(|r| !r.rows.is_empty()).collect();
        runs.sort_by_key(newest);
        let outline = |run: &RunRows| {
            let mut held = HeldRun {
                run: run.run,
                interval_ms: run.interval_ms,
                blocks: Vec::new(),
            };
            run.rows.keys().for_each(|seq| held.add(*seq));
            held
        };
        runs.into_iter().map(outline).collect()
    }

    fn copy(&self, run: Run, block: u64) -> Option<(Vec<Named>, Encode)> {
        let run = self.runs.iter().find(|held| held.run == run)?;
        let first = block.checked_mul(limits::BLOCK_ROWS)?;
        let rows: Vec<(u64, u64, Arc<Snapshot>)> = run
            .rows
            .range(first..first.checked_add(limits::BLOCK_ROWS)?)
            .map(|(seq, row)| (seq - first, row.tick_ms, Arc::clone(&row.snapshot)))
            .collect();
        if rows.is_empty() {
            return None;
        }
        let mut names = BTreeMap::new();
        for (_, _, snapshot) in &rows {
            snapshot
                .entities()
                .iter()
                .for_each(|id| run.name(*id, &mut names));
        }
        let mut names: Vec<(usize, Named)> = names.into_values().collect();
        names.sort_by_key(|(depth, named)| (*depth, named.id()));
        let encode = move || {
            let rows: Vec<RowOf<'_>> = rows
                .iter()
                .map(|(offset, tick, snapshot)| RowOf {
                    offset: *offset,
                    tick: *tick,
                    snapshot,
                })
                .collect();
            Some(chunk::encode(DENSE, &rows))
        };
        let names = names.into_iter().map(|(_, named)| named);
        Some((names.collect(), Box::new(encode)))
    }

    fn restore(
        &mut self,
        piece: &Piece<'_>,
        sealed: &Sealed,
        window_ms: u64,
    ) -> Result<Taken, Error> {
        let held = self.runs.iter().position(|run| run.run == piece.run);
        let (at, mut run) = match held {
            Some(at) => (at, self.runs.remove(at)),
            None => {
                let later = |run: &RunRows| run.run.epoch_ms > piece.run.epoch_ms;
                let at = self.runs.iter().position(later).unwrap_or(self.runs.len());
                (at, RunRows::new(piece.run, piece.interval_ms))
            }
        };
        let taken = self.restore_into(&mut run, piece, sealed, window_ms);
        if held.is_some() || !run.rows.is_empty() {
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
        &mut self,
        run: &mut RunRows,
        piece: &Piece<'_>,
        sealed: &Sealed,
        window_ms: u64,
    ) -> Result<Taken, Error> {
        let first = piece.first_seq();
        let past = self.past(window_ms);
        let mut kept = Vec::new();
        for row in sealed.rows() {
            if piece.keeps((row.offset, row.tick), &self.attendance, past)? {
                let seq = first.saturating_add(row.offset);
                check_rises(run, seq, row.tick)?;
                kept.push((seq, row));
            }
        }
        run.check(piece.names)?;
        let named: HashSet<EntityId> = piece.names.iter().map(Named::id).collect();
        for (seq, row) in &kept {
            let unknown = |id: &&EntityId| !run.knows(**id) && !named.contains(*id);
            if let Some(id) = row.snapshot.entities().iter().find(unknown) {
                let (seq, entity) = (*seq, id.0);
                return Err(Error::Undefined { seq, entity });
            }
        }
        let mut taken = Taken::default();
        if !kept.is_empty() {
            run.learn(piece.names)?;
        }
        for (seq, row) in kept {
            if self.ticks.contains_key(&row.tick) || run.rows.contains_key(&seq) {
                continue;
            }
            let held = Held::new(row.tick, Arc::new(row.snapshot));
            self.size.add(held.size());
            run.insert(seq, held);
            self.ticks.insert(row.tick, (run.run, seq));
            taken.add(row.tick);
        }
        Ok(taken)
    }
}

impl RunRows {
    /// Adds an entity and what it is a part of; returns how deep it lies.
    fn name(&self, id: EntityId, names: &mut BTreeMap<EntityId, (usize, Named)>) {
        let mut chain: Vec<Named> = Vec::new();
        let mut above = Some(id);
        while let Some(id) = above.filter(|id| chain.iter().all(|named| named.id() != *id)) {
            let def = self.defs.get(&id);
            above = def.and_then(|def| def.parent);
            chain.push(def.map_or(Named::Refused(id), |def| Named::Def(EntityDef::clone(def))));
        }
        for (depth, named) in chain.into_iter().rev().enumerate() {
            names.insert(named.id(), (depth, named));
        }
    }

    fn check(&self, names: &[Named]) -> Result<(), Error> {
        let mut count = self.defs.len() + self.refused.len();
        for named in names {
            let entity = named.id().0;
            if !self.knows(named.id()) {
                count += 1;
                if count > limits::MAX_ENTITIES {
                    return Err(Error::TooManyEntities { entity });
                }
            }
            if let Named::Def(def) = named
                && let Some(old) = self.defs.get(&def.id)
                && !same_identity(old, def)
            {
                return Err(Error::Redefined { entity });
            }
        }
        Ok(())
    }

    fn learn(&mut self, names: &[Named]) -> Result<(), Error> {
        for named in names {
            match named {
                named if self.knows(named.id()) => {}
                // Of one that was not known there is none before.
                Named::Def(def) => drop(self.define(def.clone())?),
                Named::Refused(id) => self.refuse(*id)?,
            }
        }
        Ok(())
    }
}

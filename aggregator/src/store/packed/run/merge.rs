//! Rows of a chunk, put into a run in one step.

use cairn_proto::codec;
use cairn_proto::codec::chunk::{ChunkRow, Head, Sealed};
use cairn_proto::limits::BLOCK_ROWS;
use cairn_proto::model::EntityId;

use super::{Block, RunRows, made};
use crate::store::Error;
use crate::store::frame::Taken;

impl RunRows {
    /// Puts rows of a block's chunk in, of which none is held: bit n of `fresh` is its n-th row. What
    /// comes of them and of the rows that are held is sealed once.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] when all together have more cells than a block may have. Then the rows that
    /// are held stay as they were.
    pub(in crate::store::packed) fn take(
        &mut self,
        first: u64,
        sealed: &Sealed,
        fresh: u64,
    ) -> Result<Taken, Error> {
        let is_fresh = |nth: u32| fresh >> nth & 1 == 1;
        let head = sealed.head();
        let place = self.position(first.saturating_add(BLOCK_ROWS - 1));
        if fresh == 0 {
            return Ok(Taken::default());
        }
        if place.is_err() && fresh.count_ones() as usize == head.rows.len() {
            // As it came: no row of it is made.
            if let Some(block) = Block::adopt(first, sealed.clone()) {
                self.adopt(block);
            }
        } else {
            let rows = sealed.rows().into_iter().zip(0..);
            let rows = rows.filter(|(_, nth)| is_fresh(*nth)).map(|(row, _)| row);
            if !self.merge(place, first, rows.collect()) {
                let source = codec::Error::Limit("cells in a block");
                return Err(Error::Decode { seq: first, source });
            }
        }
        let mut taken = Taken::default();
        let ticks = head.rows.iter().zip(0..).filter(|(_, nth)| is_fresh(*nth));
        ticks.for_each(|((_, tick_ms), _)| taken.add(*tick_ms));
        Ok(taken)
    }

    /// Puts rows of a block in where it is, or would be; false when it would be too large.
    fn merge(&mut self, place: Result<usize, usize>, first: u64, mut rows: Vec<ChunkRow>) -> bool {
        rows.iter()
            .for_each(|row| self.names.used(row.snapshot.entities()));
        let is_in = match place {
            Ok(at) => {
                let Some(block) = self.blocks.get(at) else {
                    return false;
                };
                let (first_seq, mut all) = (block.first_seq, block.decode());
                // It may begin with an earlier block.
                let shift = first.saturating_sub(first_seq);
                rows.iter_mut().for_each(|row| row.offset += shift);
                all.append(&mut rows);
                all.sort_by_key(|row| row.offset);
                self.replace(at, first_seq, &all)
            }
            Err(at) => {
                let is_last = at == self.blocks.len();
                if is_last {
                    self.seal_last();
                }
                let block = made(first, &rows, is_last);
                let is_in = block.is_some();
                if let Some(block) = block {
                    self.blocks.insert(at, block);
                }
                is_in
            }
        };
        self.recount();
        is_in
    }
}

/// Every entity of some rows of a chunk must be known: bit n of `rows` is its n-th row. No row is made
/// to find that out.
pub(in crate::store::packed) fn check_known(
    first: u64,
    head: &Head<'_>,
    rows: u64,
    knows: impl Fn(EntityId) -> bool,
) -> Result<(), Error> {
    let mut all = head.entities.iter().zip(&head.there);
    let unknown = all.find(|(id, there)| **there & rows != 0 && !knows(**id));
    let Some((id, there)) = unknown else {
        return Ok(());
    };
    let nth = (there & rows).trailing_zeros() as usize;
    let offset = head.rows.get(nth).map_or(0, |(offset, _)| *offset);
    Err(Error::Undefined {
        seq: first.saturating_add(offset),
        entity: id.0,
    })
}

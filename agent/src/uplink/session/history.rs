//! The past on its way out: blocks that are wanted, and gaps where there are none.

use cairn_proto::codec::chunk;
use cairn_proto::limits::{BLOCK_ROWS, MAX_ROW_BYTES};
use cairn_proto::v1::{self, GapReason, agent_frame};
use cairn_proto::wire;
use tokio::time::Instant;

use super::Session;
use crate::metrics::ByKind;
use crate::ring::{self, Block};
use crate::uplink::wants::{Budget, Next};
use crate::uplink::{End, Setup};

impl Session {
    /// Answers the newest thing that is wanted.
    pub(super) async fn answer_want(
        &mut self,
        setup: &Setup,
        budget: &mut Budget,
    ) -> Result<(), End> {
        let end = self.head.borrow().next_seq.div_ceil(BLOCK_ROWS);
        let Some(next) = self.wants.next(setup.ring.stock().oldest_block, end) else {
            return Ok(());
        };
        match next {
            Next::Block(block) => self.send_block(setup, budget, block).await,
            Next::Gap {
                first_seq,
                last_seq,
                reason,
            } => self.send_gap(setup, first_seq, last_seq, reason).await,
        }
    }

    /// Sends a block, or says why not.
    async fn send_block(
        &mut self,
        setup: &Setup,
        budget: &mut Budget,
        number: u64,
    ) -> Result<(), End> {
        let (first_seq, last_seq) = (number * BLOCK_ROWS, number * BLOCK_ROWS + BLOCK_ROWS - 1);
        let Some(codec) = self.chunk_codec else {
            let reason = GapReason::NoCodec;
            return self.send_gap(setup, first_seq, last_seq, reason).await;
        };
        let mut found = setup.ring.block(&self.run, number);
        if let Block::Rows(rows) = &mut found {
            // Of a block that is not full yet, what was sampled before this session: the rest
            // travels live. Without it a restarted aggregator would lack up to 15 rows until the
            // block is full.
            rows.retain(|row| row.seq < self.next_seq);
        }
        let why_not = match &found {
            // Its last rows come first: they are still to be sent.
            Block::Sealed(_) if last_seq >= self.next_seq => {
                self.wants.put_back(number);
                return Ok(());
            }
            Block::Sealed(_) => None,
            Block::Rows(rows) => rows.is_empty().then_some(GapReason::Open),
            Block::Ahead => Some(GapReason::Open),
            Block::Evicted => Some(GapReason::Evicted),
        };
        if let Some(reason) = why_not {
            return self.send_gap(setup, first_seq, last_seq, reason).await;
        }
        if let Err(again) = budget.take(Instant::now()) {
            self.wants.put_back(number);
            self.postpone(number, again);
            return Ok(());
        }
        // Nobody could decode it; its rows were sent live.
        let Some(payload) = payload(codec, &found).filter(|bytes| bytes.len() <= MAX_ROW_BYTES)
        else {
            let reason = GapReason::NoCodec;
            return self.send_gap(setup, first_seq, last_seq, reason).await;
        };
        match &found {
            Block::Sealed(sealed) => self.define(setup, &sealed.defs, last_seq).await?,
            Block::Rows(rows) => {
                for row in rows {
                    self.define(setup, &row.defs, row.seq).await?;
                }
            }
            Block::Ahead | Block::Evicted => {}
        }
        let rows = match &found {
            Block::Rows(rows) => first_seq..rows.last().map_or(first_seq, |row| row.seq + 1),
            _ => first_seq..last_seq + 1,
        };
        self.metrics.chunks.inc();
        self.metrics.encoded_bytes.inc_by(payload.len() as u64);
        let chunk = v1::Chunk {
            run: Some((&self.run).into()),
            block: number,
            codec,
            payload,
        };
        self.send(setup, agent_frame::Kind::Chunk(chunk)).await?;
        setup.ring.given(&self.run, rows);
        Ok(())
    }

    fn postpone(&mut self, block: u64, again: Instant) {
        self.gate = Some(again);
        self.metrics.wants_postponed.inc();
        let for_s = (again - Instant::now()).as_secs();
        tracing::warn!(
            block,
            for_s,
            "aggregator asked for two windows in ten minutes: the rest waits"
        );
    }

    async fn send_gap(
        &mut self,
        setup: &Setup,
        first_seq: u64,
        last_seq: u64,
        reason: GapReason,
    ) -> Result<(), End> {
        let run = Some((&self.run).into());
        self.gap(
            setup,
            v1::Gap {
                run,
                first_seq,
                last_seq,
                reason: reason.into(),
            },
        )
        .await
    }

    /// Says that a run which this process did not live will not come.
    pub(super) async fn unknown_run(
        &mut self,
        setup: &Setup,
        run: Option<v1::Run>,
        first_block: u64,
        last_block: u64,
    ) -> Result<(), End> {
        // What is no run at all is not repeated to its sender.
        let run = run.filter(|run| wire::run(Some(run)).is_ok());
        let first_seq = first_block.saturating_mul(BLOCK_ROWS);
        let last_seq = last_block
            .saturating_mul(BLOCK_ROWS)
            .saturating_add(BLOCK_ROWS - 1);
        let reason = GapReason::UnknownRun.into();
        self.gap(
            setup,
            v1::Gap {
                run,
                first_seq,
                last_seq,
                reason,
            },
        )
        .await
    }

    async fn gap(&mut self, setup: &Setup, gap: v1::Gap) -> Result<(), End> {
        let kind = match gap.reason() {
            GapReason::Evicted => "evicted",
            GapReason::UnknownRun => "unknown_run",
            GapReason::NoCodec => "no_codec",
            GapReason::Open | GapReason::Unspecified => "open",
        };
        self.metrics.gaps.get_or_create(&ByKind { kind }).inc();
        self.send(setup, agent_frame::Kind::Gap(gap)).await
    }
}

/// A block in the codec that the aggregator reads.
fn payload(codec: u32, block: &Block) -> Option<Vec<u8>> {
    match block {
        Block::Sealed(sealed) => chunk::recode(codec, &sealed.chunk)
            .inspect_err(|error| tracing::error!(%error, "block cannot be put in another codec"))
            .ok(),
        Block::Rows(rows) => ring::chunk(codec, rows).map(|chunk| chunk.to_vec()),
        Block::Ahead | Block::Evicted => None,
    }
}

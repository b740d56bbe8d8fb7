//! The past on its way out: blocks that are wanted, and gaps where there are none.

use cairn_proto::codec::chunk::RowOf;
use cairn_proto::limits::{BLOCK_ROWS, MAX_ROW_BYTES};
use cairn_proto::v1::{self, GapReason, agent_frame};
use cairn_proto::{codec, wire};
use tokio::time::Instant;

use super::Session;
use crate::metrics::ByKind;
use crate::ring::{Block, Row};
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
        let block = match next {
            Next::Block(block) => block,
            Next::Gap {
                first_seq,
                last_seq,
                reason,
            } => {
                return self.send_gap(setup, first_seq, last_seq, reason).await;
            }
        };
        let (first_seq, last_seq) = (block * BLOCK_ROWS, block * BLOCK_ROWS + BLOCK_ROWS - 1);
        let Some(codec) = self.chunk_codec else {
            return self
                .send_gap(setup, first_seq, last_seq, GapReason::NoCodec)
                .await;
        };
        let mut rows = match setup.ring.block(&self.run, block) {
            Block::Rows(rows) => rows,
            Block::Ahead => Vec::new(),
            Block::Evicted => {
                return self
                    .send_gap(setup, first_seq, last_seq, GapReason::Evicted)
                    .await;
            }
        };
        // Of a block that is not full yet, what was sampled before this session: the rest travels
        // live. Without it a restarted aggregator would lack up to 15 rows until the block is full.
        rows.retain(|row| row.seq < self.next_seq);
        if rows.is_empty() {
            return self
                .send_gap(setup, first_seq, last_seq, GapReason::Open)
                .await;
        }
        if let Err(again) = budget.take(Instant::now()) {
            self.wants.put_back(block);
            self.gate = Some(again);
            self.metrics.wants_postponed.inc();
            let for_s = (again - Instant::now()).as_secs();
            tracing::warn!(
                block,
                for_s,
                "aggregator asked for two windows in ten minutes: the rest waits"
            );
            return Ok(());
        }
        for row in &rows {
            self.define(setup, row).await?;
        }
        let rows: Vec<RowOf<'_>> = rows.iter().map(row_of).collect();
        let payload = codec::chunk::encode(codec, &rows);
        if payload.len() > MAX_ROW_BYTES {
            // Nobody could decode it; its rows were sent live.
            return self
                .send_gap(setup, first_seq, last_seq, GapReason::NoCodec)
                .await;
        }
        self.metrics.chunks.inc();
        self.metrics.encoded_bytes.inc_by(payload.len() as u64);
        let run = Some((&self.run).into());
        let chunk = v1::Chunk {
            run,
            block,
            codec,
            payload,
        };
        self.send(setup, agent_frame::Kind::Chunk(chunk)).await
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

fn row_of(row: &Row) -> RowOf<'_> {
    RowOf {
        offset: row.seq % BLOCK_ROWS,
        tick: row.tick,
        snapshot: &row.snapshot,
    }
}

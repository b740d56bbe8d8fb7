//! Rows, definitions and blocks on their way out.

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::codec::chunk::RowOf;
use cairn_proto::codec::row::Timed;
use cairn_proto::limits::{BLOCK_ROWS, MAX_ROW_BYTES};
use cairn_proto::model::EntityId;
use cairn_proto::v1::{self, AgentFrame, GapReason, agent_frame};
use cairn_proto::{codec, wire};
use tokio::time::{Instant, timeout};

use super::{Session, received};
use crate::metrics::ByKind;
use crate::ring::{Block, Row};
use crate::uplink::wants::{Budget, Next};
use crate::uplink::{End, EndKind, Setup};

/// Rows that may wait before the encoder. At a third the oldest is passed over: it stays in the
/// ring, and the jump in `seq` tells the aggregator what to ask for.
const MAX_WAITING_ROWS: u64 = 2;

/// How long one frame may wait for room. A connection that takes nothing for this long is dead or
/// as good as dead, and a new one costs less than the rows that pile up.
const SEND_DEADLINE: Duration = Duration::from_secs(5);

/// How long the reason of a stream that just ended is waited for.
const REASON_DEADLINE: Duration = Duration::from_secs(1);

impl Session {
    /// Hands one frame to the connection.
    pub(super) async fn send(&mut self, setup: &Setup, kind: agent_frame::Kind) -> Result<(), End> {
        let frame = AgentFrame {
            unix_ms: setup.clock.unix_ms(),
            kind: Some(kind),
        };
        match timeout(SEND_DEADLINE, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ended().await),
            Err(_) => {
                let reason = format!("aggregator took no frame for {SEND_DEADLINE:?}");
                Err(End::new(EndKind::Stalled, reason))
            }
        }
    }

    /// Why the stream ended, as the other side says.
    async fn ended(&mut self) -> End {
        let began = Instant::now();
        loop {
            let left = REASON_DEADLINE.saturating_sub(began.elapsed());
            match timeout(left, self.incoming.message()).await {
                // Frames that were under way before the end.
                Ok(Ok(Some(_))) => {}
                Ok(frame) => {
                    let closed = || End::new(EndKind::Closed, "aggregator ended the stream");
                    return received(frame).err().unwrap_or_else(closed);
                }
                Err(_) => return End::new(EndKind::Closed, "connection to the aggregator ended"),
            }
        }
    }

    /// Sends the rows before `next_seq` that were not sent yet.
    pub(super) async fn send_rows(&mut self, setup: &Setup, next_seq: u64) -> Result<(), End> {
        let waiting = next_seq.saturating_sub(self.next_seq);
        let skipped = waiting.saturating_sub(MAX_WAITING_ROWS);
        self.next_seq += skipped;
        self.metrics.rows_skipped.inc_by(skipped);
        while self.next_seq < next_seq {
            let seq = self.next_seq;
            self.next_seq += 1;
            match setup.ring.row(&self.run, seq) {
                Some(row) => self.send_row(setup, row).await?,
                // The ring is so small that it went before it was sent.
                None => _ = self.metrics.rows_skipped.inc(),
            }
        }
        Ok(())
    }

    async fn send_row(&mut self, setup: &Setup, row: Row) -> Result<(), End> {
        let base = self.last.as_ref().map(timed);
        let payload = codec::row::encode(self.row_codec, base, timed(&row));
        if payload.len() > MAX_ROW_BYTES {
            tracing::error!(
                seq = row.seq,
                bytes = payload.len(),
                "row is too large to be sent"
            );
            self.metrics.rows_skipped.inc();
            return Ok(());
        }
        self.define(setup, &row).await?;
        // What is not in the newest row is forgotten and named again when it comes back: neither side
        // has to hold every name that a long stream ever saw.
        if self.defined.len() > row.defs.len() {
            let is_there = |id: &EntityId| row.snapshot.position(*id).is_some();
            self.defined.retain(|id, _| is_there(id));
        }
        self.metrics.rows.inc();
        self.metrics
            .keyframes
            .inc_by(u64::from(self.last.is_none()));
        self.metrics.encoded_bytes.inc_by(payload.len() as u64);
        let base_seq = self.last.as_ref().map(|base| base.seq);
        let frame = v1::Row {
            seq: row.seq,
            base_seq,
            tick: row.tick,
            payload,
        };
        self.send(setup, agent_frame::Kind::Row(frame)).await?;
        self.last = Some(row);
        self.count_unacked();
        Ok(())
    }

    /// Defines what a row names and this stream does not know yet, or knows otherwise.
    async fn define(&mut self, setup: &Setup, row: &Row) -> Result<(), End> {
        for def in &*row.defs {
            let known = self
                .defined
                .get(&def.id)
                .is_some_and(|known| Arc::ptr_eq(known, def));
            if known {
                continue;
            }
            let frame = v1::Define::from(&**def);
            self.send(setup, agent_frame::Kind::Define(frame)).await?;
            self.defined.insert(def.id, Arc::clone(def));
        }
        Ok(())
    }

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

fn timed(row: &Row) -> Timed<'_> {
    Timed {
        tick_ms: row.tick,
        snapshot: &row.snapshot,
    }
}

fn row_of(row: &Row) -> RowOf<'_> {
    RowOf {
        offset: row.seq % BLOCK_ROWS,
        tick: row.tick,
        snapshot: &row.snapshot,
    }
}

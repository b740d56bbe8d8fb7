//! Rows, definitions and blocks on their way out.

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::limits::MAX_ROW_BYTES;
use cairn_proto::model::EntityId;
use cairn_proto::v1::aggregator_frame::Kind;
use cairn_proto::v1::{self, AgentFrame, GapReason, agent_frame};
use tokio::time::timeout;

use super::Session;
use crate::fleet::end::{End, received};
use crate::fleet::tally::add;
use crate::fleet::template::Row;
use crate::fleet::wants::{Gap, Next};

/// Rows that may wait for a session. At a third the oldest is passed over: it stays in the ring, and
/// the jump in `seq` tells the aggregator.
const MAX_WAITING_ROWS: u64 = 2;

/// How long one frame may wait for room.
const SEND_DEADLINE: Duration = Duration::from_secs(5);

/// How long the reason of a stream that just ended is waited for.
const REASON_DEADLINE: Duration = Duration::from_secs(1);

impl Session {
    /// Hands one frame to the connection.
    pub(super) async fn send(&mut self, kind: agent_frame::Kind) -> Result<(), End> {
        let frame = AgentFrame {
            unix_ms: self.shared.clock.unix_ms(),
            kind: Some(kind),
        };
        match timeout(SEND_DEADLINE, self.frames.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(self.ended().await),
            Err(_) => Err(End::new("the aggregator took no frame in time")),
        }
    }

    /// Why the stream ended, as the other side says: by its goodbye, if one was under way, else by
    /// the status.
    async fn ended(&mut self) -> End {
        let reason = async {
            loop {
                match received(self.incoming.message().await).map(|frame| frame.kind) {
                    Ok(Some(Kind::Drain(drain))) => return End::drained(&drain),
                    Ok(Some(Kind::Ack(ack))) => {
                        if let Err(end) = self.acknowledge(&ack) {
                            return end;
                        }
                    }
                    Ok(_) => {}
                    Err(end) => return end,
                }
            }
        };
        let reason = timeout(REASON_DEADLINE, reason).await;
        reason.unwrap_or_else(|_| End::new("the connection ended"))
    }

    /// Sends the rows before `rows` that were not sent yet.
    pub(super) async fn send_rows(&mut self, rows: u64) -> Result<(), End> {
        let waiting = rows.saturating_sub(self.next_row);
        let skipped = waiting.saturating_sub(MAX_WAITING_ROWS);
        self.next_row += skipped;
        add(&self.shared.tally.rows_skipped, skipped);
        while self.next_row < rows {
            let index = self.next_row;
            self.next_row += 1;
            let template = self.shared.template(self.agent);
            match template.and_then(|template| template.row(index)) {
                Some(row) => self.send_row(row).await?,
                None => add(&self.shared.tally.rows_skipped, 1),
            }
        }
        Ok(())
    }

    async fn send_row(&mut self, row: Arc<Row>) -> Result<(), End> {
        let base = self.last.clone();
        let payload = row.encoded(base.as_deref());
        let base_seq = base.as_ref().map(|base| self.life.seq(base.index));
        // What the last row did not have is named, also when it was there before: an aggregator
        // need not remember what is gone.
        self.define(row.snapshot.entities(), known(base.as_deref()))
            .await?;
        let tally = &self.shared.tally;
        add(&tally.rows, 1);
        add(&tally.samples, row.samples);
        add(&tally.row_bytes, payload.len() as u64);
        add(&tally.keyframes, u64::from(base_seq.is_none()));
        let frame = v1::Row {
            seq: self.life.seq(row.index),
            base_seq,
            tick: row.tick_ms,
            payload: payload.into(),
        };
        self.send(agent_frame::Kind::Row(frame)).await?;
        self.last = Some(row);
        Ok(())
    }

    /// Names the entities that are not among those known; both are sorted.
    async fn define(&mut self, entities: &[EntityId], known: &[EntityId]) -> Result<(), End> {
        if entities == known {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let Some(template) = shared.template(self.agent) else {
            return Ok(());
        };
        for id in entities {
            if known.binary_search(id).is_ok() {
                continue;
            }
            if let Some(def) = template.def(*id) {
                let own = shared.naming.define(self.agent, &def);
                add(&shared.tally.defines, 1);
                let frame = v1::Define::from(&own);
                self.send(agent_frame::Kind::Define(frame)).await?;
            }
        }
        Ok(())
    }

    /// Answers the newest thing that is wanted, when `rows` is the number of the next row.
    pub(super) async fn answer_want(&mut self, rows: u64) -> Result<(), End> {
        let block = match self.wants.next() {
            Some(Next::Block(block)) => block,
            Some(Next::Gap(gap)) => return self.own_gap(gap).await,
            None => return Ok(()),
        };
        let Some(codec) = self.chunk_codec else {
            return self.no_block(block, GapReason::NoCodec).await;
        };
        if block < self.life.oldest_block(rows, &self.shared.grid) {
            return self.no_block(block, GapReason::Evicted).await;
        }
        // Of a block that is not full yet, what was sampled before this session: the rest travels
        // live.
        let range = self.life.rows(block, self.next_row);
        if range.is_empty() {
            return self.no_block(block, GapReason::Open).await;
        }
        let count = usize::try_from(range.end - range.start).unwrap_or(0);
        let template = self.shared.template(self.agent);
        let Some(chunk) = template.and_then(|template| template.chunk(range.start, count)) else {
            return self.no_block(block, GapReason::Evicted).await;
        };
        if chunk.payload.len() > MAX_ROW_BYTES {
            return self.no_block(block, GapReason::NoCodec).await;
        }
        let last = self.last.clone();
        self.define(&chunk.entities, known(last.as_deref())).await?;
        let payload = chunk.payload.clone();
        add(&self.shared.tally.chunks, 1);
        add(&self.shared.tally.chunk_bytes, payload.len() as u64);
        let frame = v1::Chunk {
            run: Some((&self.life.run).into()),
            block,
            codec,
            payload: payload.into(),
        };
        self.send(agent_frame::Kind::Chunk(frame)).await
    }

    async fn no_block(&mut self, block: u64, reason: GapReason) -> Result<(), End> {
        self.own_gap(Gap::of(block, block, reason)).await
    }

    async fn own_gap(&mut self, gap: Gap) -> Result<(), End> {
        self.gap(Some((&self.life.run).into()), gap).await
    }

    /// Says that rows will not come.
    pub(super) async fn gap(&mut self, run: Option<v1::Run>, gap: Gap) -> Result<(), End> {
        add(&self.shared.tally.gaps, 1);
        let frame = v1::Gap {
            run,
            first_seq: gap.first_seq,
            last_seq: gap.last_seq,
            reason: gap.reason.into(),
        };
        self.send(agent_frame::Kind::Gap(frame)).await
    }
}

/// What an aggregator knows for certain: the entities of the last row of this session.
fn known(last: Option<&Row>) -> &[EntityId] {
    last.map_or(&[], |row| row.snapshot.entities())
}

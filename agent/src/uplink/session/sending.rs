//! Rows and definitions on their way out.

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::codec;
use cairn_proto::codec::row::Timed;
use cairn_proto::limits::MAX_ROW_BYTES;
use cairn_proto::model::EntityId;
use cairn_proto::v1::aggregator_frame::Kind;
use cairn_proto::v1::{self, AgentFrame, agent_frame};
use tokio::time::{Instant, timeout};

use super::{Defined, Session, received};
use crate::ring::{Defs, RECENT_ROWS, Row};
use crate::uplink::{End, EndKind, Setup};

/// Rows that may wait before the encoder. At a third the oldest is passed over: its block stays in
/// the ring, and the jump in `seq` tells the aggregator what to ask for.
const MAX_WAITING_ROWS: u64 = RECENT_ROWS;

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
            Ok(Err(_)) => Err(self.ended(setup).await),
            Err(_) => {
                let reason = format!("aggregator took no frame for {SEND_DEADLINE:?}");
                Err(End::new(EndKind::Stalled, reason))
            }
        }
    }

    /// Why the stream ended, as the other side says: by its goodbye, if one was under way, else by
    /// the status.
    async fn ended(&mut self, setup: &Setup) -> End {
        let began = Instant::now();
        loop {
            let left = REASON_DEADLINE.saturating_sub(began.elapsed());
            match timeout(left, self.incoming.message()).await {
                // Frames that were under way before the end. What was acknowledged counts, and what
                // else they ask for comes too late.
                Ok(Ok(Some(frame))) => match frame.kind {
                    Some(Kind::Drain(drain)) => return End::drained(drain),
                    Some(Kind::Ack(ack)) => {
                        if let Some(end) = self.acknowledge(setup, &ack) {
                            return end;
                        }
                    }
                    _ => {}
                },
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
                // Others came while the one before was sent, or the ring is very small.
                None => _ = self.metrics.rows_skipped.inc(),
            }
        }
        Ok(())
    }

    async fn send_row(&mut self, setup: &Setup, row: Row) -> Result<(), End> {
        let payload = self.payload(&row);
        if payload.len() > MAX_ROW_BYTES {
            tracing::error!(
                seq = row.seq,
                bytes = payload.len(),
                "row is too large to be sent"
            );
            self.metrics.rows_skipped.inc();
            return Ok(());
        }
        self.define(setup, &row.defs, row.seq).await?;
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
        setup.ring.sent(&self.run, row.seq);
        self.last = Some(row);
        self.count_unacked();
        Ok(())
    }

    /// The row as this stream takes it. Nearly always that is as the ring has it.
    fn payload(&self, row: &Row) -> Vec<u8> {
        let before = self.last.as_ref();
        let has_before = before.is_some_and(|before| before.seq + 1 == row.seq);
        let fits = if row.wire.follows {
            has_before
        } else {
            before.is_none()
        };
        if fits && self.row_codec == codec::DENSE {
            return row.wire.payload.to_vec();
        }
        codec::row::encode(self.row_codec, before.map(timed), timed(row))
    }

    /// Defines what this stream does not know yet, or knows otherwise from an earlier row than
    /// `seq`: what a block of the past called an entity does not take back what it is called now.
    pub(super) async fn define(&mut self, setup: &Setup, defs: &Defs, seq: u64) -> Result<(), End> {
        for def in &**defs {
            if let Some(known) = self.defined.get_mut(&def.id) {
                if seq < known.seq {
                    continue;
                }
                known.seq = seq;
                if Arc::ptr_eq(&known.def, def) {
                    continue;
                }
            }
            let frame = v1::Define::from(&**def);
            self.send(setup, agent_frame::Kind::Define(frame)).await?;
            let def = Arc::clone(def);
            self.defined.insert(def.id, Defined { def, seq });
        }
        Ok(())
    }
}

fn timed(row: &Row) -> Timed<'_> {
    Timed {
        tick_ms: row.tick,
        snapshot: &row.snapshot,
    }
}

//! One stream's life, frame for frame what a real agent's would be.
//!
//! It keeps what this one stream knows: the row that the next one's differences refer to, and what is
//! still wanted. The queue to the connection holds a few frames; when it is full the session waits,
//! with a deadline, and passes over rows that pile up meanwhile. Unlike a real agent it answers
//! requests for the past without a budget: a fleet is there to be asked.

mod opening;
mod sending;

use std::sync::Arc;

use cairn_proto::v1::{self, AgentFrame, AggregatorFrame, agent_frame, aggregator_frame};
use cairn_proto::wire;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, sleep_until};
use tonic::Streaming;

use super::connect::Link;
use super::end::{End, received};
use super::life::Life;
use super::shared::{Living, Pulse, Shared};
use super::template::Row;
use super::turnstile::Seat;
use super::wants::{Gap, Wants};
use cairn_proto::v1::GapReason;

/// A stream that has been welcomed.
pub(super) struct Session {
    shared: Arc<Shared>,
    agent: usize,
    life: Life,
    phase: Duration,
    pulse: watch::Receiver<Pulse>,
    incoming: Streaming<AggregatorFrame>,
    frames: mpsc::Sender<AgentFrame>,
    // The connection ends with it.
    _link: Link,
    living: Living,
    seat: Option<Seat>,
    // None: the aggregator reads no chunk that the fleet writes.
    chunk_codec: Option<u32>,
    next_row: u64,
    last: Option<Arc<Row>>,
    wants: Wants,
}

impl Session {
    /// Streams until something ends it.
    pub(super) async fn run(mut self) -> End {
        match self.stream().await {
            Ok(end) | Err(end) => end,
        }
    }

    async fn stream(&mut self) -> Result<End, End> {
        loop {
            let pulse = *self.pulse.borrow_and_update();
            if self.agent < pulse.paused {
                // Nobody waits for one that does nothing.
                self.seat = None;
                if self.pulse.changed().await.is_err() {
                    return Ok(End::new("the fleet ends"));
                }
                continue;
            }
            let phase = Some(self.phase).filter(|_| pulse.is_spread);
            let due_at = pulse.made_at + phase.unwrap_or_default();
            let is_due = due_at <= tokio::time::Instant::now();
            if pulse.is_muted {
                self.seat = None;
            } else if is_due {
                self.send_rows(pulse.rows).await?;
                let turnstile = &self.shared.turnstile;
                let seat = self.seat.get_or_insert_with(|| turnstile.seat());
                seat.pass(self.next_row);
            }
            // All branches are cancel safe: frames, changes and times wait for the next round.
            tokio::select! {
                biased;
                frame = self.incoming.message() => {
                    if let Some(end) = self.take(received(frame)?).await? {
                        return Ok(end);
                    }
                }
                changed = self.pulse.changed() => {
                    if changed.is_err() {
                        return Ok(End::new("the fleet ends"));
                    }
                }
                () = sleep_until(due_at), if !is_due => {}
                // There is room for one more frame, and no row waits for it.
                true = has_room(&self.frames), if !self.wants.is_empty() => {
                    self.answer_want(pulse.rows).await?;
                }
            }
        }
    }

    /// Takes a frame; `Some` when the aggregator wants the session to end.
    async fn take(&mut self, frame: AggregatorFrame) -> Result<Option<End>, End> {
        use aggregator_frame::Kind;
        match frame.kind {
            Some(Kind::Ack(ack)) => self.acknowledge(&ack)?,
            Some(Kind::Want(want)) => self.want(&want).await?,
            Some(Kind::Drain(drain)) => {
                let reason = "asked to leave".to_owned();
                // A stream that has ended meanwhile takes no Bye; the wish stands all the same.
                drop(self.send(agent_frame::Kind::Bye(v1::Bye { reason })).await);
                return Ok(Some(End::drained(&drain)));
            }
            // Nothing was asked for by name, and what is unknown is skipped.
            Some(Kind::Names(_) | Kind::Welcome(_)) | None => {}
        }
        Ok(None)
    }

    fn acknowledge(&mut self, ack: &v1::Ack) -> Result<(), End> {
        let rows = self.life.first_row + ack.seq + 1;
        let sent = self.last.as_ref().map_or(0, |row| row.index + 1);
        if wire::run(ack.run.as_ref()) != Ok(self.life.run) || rows > sent {
            return Err(End::new("the aggregator acknowledged what was not sent"));
        }
        self.living.acked(rows);
        Ok(())
    }

    async fn want(&mut self, want: &v1::Want) -> Result<(), End> {
        let (first, last) = (want.first_block, want.last_block);
        if wire::run(want.run.as_ref()) != Ok(self.life.run) {
            // What is no run at all is not repeated to its sender.
            let run = want.run.clone().filter(|run| wire::run(Some(run)).is_ok());
            return self
                .gap(run, Gap::of(first, last, GapReason::UnknownRun))
                .await;
        }
        let rows = self.pulse.borrow().rows;
        let oldest = self.life.oldest_block(rows, &self.shared.grid);
        let end = self.life.end_block(rows);
        self.wants.push((first, last), (oldest, end));
        Ok(())
    }
}

/// Waits until a frame could be sent without waiting; false when the stream has ended, which its
/// incoming half tells better. Cancel safe.
async fn has_room(frames: &mpsc::Sender<AgentFrame>) -> bool {
    frames.reserve().await.is_ok()
}

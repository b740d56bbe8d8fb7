//! One stream's life.
//!
//! Owned by the task of its address. It keeps what this one stream knows: which entities are
//! defined in it, which row the next one's differences refer to, and what is still wanted. All of
//! it goes with the stream. The queue to the connection holds a few frames; when it is full the
//! session waits, with a deadline, and passes over rows that pile up meanwhile.

mod asking;

mod history;

mod opening;

mod sending;

mod unacked;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cairn_proto::model::{EntityDef, EntityId, Run};
use cairn_proto::v1::{self, AgentFrame, AggregatorFrame, agent_frame, aggregator_frame};
use cairn_proto::wire;
use cairn_runtime::{clock, logging};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use tonic::Streaming;

use self::unacked::Unacked;
use super::bearer::Bearer;
use super::connect::Link;
use super::wants::{Budget, Wants};
use super::{End, EndKind, Setup};
use crate::metrics::{ByKind, Uplink as Metrics};
use crate::names::Seat;
use crate::ring::{Head, Row};
use crate::sources::status::{Status, Statuses};

/// How often the token's file is looked at: rotated tokens have minutes left.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// How long the last row's acknowledgement is waited for when the agent stops.
const GOODBYE_DEADLINE: Duration = Duration::from_secs(2);

/// How long the end of a stream is waited for when no acknowledgement is at stake, so that its Bye
/// is out.
const LEAVE_DEADLINE: Duration = Duration::from_millis(500);

/// A stream that has been welcomed.
#[derive(Debug)]
pub(super) struct Session {
    incoming: Streaming<AggregatorFrame>,
    frames: mpsc::Sender<AgentFrame>,
    // The connection ends with it.
    _link: Link,
    instance: String,
    run: Run,
    row_codec: u32,
    // None: the aggregator reads no chunk that this agent writes.
    chunk_codec: Option<u32>,
    head: watch::Receiver<Head>,
    statuses: Statuses,
    // What the aggregator was told of the sources.
    told: Vec<Status>,
    bearer: Option<Bearer>,
    // What the newest row names, and blocks since.
    defined: HashMap<EntityId, Defined>,
    // The seq of the next row to send, and the last one sent.
    next_seq: u64,
    last: Option<Row>,
    acked_seq: Option<u64>,
    unacked: Unacked,
    wants: Wants,
    // The aggregator answers questions for names.
    seat: Option<Seat>,
    // While the past is not repeated because enough of it was: when it is again.
    gate: Option<Instant>,
    // When it was last said that the aggregator is read more slowly.
    slowed: logging::Repeat,
    metrics: Metrics,
}

/// What an entity was last defined as.
#[derive(Debug)]
struct Defined {
    def: Arc<EntityDef>,
    // The newest row that it was for.
    seq: u64,
}

impl Session {
    /// What the aggregator calls its present life, escaped.
    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Streams until something ends it. When the ring closes, it sends what is left in it, says
    /// goodbye and waits for the acknowledgement.
    pub(super) async fn run(mut self, setup: &Setup, budget: &mut Budget) -> End {
        self.stream(setup, budget).await.unwrap_or_else(|end| end)
    }

    async fn stream(&mut self, setup: &Setup, budget: &mut Budget) -> Result<End, End> {
        let mut renewal = clock::ticker(RENEW_EVERY);
        self.tell_sources(setup).await?;
        loop {
            let head = *self.head.borrow_and_update();
            if head.run != self.run {
                return Ok(End::new(EndKind::NewRun, "a new run begins"));
            }
            self.send_rows(setup, head.next_seq).await?;
            if head.closed {
                return self.goodbye(setup).await;
            }
            let resting = budget.pace.rests_until(Instant::now());
            // All branches are cancel safe: frames, changes and ticks wait for the next round.
            tokio::select! {
                biased;
                frame = self.incoming.message(), if resting.is_none() => {
                    let frame = received(frame)?;
                    self.pay(frame.kind.as_ref(), budget);
                    if let Some(end) = self.take(setup, frame).await? {
                        return Ok(end);
                    }
                }
                Ok(()) = self.head.changed() => {}
                Ok(()) = self.statuses.changed() => self.tell_sources(setup).await?,
                _ = renewal.tick() => self.renew(setup).await?,
                () = asking::asked(self.seat.as_mut()) => self.ask(setup).await?,
                () = opened(self.gate), if self.gate.is_some() => self.gate = None,
                () = opened(resting), if resting.is_some() => {}
                // There is room for one more frame, and no row waits for it.
                true = has_room(&self.frames), if self.gate.is_none() && !self.wants.is_empty() => {
                    self.answer_want(setup, budget).await?;
                }
            }
        }
    }

    /// Counts a frame that was read, and says when the next one has to wait.
    fn pay(&mut self, kind: Option<&aggregator_frame::Kind>, budget: &mut Budget) {
        let now = Instant::now();
        budget.pace.read(kind, now);
        if budget.pace.rests_until(now).is_none() {
            return;
        }
        self.metrics.slowed.inc();
        if let Some(times) = self.slowed.should_log(now, false) {
            tracing::warn!(
                times,
                "aggregator sends more than it may: it is read more slowly"
            );
        }
    }

    /// Takes a frame; `Some` when the aggregator wants the session to end.
    async fn take(&mut self, setup: &Setup, frame: AggregatorFrame) -> Result<Option<End>, End> {
        use aggregator_frame::Kind;
        let ignored = match frame.kind {
            Some(Kind::Ack(ack)) => return Ok(self.acknowledge(setup, &ack)),
            Some(Kind::Want(want)) => {
                self.want(setup, &want).await?;
                return Ok(None);
            }
            Some(Kind::Drain(drain)) => {
                // A stream that has ended meanwhile takes no Bye; the wish stands all the same.
                if self.send(setup, bye("asked to leave")).await.is_ok() {
                    self.settle(setup, LEAVE_DEADLINE).await;
                }
                return Ok(Some(End::drained(drain)));
            }
            Some(Kind::Welcome(_)) => {
                let reason = "aggregator sent a second Welcome: check --aggregator";
                return Ok(Some(End::new(EndKind::Protocol, reason)));
            }
            Some(Kind::Names(names)) => {
                if self.answer(names) {
                    return Ok(None);
                }
                "names"
            }
            None => "unknown",
        };
        self.metrics
            .frames_ignored
            .get_or_create(&ByKind { kind: ignored })
            .inc();
        Ok(None)
    }

    fn acknowledge(&mut self, setup: &Setup, ack: &v1::Ack) -> Option<End> {
        if wire::run(ack.run.as_ref()) != Ok(self.run) || ack.seq >= self.next_seq {
            let reason = "aggregator acknowledged a row that was not sent";
            return Some(End::new(EndKind::Protocol, reason));
        }
        self.acked_seq = self.acked_seq.max(Some(ack.seq));
        setup.ring.acknowledged(&self.run, ack.seq);
        self.count_unacked();
        let now_s = setup.clock.unix_ms() / 1_000;
        self.metrics
            .last_ack
            .set(i64::try_from(now_s).unwrap_or(i64::MAX));
        None
    }

    /// Brings the gauge to what this session has sent and nobody has acknowledged.
    fn count_unacked(&mut self) {
        let sent = self.last.as_ref().map_or(0, |row| row.seq + 1);
        let acked = self.acked_seq.map_or(0, |seq| seq + 1);
        let unacked = match self.acked_seq {
            None => i64::from(self.last.is_some()),
            Some(_) => i64::try_from(sent.saturating_sub(acked)).unwrap_or(i64::MAX),
        };
        self.unacked.set(unacked);
    }

    async fn want(&mut self, setup: &Setup, want: &v1::Want) -> Result<(), End> {
        if wire::run(want.run.as_ref()) != Ok(self.run) {
            let (first, last) = (want.first_block, want.last_block);
            return self.unknown_run(setup, want.run.clone(), first, last).await;
        }
        if !self.wants.push(want.first_block, want.last_block) {
            self.metrics
                .wants_ignored
                .get_or_create(&ByKind { kind: "too_many" })
                .inc();
        }
        Ok(())
    }

    /// Tells what is new about the sources.
    async fn tell_sources(&mut self, setup: &Setup) -> Result<(), End> {
        let now = self.statuses.borrow_and_update().clone();
        for status in &now {
            let same = self.told.iter().find(|old| old.source == status.source);
            if same.is_some_and(|old| old.says_the_same_as(status)) {
                continue;
            }
            if let Some(frame) = status.to_wire() {
                self.send(setup, agent_frame::Kind::SourceStatus(frame))
                    .await?;
            }
        }
        self.told = now;
        Ok(())
    }

    /// Sends the token again when its file has another one.
    async fn renew(&mut self, setup: &Setup) -> Result<(), End> {
        // A file that cannot be read now may be in the middle of being replaced.
        let Ok(Some(bearer)) = Bearer::read(setup.token_file.as_deref()) else {
            return Ok(());
        };
        if self.bearer.as_ref() == Some(&bearer) {
            return Ok(());
        }
        let token = v1::Token {
            bearer: bearer.expose().to_owned(),
        };
        self.bearer = Some(bearer);
        self.send(setup, agent_frame::Kind::Token(token)).await
    }

    async fn goodbye(&mut self, setup: &Setup) -> Result<End, End> {
        self.send(setup, bye("agent stops")).await?;
        let last = self.last.as_ref().map(|row| row.seq);
        let within = if last.is_some() {
            GOODBYE_DEADLINE
        } else {
            LEAVE_DEADLINE
        };
        self.settle(setup, within).await;
        let said = match last {
            Some(seq) if self.acked_seq >= last => format!("row {seq} is acknowledged"),
            Some(seq) => format!("row {seq} was sent and not acknowledged in time"),
            None => "there was no row to send".to_owned(),
        };
        Ok(End::new(EndKind::Shutdown, format!("agent stops: {said}")))
    }

    /// Waits after Bye until the aggregator ends the stream: a connection that is dropped at once
    /// takes the Bye with it. Once the last row is acknowledged little is left to wait for.
    async fn settle(&mut self, setup: &Setup, within: Duration) {
        let last = self.last.as_ref().map(|row| row.seq);
        let mut deadline = Instant::now() + within;
        let mut settled = false;
        loop {
            if !settled && self.acked_seq >= last {
                settled = true;
                deadline = deadline.min(Instant::now() + LEAVE_DEADLINE);
            }
            let frame = timeout_at(deadline, self.incoming.message()).await;
            let Ok(Ok(Some(frame))) = frame else { return };
            // Nothing but an acknowledgement matters any more.
            if let Some(aggregator_frame::Kind::Ack(ack)) = frame.kind
                && self.acknowledge(setup, &ack).is_some()
            {
                return;
            }
        }
    }
}

/// Waits until this time. Cancel safe.
async fn opened(gate: Option<Instant>) {
    if let Some(gate) = gate {
        tokio::time::sleep_until(gate).await;
    }
}

/// Waits until a frame could be sent without waiting; false when the stream has ended, which its
/// incoming half tells better. Cancel safe.
async fn has_room(frames: &mpsc::Sender<AgentFrame>) -> bool {
    frames.reserve().await.is_ok()
}

/// What came of waiting for a frame.
fn received(frame: Result<Option<AggregatorFrame>, tonic::Status>) -> Result<AggregatorFrame, End> {
    match frame {
        Ok(Some(frame)) => Ok(frame),
        Ok(None) => Err(End::new(EndKind::Closed, "aggregator ended the stream")),
        Err(status) => Err(End::of_status(&status)),
    }
}

fn bye(reason: &str) -> agent_frame::Kind {
    agent_frame::Kind::Bye(v1::Bye {
        reason: reason.to_owned(),
    })
}

//! One stream, from `Hello` to its end.

mod apply;
mod earlier;
mod hello;
mod placing;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::model::Run;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::{catalogue, codec, limits, stream, v1, wire};
use cairn_runtime::logging;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tonic::{Status, Streaming};

use super::Inner;
use super::auth::Identity;
use super::fence::{Entered, Fence};
use super::history::History;
use super::pace::{Kind as Paced, Pace};
use super::unheard::Waiting;
use crate::store::{Error, Session};
use hello::{Opened, Taken};
use placing::Placing;
use waiting::{Event, Turn};

/// How long an answer may wait for a peer that does not read.
const SEND_DEADLINE: Duration = Duration::from_secs(5);

/// A row is acknowledged so long after it was applied, with those that came meanwhile; `Bye` is answered
/// at once. Nobody waits for an ack, and the rows of all nodes come together at a tick: the answers are
/// written when these have been read, and before those of the next tick come, a second later at the
/// soonest.
const ACK_AFTER: Duration = Duration::from_millis(500);

/// Acks are at most this frequent.
const ACK_EVERY: Duration = Duration::from_secs(1);

/// A stream without a frame for three of its intervals and this much is not there any more.
const SILENCE: Duration = Duration::from_secs(60);

/// Rows of a run that an agent is believed to have dropped: those of a century, a second apart.
const MOST_DROPPED: u64 = u32::MAX as u64;

type Answers = mpsc::Sender<Result<v1::AggregatorFrame, Status>>;

/// How a stream ended.
enum End {
    /// The agent said goodbye or closed its side.
    Gone(&'static str),
    /// The connection went away under it; why.
    Broken(String),
    /// We end it, with this status.
    Refused(&'static str, Status),
}

/// Serves a stream until it ends; the peer is told why.
pub(super) async fn run(
    inner: Arc<Inner>,
    mut frames: Streaming<v1::AgentFrame>,
    (identity, waiting): (Identity, Waiting),
    answers: Answers,
) {
    let taken = match hello::open(&inner, &mut frames, &identity, &answers).await {
        Ok(taken) => taken,
        Err(refusal) => return refusal.tell(&inner, &answers, waiting).await,
    };
    drop(waiting);
    let stream = taken.entered.stream.clone();
    inner.quota.opened();
    let mut served = Served::new(&inner, taken, (identity, answers));
    let end = tokio::select! {
        biased;
        () = stream.cancelled() => served.fenced(),
        end = served.serve(&mut frames) => end,
    };
    Fence::leave(&stream);
    served.close(end).await;
}

/// An open stream.
struct Served {
    inner: Arc<Inner>,
    session: Session,
    run: Run,
    identity: Identity,
    interval_ms: u64,
    answers: Answers,
    history: History,
    // A place in the line of those who want history.
    turn: Option<Turn>,
    pace: Arc<Pace>,
    // What it named and is not in the store.
    placing: Placing,
    // When it was last said that something of it was refused.
    refused: logging::Repeat,
    // When it was last said that the stream is slowed down.
    slowed: logging::Repeat,
    // Bytes of the last row, decoded.
    row_bytes: u64,
    // Rows one after the other whose ticks were not kept.
    outside_rows: u32,
    welcome: v1::Welcome,
    applied_seq: Option<u64>,
    // Up to where blocks were looked at for rows that were passed over.
    looked_at_seq: u64,
    // When the first row that is not acknowledged was applied.
    unacked_at: Option<Instant>,
    acked_at: Option<Instant>,
}

impl Served {
    fn new(inner: &Arc<Inner>, taken: Taken, (identity, answers): (Identity, Answers)) -> Self {
        let Taken {
            hello,
            opened,
            entered,
        } = taken;
        let Entered {
            pace,
            opened: session,
            ..
        } = entered;
        pace.begin(Duration::from_millis(opened.interval_ms));
        let now_ms = inner.clock.unix_ms();
        let Opened {
            run,
            interval_ms,
            row_codec,
        } = opened;
        let offered = hello.oldest_block..hello.next_seq.div_ceil(limits::BLOCK_ROWS);
        if let Some(wishes) = &inner.wishes {
            wishes.opened(&hello.node, run, offered.clone(), interval_ms);
        }
        let chunks = codec::choose(&hello.chunk_codecs).is_some();
        let missing = if chunks {
            inner.store.missing(&session, offered)
        } else {
            Vec::new()
        };
        tell_dropped(inner, &session, hello.dropped_rows);
        earlier::hear(inner, &session, &hello.earlier_runs);
        inner.metrics.opened();
        tracing::info!(
            node = %hello.node, version = %logging::escape(&wire::cut(hello.version)),
            epoch_ms = run.epoch_ms, next_seq = hello.next_seq, wanted_blocks = missing.len(),
            "agent connected"
        );
        let welcome = v1::Welcome {
            aggregator_instance: inner.instance.clone(),
            row_codec,
            // An agent that writes none of them is not asked for history.
            chunk_codecs: if chunks {
                codec::SUPPORTED.to_vec()
            } else {
                Vec::new()
            },
            catalogue: catalogue::VERSION,
            unix_ms: now_ms,
            resolves: inner.cluster.known().is_some(),
        };
        Self {
            inner: Arc::clone(inner),
            session,
            run,
            identity,
            interval_ms,
            answers,
            history: History::new(run, missing),
            turn: None,
            pace,
            placing: Placing::default(),
            refused: logging::Repeat::new(),
            slowed: logging::Repeat::new(),
            row_bytes: 0,
            outside_rows: 0,
            welcome,
            applied_seq: None,
            // The first row of the stream may be one of a later block.
            looked_at_seq: hello.next_seq,
            unacked_at: None,
            acked_at: None,
        }
    }

    /// Welcome, then frame after frame. Cancel safe in the one way that matters: a frame is applied in
    /// one step of the store, which a newer session comes before or after.
    async fn serve(&mut self, frames: &mut Streaming<v1::AgentFrame>) -> End {
        let welcome = self.welcome.clone();
        if let Err(end) = self.send(Answer::Welcome(welcome)).await {
            return end;
        }
        let silence = SILENCE + 3 * Duration::from_millis(self.interval_ms);
        let mut heard_at = Instant::now();
        loop {
            self.stand_in_line();
            if self.ack_due().is_some_and(|due| due <= Instant::now())
                && let Err(end) = self.ack().await
            {
                return end;
            }
            let silent_at = heard_at + silence;
            let due = [self.ack_due(), self.history.due(), Some(silent_at)];
            let deadline = due.into_iter().flatten().min().unwrap_or(silent_at);
            let done = match self.next(frames, deadline).await {
                Event::Frame(frame) => {
                    let done = self.apply(frame).await;
                    // After the rest that it may have to take, in which nothing is read.
                    heard_at = Instant::now();
                    done
                }
                Event::Turn(claim) => self.ask(claim).await,
                Event::Closed => return End::Gone("closed"),
                Event::Broken(status) => return broken(&status),
                Event::Due if Instant::now() < silent_at => continue,
                Event::Due => {
                    let status = Status::deadline_exceeded("no frame came for too long");
                    return End::Refused("silent", status);
                }
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// When the next ack must go out; `None` when nothing is unacknowledged.
    fn ack_due(&self) -> Option<Instant> {
        let first = self.unacked_at?;
        let again = self.acked_at.map(|before| before + ACK_EVERY);
        again.max(Some(first + ACK_AFTER))
    }

    async fn ack(&mut self) -> Result<(), End> {
        self.unacked_at = None;
        self.acked_at = Some(Instant::now());
        match self.applied_seq {
            Some(seq) => {
                let run = Some(v1::Run::from(&self.run));
                self.send(Answer::Ack(v1::Ack { run, seq })).await
            }
            None => Ok(()),
        }
    }

    async fn send(&mut self, answer: Answer) -> Result<(), End> {
        let frame = v1::AggregatorFrame { kind: Some(answer) };
        match timeout(SEND_DEADLINE, self.answers.send(Ok(frame))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Broken("its connection was closed".to_owned())),
            Err(_) => Err(End::Gone("not_reading")),
        }
    }

    fn refused(&self, error: &Error) -> End {
        if matches!(error, Error::Fenced) {
            return self.fenced();
        }
        self.inner.metrics.rejected(error);
        let text = logging::chain(error);
        match error {
            Error::TooLarge { .. } | Error::TooManyCells { .. } => {
                End::Refused("share", Status::resource_exhausted(text))
            }
            _ => fault("frame", text),
        }
    }

    fn fenced(&self) -> End {
        if self.inner.token.is_cancelled() {
            let status = Status::unavailable("the aggregator is going: reconnect to another one");
            return End::Refused("shutdown", status);
        }
        let text = "a newer stream of this node has taken over";
        End::Refused("fenced", Status::aborted(text))
    }

    async fn close(mut self, end: End) {
        let (reason, why, status) = match end {
            End::Gone(reason) => (reason, None, None),
            End::Broken(why) => ("broken", Some(why), None),
            End::Refused(reason, status) => (reason, None, Some(status)),
        };
        self.inner
            .store
            .close(&self.session, self.inner.clock.unix_ms());
        self.inner.metrics.closed(reason);
        let node = &self.session.node;
        match status {
            None => tracing::info!(node, reason, why, "agent left"),
            Some(status) => {
                tracing::warn!(
                    node,
                    reason,
                    status = status.message(),
                    "stream of an agent ended"
                );
                if reason == "shutdown" {
                    let drain = v1::Drain {
                        reconnect_after_ms: 0,
                        reason: "shutdown".into(),
                    };
                    drop(self.send(Answer::Drain(drain)).await);
                }
                drop(timeout(SEND_DEADLINE, self.answers.send(Err(status))).await);
            }
        }
    }
}

/// Counts what an agent dropped before anybody had it, and says so.
fn tell_dropped(inner: &Inner, session: &Session, rows: u64) {
    let rows = inner.store.dropped(session, rows.min(MOST_DROPPED));
    if rows > 0 {
        inner.metrics.gap(rows);
        tracing::warn!(
            node = session.node,
            rows,
            "agent dropped rows that no aggregator had taken: its ring did not reach back to the \
             last time it was heard"
        );
    }
}

/// A frame that breaks the protocol.
fn fault(reason: &'static str, text: impl Into<String>) -> End {
    End::Refused(reason, Status::invalid_argument(text.into()))
}

/// What an error of the stream means: a frame that is too large or does not decode is the agent's
/// fault and is told; anything else is a connection that is gone.
fn broken(status: &Status) -> End {
    match unreadable(status) {
        Some(told) => End::Refused("frame", told),
        None => End::Broken(logging::chain(status)),
    }
}

/// What an agent is told of bytes that are no frame; `None` when the connection is gone.
fn unreadable(status: &Status) -> Option<Status> {
    let why = stream::unreadable(status)?;
    let text = format!("a frame is not one of this protocol: {why}");
    Some(Status::invalid_argument(text))
}

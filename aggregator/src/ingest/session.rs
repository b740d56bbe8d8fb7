//! One stream, from `Hello` to its end.

mod apply;
#[cfg(test)]
mod tests;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use cairn_proto::model::{EntityKind, Run, check_name};
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::{catalogue, codec, limits, v1, wire};
use cairn_runtime::logging;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Status, Streaming};

use super::auth::Identity;
use super::fence::{Entered, Fence};
use super::history::History;
use super::pace::{Kind as Paced, Pace};
use super::unheard::Waiting;
use super::{HELLO_DEADLINE, Inner};
use crate::pressure::Level;
use crate::store::{Error, Opening, Session};
use waiting::{Event, Turn};

/// How long an answer may wait for a peer that does not read.
const SEND_DEADLINE: Duration = Duration::from_secs(5);

/// A stream whose `Hello` is refused is told so after this long: its handshake cost more than anything that
/// an agent does in an hour.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// A row is acknowledged so long after it was applied, with those that came meanwhile; `Bye` is answered
/// at once. Nobody waits for an ack, and the rows of all nodes come together at a tick: the answers are
/// written when these have been read, and before those of the next tick come, a second later at the
/// soonest.
const ACK_AFTER: Duration = Duration::from_millis(500);

/// Acks are at most this frequent.
const ACK_EVERY: Duration = Duration::from_secs(1);

/// When a session that is sent away for want of memory may come back, ms, and how much later at most:
/// long enough for a window to be shortened, and spread so that they do not come back together.
const AWAY_MS: u64 = 10_000;
const AWAY_SPREAD_MS: u64 = 20_000;

/// A stream without a frame for three of its intervals and this much is not there any more.
const SILENCE: Duration = Duration::from_secs(60);

/// Rows of a run that an agent is believed to have dropped: those of a century, a second apart.
const MOST_DROPPED: u64 = u32::MAX as u64;

type Answers = mpsc::Sender<Result<v1::AggregatorFrame, Status>>;

/// How a stream ended.
enum End {
    /// The agent said goodbye or closed its side.
    Gone(&'static str),
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
    let hello = match timeout(HELLO_DEADLINE, frames.message()).await {
        Ok(Ok(Some(v1::AgentFrame {
            kind: Some(Kind::Hello(hello)),
            ..
        }))) => hello,
        Ok(Ok(_)) => {
            let status = Status::invalid_argument("the first frame must be Hello");
            return refuse(&inner, &answers, "no_hello", status).await;
        }
        Ok(Err(status)) => return refuse(&inner, &answers, "broken", status).await,
        Err(_) => {
            let status = Status::deadline_exceeded("no Hello came within 10 s");
            return refuse(&inner, &answers, "no_hello", status).await;
        }
    };
    let opened = match check(&hello, &identity) {
        Ok(opened) => opened,
        Err((reason, status)) => {
            say_refused(hello.node, reason, &status);
            if reason != ASKED {
                // In its place among those that are not heard of yet, of which a node has a few.
                tokio::select! {
                    () = inner.token.cancelled() => {}
                    () = sleep(REFUSED_AFTER) => {}
                }
            }
            drop(waiting);
            return refuse(&inner, &answers, reason, status).await;
        }
    };
    drop(waiting);
    if inner.pressure.level() == Level::Refuse {
        return send_away(&inner, &hello.node, &answers).await;
    }
    let now_ms = inner.clock.unix_ms();
    let open = || {
        let Opened {
            run, interval_ms, ..
        } = opened;
        let sent_ms = hello.unix_ms;
        inner.store.open(
            &hello.node,
            Opening {
                run,
                interval_ms,
                sent_ms,
                now_ms,
            },
        )
    };
    let entered = inner
        .fence
        .enter(&hello.node, Instant::now(), &inner.token, open);
    let Entered {
        stream,
        pace,
        opened: session,
    } = match entered {
        Ok(entered) => entered,
        Err(refused) => {
            tracing::warn!(node = %hello.node, reason = %refused, "agent refused");
            let status = Status::resource_exhausted(refused.to_string());
            return refuse(&inner, &answers, "replaced_too_often", status).await;
        }
    };
    inner.quota.opened();
    let mut served = Served::new(&inner, &hello, (session, opened), pace, (identity, answers));
    let end = tokio::select! {
        biased;
        () = stream.cancelled() => served.fenced(),
        end = served.serve(&mut frames) => end,
    };
    Fence::leave(&stream);
    served.close(end).await;
}

fn say_refused(node: String, reason: &str, status: &Status) {
    let node = logging::escape(&wire::cut(node));
    if reason == ASKED {
        tracing::info!(
            node,
            "a check asked whether this node's stream would be taken"
        );
    } else {
        tracing::warn!(node, reason = status.message(), "agent refused");
    }
}

async fn refuse(inner: &Inner, answers: &Answers, reason: &'static str, status: Status) {
    inner.metrics.refused(reason);
    // The peer may be gone already; then nobody needs to know.
    drop(timeout(SEND_DEADLINE, answers.send(Err(status))).await);
}

/// Asks a session that has not begun to come back later: memory is short.
async fn send_away(inner: &Inner, node: &str, answers: &Answers) {
    tracing::info!(node, "agent sent away for a while: memory is short");
    let text = "the aggregator is short of memory: come back later";
    let drain = v1::Drain {
        reconnect_after_ms: AWAY_MS + fastrand::u64(..AWAY_SPREAD_MS),
        reason: text.to_owned(),
    };
    let kind = Some(Answer::Drain(drain));
    let frame = v1::AggregatorFrame { kind };
    drop(timeout(SEND_DEADLINE, answers.send(Ok(frame))).await);
    let status = Status::resource_exhausted(text);
    refuse(inner, answers, "memory", status).await;
}

/// What the agent said of itself, checked.
#[derive(Clone, Copy)]
struct Opened {
    run: Run,
    interval_ms: u64,
    row_codec: u32,
}

type Refusal = (&'static str, Status);

/// The reason of a refusal that the peer is after: `cairn-agent check` offers no row codec, and so learns
/// that everything else is well without taking the stream of the agent that runs.
const ASKED: &str = "asked";

fn check(hello: &v1::Hello, identity: &Identity) -> Result<Opened, Refusal> {
    let bad = |text: String| ("hello", Status::invalid_argument(text));
    check_name(EntityKind::Node, &hello.node).map_err(|e| bad(format!("node: {e}")))?;
    if !identity.may_report(&hello.node) {
        let node = &hello.node;
        let text = format!(
            "this token does not belong to node {node}: check --node-name and the token file"
        );
        return Err(("wrong_node", Status::permission_denied(text)));
    }
    let run = wire::run(hello.run.as_ref()).map_err(|e| bad(format!("run: {e}")))?;
    if hello.next_seq > limits::MAX_SEQ {
        let (seq, most) = (hello.next_seq, limits::MAX_SEQ);
        return Err(bad(format!("next_seq: {seq} is beyond {most}")));
    }
    if hello.row_codecs.is_empty() {
        let text = "token and node are good; no row codec is offered, so no stream is opened";
        return Err((ASKED, Status::failed_precondition(text)));
    }
    let offered = hello
        .row_codecs
        .get(..limits::MAX_CODECS.min(hello.row_codecs.len()));
    let row_codec = codec::choose(offered.unwrap_or_default()).ok_or_else(|| {
        let text = format!(
            "no row codec in common: this aggregator reads {:?}",
            codec::SUPPORTED
        );
        ("codec", Status::failed_precondition(text))
    })?;
    let on_grid = |s: &u64| hello.interval_ms == s * 1_000;
    if !limits::INTERVALS_S.iter().any(on_grid) {
        return Err(bad(format!(
            "an interval of {} ms is not on the grid",
            hello.interval_ms
        )));
    }
    Ok(Opened {
        run,
        interval_ms: hello.interval_ms,
        row_codec,
    })
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
    // When it was last said that the stream is slowed down.
    slowed: logging::Repeat,
    // Bytes of the last row, decoded.
    row_bytes: u64,
    // Rows one after the other whose ticks were not kept.
    outside_rows: u32,
    welcome: v1::Welcome,
    applied_seq: Option<u64>,
    looked_at_seq: Option<u64>,
    // When the first row that is not acknowledged was applied.
    unacked_at: Option<Instant>,
    acked_at: Option<Instant>,
}

impl Served {
    fn new(
        inner: &Arc<Inner>,
        hello: &v1::Hello,
        (session, opened): (Session, Opened),
        pace: Arc<Pace>,
        (identity, answers): (Identity, Answers),
    ) -> Self {
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
        inner.metrics.opened();
        tracing::info!(
            node = %hello.node, version = %logging::escape(&wire::cut(hello.version.clone())),
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
            slowed: logging::Repeat::new(),
            row_bytes: 0,
            outside_rows: 0,
            welcome,
            applied_seq: None,
            looked_at_seq: None,
            unacked_at: None,
            acked_at: None,
        }
    }

    /// Welcome, then frame after frame. Cancel safe in the one way that matters: a frame is applied in
    /// one step of the store, which a newer session comes before or after.
    async fn serve(&mut self, frames: &mut Streaming<v1::AgentFrame>) -> End {
        // Before it has its answer: then it has no reason to end and come again.
        self.pay(Paced::Streams, 1).await;
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
            Ok(Err(_)) => Err(End::Gone("broken")),
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
        let (reason, status) = match end {
            End::Gone(reason) => (reason, None),
            End::Refused(reason, status) => (reason, Some(status)),
        };
        self.inner
            .store
            .close(&self.session, self.inner.clock.unix_ms());
        self.inner.metrics.closed(reason);
        let node = &self.session.node;
        match status {
            None => tracing::info!(node, reason, "agent left"),
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
/// fault and is told; what has a source of its own is a connection that is gone.
fn broken(status: &Status) -> End {
    if std::error::Error::source(status).is_some() {
        return End::Gone("broken");
    }
    let text = format!("a frame is not one of this protocol: {}", status.message());
    End::Refused("frame", Status::invalid_argument(text))
}

//! What comes before a session is open: `Hello`, what speaks against it, and what the stream costs.
//!
//! A stream is paid for before it is opened, in its place among those that are not heard of yet, and
//! whoever is not taken rests there before being told so. A node has a few such places, so there is no
//! way to open streams faster than another, also for who hangs up meanwhile. A question (see [`ASKED`])
//! is judged by all that a stream is judged by but its row codec, of which it offers none, and costs the same.

use std::time::Duration;

use cairn_proto::model::{EntityKind, Run, check_name};
use cairn_proto::v1::agent_frame::Kind;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use cairn_proto::{codec, limits, v1, wire};
use cairn_runtime::logging;
use tokio::time::{Instant, sleep, timeout};
use tonic::{Status, Streaming};

use super::waiting::owed;
use super::{Answers, SEND_DEADLINE, unreadable};
use crate::ingest::auth::Identity;
use crate::ingest::fence::{Entered, Line, Refused};
use crate::ingest::pace::Kind as Paced;
use crate::ingest::unheard::Waiting;
use crate::ingest::{HELLO_DEADLINE, Inner, REFUSED_AFTER};
use crate::pressure::Level;
use crate::store::{Opening, Session};

/// When a session that is sent away for want of memory may come back, ms, and how much later at most:
/// long enough for a window to be shortened, and spread so that they do not come back together.
const AWAY_MS: u64 = 10_000;
const AWAY_SPREAD_MS: u64 = 20_000;

/// The reason of a refusal that the peer is after: `cairn-agent check` offers no row codec, and so learns
/// that everything else is well without taking the stream of the agent that runs.
const ASKED: &str = "asked";

/// A stream that is taken.
pub(super) struct Taken {
    pub(super) hello: v1::Hello,
    pub(super) opened: Opened,
    pub(super) entered: Entered<Session>,
}

/// What the agent said of itself, checked.
#[derive(Clone, Copy)]
pub(super) struct Opened {
    pub(super) run: Run,
    pub(super) interval_ms: u64,
    pub(super) row_codec: u32,
}

/// Why a stream is not taken.
pub(super) struct Refusal {
    reason: &'static str,
    status: Status,
    // Goes before the status: what an agent does about it by itself.
    drain: Option<v1::Drain>,
    // Until it is told.
    rest: Duration,
}

impl Refusal {
    fn new(reason: &'static str, status: Status) -> Self {
        Self {
            reason,
            status,
            drain: None,
            rest: REFUSED_AFTER,
        }
    }

    /// One that has waited, or paid, already.
    fn at_once(reason: &'static str, status: Status) -> Self {
        Self {
            rest: Duration::ZERO,
            ..Self::new(reason, status)
        }
    }

    /// Rests in the stream's place, and then tells the peer.
    pub(super) async fn tell(self, inner: &Inner, answers: &Answers, waiting: Waiting) {
        rest(inner, self.rest).await;
        drop(waiting);
        inner.metrics.refused(self.reason);
        let drain = self.drain.map(|drain| {
            let kind = Some(Answer::Drain(drain));
            Ok(v1::AggregatorFrame { kind })
        });
        for answer in drain.into_iter().chain([Err(self.status)]) {
            // The peer may be gone already; then nobody needs to know.
            drop(timeout(SEND_DEADLINE, answers.send(answer)).await);
        }
    }
}

/// Reads `Hello` and opens the stream that it asks for, once that is paid for.
pub(super) async fn open(
    inner: &Inner,
    frames: &mut Streaming<v1::AgentFrame>,
    identity: &Identity,
    answers: &Answers,
) -> Result<Taken, Refusal> {
    let hello = hear(frames).await?;
    // Beside what the agent's clock said when it wrote that: what comes now may take seconds.
    let now_ms = inner.clock.unix_ms();
    let opened = check(&hello, identity).inspect_err(|refusal| {
        let node = logging::escape(&wire::cut(hello.node.clone()));
        tracing::warn!(node, reason = refusal.status.message(), "agent refused");
    })?;
    has_memory(inner, &hello.node)?;
    let place = inner.unheard.pay(identity, &hello.node);
    let place = place.map_err(|many| {
        tracing::warn!(reason = %many, "agent refused");
        Refusal::new("unheard", Status::resource_exhausted(many.to_string()))
    })?;
    pay(inner, &hello.node).await?;
    drop(place);
    has_memory(inner, &hello.node)?;
    if answers.is_closed() {
        let status = Status::cancelled("the agent hung up before its stream was opened");
        return Err(Refusal::at_once("gone", status));
    }
    let Some(opened) = opened else {
        return Err(answered(inner, &hello.node));
    };
    let opening = Opening {
        run: opened.run,
        interval_ms: opened.interval_ms,
        sent_ms: hello.unix_ms,
        now_ms,
    };
    let store = || inner.store.open(&hello.node, opening);
    let entered = inner
        .fence
        .enter(&hello.node, Instant::now(), &inner.token, store)
        .map_err(|refused| replaced(&hello.node, refused))?;
    Ok(Taken {
        hello,
        opened,
        entered,
    })
}

async fn hear(frames: &mut Streaming<v1::AgentFrame>) -> Result<v1::Hello, Refusal> {
    match timeout(HELLO_DEADLINE, frames.message()).await {
        Ok(Ok(Some(v1::AgentFrame {
            kind: Some(Kind::Hello(hello)),
            ..
        }))) => Ok(hello),
        Ok(Ok(_)) => {
            let status = Status::invalid_argument("the first frame must be Hello");
            Err(Refusal::new("no_hello", status))
        }
        Ok(Err(status)) => Err(Refusal::new(
            "broken",
            unreadable(&status).unwrap_or(status),
        )),
        Err(_) => {
            let status = Status::deadline_exceeded("no Hello came within 10 s");
            Err(Refusal::at_once("no_hello", status))
        }
    }
}

/// Checks what was said; `None` of a question.
fn check(hello: &v1::Hello, identity: &Identity) -> Result<Option<Opened>, Refusal> {
    let bad = |text: String| Refusal::new("hello", Status::invalid_argument(text));
    check_name(EntityKind::Node, &hello.node).map_err(|e| bad(format!("node: {e}")))?;
    if !identity.may_report(&hello.node) {
        let node = &hello.node;
        let text = format!(
            "this identity does not belong to node {node}: check --node-name, and the token file or the \
             client certificate"
        );
        return Err(Refusal::new("wrong_node", Status::permission_denied(text)));
    }
    let run = wire::run(hello.run.as_ref()).map_err(|e| bad(format!("run: {e}")))?;
    if hello.next_seq > limits::MAX_SEQ {
        let (seq, most) = (hello.next_seq, limits::MAX_SEQ);
        return Err(bad(format!("next_seq: {seq} is beyond {most}")));
    }
    if !limits::is_interval(hello.interval_ms) {
        return Err(bad(format!(
            "an interval of {} ms is not on the grid",
            hello.interval_ms
        )));
    }
    if hello.row_codecs.is_empty() {
        return Ok(None);
    }
    let offered = hello
        .row_codecs
        .get(..limits::MAX_CODECS.min(hello.row_codecs.len()));
    let row_codec = codec::choose(offered.unwrap_or_default()).ok_or_else(|| {
        let text = format!(
            "no row codec in common: this aggregator reads {:?}",
            codec::SUPPORTED
        );
        Refusal::new("codec", Status::failed_precondition(text))
    })?;
    Ok(Some(Opened {
        run,
        interval_ms: hello.interval_ms,
        row_codec,
    }))
}

fn has_memory(inner: &Inner, node: &str) -> Result<(), Refusal> {
    if inner.pressure.level() == Level::Refuse {
        return Err(away(node));
    }
    Ok(())
}

/// Asks a session that has not begun to come back later: memory is short.
fn away(node: &str) -> Refusal {
    tracing::info!(node, "agent sent away for a while: memory is short");
    let text = "the aggregator is short of memory: come back later";
    let drain = v1::Drain {
        reconnect_after_ms: AWAY_MS + fastrand::u64(..AWAY_SPREAD_MS),
        reason: text.to_owned(),
    };
    Refusal {
        drain: Some(drain),
        ..Refusal::new("memory", Status::resource_exhausted(text))
    }
}

fn replaced(node: &str, refused: Refused) -> Refusal {
    tracing::warn!(node, reason = %refused, "agent refused");
    let status = Status::resource_exhausted(refused.to_string());
    Refusal::new("replaced_too_often", status)
}

/// The answer to a question for which all is well.
fn answered(inner: &Inner, node: &str) -> Refusal {
    if let Some(times) = inner.fence.should_log(node, Line::Asked, Instant::now()) {
        tracing::info!(
            node,
            times,
            "a check asked whether this node's stream would be taken"
        );
    }
    let text = "this stream would be taken; no row codec is offered, so none is opened";
    Refusal::at_once(ASKED, Status::failed_precondition(text))
}

/// Rests until one more stream of the node is paid for: whoever has no answer yet has no reason to end and
/// come again. Not cut short when the peer hangs up: then it would cost nothing.
async fn pay(inner: &Inner, node: &str) -> Result<(), Refusal> {
    let now = Instant::now();
    let pace = inner.fence.look(node, now);
    let pace = pace.map_err(|refused| replaced(node, refused))?;
    let Some(owed) = owed(inner, &pace, Paced::Streams, 1) else {
        return Ok(());
    };
    if let Some(times) = inner.fence.should_log(node, Line::Slowed, now) {
        tracing::warn!(
            node,
            kind = Paced::Streams.word(),
            times,
            "agent opens more streams than it may: they are opened more slowly"
        );
    }
    rest(inner, owed).await;
    Ok(())
}

/// Waits, but not beyond the end of the process.
async fn rest(inner: &Inner, time: Duration) {
    if time.is_zero() {
        return;
    }
    tokio::select! {
        biased;
        () = inner.token.cancelled() => {}
        () = sleep(time) => {}
    }
}

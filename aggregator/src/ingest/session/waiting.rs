//! What a stream waits for: frames, its turn for history, and time when it sends too much.

use std::pin::Pin;
use std::time::Duration;

use cairn_proto::v1;
use cairn_proto::v1::aggregator_frame::Kind as Answer;
use tokio::time::{Instant, sleep, sleep_until};
use tonic::{Status, Streaming};

use super::{End, Paced, Served};
use crate::ingest::Inner;
use crate::ingest::pace::Pace;
use crate::ingest::quota::Claim;

/// Shorter rests are put together: a timer is no more exact than a few milliseconds.
const LEAST_REST: Duration = Duration::from_millis(20);

/// Takes so many of a kind; how long to rest until they are paid for, where that is worth a timer.
pub(super) fn owed(inner: &Inner, pace: &Pace, kind: Paced, count: u32) -> Option<Duration> {
    let owed = pace.take(kind, count, inner.fence.elapsed());
    let owed = Some(owed).filter(|owed| *owed >= LEAST_REST)?;
    inner.metrics.slowed(kind.word());
    Some(owed)
}

/// A place in the line of those who want history.
pub(super) type Turn = Pin<Box<dyn Future<Output = Option<Claim>> + Send>>;

/// What came of waiting.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one at a time, and a row's frame would be moved to the heap for it"
)]
pub(super) enum Event {
    /// The agent sent something.
    Frame(v1::AgentFrame),
    /// So much may be asked for.
    Turn(Option<Claim>),
    /// The deadline.
    Due,
    /// The agent closed its side.
    Closed,
    /// The stream is no more.
    Broken(Status),
}

impl Served {
    /// Waits for whatever comes first. Cancel safe: frames and the place in the line stay.
    pub(super) async fn next(
        &mut self,
        frames: &mut Streaming<v1::AgentFrame>,
        deadline: Instant,
    ) -> Event {
        let turn = self.turn.as_mut();
        tokio::select! {
            biased;
            claim = async { turn?.await }, if turn.is_some() => {
                self.turn = None;
                Event::Turn(claim)
            }
            frame = frames.message() => match frame {
                Ok(Some(frame)) => Event::Frame(frame),
                Ok(None) => Event::Closed,
                Err(status) => Event::Broken(status),
            },
            () = sleep_until(deadline) => Event::Due,
        }
    }

    /// Gets into the line for history when there is something to ask for.
    pub(super) fn stand_in_line(&mut self) {
        match self.history.need(Instant::now()) {
            Some(bytes) if self.turn.is_none() => {
                self.turn = Some(Box::pin(self.inner.quota.clone().claim(bytes)));
            }
            Some(_) => {}
            // What was wanted has come by itself.
            None => self.turn = None,
        }
    }

    /// Wants nothing more that would leave a hole behind it, since the node has let go of what comes between. Returns
    /// the first block that may still be taken.
    pub(super) fn keep_whole(&mut self) -> u64 {
        let first = self.inner.store.first_block(&self.session);
        self.history.forget_before(first);
        first
    }

    /// Asks for the next piece of history.
    pub(super) async fn ask(&mut self, claim: Option<Claim>) -> Result<(), End> {
        self.keep_whole();
        let want = claim.and_then(|claim| self.history.ask(claim, Instant::now()));
        match want {
            Some(want) => {
                self.inner.metrics.want();
                self.send(Answer::Want(want)).await
            }
            None => Ok(()),
        }
    }

    /// Counts so many of a kind and rests for as long as that takes to be paid for: nothing is read of
    /// this stream meanwhile, and nobody else waits.
    pub(super) async fn pay(&mut self, kind: Paced, count: u32) {
        let Some(rest) = owed(&self.inner, &self.pace, kind, count) else {
            return;
        };
        if let Some(times) = self.slowed.should_log(Instant::now(), false) {
            tracing::warn!(
                node = %self.session.node, kind = kind.word(), times,
                "agent sends more than it may: its stream is read more slowly"
            );
        }
        // A place that comes up meanwhile would be held for nothing.
        self.turn = None;
        let clock = &self.inner.clock;
        if clock.is_driven() {
            let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
            let until_ms = clock.unix_ms().saturating_add(rest_ms);
            let mut stepped = clock.waiter("slow stream");
            tokio::select! {
                () = stepped.until(until_ms) => {}
                () = sleep(rest) => {}
            }
        } else {
            sleep(rest).await;
        }
    }
}

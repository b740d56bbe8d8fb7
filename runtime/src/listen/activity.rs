//! What goes on in one connection: whether it asks anything, and whether it takes its answers.
//!
//! Each connection owns one [`Activity`], which its requests and their answers' bodies report to and
//! which the connection's task judges now and then. HTTP/2 needs this most: its client can hold a
//! connection by answering pings alone, and an answer by granting no window, while the socket itself
//! looks well.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Closed, Config};

/// The bounds of the time between two looks at a connection, whatever was configured: a deadline of
/// 0 must not make a busy loop, nor a huge one overflow the clock.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
pub(super) const MOST_PAUSE: Duration = Duration::from_secs(600);

/// After this long a connection that asks nothing may have to make room for another one: long enough to
/// say what it wants once it has its place.
pub(super) const RESTS_AFTER: Duration = Duration::from_secs(1);

/// After this long so may one that asked and has no answer yet, which is mostly because its question is
/// not complete.
const UNANSWERED_RESTS_AFTER: Duration = Duration::from_secs(10);

/// Requests that a client of HTTP/2 may take back before they were answered: so many at once, and one
/// more after each pause. A proxy of many people takes some back each second; a client that opens and
/// resets streams as fast as it can reaches this within a tenth of a second.
const MOST_RESETS: u32 = 1_000;
const RESET_EVERY: Duration = Duration::from_millis(20);

/// What one connection does; a clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    // Rung when somebody has ordered the end.
    ordered: Notify,
}

#[derive(Debug)]
struct State {
    /// Whether a request ever came.
    asked: bool,
    /// Requests whose answer's body is not complete.
    in_flight: usize,
    /// Of these, those whose answer has begun.
    answered: usize,
    /// Of these, the answers with something to send that nobody has come for yet.
    waiting: usize,
    /// When a request came or ended, or somebody came for a waiting answer.
    last: Instant,
    /// Requests taken back lately, and until when that was counted.
    resets: u32,
    counted: Instant,
    /// Why it has to end at once.
    ordered: Option<Closed>,
}

/// What to do about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    LookAt(Instant),
    /// No first request came in time.
    Silent,
    /// Nothing was asked for too long.
    Idle,
    /// Nothing was taken for too long.
    Stalled,
}

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        let state = State {
            asked: false,
            in_flight: 0,
            answered: 0,
            waiting: 0,
            last: now,
            resets: 0,
            counted: now,
            ordered: None,
        };
        Self {
            inner: Arc::new(Inner {
                state: Mutex::new(state),
                ordered: Notify::new(),
            }),
        }
    }

    /// Notes that the connection can be asked from now on.
    pub(super) fn opened(&self) {
        self.lock().last = Instant::now();
    }

    /// From when on the connection does nothing that anybody waits for, unless something happens before; `None` while an
    /// answer is under way.
    pub(super) fn rests_from(&self) -> Option<Instant> {
        let state = self.lock();
        match (state.in_flight, state.answered) {
            (0, _) => Some(state.last + RESTS_AFTER),
            (_, 0) => Some(state.last + UNANSWERED_RESTS_AFTER),
            _ => None,
        }
    }

    /// Orders the connection's end.
    pub(super) fn end(&self, why: Closed) {
        self.lock().ordered.get_or_insert(why);
        self.inner.ordered.notify_one();
    }

    /// Why the connection has to end, if it has to.
    pub(super) fn ordered(&self) -> Option<Closed> {
        self.lock().ordered
    }

    /// Waits until the connection has to end. Cancel safe.
    pub(super) async fn ended(&self) -> Closed {
        loop {
            if let Some(why) = self.ordered() {
                return why;
            }
            // One waits, and what was rung before is heard.
            self.inner.ordered.notified().await;
        }
    }

    /// Tells whether a request ever came.
    pub(super) fn asked(&self) -> bool {
        self.lock().asked
    }

    /// Notes that a request came; it is in flight until the returned value is dropped. With `can_reset`
    /// a client can take it back without ending its connection.
    pub(super) fn begin(&self, can_reset: bool) -> InFlight {
        let mut state = self.lock();
        state.asked = true;
        state.in_flight += 1;
        state.last = Instant::now();
        InFlight {
            activity: self.clone(),
            answered: false,
            waiting: false,
            complete: !can_reset,
        }
    }

    /// Judges the connection under the limits. Stalling is judged by the connection: a client that
    /// takes something of one answer lives.
    pub(super) fn judge(&self, now: Instant, config: &Config) -> Verdict {
        let state = self.lock();
        // Whatever begins right after this look is seen before its deadline.
        let pause = config.idle_deadline.min(config.write_deadline);
        let pause = pause.clamp(LEAST_PAUSE, MOST_PAUSE);
        let (deadline, verdict) = if !state.asked {
            (config.header_deadline, Verdict::Silent)
        } else if state.in_flight == 0 {
            (config.idle_deadline, Verdict::Idle)
        } else if state.waiting > 0 {
            (config.write_deadline, Verdict::Stalled)
        } else {
            return Verdict::LookAt(now + pause);
        };
        let left = deadline.saturating_sub(now.saturating_duration_since(state.last));
        if left.is_zero() {
            return verdict;
        }
        Verdict::LookAt(now + left.min(pause))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a request that was taken back; true when those are too many.
    fn reset(&mut self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.counted).as_millis();
        let forgiven = u32::try_from(passed / RESET_EVERY.as_millis()).unwrap_or(u32::MAX);
        if forgiven > 0 {
            self.counted = now;
            self.resets = self.resets.saturating_sub(forgiven);
        }
        self.resets = self.resets.saturating_add(1);
        self.resets > MOST_RESETS
    }
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Activity,
    answered: bool,
    waiting: bool,
    // All of the answer was handed out, or whoever drops this does so for a reason of this side.
    complete: bool,
}

impl InFlight {
    /// Notes that the answer begins.
    pub(super) fn answered(&mut self) {
        if !std::mem::replace(&mut self.answered, true) {
            self.activity.lock().answered += 1;
        }
    }

    /// Notes that nothing of the answer is left, or that there will be none.
    pub(super) fn complete(&mut self) {
        self.complete = true;
    }

    /// Notes whether the answer has something that nobody has come for yet.
    fn set_waiting(&mut self, waiting: bool) {
        let before = std::mem::replace(&mut self.waiting, waiting);
        let mut state = self.activity.lock();
        match (before, waiting) {
            (false, false) => return,
            (false, true) => state.waiting += 1,
            (true, false) => state.waiting -= 1,
            (true, true) => {}
        }
        state.last = Instant::now();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut state = self.activity.lock();
        state.waiting -= usize::from(self.waiting);
        state.answered -= usize::from(self.answered);
        state.in_flight -= 1;
        state.last = now;
        let too_many = !self.complete && state.reset(now);
        drop(state);
        if too_many {
            self.activity.end(Closed::Resets);
        }
    }
}

/// The largest piece of an answer that is handed out at once. A piece counts as taken when the next
/// is asked for: one that is too large for a slow client to take within a write deadline would make
/// a healthy client look stuck. At 64 KiB in 30 s that is 2 KiB a second.
const PIECE_BYTES: usize = 64 * 1024;

/// An answer's body that tells when it is asked for more and when it ends.
pub(super) struct Watched<B> {
    body: Pin<Box<B>>,
    // What the body gave and was not handed out yet.
    rest: Bytes,
    in_flight: Option<InFlight>,
    hides_end: bool,
}

impl<B> Watched<B> {
    /// With `hides_end` the body tells its end only to who asks for more.
    pub(super) fn new(body: B, mut in_flight: InFlight, hides_end: bool) -> Self
    where
        B: Body,
    {
        in_flight.answered();
        if body.is_end_stream() {
            in_flight.complete();
        }
        // A client that grants no window never comes even for the first part.
        in_flight.set_waiting(true);
        Self {
            body: Box::pin(body),
            rest: Bytes::new(),
            in_flight: Some(in_flight),
            hides_end,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = if self.rest.is_empty() {
            self.body.as_mut().poll_frame(cx)
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.rest)))))
        };
        let polled = polled.map_ok(|frame| match frame.into_data() {
            Ok(mut data) if data.len() > PIECE_BYTES => {
                self.rest = data.split_off(PIECE_BYTES);
                Frame::data(data)
            }
            Ok(data) => Frame::data(data),
            Err(frame) => frame,
        });
        let is_last = match &polled {
            Poll::Ready(Some(Ok(_))) => self.rest.is_empty() && self.body.is_end_stream(),
            // What went wrong here is not the client's doing.
            Poll::Ready(Some(Err(_)) | None) => true,
            Poll::Pending => false,
        };
        match (&polled, &mut self.in_flight) {
            (Poll::Ready(Some(_)), Some(in_flight)) => in_flight.set_waiting(true),
            (Poll::Pending, Some(in_flight)) => in_flight.set_waiting(false),
            (Poll::Ready(None), _) | (_, None) => {}
        }
        if let Some(in_flight) = self.in_flight.as_mut().filter(|_| is_last) {
            in_flight.complete();
        }
        if matches!(polled, Poll::Ready(None)) {
            self.in_flight = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        !self.hides_end && self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

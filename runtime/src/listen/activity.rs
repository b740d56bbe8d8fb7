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
use tokio::time::Instant;

use super::Config;

/// The bounds of the time between two looks at a connection, whatever was configured: a deadline of
/// 0 must not make a busy loop, nor a huge one overflow the clock.
const LEAST_PAUSE: Duration = Duration::from_millis(10);
pub(super) const MOST_PAUSE: Duration = Duration::from_secs(600);

/// What one connection does; a clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// Whether a request ever came.
    asked: bool,
    /// Requests whose answer's body is not complete.
    in_flight: usize,
    /// Of these, the answers with something to send that nobody has come for yet.
    waiting: usize,
    /// When a request came or ended, or somebody came for a waiting answer.
    last: Instant,
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
            waiting: 0,
            last: now,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Tells whether a request ever came.
    pub(super) fn asked(&self) -> bool {
        self.lock().asked
    }

    /// Notes that a request came; it is in flight until the returned value is dropped.
    pub(super) fn begin(&self) -> InFlight {
        let mut state = self.lock();
        state.asked = true;
        state.in_flight += 1;
        state.last = Instant::now();
        InFlight {
            activity: self.clone(),
            waiting: false,
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
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    activity: Activity,
    waiting: bool,
}

impl InFlight {
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
        let mut state = self.activity.lock();
        state.waiting -= usize::from(self.waiting);
        state.in_flight -= 1;
        state.last = Instant::now();
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
    pub(super) fn new(body: B, mut in_flight: InFlight, hides_end: bool) -> Self {
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
        match (&polled, &mut self.in_flight) {
            (Poll::Ready(Some(_)), Some(in_flight)) => in_flight.set_waiting(true),
            (Poll::Pending, Some(in_flight)) => in_flight.set_waiting(false),
            (Poll::Ready(None), _) => self.in_flight = None,
            (_, None) => {}
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

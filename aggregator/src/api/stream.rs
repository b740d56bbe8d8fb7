//! Cairn's own JSON for the page: the window once, then each tick as it comes.
//!
//! One task a client, made by the listener for its connection; as many as [`Streams`] has seats. A
//! client that reads slowly gets fewer, larger frames: nothing is queued for it, each frame is
//! computed when there is room to send it. The one piece of state is how far the client is.

mod frame;

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use cairn_runtime::clock::ticker;
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use tokio::time::Instant;

use super::{Api, Seat, answer};
use frame::{Frame, Scope};
use futures_util::stream::{Stream, unfold};

/// How often a stream looks whether the clock has published a tick that no row announced, ms.
const LOOK: Duration = Duration::from_millis(250);

/// The least time between two looks, so that rows of many nodes cost one look and not one each.
const SPACING: Duration = Duration::from_millis(50);

/// How long a client shall wait before it connects again, ms.
const RETRY: Duration = Duration::from_secs(2);

/// Which part of the window a client looks at.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    node: Option<String>,
}

/// The newest tick, once.
pub(super) async fn overview(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Response {
    let view = api.view();
    let scope = Scope { node: wanted.node };
    let newest = view.published_ms();
    answer::compact(&Frame::new(&api, &view, &scope, newest..=newest))
}

/// The window, then each tick as it is published or corrected.
pub(super) async fn events(State(api): State<Api>, Query(wanted): Query<Wanted>) -> Response {
    let Some(seat) = api.watch() else {
        let body = "too many open event streams: close some pages and try again";
        return answer::text(StatusCode::SERVICE_UNAVAILABLE, body);
    };
    let stream = follow(api, Scope { node: wanted.node }, seat);
    let keep_alive = KeepAlive::new()
        .interval(Duration::from_secs(15))
        .text("keepalive");
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

/// Where a client stands.
struct Follower {
    api: Api,
    scope: Scope,
    // The newest tick sent; `None` before the window was.
    sent_ms: Option<u64>,
    version: u64,
    // The lowest tick that changed since the last event.
    changed_ms: Option<u64>,
    changes: tokio::sync::watch::Receiver<u64>,
    look: tokio::time::Interval,
    looked_at: Instant,
    _seat: Seat,
}

fn follow(api: Api, scope: Scope, seat: Seat) -> impl Stream<Item = Result<Event, Infallible>> {
    let changes = api.store.subscribe();
    let version = *changes.borrow();
    let look = ticker(LOOK);
    let follower = Follower {
        api,
        scope,
        sent_ms: None,
        version,
        changed_ms: None,
        changes,
        look,
        looked_at: Instant::now(),
        _seat: seat,
    };
    unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((Ok(event), follower))
    })
}

impl Follower {
    /// The next event; `None` when the process is going. Cancel safe: nothing is marked as sent
    /// before the event is handed out.
    async fn next(&mut self) -> Option<Event> {
        loop {
            // Rows of a fleet come all the time; a person sees no more than this.
            tokio::time::sleep_until(self.looked_at + SPACING).await;
            self.looked_at = Instant::now();
            if let Some(event) = self.event() {
                return Some(event);
            }
            tokio::select! {
                biased;
                () = self.api.token.cancelled() => return None,
                changed = self.changes.changed() => changed.ok()?,
                _ = self.look.tick() => {}
            }
        }
    }

    /// What has happened since the last event, if anything.
    fn event(&mut self) -> Option<Event> {
        let version = *self.changes.borrow_and_update();
        match self.api.store.changed_since(self.version) {
            Some(lowest) => self.changed_ms = self.changed_ms.into_iter().chain(lowest).min(),
            // Too far behind to know what changed: the window again.
            None => self.sent_ms = None,
        }
        self.version = version;
        let view = self.api.view();
        let newest = view.published_ms();
        let interval_ms = self.api.interval_ms;
        let (name, first) = match self.sent_ms {
            None => ("window", newest.saturating_sub(self.api.window_ms)),
            Some(sent) => {
                let corrected = self.changed_ms.filter(|tick| *tick <= sent);
                let next = sent.saturating_add(interval_ms);
                (
                    "tick",
                    corrected.map_or(next, |tick| grid(tick, interval_ms)),
                )
            }
        };
        if first > newest {
            return None;
        }
        self.changed_ms = None;
        let frame = Frame::new(&self.api, &view, &self.scope, first..=newest);
        let first_event = self.sent_ms.is_none();
        self.sent_ms = Some(newest);
        let event = Event::default()
            .event(name)
            .data(serde_json::to_string(&frame).ok()?);
        Some(if first_event {
            event.retry(RETRY)
        } else {
            event
        })
    }
}

/// The first grid time at which a row of this tick counts.
fn grid(tick_ms: u64, interval_ms: u64) -> u64 {
    tick_ms.div_ceil(interval_ms).saturating_mul(interval_ms)
}

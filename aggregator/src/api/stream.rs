//! Cairn's own JSON for the page: the window once, then each tick as it comes.
//!
//! One task a client, made by the listener for its connection; as many as [`Streams`] has seats. A
//! client that reads slowly gets fewer, larger frames: nothing is queued for it, each frame is
//! computed when there is room to send it, once for all who want the same (`looks`). The one piece of
//! state is how far the client is.

mod frame;
mod levels;
mod looks;
mod values;

use std::convert::Infallible;
use std::future::ready;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use cairn_runtime::clock::ticker;
use futures_util::future::BoxFuture;
use futures_util::stream::{Stream, StreamExt as _, iter, unfold};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::time::{Instant, timeout};

use super::{Api, Asked, Cut, Over, Seat, answer, path};
use frame::Scope;
use looks::NEW;

pub use looks::Looks;

/// After how long without an event something is sent, so that nobody between takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How often a stream looks whether the clock has published a tick that no row announced, ms.
const LOOK: Duration = Duration::from_millis(250);

/// The least time between two looks, so that rows of many nodes cost one look and not one each.
const SPACING: Duration = Duration::from_millis(50);

/// How long a client shall wait before it connects again, ms.
const RETRY: Duration = Duration::from_secs(2);

/// Which part of the window a client looks at.
fn scope(api: &Api, asked: &Asked) -> Scope {
    Scope {
        node: path::parameter(asked.uri.query(), "node"),
        visible: api.visible.clone(),
    }
}

/// The newest tick, once.
pub(super) async fn overview(api: Api, asked: &Asked) -> Response {
    // A monitor's HEAD is answered like GET; the server leaves the body out.
    if let Some(refusal) = answer::not_get(&asked.method).filter(|_| asked.method != Method::HEAD) {
        return refusal;
    }
    let scope = scope(&api, asked);
    let newest = api.view().published_ms();
    match api
        .looks
        .frame(&api, &scope, newest..=newest, Duration::ZERO)
        .await
    {
        Ok(frame) => {
            let frame = iter([frame, Bytes::from_static(b"\n")]).map(Ok::<_, Infallible>);
            answer::build(StatusCode::OK, answer::JSON, Body::from_stream(frame))
        }
        Err(Cut::Busy) => {
            api.metrics.busy.inc();
            answer::busy()
        }
        Err(cut) => answer::cut(cut),
    }
}

/// The window, then each tick as it is published or corrected.
pub(super) fn events(api: Api, asked: &Asked) -> Response {
    if let Some(refusal) = answer::not_get(&asked.method) {
        return refusal;
    }
    let seat = match api.watch() {
        Ok(seat) => seat,
        Err(cut) => return answer::cut(cut),
    };
    let scope = scope(&api, asked);
    let stream = follow(api, scope, seat);
    let body = Body::from_stream(stream.map(Ok::<_, Infallible>));
    let mut response = answer::build(StatusCode::OK, "text/event-stream", body);
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
    // The last look found no turn or no room.
    is_put_off: bool,
    _seat: Seat,
}

/// Events as they are written: each a head, its frame, and an end.
fn follow(api: Api, scope: Scope, seat: Seat) -> impl Stream<Item = Bytes> {
    let changes = api.store.subscribe();
    let version = *changes.borrow();
    let look = ticker(LOOK);
    let lease = api.lease.clone();
    let over: BoxFuture<'static, Over> = Box::pin(lease.clone().over());
    let follower = Follower {
        api,
        scope,
        sent_ms: None,
        version,
        changed_ms: None,
        changes,
        look,
        looked_at: Instant::now(),
        is_put_off: false,
        _seat: seat,
    };
    let begin = Some((Box::pin(follower.next()), lease, over));
    let events = unfold(begin, |state| async move {
        let (mut next, lease, mut over) = state?;
        let found = tokio::select! {
            biased;
            // Between two events, so that what was begun is whole.
            over = &mut over => return Some((iter(end(over)), None)),
            found = lease.settled(timeout(KEEP_ALIVE, &mut next)) => found,
        };
        let (event, next) = match found {
            Ok(found) => {
                let (event, follower) = found?;
                (event, Box::pin(follower.next()))
            }
            // It goes on waiting where it stands.
            Err(_) => ([SILENT, Bytes::new(), Bytes::new()], next),
        };
        Some((iter(event), Some((next, lease, over))))
    });
    events.flatten().filter(|part| ready(!part.is_empty()))
}

/// What of an event is written before its frame, the frame, and what comes behind it.
type Event = [Bytes; 3];

const SILENT: Bytes = Bytes::from_static(b":keepalive\n\n");

/// The last event, which says why there is no other.
fn end(over: Over) -> Event {
    let reason = serde_json::json!({ "reason": over.to_string() }).to_string();
    let head = Bytes::from_static(b"event: end\ndata: ");
    [head, reason.into(), Bytes::from_static(b"\n\n")]
}

impl Follower {
    /// The next event, and who follows on; `None` when the process is going.
    async fn next(mut self) -> Option<(Event, Self)> {
        let token = self.api.token.clone();
        loop {
            // Rows of a fleet come all the time; a person sees no more than this.
            tokio::time::sleep_until(self.looked_at + SPACING).await;
            self.looked_at = Instant::now();
            let event = tokio::select! {
                biased;
                // Whoever stands in line for a look does not hold up the end.
                () = token.cancelled() => return None,
                event = self.event() => event,
            };
            let is_put_off = matches!(event, Err(Cut::Busy | Cut::OfOne(_)));
            let was_put_off = std::mem::replace(&mut self.is_put_off, is_put_off);
            match event {
                Ok(Some(event)) => return Some((event, self)),
                Ok(None) => {}
                // Too many look at once, or there is no room: the next look finds what this one did not.
                // However often it is tried, it is one client that waits.
                Err(Cut::Busy) => {
                    if !was_put_off {
                        self.api.metrics.busy.inc();
                    }
                }
                // Counted where it was found.
                Err(Cut::OfOne(_)) => {}
                Err(_) => return None,
            }
            tokio::select! {
                biased;
                () = token.cancelled() => return None,
                changed = self.changes.changed() => changed.ok()?,
                _ = self.look.tick() => {}
            }
        }
    }

    /// What has happened since the last event, if anything.
    async fn event(&mut self) -> Result<Option<Event>, Cut> {
        let version = *self.changes.borrow_and_update();
        match self.api.store.changed_since(self.version) {
            Some(lowest) => self.changed_ms = self.changed_ms.into_iter().chain(lowest).min(),
            // Too far behind to know what changed: the window again.
            None => self.sent_ms = None,
        }
        self.version = version;
        let newest = self.api.view().published_ms();
        let interval_ms = self.api.interval_ms;
        let first = match self.sent_ms {
            None => newest.saturating_sub(self.api.window_ms),
            Some(sent) => {
                let corrected = self.changed_ms.filter(|tick| *tick <= sent);
                let next = sent.saturating_add(interval_ms);
                corrected.map_or(next, |tick| grid(tick, interval_ms))
            }
        };
        if first > newest {
            return Ok(None);
        }
        let looks = self.api.looks.clone();
        let frame = looks
            .frame(&self.api, &self.scope, first..=newest, NEW)
            .await?;
        let is_window = self.sent_ms.is_none();
        self.changed_ms = None;
        self.sent_ms = Some(newest);
        let end = format!("\nretry: {}\n\n", RETRY.as_millis());
        Ok(Some(if is_window {
            [
                Bytes::from_static(b"event: window\ndata: "),
                frame,
                end.into(),
            ]
        } else {
            let end = Bytes::from_static(b"\n\n");
            [Bytes::from_static(b"event: tick\ndata: "), frame, end]
        }))
    }
}

/// The first grid time at which a row of this tick counts.
fn grid(tick_ms: u64, interval_ms: u64) -> u64 {
    tick_ms.div_ceil(interval_ms).saturating_mul(interval_ms)
}

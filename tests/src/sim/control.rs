//! The state of a simulator, shared by its requests and the test.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cairn_runtime::clock::{Clock, StepError};
use cairn_runtime::tls;

use super::fault::{Endpoint, Fault, Order, Reach, Slot};
use crate::trace::{Position, Replay};

/// Marked answers that are remembered: more than a benchmark run makes; the oldest go first.
const SERVED_LIMIT: usize = 100_000;

/// The recordings have no answer of cAdvisor: what a kubelet without a single cgroup would say. A test
/// that wants another orders it as a fault's body.
const CADVISOR: &[u8] = b"# HELP container_scrape_error 1 if there was an error while getting \
container metrics, 0 otherwise\n# TYPE container_scrape_error gauge\ncontainer_scrape_error 0\n";

/// A step of the clock has nothing to wait for here.
const STEP_DEADLINE: Duration = Duration::from_secs(5);

/// A marked summary that was handed to the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// The marker in it, bytes of node memory.
    pub marker: u64,
    /// When, Unix microseconds of the system's clock, whatever clock the simulator runs on.
    pub unix_us: u64,
}

/// Who the kubelet is, and whom it lets in.
#[derive(Debug)]
pub(super) struct Identity {
    /// The bearer token that is expected; `None` lets everybody in.
    pub(super) token: Option<String>,
    /// The certificate that is served.
    pub(super) tls: Arc<tls::ServerTls>,
}

/// Looks at a running simulator and breaks it. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Control {
    state: Arc<State>,
}

/// A body, and what it was made of.
#[derive(Debug)]
struct Shown {
    position: Position,
    marker: Option<u64>,
    body: Bytes,
}

#[derive(Debug)]
struct State {
    replay: Replay,
    clock: Clock,
    token: Mutex<Option<String>>,
    tls: Arc<tls::ServerTls>,
    summary: Mutex<Slot>,
    resource: Mutex<Slot>,
    cadvisor: Mutex<Slot>,
    marker: Mutex<Option<u64>>,
    served: Mutex<VecDeque<Served>>,
    /// The last bodies: a frame is shown for as many ticks as it lasts.
    shown: [Mutex<Option<Shown>>; 2],
    /// Requests in all and those with an Authorization header; by [`index`].
    requests: [[AtomicU64; 2]; Endpoint::ALL.len()],
}

impl Control {
    pub(super) fn new(replay: Replay, clock: Clock, identity: Identity) -> Self {
        let Identity { token, tls } = identity;
        Self {
            state: Arc::new(State {
                replay,
                clock,
                token: Mutex::new(token),
                tls,
                summary: Mutex::default(),
                resource: Mutex::default(),
                cadvisor: Mutex::default(),
                marker: Mutex::default(),
                served: Mutex::default(),
                shown: Default::default(),
                requests: Default::default(),
            }),
        }
    }

    /// Breaks or mends one endpoint or all, from the next request on.
    pub fn fault(&self, order: &Order) {
        for (of, slot) in [
            (Reach::Summary, &self.state.summary),
            (Reach::Resource, &self.state.resource),
            (Reach::Cadvisor, &self.state.cadvisor),
        ] {
            if order.endpoint == of || order.endpoint == Reach::All {
                lock(slot).set(order);
            }
        }
    }

    /// Takes another token from now on, on connections that are open too.
    pub fn set_token(&self, token: String) {
        *lock(&self.state.token) = Some(token);
    }

    /// Reads the files of the certificate again; connections that are open stay as they are.
    ///
    /// # Errors
    ///
    /// As [`tls::ServerTls::reload`]; then the old one is served on.
    pub fn reload(&self) -> Result<tls::Reload, tls::Error> {
        self.state.tls.reload()
    }

    /// How many requests an endpoint has had, refused and broken ones too.
    #[must_use]
    pub fn requests(&self, endpoint: Endpoint) -> u64 {
        self.count(endpoint, 0)
    }

    /// How many of them came with an Authorization header, right or wrong.
    #[must_use]
    pub fn authorized_requests(&self, endpoint: Endpoint) -> u64 {
        self.count(endpoint, 1)
    }

    /// Puts this number of bytes into the node's memory from the next answer on; `None` gives the
    /// recorded figures again.
    pub fn set_marker(&self, marker: Option<u64>) {
        *lock(&self.state.marker) = marker;
    }

    /// Takes the list of marked summaries served since the last call, oldest first; at most the
    /// last 100,000.
    #[must_use]
    pub fn take_served(&self) -> Vec<Served> {
        lock(&self.state.served).drain(..).collect()
    }

    /// The simulator's clock, Unix milliseconds.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        self.state.clock.unix_ms()
    }

    /// Steps a driven clock.
    ///
    /// # Errors
    ///
    /// As the clock says: when it is not driven.
    pub async fn step(&self, unix_ms: u64) -> Result<(), StepError> {
        self.state.clock.step(unix_ms, STEP_DEADLINE).await
    }

    /// The body of this moment, and the marker that is in it.
    pub(super) fn body(&self, of: Endpoint) -> (Bytes, Option<u64>) {
        if of == Endpoint::Cadvisor {
            return (Bytes::from_static(CADVISOR), None);
        }
        let (replay, now_ms) = (&self.state.replay, self.unix_ms());
        let (position, marker) = (replay.position(now_ms), *lock(&self.state.marker));
        let [of_summary, of_resource] = &self.state.shown;
        let mut shown = lock(match of {
            Endpoint::Resource => of_resource,
            _ => of_summary,
        });
        let same = |shown: &&Shown| shown.position == position && shown.marker == marker;
        if let Some(shown) = shown.as_ref().filter(same) {
            return (shown.body.clone(), marker);
        }
        let body: Bytes = match of {
            Endpoint::Resource => replay.resource(now_ms, marker).into(),
            _ => replay.summary(now_ms, marker).into(),
        };
        *shown = Some(Shown {
            position,
            marker,
            body: body.clone(),
        });
        (body, marker)
    }

    /// Counts a request and says whether its Authorization header lets it in.
    pub(super) fn admit(&self, endpoint: Endpoint, authorization: Option<&[u8]>) -> bool {
        let row = self.state.requests.get(index(endpoint));
        for counter in row
            .into_iter()
            .flatten()
            .take(1 + usize::from(authorization.is_some()))
        {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        match (&*lock(&self.state.token), authorization) {
            (None, _) => true,
            (Some(token), Some(given)) => given.strip_prefix(b"Bearer ") == Some(token.as_bytes()),
            (Some(_), None) => false,
        }
    }

    pub(super) fn next_fault(&self, endpoint: Endpoint) -> Fault {
        match endpoint {
            Endpoint::Summary | Endpoint::SummaryOfCpuAndMemory => lock(&self.state.summary).take(),
            Endpoint::Resource => lock(&self.state.resource).take(),
            Endpoint::Cadvisor => lock(&self.state.cadvisor).take(),
            Endpoint::Pods | Endpoint::Other => Fault::None,
        }
    }

    /// Remembers that a marked summary leaves now.
    pub(super) fn note_served(&self, marker: u64) {
        #[expect(
            clippy::disallowed_methods,
            reason = "a benchmark measures real time, also when the replay's clock is driven"
        )]
        let now = SystemTime::now();
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let mut served = lock(&self.state.served);
        if served.len() == SERVED_LIMIT {
            served.pop_front();
        }
        served.push_back(Served { marker, unix_us });
    }

    fn count(&self, endpoint: Endpoint, column: usize) -> u64 {
        let row = self.state.requests.get(index(endpoint));
        row.and_then(|row| row.get(column))
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

fn index(endpoint: Endpoint) -> usize {
    let mut all = Endpoint::ALL.iter();
    all.position(|of| *of == endpoint).unwrap_or_default()
}

/// Nothing here leaves a half-done change behind, so a poisoned lock is as good as a whole one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

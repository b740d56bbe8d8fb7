//! Keeps one session to one address, for as long as the address counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_runtime::backoff::Backoff;
use cairn_runtime::logging::Repeat;
use cairn_runtime::readiness::Note;
use cairn_runtime::shutdown::Token;
use cairn_runtime::tls::Connector;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::Link;
use super::session::Session;
use super::wants::Budget;
use super::{End, EndKind, Setup};
use crate::config::Aggregator;
use crate::metrics::ByKind;

/// The first delay. A fleet that lost its aggregator comes back spread over this and what follows.
const BASE: Duration = Duration::from_millis(100);

/// The longest delay: streaming resumes within five seconds after the aggregator is back, the
/// handshakes included.
const CAP: Duration = Duration::from_secs(4);

/// A session that lived this long was a good one.
const MIN_LIFE: Duration = Duration::from_secs(10);

/// What the task of one address works with.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) target: Aggregator,
    pub(super) address: SocketAddr,
    pub(super) connector: Connector,
    pub(super) setup: Setup,
    /// Ends attempts; a living session ends with the ring, so that it can say goodbye.
    pub(super) token: Token,
    /// Whether a session lives.
    pub(super) up: Arc<AtomicBool>,
    /// Rung when a session ended.
    pub(super) nudge: Arc<Notify>,
}

impl Address {
    /// Connects and streams, again and again.
    pub(super) async fn run(self) {
        let note = format!("aggregator {} ({})", self.target.host, self.address);
        let mut backoff = Backoff::new(BASE, CAP, MIN_LIFE);
        let mut budget = Budget::new(self.setup.window_ms, self.setup.interval_ms);
        let mut told = Told::default();
        loop {
            let began = Instant::now();
            let end = self.attempt(&note, &mut budget, &mut told).await;
            backoff.lived(began.elapsed());
            if self.up.swap(false, Ordering::Relaxed) {
                self.nudge.notify_one();
            }
            let kind = end.kind.as_str();
            self.setup
                .metrics
                .ends
                .get_or_create(&ByKind { kind })
                .inc();
            if end.kind == EndKind::Shutdown || self.token.is_cancelled() {
                tracing::info!(aggregator = note, reason = end.reason, "session ended");
                break;
            }
            told.end(&note, &end);
            self.setup
                .readiness
                .note(note.clone(), Note::Degraded(end.reason));
            if let Some(wish) = end.retry_after {
                backoff.hint(wish);
            }
            // A new run has rows to send at once, and nobody is to blame for the end.
            let pause = if end.kind == EndKind::NewRun {
                BASE
            } else {
                backoff.next()
            };
            tokio::select! {
                biased;
                () = self.token.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.setup.readiness.clear(&note);
    }

    async fn attempt(&self, note: &str, budget: &mut Budget, told: &mut Told) -> End {
        let opened = tokio::select! {
            biased;
            () = self.token.cancelled() => return shutdown(),
            opened = Link::open(&self.target, &self.connector, self.address) => opened,
        };
        let link = match opened {
            Ok(link) => link,
            Err(end) => return end,
        };
        let begun = tokio::select! {
            biased;
            () = self.token.cancelled() => return shutdown(),
            begun = Session::begin(link, &self.setup) => begun,
        };
        let session = match begun {
            Ok(session) => session,
            Err(end) => return end,
        };
        self.up.store(true, Ordering::Relaxed);
        told.begin(note, session.instance());
        self.setup
            .readiness
            .note(note, Note::Good("streaming".to_owned()));
        let sessions = &self.setup.metrics.sessions;
        sessions.inc();
        let ending = session.run(&self.setup, budget);
        // An address that left the name service ends at once; when the whole process stops, the
        // ring closes and the session ends by itself, after its last row.
        let end = tokio::select! {
            biased;
            end = ending => end,
            () = self.forgotten() => shutdown(),
        };
        sessions.dec();
        end
    }

    /// Waits until this address alone is to end.
    async fn forgotten(&self) {
        self.token.cancelled().await;
        let mut head = self.setup.ring.subscribe();
        // The ring closes within the same moment when everything stops; a session then has its own
        // deadline.
        let closing = head.wait_for(|head| head.closed);
        if tokio::time::timeout(Duration::from_secs(1), closing)
            .await
            .is_ok()
        {
            std::future::pending::<()>().await;
        }
    }
}

fn shutdown() -> End {
    End::new(EndKind::Shutdown, "agent stops")
}

/// What was said in the log, so that nothing is said again each second.
#[derive(Debug, Default)]
struct Told {
    last: Option<(EndKind, String)>,
    repeat: Repeat,
}

impl Told {
    fn begin(&mut self, aggregator: &str, instance: &str) {
        self.last = None;
        self.repeat.reset();
        tracing::info!(aggregator, instance, "session begins");
    }

    fn end(&mut self, aggregator: &str, end: &End) {
        let what = (end.kind, end.reason.clone());
        let changed = self.last.as_ref() != Some(&what);
        if let Some(held_back) = self.repeat.should_log(Instant::now(), changed) {
            let (kind, reason) = (end.kind.as_str(), &end.reason);
            tracing::warn!(aggregator, kind, reason, held_back, "no session");
        }
        self.last = Some(what);
    }
}

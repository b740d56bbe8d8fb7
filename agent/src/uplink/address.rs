//! Keeps one session to one address, for as long as the address counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cairn_runtime::backoff::Backoff;
use cairn_runtime::logging::Repeat;
use cairn_runtime::readiness::Note;
use cairn_runtime::shutdown::Token;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::connect::Links;
use super::session::Session;
use super::wants::Budget;
use super::{End, EndKind, Setup};
use crate::metrics::ByKind;

/// The first delay. A fleet that lost its aggregator comes back spread over this and what follows.
const BASE: Duration = Duration::from_millis(100);

/// The longest delay: streaming resumes within five seconds after the aggregator is back, the
/// handshakes included.
const CAP: Duration = Duration::from_secs(4);

/// The longest wish of an aggregator that is followed: it may have more agents to place than it can
/// take at once. Longer would look like an agent that is gone.
const WISH_CAP: Duration = Duration::from_secs(60);

/// Over this time the sessions of a new run begin: a clock that is set, is set on the whole fleet.
const NEW_RUN_SPREAD: Duration = Duration::from_secs(1);

/// A session that lived this long was a good one.
const MIN_LIFE: Duration = Duration::from_secs(10);

/// How long to wait after each end.
#[derive(Debug)]
struct Pauses {
    backoff: Backoff,
    wishes: Backoff,
    new_runs: Backoff,
}

impl Pauses {
    fn new() -> Self {
        Self {
            backoff: Backoff::new(BASE, CAP, MIN_LIFE),
            wishes: Backoff::new(BASE, WISH_CAP, MIN_LIFE),
            new_runs: Backoff::new(NEW_RUN_SPREAD, NEW_RUN_SPREAD, MIN_LIFE),
        }
    }

    /// The wait after an end. `life` is how long the session was welcome; `None` when it never was:
    /// however long an attempt took, it was none.
    fn after(&mut self, end: &End, life: Option<Duration>) -> Duration {
        self.backoff.lived(life.unwrap_or_default());
        // A new run has rows to send soon, and nobody is to blame for the end.
        if end.kind == EndKind::NewRun {
            return self.new_runs.next();
        }
        let pause = self.backoff.next();
        let Some(wish) = end.retry_after else {
            return pause;
        };
        self.wishes.hint(wish);
        pause.max(self.wishes.next())
    }
}

/// What the task of one address works with.
#[derive(Debug)]
pub(super) struct Address<L> {
    /// The host's name, for people.
    pub(super) host: String,
    pub(super) address: SocketAddr,
    /// What connects to it.
    pub(super) links: L,
    pub(super) setup: Setup,
    /// Ends attempts; a living session ends with the ring, so that it can say goodbye.
    pub(super) token: Token,
    /// Whether a session lives.
    pub(super) up: Arc<AtomicBool>,
    /// Rung when a session ended.
    pub(super) nudge: Arc<Notify>,
}

impl<L: Links> Address<L> {
    /// Connects and streams, again and again.
    pub(super) async fn run(self) {
        let note = format!("aggregator {} ({})", self.host, self.address);
        let mut pauses = Pauses::new();
        let mut budget = Budget::new(self.setup.window_ms, self.setup.interval_ms);
        let mut told = Told::default();
        loop {
            let (end, life, instance) = self.attempt(&note, &mut budget, &mut told).await;
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
                .note(note.clone(), Note::Degraded(end.reason.clone()));
            let pause = pauses.after(&end, life);
            tokio::select! {
                biased;
                () = self.token.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            if let Some(instance) = instance.filter(|_| end.kind == EndKind::Fenced) {
                tokio::select! {
                    biased;
                    () = self.token.cancelled() => break,
                    () = self.stand_back(&note, &instance) => {}
                }
            }
        }
        self.setup.readiness.clear(&note);
    }

    /// Waits while the aggregator that fenced this session has another one of this agent, at
    /// another of its addresses.
    async fn stand_back(&self, note: &str, instance: &str) {
        let Setup {
            living, readiness, ..
        } = &self.setup;
        if living.has(instance) {
            let text = "the same aggregator as at another address, where its session is";
            tracing::info!(aggregator = note, instance, "{text}");
            readiness.note(note, Note::Good(text.to_owned()));
            living.gone(instance).await;
        }
    }

    /// Connects and streams once. Returns how it ended, how long the session was welcome and by
    /// which instance; `None` when it never was.
    async fn attempt(
        &self,
        note: &str,
        budget: &mut Budget,
        told: &mut Told,
    ) -> (End, Option<Duration>, Option<String>) {
        let begun = tokio::select! {
            biased;
            () = self.token.cancelled() => Err(shutdown()),
            begun = self.begin() => begun,
        };
        let session = match begun {
            Ok(session) => session,
            Err(end) => return (end, None, None),
        };
        let welcomed = Instant::now();
        self.up.store(true, Ordering::Relaxed);
        let instance = session.instance().to_owned();
        let _seat = self.setup.living.enter(&instance);
        told.begin(note, &instance);
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
        (end, Some(welcomed.elapsed()), Some(instance))
    }

    async fn begin(&self) -> Result<Session, End> {
        let link = self.links.open(self.address).await?;
        Session::begin(link, &self.setup).await
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

#[cfg(test)]
mod tests {
    use cairn_runtime::tls::Trust;

    use super::*;
    use crate::config::Aggregator;
    use crate::uplink::connect::Dialled;
    use crate::uplink::tests::setup;

    const LONG: Duration = Duration::from_secs(60);

    fn largest(pauses: &mut Pauses, end: &End, life: Option<Duration>) -> Duration {
        (0..200)
            .map(|_| pauses.after(end, life))
            .max()
            .unwrap_or_default()
    }

    #[test]
    fn only_a_session_that_was_welcome_makes_the_next_attempt_soon() {
        let mut pauses = Pauses::new();
        let end = End::new(EndKind::Timeout, "aggregator sent no Welcome");
        assert!(largest(&mut pauses, &end, None) > CAP / 2);
        assert!(largest(&mut pauses, &end, Some(MIN_LIFE / 2)) > CAP / 2);
        assert!(largest(&mut pauses, &end, Some(LONG)) <= BASE);
    }

    #[test]
    fn a_wish_is_followed_up_to_a_minute_and_spread() {
        let wish = |ms| End {
            retry_after: Some(Duration::from_millis(ms)),
            ..End::new(EndKind::Drained, "aggregator asked to leave")
        };
        let mut pauses = Pauses::new();
        let waits: Vec<Duration> = (0..50)
            .map(|_| pauses.after(&wish(30_000), Some(LONG)))
            .collect();
        let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        let wished = Duration::from_secs(30);
        assert!(*least >= wished && *most <= wished * 5 / 4, "{waits:?}");
        assert!(*most > wished * 17 / 16, "{waits:?}");
        let longest = largest(&mut pauses, &wish(u64::MAX), Some(LONG));
        assert!(longest >= WISH_CAP && longest <= WISH_CAP * 5 / 4);
        // Who wants to be asked at once, again and again, is asked less and less often.
        let mut pauses = Pauses::new();
        assert!(largest(&mut pauses, &wish(0), None) > CAP / 2);
    }

    #[test]
    fn sessions_of_a_new_run_do_not_all_begin_at_once() {
        let mut pauses = Pauses::new();
        let end = End::new(EndKind::NewRun, "a new run begins");
        let waits: Vec<Duration> = (0..100).map(|_| pauses.after(&end, None)).collect();
        assert!(waits.iter().all(|wait| *wait <= NEW_RUN_SPREAD));
        assert!(waits.iter().any(|wait| *wait < NEW_RUN_SPREAD / 2));
        assert!(waits.iter().any(|wait| *wait > NEW_RUN_SPREAD / 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_ran_out_of_time_was_no_life() {
        // Connections are made and never answered.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Aggregator {
            host: "aggregator".to_owned(),
            port: address.port(),
            server_name: "aggregator".try_into().unwrap(),
            trust: Trust::insecure(),
            client: None,
        };
        let tried = Address {
            host: target.host.clone(),
            address,
            links: Dialled::new(target),
            setup: setup(),
            token: Token::new(),
            up: Arc::default(),
            nudge: Arc::default(),
        };
        let began = Instant::now();
        let mut budget = Budget::new(900_000, 10_000);
        let (end, life, _) = tried.attempt("a", &mut budget, &mut Told::default()).await;
        assert_eq!((end.kind, life), (EndKind::Timeout, None), "{end:?}");
        assert!(began.elapsed() >= Duration::from_secs(5));
    }
}

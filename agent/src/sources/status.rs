//! How each source is doing, for sessions, logs and `/readyz?verbose`.
//!
//! Written by the sampler alone; sessions watch it.

use cairn_proto::catalogue::Source;
use cairn_proto::v1;
use cairn_runtime::logging::Repeat;
use cairn_runtime::readiness::{Note, Readiness};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Failure, FailureKind};

/// Whether a source delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Not asked yet.
    Waiting,
    /// It delivers.
    Good,
    /// Its last scrape failed.
    Failing(Failure),
}

impl State {
    /// True when `next` is news. That a failing source is also busy is none: a hanging kubelet is
    /// either at each tick in turn.
    fn gives_way(&self, next: &Self) -> bool {
        match (self, next) {
            (State::Failing(_), State::Failing(next)) if next.kind == FailureKind::Busy => false,
            _ => self != next,
        }
    }
}

/// How one source is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which source.
    pub source: Source,
    /// Its state.
    pub state: State,
    /// Since when, Unix ms.
    pub since_ms: u64,
    /// Its last good reading, Unix ms; 0 for never.
    pub last_success_ms: u64,
}

impl Status {
    /// True when a session need not be told of the difference to `other`.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.state == other.state
    }

    /// The frame that tells it; `None` for a source that was not asked yet.
    #[must_use]
    pub fn to_wire(&self) -> Option<v1::SourceStatus> {
        let (state, reason, right) = match &self.state {
            State::Waiting => return None,
            State::Good => (v1::SourceState::Ok, String::new(), ""),
            State::Failing(failure) => {
                let state = match failure.kind {
                    FailureKind::Busy => v1::SourceState::Busy,
                    _ => v1::SourceState::Failing,
                };
                (state, failure.reason.clone(), failure.missing_right)
            }
        };
        Some(v1::SourceStatus {
            source: self.source.as_str().to_owned(),
            state: state.into(),
            since_ms: self.since_ms,
            last_success_ms: self.last_success_ms,
            reason: cairn_proto::wire::cut(reason),
            missing_right: right.to_owned(),
        })
    }
}

/// All statuses, as sessions watch them: one entry a source that is switched on.
pub type Statuses = watch::Receiver<Vec<Status>>;

/// Keeps the statuses and says what changes.
#[derive(Debug)]
pub struct Board {
    statuses: watch::Sender<Vec<Status>>,
    repeats: Vec<Repeat>,
    readiness: Readiness,
}

impl Board {
    /// Makes a board of these sources, none of which was asked yet.
    #[must_use]
    pub fn new(sources: &[Source], readiness: Readiness) -> Self {
        let status = |source| Status {
            source,
            state: State::Waiting,
            since_ms: 0,
            last_success_ms: 0,
        };
        let statuses: Vec<Status> = sources.iter().copied().map(status).collect();
        let repeats = vec![Repeat::new(); statuses.len()];
        Self {
            statuses: watch::Sender::new(statuses),
            repeats,
            readiness,
        }
    }

    /// Lets somebody watch.
    #[must_use]
    pub fn subscribe(&self) -> Statuses {
        self.statuses.subscribe()
    }

    /// Takes what a scrape came to: `Ok` with the time of the reading, Unix ms.
    pub fn tell(&mut self, source: Source, now_ms: u64, outcome: Result<u64, Failure>) {
        let Some(at) = self
            .statuses
            .borrow()
            .iter()
            .position(|s| s.source == source)
        else {
            return;
        };
        let (state, success) = match outcome {
            Ok(taken_ms) => (State::Good, Some(taken_ms)),
            Err(failure) => (State::Failing(failure), None),
        };
        let changed = self
            .statuses
            .borrow()
            .get(at)
            .is_some_and(|old| old.state.gives_way(&state));
        if let Some(repeat) = self.repeats.get_mut(at) {
            log(source, &state, changed, repeat);
        }
        if changed {
            let note = match &state {
                State::Failing(failure) => Note::Degraded(failure.reason.clone()),
                State::Waiting | State::Good => Note::Good("delivers".to_owned()),
            };
            self.readiness
                .note(format!("source {}", source.as_str()), note);
        }
        self.statuses.send_if_modified(|statuses| {
            if let Some(status) = statuses.get_mut(at) {
                status.last_success_ms = success.unwrap_or(status.last_success_ms);
                if changed {
                    status.state = state;
                    status.since_ms = now_ms;
                }
            }
            changed
        });
    }
}

fn log(source: Source, state: &State, changed: bool, repeat: &mut Repeat) {
    let source = source.as_str();
    match state {
        State::Good if changed => {
            repeat.reset();
            tracing::info!(source, "source delivers");
        }
        State::Failing(failure) => {
            if let Some(held_back) = repeat.should_log(Instant::now(), changed) {
                let kind = failure.kind.as_str();
                tracing::warn!(
                    source,
                    kind,
                    reason = failure.reason,
                    held_back,
                    "scrape failed"
                );
            }
        }
        State::Good | State::Waiting => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn watchers_wake_on_a_change_and_not_on_a_repetition() {
        let readiness = Readiness::new();
        let mut board = Board::new(&[Source::Summary], readiness.clone());
        let mut watcher = board.subscribe();
        let failure = Failure {
            kind: FailureKind::Auth,
            reason: "kubelet answered 403".into(),
            missing_right: "get nodes/stats",
        };
        board.tell(Source::Summary, 10, Err(failure.clone()));
        assert!(watcher.has_changed().unwrap());
        let wire = watcher.borrow_and_update()[0].to_wire().unwrap();
        assert_eq!(wire.state(), v1::SourceState::Failing);
        assert_eq!((wire.since_ms, wire.last_success_ms), (10, 0));
        assert_eq!(wire.missing_right, "get nodes/stats");
        assert!(
            readiness
                .render(true)
                .1
                .contains("[!]source summary: kubelet answered 403")
        );

        board.tell(Source::Summary, 20, Err(failure));
        assert!(!watcher.has_changed().unwrap());
        board.tell(Source::Summary, 30, Ok(29));
        let status = watcher.borrow_and_update()[0].clone();
        assert_eq!((status.since_ms, status.last_success_ms), (30, 29));
        board.tell(Source::Summary, 40, Ok(39));
        assert!(!watcher.has_changed().unwrap());
        assert_eq!(watcher.borrow()[0].last_success_ms, 39);
    }

    #[test]
    fn a_failing_source_that_is_busy_is_no_news() {
        let mut board = Board::new(&[Source::Summary], Readiness::new());
        let watcher = board.subscribe();
        let busy = Failure::new(FailureKind::Busy, "still at it");
        board.tell(Source::Summary, 10, Err(busy.clone()));
        assert_eq!(
            watcher.borrow()[0].to_wire().unwrap().state(),
            v1::SourceState::Busy
        );
        let timeout = Failure::new(FailureKind::Timeout, "no answer");
        board.tell(Source::Summary, 20, Err(timeout.clone()));
        board.tell(Source::Summary, 30, Err(busy));
        board.tell(Source::Summary, 40, Err(timeout));
        let status = watcher.borrow()[0].to_wire().unwrap();
        assert_eq!((status.reason.as_str(), status.since_ms), ("no answer", 20));
    }

    #[test]
    fn a_source_that_was_not_asked_says_nothing() {
        let board = Board::new(&[Source::Procfs], Readiness::new());
        assert_eq!(board.subscribe().borrow()[0].to_wire(), None);
    }
}

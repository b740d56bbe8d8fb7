//! The only place that spawns: every task has a name and an owner.
//!
//! A [`Supervisor`] owns the tasks that make up the process; when one of them ends on its own, the
//! process is broken and begins to stop. A [`Group`] owns the short-lived ones (a connection, a
//! session), bounded in number. [`Children`] owns those that one connection starts. A [`Lane`] is a thread
//! for blocking work that comes again and again, `Aside` (with the feature of that name) threads for tasks that must not stand in line
//! behind others.

#[cfg(feature = "aside")]
mod aside;
mod children;
mod group;
mod lane;
#[cfg(feature = "aside")]
mod pulse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tracing::Instrument as _;

#[cfg(feature = "aside")]
pub use self::aside::Aside;
pub use self::children::{AbortOnDrop, Children};
pub use self::group::{Full, Group};
pub use self::lane::Lane;
#[cfg(feature = "aside")]
use self::pulse::Pulse;
use crate::logging;
use crate::shutdown::Token;

/// Why a task gave up: one line, with all sources.
///
/// Any error becomes one through `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskError(String);

impl TaskError {
    /// Makes one of a text that says what failed and what to check.
    #[must_use]
    pub fn message(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// With this, TaskError cannot be a std Error itself; it is the end of a chain, never a link.
impl<E: std::error::Error + 'static> From<E> for TaskError {
    fn from(error: E) -> Self {
        Self(logging::chain(&error))
    }
}

/// How a supervised process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every task ended by itself after the token was cancelled.
    Clean,
    /// A task ended before it was asked to, or with an error while stopping; the first one.
    TaskFailed {
        /// The task.
        name: &'static str,
        /// What it said, one line.
        error: String,
    },
    /// A task panicked; the first one.
    TaskPanicked {
        /// The task.
        name: &'static str,
    },
    /// The grace was over with these still running; they were aborted. Sorted.
    Pending {
        /// The tasks.
        names: Vec<&'static str>,
    },
}

/// Whether all supervised tasks still run: what `/livez` answers. A clone is the same health.
#[derive(Clone, Debug, Default)]
pub struct TaskHealth {
    died: Arc<OnceLock<String>>,
    // Whoever is asked on threads of their own cannot see otherwise that the others hang.
    #[cfg(feature = "aside")]
    pulse: Pulse,
}

impl TaskHealth {
    /// Makes the health of a process in which nothing has died.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells whether no supervised task has died, and the threads get to them.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.reason().is_none()
    }

    /// Returns which task died first and why, or for how long no task was got to (with the feature `aside`, after
    /// a minute of it), or None while all live.
    #[must_use]
    pub fn reason(&self) -> Option<Cow<'_, str>> {
        if let Some(died) = self.died.get() {
            return Some(Cow::Borrowed(died));
        }
        self.stalled().map(Cow::Owned)
    }

    #[cfg(feature = "aside")]
    fn stalled(&self) -> Option<String> {
        let stopped = self.pulse.stopped_for()?;
        Some(format!(
            "no task was got to for {} s: its threads hang; restart it, and report it with what they wait for (its \
             stacks)",
            stopped.as_secs()
        ))
    }

    #[cfg(not(feature = "aside"))]
    #[expect(clippy::unused_self, reason = "the other one needs it")]
    fn stalled(&self) -> Option<String> {
        None
    }

    /// Notes a death; only the first counts.
    fn died(&self, reason: String) {
        // A second death is a consequence of the first more often than not.
        drop(self.died.set(reason));
    }
}

/// Owns the tasks that make up a process.
#[derive(Debug)]
pub struct Supervisor {
    token: Token,
    set: JoinSet<Result<(), TaskError>>,
    names: HashMap<Id, &'static str>,
    health: TaskHealth,
}

impl Supervisor {
    /// Makes a supervisor that cancels `token` when a task dies, and stops when it is cancelled.
    #[must_use]
    pub fn new(token: Token) -> Self {
        Self {
            token,
            set: JoinSet::new(),
            names: HashMap::new(),
            health: TaskHealth::new(),
        }
    }

    /// Returns the health that this supervisor keeps.
    #[must_use]
    pub fn health(&self) -> TaskHealth {
        self.health.clone()
    }

    /// Feels the pulse of the runtime that this is called in, so that its health says when it hangs.
    #[cfg(feature = "aside")]
    pub fn feel_pulse(&mut self) {
        let (pulse, token) = (self.health.pulse.clone(), self.token.clone());
        self.spawn("pulse", async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = pulse.beat() => {}
            }
            Ok(())
        });
    }

    /// Starts a task in a log span of its name. Must be called inside a tokio runtime.
    pub fn spawn<F>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let span = tracing::info_span!("task", name);
        let id = self.set.spawn(task.instrument(span)).id();
        self.names.insert(id, name);
    }

    /// The same on threads beside those of the runtime.
    #[cfg(feature = "aside")]
    pub fn spawn_aside<F>(&mut self, aside: &Aside, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let span = tracing::info_span!("task", name);
        let task = task.instrument(span);
        let id = self.set.spawn_on(task, aside.handle()).id();
        self.names.insert(id, name);
    }

    /// Runs until the token is cancelled or a task ends, then gives the others `grace` to end.
    ///
    /// Any end before the token is cancelled is unexpected, also one without an error: it is logged,
    /// turns the health bad and cancels the token. Those still running after `grace` are logged by
    /// name and aborted. Dropping the future aborts every task.
    pub async fn run(mut self, grace: Duration) -> Outcome {
        let early = tokio::select! {
            biased;
            () = self.token.cancelled() => None,
            // Without any task there is nothing to wait for but the token.
            Some(ended) = self.set.join_next_with_id() => Some(self.unexpected(ended)),
        };
        self.token.cancel();
        let mut outcome = early;
        let drained = tokio::time::timeout(grace, async {
            while let Some(ended) = self.set.join_next_with_id().await {
                let failure = Self::failure(&mut self.names, ended);
                if let Some(failure) = failure {
                    tracing::error!(outcome = ?failure, "task failed while stopping");
                    outcome.get_or_insert(failure);
                }
            }
        });
        if drained.await.is_err() {
            let mut names: Vec<_> = self.names.into_values().collect();
            names.sort_unstable();
            tracing::warn!(?names, ?grace, "tasks did not stop in time and are aborted");
            outcome.get_or_insert(Outcome::Pending { names });
        }
        outcome.unwrap_or(Outcome::Clean)
    }

    /// Judges an end that nobody asked for.
    fn unexpected(&mut self, ended: Ended) -> Outcome {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let name = self.names.get(&id).copied().unwrap_or("unknown");
        let outcome = Self::failure(&mut self.names, ended).unwrap_or(Outcome::TaskFailed {
            name,
            error: "ended before shutdown".to_owned(),
        });
        let reason = match &outcome {
            Outcome::TaskFailed { error, .. } => format!("task {name} failed: {error}"),
            _ => format!("task {name} panicked"),
        };
        tracing::error!(task = name, reason, "task died, shutting down");
        self.health.died(reason);
        outcome
    }

    /// Takes an ended task off the list; None when it ended well.
    fn failure(names: &mut HashMap<Id, &'static str>, ended: Ended) -> Option<Outcome> {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let name = names.remove(&id).unwrap_or("unknown");
        match result {
            Ok(Ok(())) => None,
            Ok(Err(TaskError(error))) => Some(Outcome::TaskFailed { name, error }),
            Err(error) if error.is_panic() => Some(Outcome::TaskPanicked { name }),
            Err(_) => Some(Outcome::TaskFailed {
                name,
                error: "was aborted".to_owned(),
            }),
        }
    }
}

type Ended = Result<(Id, Result<(), TaskError>), JoinError>;

/// Runs a closure that blocks on the runtime's blocking threads and waits for it.
///
/// Not cancel safe: once started the closure runs to its end, whatever becomes of the future.
///
/// # Errors
///
/// The closure panicked, or the runtime is shutting down.
pub async fn blocking<T, F>(name: &'static str, work: F) -> Result<T, TaskError>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| TaskError(format!("{name}: {}", logging::chain(&error))))
}

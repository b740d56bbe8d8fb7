//! The tasks that keep what is known: one for nodes, one for pods, each a list and then a watch.
//!
//! ```text
//! list, in pages --> watch --> watch --> ...        each from where the one before ended
//!    ^                 |
//!    +-- 410 Gone -----+
//! ```
//!
//! A page takes effect when it is there, and what a whole list does not name goes at its end. A page that does not
//! come is asked for again, and the list goes on from there. A watch that
//! ends is begun again from the last version that was heard of; only a version that the API server has
//! forgotten costs another list. While it does not answer, what was known stays.

mod events;
mod list;

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::backoff::Backoff;
use cairn_runtime::logging::{self, Repeat};
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Supervisor, TaskError};
use tokio::time::{Instant, sleep};

use super::known::Known;
use super::{Client, Error, Metrics, Resource};

/// The first and the longest delay between two attempts, and how long one must have lived to be a success.
/// Replicas that lost the API server together come back apart from each other.
const BACKOFF: (Duration, Duration, Duration) = (
    Duration::from_millis(500),
    Duration::from_secs(30),
    Duration::from_secs(20),
);

/// Watches in a row that the API server itself refused before everything is listed anew: it may not know
/// the version, as after a backup of its store was put back.
const MOST_REFUSALS: u32 = 5;

/// What the tasks need.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Asks the API server.
    pub client: Client,
    /// Where what is heard goes.
    pub known: Arc<Known>,
    /// Figures.
    pub metrics: Metrics,
    /// Where it is said what does not work. An API server that is not there never makes the process unready.
    pub readiness: Readiness,
    /// Ends the tasks.
    pub token: Token,
}

/// One resource.
struct Watcher {
    parts: Watch,
    resource: Resource,
    // Where the next watch begins; `None`: a list comes first.
    version: Option<String>,
    has_watched: bool,
    refusals: u32,
    failing: Option<String>,
    repeat: Repeat,
    // Objects a page.
    page: u32,
}

impl Watch {
    /// Starts one task a resource.
    pub fn start(self, supervisor: &mut Supervisor) {
        let tasks = [
            ("watch nodes", Resource::Nodes),
            ("watch pods", Resource::Pods),
        ];
        for (name, resource) in tasks {
            let watcher = Watcher {
                parts: self.clone(),
                resource,
                version: None,
                has_watched: false,
                refusals: 0,
                failing: None,
                repeat: Repeat::default(),
                page: list::PAGE,
            };
            supervisor.spawn(name, watcher.run());
        }
    }
}

impl Watcher {
    async fn run(mut self) -> Result<(), TaskError> {
        let token = self.parts.token.clone();
        let watching = async {
            let (base, cap, min_life) = BACKOFF;
            let mut backoff = Backoff::new(base, cap, min_life);
            loop {
                let began = Instant::now();
                let ended = self.once().await;
                let lived = began.elapsed();
                backoff.lived(lived);
                let is_good = ended.is_ok();
                if let Err(error) = ended {
                    if let Some(wish) = error.retry_after() {
                        backoff.hint(wish);
                    }
                    self.failed(&error);
                }
                // A watch whose time is over goes on at once; one that ends early is not hurried.
                if !(is_good && lived >= min_life) {
                    sleep(backoff.next()).await;
                }
            }
        };
        tokio::select! {
            biased;
            () = token.cancelled() => Ok(()),
            never = watching => never,
        }
    }

    /// A list where one is needed, and one watch to its end.
    async fn once(&mut self) -> Result<(), Error> {
        if self.version.is_none() {
            let version = self.list().await?;
            (self.version, self.refusals) = (Some(version), 0);
            self.well();
        }
        if std::mem::replace(&mut self.has_watched, true) {
            self.parts.metrics.restarted(self.resource);
        }
        let ended = self.watch().await;
        if matches!(ended, Err(Error::Gone { .. })) {
            self.version = None;
        }
        ended
    }

    fn failed(&mut self, error: &Error) {
        let (metrics, resource) = (&self.parts.metrics, self.resource);
        metrics.failed(resource, error.kind());
        self.refusals = match error {
            // Rights and load have nothing to do with the version.
            Error::Status {
                code: 401 | 403 | 429 | 503,
                ..
            } => self.refusals,
            Error::Status { .. } => self.refusals + 1,
            _ => 0,
        };
        if self.refusals >= MOST_REFUSALS {
            (self.version, self.refusals) = (None, 0);
        }
        let why = logging::escape(&logging::chain(error));
        let changed = self.failing.as_ref() != Some(&why);
        let resource = resource.as_str();
        if let Some(held_back) = self.repeat.should_log(Instant::now(), changed) {
            tracing::warn!(
                resource,
                reason = why,
                held_back,
                "the cluster is not watched; what was known stays in use"
            );
        }
        let text = format!("{why}; what was known stays in use");
        self.parts.readiness.note(self.note(), Note::Degraded(text));
        self.failing = Some(why);
    }

    /// The API server answers.
    fn well(&mut self) {
        if self.failing.take().is_some() {
            self.repeat.reset();
            self.parts.readiness.clear(&self.note());
            let resource = self.resource.as_str();
            tracing::info!(resource, "the cluster is watched again");
        }
    }

    fn note(&self) -> String {
        format!("cluster {}", self.resource.as_str())
    }
}

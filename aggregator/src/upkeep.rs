//! What goes on without anybody asking: expiry of old rows, files read again when they change.
//!
//! One task each, owned by the supervisor. What is degraded stands in `/readyz?verbose` until it
//! is mended, and in the log when it changes.

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::clock::{Clock, Waiter, ticker};
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Supervisor, TaskError};
use cairn_runtime::tls::{self, ServerTls};
use cairn_runtime::{logging, tasks};

use prometheus_client::metrics::counter::Counter;

use crate::ingest::Authenticator;
use crate::store::Door;

/// How often files are looked at for changes: well under the minutes that a rotation leaves.
const RELOAD: Duration = Duration::from_secs(10);

/// What the tasks need.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep {
    pub(crate) store: Arc<dyn Door>,
    pub(crate) clock: Clock,
    pub(crate) interval_ms: u64,
    /// Bytes of the window; 0 means no limit.
    pub(crate) budget: u64,
    /// Rows dropped for memory.
    pub(crate) evicted: Counter,
    pub(crate) readiness: Readiness,
    pub(crate) token: Token,
}

impl Upkeep {
    /// Starts every task.
    pub(crate) fn start(
        self,
        supervisor: &mut Supervisor,
        auth: Arc<Authenticator>,
        server: Arc<ServerTls>,
    ) {
        let reload = tls::reload_loop(vec![server.into()], RELOAD, self.token.clone());
        supervisor.spawn("certificates", reload);
        supervisor.spawn("tokens", self.clone().reload_tokens(auth));
        // The waiter is there before the task runs, so that no step of a driven clock passes it by.
        let waiter = self.clock.waiter("expiry");
        supervisor.spawn("expiry", self.expire(waiter));
    }

    /// Drops what the window no longer covers, at each tick of the grid.
    async fn expire(self, mut waiter: Waiter) -> Result<(), TaskError> {
        let mut short = false;
        loop {
            let next = (self.clock.unix_ms() / self.interval_ms + 1) * self.interval_ms;
            tokio::select! {
                biased;
                () = self.token.cancelled() => return Ok(()),
                () = waiter.until(next) => {}
            }
            let evicted = self.store.evict(self.clock.unix_ms());
            self.evicted.inc_by(evicted.shortened_rows);
            if short != evicted.over_budget {
                short = evicted.over_budget;
                self.say_memory(short);
            }
        }
    }

    fn say_memory(&self, short: bool) {
        if !short {
            self.readiness.clear("memory");
            tracing::info!("the window is below --memory-limit again");
            return;
        }
        let limit = self.budget;
        let text = format!(
            "the window is over --memory-limit ({limit} bytes): every node's oldest rows go early; \
             raise the limit or shorten --window"
        );
        tracing::warn!("{text}");
        self.readiness.note("memory", Note::Degraded(text));
    }

    /// Reads the file of tokens again when it changes.
    async fn reload_tokens(self, auth: Arc<Authenticator>) -> Result<(), TaskError> {
        let mut ticker = ticker(RELOAD);
        let mut broken: Option<String> = None;
        loop {
            tokio::select! {
                biased;
                () = self.token.cancelled() => return Ok(()),
                _ = ticker.tick() => {}
            }
            let reading = Arc::clone(&auth);
            let read = tasks::blocking("read tokens", move || reading.reload()).await?;
            let now = match read {
                Ok(changed) => {
                    if changed {
                        tracing::info!("the file of agents' tokens has changed and is in force");
                    }
                    None
                }
                Err(error) => Some(logging::chain(&error)),
            };
            if now != broken {
                self.say_tokens(now.as_deref());
                broken = now;
            }
        }
    }

    fn say_tokens(&self, broken: Option<&str>) {
        match broken {
            Some(error) => {
                let text = format!("{error}; the old content stays in force");
                tracing::error!("{text}");
                self.readiness.note("tokens", Note::Degraded(text));
            }
            None => {
                self.readiness.clear("tokens");
                tracing::info!("the file of agents' tokens is in order again");
            }
        }
    }
}

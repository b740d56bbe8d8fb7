//! What goes on without anybody asking: expiry of old rows, memory, files read again when they change.
//!
//! One task each, owned by the supervisor. What is degraded stands in `/readyz?verbose` until it
//! is mended, and in the log when it changes.

mod memory;

use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::clock::{Clock, Waiter, ticker};
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::{Lane, Supervisor, TaskError};
use cairn_runtime::tls::{self, ServerTls};
use cairn_runtime::{logging, tasks};

use crate::ingest::Authenticator;
use memory::Memory;

pub(crate) use memory::{Metrics, Parts as MemoryParts};

/// How often files are looked at for changes: well under the minutes that a rotation leaves.
const RELOAD: Duration = Duration::from_secs(10);

/// How often memory is looked at between ticks: what all agents can send in a second is a small part
/// of the limit.
const LOOK: Duration = Duration::from_secs(1);

/// What the tasks need.
#[derive(Clone, Debug)]
pub(crate) struct Upkeep {
    pub(crate) clock: Clock,
    pub(crate) interval_ms: u64,
    pub(crate) memory: MemoryParts,
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

    /// Drops what the window no longer covers, at each tick of the grid, and looks at the memory.
    async fn expire(self, mut waiter: Waiter) -> Result<(), TaskError> {
        let lane = Lane::start("expiry")?;
        let mut memory = Memory::new(self.memory.clone());
        let mut between = ticker(LOOK);
        let after = |now_ms: u64| (now_ms / self.interval_ms + 1) * self.interval_ms;
        let mut next = after(self.clock.unix_ms());
        loop {
            // Kept while it looks, so that a tick that comes meanwhile is not passed over; nearer when
            // the clock was set back.
            next = next.min(after(self.clock.unix_ms()));
            // All branches are cancel safe.
            let is_tick = tokio::select! {
                biased;
                () = self.token.cancelled() => return Ok(()),
                () = waiter.until(next) => true,
                _ = between.tick() => false,
            };
            // With thousands of nodes it may take seconds, in which streams and answers go on. All
            // chunks of live rows are made by this one thread (see `Lane`).
            let work = move || {
                if is_tick {
                    memory.evict();
                }
                memory.look();
                memory
            };
            memory = lane.run(work).await?;
            if is_tick {
                next = after(self.clock.unix_ms());
            }
        }
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

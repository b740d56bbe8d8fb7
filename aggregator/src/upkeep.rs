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
use cairn_runtime::tls::{self, Reloadable};
use cairn_runtime::{logging, tasks};

use crate::ingest::Authenticator;
use memory::Memory;

pub(crate) use memory::{Metrics, Parts as MemoryParts};

/// How often files are looked at for changes: well under the minutes that a rotation leaves.
pub(crate) const RELOAD: Duration = Duration::from_secs(10);

/// How often memory is looked at between ticks: what all agents can send of themselves in a second is a small
/// part of the limit. History that is asked for comes faster, and has a look whenever its room is used up.
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
        mut certificates: Vec<Reloadable>,
    ) {
        certificates.extend(auth.reloadable());
        let reload = tls::reload_loop(certificates, RELOAD, self.token.clone());
        supervisor.spawn("certificates", reload);
        supervisor.spawn("tokens", self.clone().reload_tokens(auth));
        // The waiter is there before the task runs, so that no step of a driven clock passes it by.
        let waiter = self.clock.waiter("expiry");
        supervisor.spawn("expiry", self.expire(waiter));
    }

    /// Drops what the window no longer covers, once for each tick of the grid, and looks at the memory.
    /// In the middle between two ticks: at a tick it would stand in the way of the rows that everybody
    /// sends then. On a driven clock, whose steps wait for it, at the tick.
    async fn expire(self, mut waiter: Waiter) -> Result<(), TaskError> {
        let lane = Lane::start("expiry")?;
        let mut memory = Memory::new(self.memory.clone());
        let mut between = ticker(LOOK);
        let pressure = self.memory.pressure.clone();
        let lag_ms = if self.clock.is_driven() {
            0
        } else {
            self.interval_ms / 2
        };
        let after = |now_ms| next_time(now_ms, self.interval_ms, lag_ms);
        let mut next = after(self.clock.unix_ms());
        loop {
            // Kept while it looks, so that a tick that comes meanwhile is not passed over; nearer when
            // the clock was set back.
            next = next.min(after(self.clock.unix_ms()));
            // All branches are cancel safe.
            let is_due = tokio::select! {
                biased;
                () = self.token.cancelled() => return Ok(()),
                () = waiter.until(next) => true,
                _ = between.tick() => false,
                () = pressure.look_wanted() => false,
            };
            // With thousands of nodes it may take seconds, in which streams and answers go on. Nearly all
            // chunks of live rows are made by this one thread (see `Lane`); threads of streams make those
            // of late rows and of runs that end, and put history and open rows together.
            let work = move || {
                if is_due {
                    memory.evict();
                }
                memory.look();
                memory
            };
            memory = lane.run(work).await?;
            if is_due {
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

/// The first time after now that lies so long after a tick of the grid, Unix ms.
fn next_time(now_ms: u64, interval_ms: u64, lag_ms: u64) -> u64 {
    let interval_ms = interval_ms.max(1);
    let since_lag = now_ms.saturating_sub(lag_ms);
    let ticks = if now_ms < lag_ms {
        0
    } else {
        since_lag / interval_ms + 1
    };
    ticks.saturating_mul(interval_ms).saturating_add(lag_ms)
}

#[cfg(test)]
mod tests {
    use super::next_time;

    #[test]
    fn old_rows_go_between_two_ticks() {
        let check = |now_ms, lag_ms, expected| {
            assert_eq!(next_time(now_ms, 10_000, lag_ms), expected, "{now_ms}");
        };
        check(0, 5_000, 5_000);
        check(4_999, 5_000, 5_000);
        check(5_000, 5_000, 15_000);
        check(14_999, 5_000, 15_000);
        // At the ticks themselves.
        check(0, 0, 10_000);
        check(9_999, 0, 10_000);
        check(10_000, 0, 20_000);
    }
}

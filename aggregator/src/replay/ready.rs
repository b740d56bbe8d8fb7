//! Holds readiness back while the history of others comes in.
//!
//! A rolling update ends an old replica when a new one is ready. What the old one alone holds must
//! have been asked for by then.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cairn_runtime::readiness::{Blocker, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::Supervisor;

/// Not ready for so long at most: what is not here by then comes while others are served.
pub(super) const LONGEST: Duration = Duration::from_secs(45);

/// Held by every task whose first round is not over; readiness is free when the last one lets go.
#[derive(Debug)]
pub(super) struct Hold {
    blocker: Mutex<Option<Blocker>>,
}

impl Hold {
    /// Blocks readiness, and starts the task that ends that after [`LONGEST`].
    pub(super) fn new(
        readiness: &Readiness,
        token: &Token,
        supervisor: &mut Supervisor,
    ) -> Arc<Self> {
        let reason = "peers are asked for history that no agent has any more";
        let hold = Arc::new(Self {
            blocker: Mutex::new(Some(readiness.block("peers", reason))),
        });
        let (held, token) = (Arc::downgrade(&hold), token.clone());
        supervisor.spawn("peers' deadline", async move {
            tokio::select! {
                biased;
                () = token.cancelled() => return Ok(()),
                () = tokio::time::sleep(LONGEST) => {}
            }
            if let Some(held) = held.upgrade().filter(|held| held.release()) {
                tracing::warn!("ready although peers still give history");
                drop(held);
            }
            token.cancelled().await;
            Ok(())
        });
        hold
    }

    /// Lets readiness go; true when it was held.
    fn release(&self) -> bool {
        let blocker = self.blocker.lock();
        let mut blocker = blocker.unwrap_or_else(PoisonError::into_inner);
        blocker.take().is_some()
    }
}

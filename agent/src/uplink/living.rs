//! Which aggregator processes this agent streams to right now.
//!
//! Two addresses may lead to one process: a dual-stack name has two for it. Each of the two
//! sessions would fence the other, for ever; so the one that was fenced stands back for as long as
//! the other lives.

use std::sync::Arc;

use tokio::sync::watch;

/// The instances with a living session, one entry for each; at most as many as addresses.
#[derive(Clone, Debug, Default)]
pub struct Living(Arc<watch::Sender<Vec<String>>>);

/// One living session; leaves when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    living: Living,
    instance: String,
}

impl Living {
    /// Notes a session with this instance.
    pub(super) fn enter(&self, instance: &str) -> Seat {
        self.0.send_modify(|all| all.push(instance.to_owned()));
        Seat {
            living: self.clone(),
            instance: instance.to_owned(),
        }
    }

    /// True while another session with this instance lives.
    pub(super) fn has(&self, instance: &str) -> bool {
        self.0.borrow().iter().any(|one| one == instance)
    }

    /// Waits until no session with this instance lives. Cancel safe.
    pub(super) async fn gone(&self, instance: &str) {
        let mut changes = self.0.subscribe();
        let gone = changes.wait_for(|all| all.iter().all(|one| one != instance));
        // It cannot close while this exists.
        drop(gone.await);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.living.0.send_modify(|all| {
            if let Some(at) = all.iter().position(|one| *one == self.instance) {
                all.swap_remove(at);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_stands_back_waits_for_every_session_with_the_instance() {
        let living = Living::default();
        let (first, second) = (living.enter("a"), living.enter("a"));
        let other = living.enter("b");
        drop(first);
        assert!(living.has("a"));
        let waiting = tokio::time::timeout(Duration::from_secs(1), living.gone("a"));
        assert!(waiting.await.is_err());
        drop(second);
        assert!(!living.has("a") && living.has("b"));
        living.gone("a").await;
        drop(other);
    }
}

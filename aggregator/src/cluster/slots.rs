//! Turns at a fixed distance: whoever asks gets the next one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Gives out turns. Those who wait are few, which the callers see to.
#[derive(Debug)]
pub(crate) struct Slots {
    every: Duration,
    next: Mutex<Option<Instant>>,
}

impl Slots {
    pub(crate) fn new(every: Duration) -> Self {
        let next = Mutex::default();
        Self { every, next }
    }

    /// Waits for the next turn. Who stops waiting has used it all the same.
    pub(crate) async fn next(&self) {
        let now = Instant::now();
        let turn = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = next.map_or(now, |next| next.max(now));
            *next = Some(turn + self.every);
            turn
        };
        sleep_until(turn).await;
    }
}

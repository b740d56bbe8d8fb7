//! While a fleet comes back to an aggregator that has just started, its history waits.
//!
//! Every agent's newest row is there within seconds when nothing competes with handshakes and first
//! rows; the history of thousands of them is work for several times as long. So for a while after the
//! start no history is asked for as long as sessions go on opening.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How long after the start at most: the latest values are promised within 10 s, the whole window
/// within 30.
const AT_MOST: Duration = Duration::from_secs(8);

/// How long no session must have opened for the fleet to be taken as there.
const PAUSE: Duration = Duration::from_millis(250);

/// When sessions opened. A clone is the same.
#[derive(Clone, Debug)]
pub(super) struct Rush {
    ends_at: Instant,
    last: Arc<Mutex<Instant>>,
}

impl Rush {
    /// Begins now.
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            ends_at: now + AT_MOST,
            last: Arc::new(Mutex::new(now)),
        }
    }

    /// One that is over.
    #[cfg(test)]
    pub(super) fn past() -> Self {
        let now = Instant::now();
        Self {
            ends_at: now,
            last: Arc::new(Mutex::new(now)),
        }
    }

    /// Takes note that a session opened.
    pub(super) fn opened(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until it is over.
    pub(super) async fn over(&self) {
        loop {
            let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let until = (last + PAUSE).min(self.ends_at);
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    /// Scenario: sessions open again and again after the start.
    /// Guarantees: it lasts for as long as they do, but no longer than it may.
    #[tokio::test(start_paused = true)]
    async fn it_is_over_when_nobody_comes_or_when_its_time_is() {
        let rush = Rush::new();
        let is_over = async || timeout(Duration::ZERO, rush.over()).await.is_ok();
        let mut waited = Duration::ZERO;
        while waited < AT_MOST {
            assert!(!is_over().await, "{waited:?}");
            rush.opened();
            advance(PAUSE / 2).await;
            waited += PAUSE / 2;
        }
        assert!(is_over().await);

        let rush = Rush::new();
        advance(PAUSE / 2).await;
        rush.opened();
        advance(PAUSE).await;
        timeout(Duration::ZERO, rush.over()).await.unwrap();
    }
}

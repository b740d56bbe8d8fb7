//! Turns at a fixed distance, first come first served.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Gives out turns. Who stops waiting leaves the line and uses none, so that nobody can put others off by
/// asking and going away. Those who wait are few, which the callers see to.
#[derive(Debug)]
pub(crate) struct Slots {
    every: Duration,
    // Held by the first of the line.
    next: Mutex<Option<Instant>>,
}

impl Slots {
    pub(crate) fn new(every: Duration) -> Self {
        let next = Mutex::default();
        Self { every, next }
    }

    /// Waits for the next turn.
    pub(crate) async fn next(&self) {
        let mut next = self.next.lock().await;
        if let Some(turn) = *next {
            sleep_until(turn).await;
        }
        *next = Some(Instant::now() + self.every);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;
    use tokio::time::timeout;

    use super::*;

    const EVERY: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn turns_are_at_a_distance_and_who_goes_away_uses_none() {
        let slots = Slots::new(EVERY);
        let began = Instant::now();
        let waiting = (0..1_000).map(|_| timeout(Duration::from_millis(1), slots.next()));
        let taken = join_all(waiting).await.into_iter().filter(Result::is_ok);
        assert_eq!(taken.count(), 1);
        for _ in 0..5 {
            slots.next().await;
        }
        let took = began.elapsed();
        assert!(took >= 5 * EVERY && took < 6 * EVERY, "{took:?}");
    }
}

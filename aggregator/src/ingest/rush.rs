//! While a fleet comes back to an aggregator that has just started, its history waits.
//!
//! Every agent's newest row is there within seconds when nothing competes with handshakes and first
//! rows; the history of thousands of them is work for several times as long. So for a while after the
//! start no history is asked for as long as sessions go on opening.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
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
    // Held by the one who watches the time for all.
    watch: Arc<tokio::sync::Mutex<()>>,
    // True once it is over; rung by who watches.
    bell: watch::Sender<bool>,
}

impl Rush {
    /// Begins now.
    pub(super) fn new() -> Self {
        Self::ending(Instant::now() + AT_MOST)
    }

    /// One that is over.
    #[cfg(test)]
    pub(super) fn past() -> Self {
        Self::ending(Instant::now())
    }

    fn ending(ends_at: Instant) -> Self {
        Self {
            ends_at,
            last: Arc::new(Mutex::new(Instant::now())),
            watch: Arc::default(),
            bell: watch::Sender::new(false),
        }
    }

    /// Takes note that a session opened.
    pub(super) fn opened(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Waits until it is over. One of those who wait looks at the time and rings for all; should it be
    /// stuck in other work, the others wait until the latest moment and no longer. Cancel safe.
    pub(super) async fn over(&self) {
        if self.until().is_none() {
            return;
        }
        let mut bell = self.bell.subscribe();
        // All branches are cancel safe: a watch that is given up is taken over by another.
        tokio::select! {
            biased;
            _ = bell.wait_for(|is_over| *is_over) => {}
            () = sleep_until(self.ends_at) => {}
            () = self.watch() => {}
        }
    }

    /// Watches the time, one at a time.
    async fn watch(&self) {
        let _watch = self.watch.lock().await;
        while let Some(until) = self.until() {
            sleep_until(until).await;
        }
        self.bell.send_replace(true);
    }

    /// When to look again; `None` once it is over.
    fn until(&self) -> Option<Instant> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let until = (last + PAUSE).min(self.ends_at);
        (until > Instant::now()).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::task::JoinSet;
    use tokio::time::{advance, sleep, timeout};

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

    /// Scenario: the session that watches the time is busy with something else and is not looked after.
    /// Guarantees: the others wait until the latest moment and no longer.
    #[tokio::test(start_paused = true)]
    async fn one_that_is_stuck_holds_nobody_up_for_long() {
        let rush = Rush::new();
        let (mut stuck, mut other) = (Box::pin(rush.over()), Box::pin(rush.over()));
        assert!(timeout(Duration::ZERO, stuck.as_mut()).await.is_err());
        assert!(timeout(Duration::ZERO, other.as_mut()).await.is_err());
        advance(AT_MOST).await;
        timeout(Duration::ZERO, other).await.unwrap();
        drop(stuck);
    }

    /// Scenario: a thousand sessions open over two seconds and all of them want history.
    /// Guarantees: while they wait each is looked at once when it comes, all are woken once when the
    /// rush is over, and one clock runs for all of them.
    #[tokio::test(start_paused = true)]
    async fn those_who_wait_are_woken_once() {
        const SESSIONS: u32 = 1_000;
        let rush = Rush::new();
        let polls = Arc::new(AtomicU32::new(0));
        let mut waiting = JoinSet::new();
        for _ in 0..SESSIONS {
            rush.opened();
            let (rush, polls) = (rush.clone(), Arc::clone(&polls));
            waiting.spawn(async move {
                let mut over = pin!(rush.over());
                poll_fn(|cx| {
                    polls.fetch_add(1, Ordering::Relaxed);
                    over.as_mut().poll(cx)
                })
                .await;
            });
            sleep(Duration::from_millis(2)).await;
        }
        waiting.join_all().await;
        let polls = polls.load(Ordering::Relaxed);
        // The one who watches the time is woken at most every pause.
        let most = 2 * SESSIONS + 20;
        assert!(polls <= most, "{polls}");
    }
}

//! Whether the threads of a runtime still get to their tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often it is felt.
const BEAT: Duration = Duration::from_secs(1);

/// So long without a beat is no load any more: with all processors taken, thousands of streams are served in turn
/// within seconds. Threads wait for each other then, or for a call to the kernel that does not return.
const STILL: Duration = Duration::from_secs(60);

/// When a runtime last got to one of its tasks. A clone is the same pulse.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    began: Instant,
    // Of the last beat, ms since it began; 0 until there is one.
    beat_ms: Arc<AtomicU64>,
}

impl Default for Pulse {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            beat_ms: Arc::default(),
        }
    }
}

impl Pulse {
    /// Beats for as long as it is polled.
    pub(super) async fn beat(self) {
        loop {
            self.beat_ms.store(self.now_ms().max(1), Ordering::Relaxed);
            sleep(BEAT).await;
        }
    }

    /// For how long it has been still, once that is too long. One that never beat is none to look at.
    pub(super) fn stopped_for(&self) -> Option<Duration> {
        let beat_ms = self.beat_ms.load(Ordering::Relaxed);
        let still = Duration::from_millis(self.now_ms().saturating_sub(beat_ms));
        (beat_ms > 0 && still >= STILL).then_some(still)
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{advance, timeout};

    use super::{Pulse, STILL};

    #[tokio::test(start_paused = true)]
    async fn a_pulse_that_nobody_polls_any_more_has_stopped_after_a_minute() {
        let pulse = Pulse::default();
        advance(STILL * 2).await;
        assert_eq!(pulse.stopped_for(), None, "it never beat");
        let beats = timeout(STILL * 3, pulse.clone().beat());
        assert!(beats.await.is_err());
        assert_eq!(pulse.stopped_for(), None);
        advance(STILL - Duration::from_secs(2)).await;
        assert_eq!(pulse.stopped_for(), None);
        advance(Duration::from_secs(2)).await;
        assert!(pulse.stopped_for() >= Some(STILL));
    }
}

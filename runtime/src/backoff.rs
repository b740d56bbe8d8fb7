//! Delays between attempts: full jitter, capped, and slow to forget.
//!
//! Owned by the task that retries. The first delay is already random, so that a fleet that lost its
//! peer in the same instant does not come back in the same instant; and an attempt resets the delay
//! only by staying alive for a while, so that a peer which accepts and drops at once is not hammered.

use std::time::Duration;

/// The delays of one retry loop.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    min_life: Duration,
    ceiling: Duration,
    hinted: Option<Duration>,
}

impl Backoff {
    /// Makes the delays of one loop.
    ///
    /// A delay is uniform in `0..=ceiling`; the ceiling is `base` for the first attempt and doubles
    /// up to `cap`. `min_life` is how long an attempt must have lived to count as a success. A `cap`
    /// below `base` counts as `base`; a `base` of 0 counts as 1 ms, since it could never double.
    #[must_use]
    pub fn new(base: Duration, cap: Duration, min_life: Duration) -> Self {
        let base = base.max(Duration::from_millis(1));
        let cap = cap.max(base);
        Self {
            base,
            cap,
            min_life,
            ceiling: base,
            hinted: None,
        }
    }

    /// Returns how long to wait before the next attempt and raises the ceiling for the one after.
    ///
    /// After a [`Backoff::hint`] the delay is the hint plus up to a quarter of it, once.
    #[expect(
        clippy::should_implement_trait,
        reason = "it never ends, an iterator would promise it"
    )]
    pub fn next(&mut self) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(2).min(self.cap);
        match self.hinted.take() {
            Some(hint) => hint + uniform(hint / 4),
            None => uniform(ceiling),
        }
    }

    /// Reports how long the last attempt lived; only a life of at least `min_life` resets the delay.
    pub fn lived(&mut self, life: Duration) {
        if life >= self.min_life {
            self.ceiling = self.base;
        }
    }

    /// Takes the peer's wish for the next delay, clamped to `base..=cap`.
    ///
    /// It is a lower bound for the next delay only: the jitter on top stays ours.
    pub fn hint(&mut self, wish: Duration) {
        self.hinted = Some(wish.clamp(self.base, self.cap));
    }
}

/// Draws a duration uniformly from `0..=most`.
fn uniform(most: Duration) -> Duration {
    let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(fastrand::u64(0..=nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Duration = Duration::from_millis(200);
    const CAP: Duration = Duration::from_secs(5);

    fn largest(backoff: &Backoff) -> Duration {
        (0..500).map(|_| backoff.clone().next()).max().unwrap()
    }

    #[test]
    fn the_first_delay_is_already_random_and_below_the_base() {
        let backoff = Backoff::new(BASE, CAP, Duration::from_secs(10));
        let delays: Vec<_> = (0..200).map(|_| backoff.clone().next()).collect();
        assert!(delays.iter().all(|delay| *delay <= BASE));
        assert!(delays.iter().any(|delay| *delay < BASE / 2));
        assert!(delays.iter().any(|delay| *delay > BASE / 2));
    }

    #[test]
    fn delays_grow_to_the_cap_and_no_further() {
        let mut backoff = Backoff::new(BASE, CAP, Duration::from_secs(10));
        for _ in 0..20 {
            assert!(backoff.next() <= CAP);
        }
        assert!(largest(&backoff) > CAP / 2);
    }

    #[test]
    fn only_a_long_life_resets() {
        let mut backoff = Backoff::new(BASE, CAP, Duration::from_secs(10));
        for _ in 0..20 {
            backoff.next();
        }
        backoff.lived(Duration::from_secs(9));
        assert!(largest(&backoff) > BASE);
        backoff.lived(Duration::from_secs(10));
        assert!(largest(&backoff) <= BASE);
    }

    #[test]
    fn a_hint_is_clamped_and_counts_once() {
        let mut backoff = Backoff::new(BASE, CAP, Duration::from_secs(10));
        backoff.hint(Duration::from_secs(3600));
        let delay = backoff.next();
        assert!(delay >= CAP && delay <= CAP + CAP / 4, "{delay:?}");
        assert!(backoff.next() <= BASE * 2);
        backoff.hint(Duration::ZERO);
        assert!(backoff.next() >= BASE);
    }
}

//! The lines in which bearer tokens wait for their review.
//!
//! A token that was good before, even if the answer about it is not kept any more, has a line of its own, so that no
//! number of tokens that nobody knows keeps it from being reviewed. Both lines together send no more than 20
//! questions a second.
//!
//! Bounds: [`PLACES`] tokens in each line; [`MOST_GOOD`] hashes of good tokens, none of which is remembered
//! longer than [`GOOD_FOR`] after it was good the last time. No bad token is in that list, so none takes a
//! place in it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::cluster::slots::Slots;
use crate::cluster::token::Hash;

/// Tokens that wait in one line: at ten a second the last of them has its turn within the deadline.
pub(super) const PLACES: usize = 64;

/// Between two questions of one line.
const EVERY: Duration = Duration::from_millis(100);

/// Good tokens that are remembered, of some 50 bytes each.
const MOST_GOOD: usize = 4_096;

/// How long: as long as a token usually lasts.
const GOOD_FOR: Duration = Duration::from_secs(3_600);

/// Both lines.
#[derive(Debug)]
pub(super) struct Lanes {
    unknown: Lane,
    known: Lane,
    good: Mutex<Good>,
}

#[derive(Debug)]
struct Lane {
    places: Semaphore,
    turns: Slots,
}

/// Hashes of tokens that were good.
#[derive(Debug, Default)]
struct Good {
    until: HashMap<Hash, Instant>,
    // In the order in which they were good; one that was good again later stands there again.
    order: VecDeque<(Instant, Hash)>,
}

/// A turn of a line; the place in it is free when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(#[expect(dead_code, reason = "held, not read")] SemaphorePermit<'a>);

impl Lanes {
    pub(super) fn new() -> Self {
        let lane = || Lane {
            places: Semaphore::new(PLACES),
            turns: Slots::new(EVERY),
        };
        Self {
            unknown: lane(),
            known: lane(),
            good: Mutex::default(),
        }
    }

    /// True of a token that was good not long ago.
    pub(super) fn is_known(&self, hash: &Hash) -> bool {
        let mut good = self.good();
        good.purge(Instant::now());
        good.until.contains_key(hash)
    }

    /// Waits for a turn in the line of this token; `None` when the line is full, or none came in time.
    pub(super) async fn turn(&self, is_known: bool, until: Instant) -> Option<Turn<'_>> {
        let lane = if is_known { &self.known } else { &self.unknown };
        let place = lane.places.try_acquire().ok()?;
        timeout_at(until, lane.turns.next()).await.ok()?;
        Some(Turn(place))
    }

    /// Takes note of what a review said.
    pub(super) fn reviewed(&self, hash: Hash, is_good: bool) {
        let now = Instant::now();
        let mut good = self.good();
        good.purge(now);
        if is_good {
            good.put(hash, now + GOOD_FOR);
        } else {
            good.until.remove(&hash);
        }
    }

    fn good(&self) -> MutexGuard<'_, Good> {
        self.good.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Good {
    fn purge(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((until, hash)) = self.order.pop_front()
            && self.until.get(&hash) == Some(&until)
        {
            self.until.remove(&hash);
        }
    }

    fn put(&mut self, hash: Hash, until: Instant) {
        // One that is good again each ten seconds would fill the list with itself.
        if self.until.contains_key(&hash) {
            self.order.retain(|(_, other)| *other != hash);
        }
        while self.order.len() >= MOST_GOOD {
            self.forget_oldest();
        }
        self.until.insert(hash, until);
        self.order.push_back((until, hash));
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn hash(n: usize) -> Hash {
        let mut hash = Hash::default();
        hash[..8].copy_from_slice(&n.to_le_bytes());
        hash
    }

    #[tokio::test(start_paused = true)]
    async fn good_tokens_are_remembered_for_an_hour_and_bad_ones_take_no_place() {
        let lanes = Lanes::new();
        lanes.reviewed(hash(0), true);
        for n in 1..3 * MOST_GOOD {
            lanes.reviewed(hash(n), false);
        }
        assert!(lanes.is_known(&hash(0)) && !lanes.is_known(&hash(1)));
        // Good again and again, and remembered from then on.
        for _ in 0..400 {
            advance(Duration::from_secs(10)).await;
            lanes.reviewed(hash(0), true);
        }
        assert_eq!(lanes.good().order.len(), 1);
        advance(GOOD_FOR - Duration::from_secs(1)).await;
        assert!(lanes.is_known(&hash(0)));
        advance(Duration::from_secs(1)).await;
        assert!(!lanes.is_known(&hash(0)));
        lanes.reviewed(hash(7), true);
        lanes.reviewed(hash(7), false);
        assert!(!lanes.is_known(&hash(7)));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_good_ones_as_there_may_be_and_the_oldest_goes() {
        let lanes = Lanes::new();
        for n in 0..=MOST_GOOD {
            lanes.reviewed(hash(n), true);
        }
        assert!(!lanes.is_known(&hash(0)) && lanes.is_known(&hash(1)));
        assert_eq!(lanes.good().until.len(), MOST_GOOD);
    }
}

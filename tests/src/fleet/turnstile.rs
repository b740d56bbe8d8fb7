//! Tells when every session has taken the newest row: what a step of the driven clock waits for.
//!
//! One counter under one lock, so that a row costs each session a few instructions, however many
//! there are. A session that cannot take rows (it is told to be slow, or to stop) gives up its seat.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

/// Counts the sessions that still owe the newest row. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Turnstile {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    count: Mutex<Count>,
    clear: Notify,
}

#[derive(Debug, Default)]
struct Count {
    rows: u64,
    seats: usize,
    behind: usize,
}

impl Turnstile {
    /// From now on every seat owes the row before `rows`.
    pub(super) fn open(&self, rows: u64) {
        let mut count = lock(&self.state);
        count.rows = rows;
        count.behind = count.seats;
    }

    /// Waits until nobody owes a row, at most `deadline`; tells whether that came about.
    pub(super) async fn clear(&self, deadline: Duration) -> bool {
        let clear = async {
            loop {
                let rung = self.state.clear.notified();
                let mut rung = std::pin::pin!(rung);
                // Listen before looking, or the last one is missed.
                rung.as_mut().enable();
                if lock(&self.state).behind == 0 {
                    return;
                }
                rung.await;
            }
        };
        timeout(deadline, clear).await.is_ok()
    }

    /// A seat that owes nothing yet.
    pub(super) fn seat(&self) -> Seat {
        let mut count = lock(&self.state);
        count.seats += 1;
        Seat {
            state: Arc::clone(&self.state),
            passed: count.rows,
        }
    }
}

/// One session's place; given up on drop.
#[derive(Debug)]
pub(super) struct Seat {
    state: Arc<State>,
    passed: u64,
}

impl Seat {
    /// Says that all rows before `rows` are on their way, or passed over.
    pub(super) fn pass(&mut self, rows: u64) {
        let mut count = lock(&self.state);
        if self.passed < count.rows && rows >= count.rows {
            self.passed = count.rows;
            self.state.settle(&mut count);
        }
    }
}

impl State {
    fn settle(&self, count: &mut Count) {
        count.behind = count.behind.saturating_sub(1);
        if count.behind == 0 {
            self.clear.notify_waiters();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut count = lock(&self.state);
        count.seats = count.seats.saturating_sub(1);
        if self.passed < count.rows {
            self.state.settle(&mut count);
        }
    }
}

/// A count is changed in one piece, so a poisoned lock is as good as a whole one.
fn lock(state: &State) -> MutexGuard<'_, Count> {
    state.count.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_row_is_taken_when_every_seat_has_passed_or_is_given_up() {
        let turnstile = Turnstile::default();
        assert!(turnstile.clear(SHORT).await, "nobody is there");
        let (mut one, two) = (turnstile.seat(), turnstile.seat());
        turnstile.open(7);
        // Who comes later owes the next row, not this one.
        let three = turnstile.seat();
        one.pass(6);
        assert!(!turnstile.clear(SHORT).await);
        one.pass(7);
        one.pass(7);
        assert!(!turnstile.clear(SHORT).await);
        drop(two);
        assert!(turnstile.clear(SHORT).await);
        turnstile.open(8);
        one.pass(9);
        assert!(!turnstile.clear(SHORT).await);
        drop(three);
        assert!(turnstile.clear(SHORT).await);
    }
}

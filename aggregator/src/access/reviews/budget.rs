//! How many questions about namespaces are sent a second for all readers together, and whose is next.
//!
//! Each task that asks has one question in this line at a time, so that none is in front of another for having more of
//! them.
//! First come rights that would not be known for long any more, of them the one that was asked about longest ago;
//! then what nobody knows yet, in the order in which it came; then what is still known. One turn in [`NEW_IN`] is for
//! what nobody knows, so that rights that are kept hold up no new reader for ever.
//!
//! Bounds: one place for each task that asks.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Between two questions: 100 a second, of which an API server notices little. With fewer, the rights that may be
/// kept (`MOST_RIGHTS`) would not be asked about again in time.
const EVERY: Duration = Duration::from_millis(10);

/// One turn in so many is for what nobody knows yet.
const NEW_IN: u64 = 5;

/// How urgent a question is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A right that was asked about then, and will not count for long any more.
    Due(Instant),
    /// Somebody waits for it.
    New,
    /// It is known well enough for now.
    Spare,
}

impl Class {
    /// What goes first has the least.
    pub(super) fn rank(self) -> u8 {
        match self {
            Class::Due(_) => 0,
            Class::New => NEW,
            Class::Spare => NEW + 1,
        }
    }
}

/// The line.
#[derive(Debug, Default)]
pub(super) struct Budget {
    line: Mutex<Line>,
    // Somebody took a turn, or left.
    moved: Notify,
}

#[derive(Debug, Default)]
struct Line {
    next: Option<Instant>,
    given: u64,
    number: u64,
    waiting: BTreeSet<Place>,
}

/// A place, the most urgent of which is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    rank: u8,
    since: Instant,
    number: u64,
}

/// The rank of [`Class::New`].
const NEW: u8 = 1;

/// Leaves the line when it is dropped.
struct Waiting<'a> {
    budget: &'a Budget,
    place: Place,
}

impl Budget {
    /// Waits for a turn; returns for how long. Cancel safe: who stops waiting uses no turn.
    pub(super) async fn turn(&self, class: Class) -> Duration {
        let began = Instant::now();
        let waiting = self.enter(class, began);
        loop {
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            let look = self.lock().look(waiting.place, Instant::now());
            match look {
                Look::Taken => return began.elapsed(),
                Look::At(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = moved => {}
                },
                Look::Behind => moved.await,
            }
        }
    }

    fn enter(&self, class: Class, now: Instant) -> Waiting<'_> {
        let since = match class {
            Class::Due(at) => at,
            Class::New | Class::Spare => now,
        };
        let rank = class.rank();
        let mut line = self.lock();
        line.number += 1;
        let place = Place {
            rank,
            since,
            number: line.number,
        };
        line.waiting.insert(place);
        drop(line);
        let budget = self;
        Waiting { budget, place }
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.lock().waiting.remove(&self.place);
        self.budget.moved.notify_waiters();
    }
}

/// What a place finds.
enum Look {
    Taken,
    At(Instant),
    Behind,
}

impl Line {
    fn look(&mut self, place: Place, now: Instant) -> Look {
        if self.first() != Some(place) {
            return Look::Behind;
        }
        if let Some(next) = self.next.filter(|next| *next > now) {
            return Look::At(next);
        }
        self.next = Some(now + EVERY);
        self.given += 1;
        Look::Taken
    }

    /// Whose the next turn is.
    fn first(&self) -> Option<Place> {
        let is_for_new = self.given % NEW_IN == NEW_IN - 1;
        let mut waiting = self.waiting.iter();
        let new = is_for_new.then(|| waiting.find(|place| place.rank == NEW));
        new.flatten().or_else(|| self.waiting.first()).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::{join, join_all};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_at_a_distance_and_who_goes_away_uses_none() {
        let budget = Budget::default();
        let began = Instant::now();
        let soon = Duration::from_millis(1);
        let gone = (0..1_000).map(|_| timeout(soon, budget.turn(Class::New)));
        let taken = join_all(gone).await.into_iter().filter(Result::is_ok);
        assert_eq!(taken.count(), 1);
        assert!(budget.lock().waiting.is_empty());
        join_all((0..100).map(|_| budget.turn(Class::Spare))).await;
        let took = began.elapsed();
        assert!(took >= 100 * EVERY && took < 101 * EVERY, "{took:?}");
    }

    /// Scenario: rights that are due, new questions and spare ones, all in line at once.
    /// Guarantees: the right that is oldest goes first; of five turns one is for new ones, in their order; spare ones
    /// come last.
    #[tokio::test(start_paused = true)]
    async fn what_is_due_goes_first_and_one_turn_in_five_is_for_what_is_new() {
        let budget = Budget::default();
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(60)).await;
        let told = RefCell::new(Vec::new());
        let wait = async |name: String, class| {
            budget.turn(class).await;
            told.borrow_mut().push(name);
        };
        // Takes the turn that is there, so that all others are in line when the next one is given.
        budget.turn(Class::New).await;
        let spare = (0..2).map(|n| wait(format!("spare{n}"), Class::Spare));
        let new = (0..3).map(|n| wait(format!("new{n}"), Class::New));
        let due = (0..8).rev().map(|n| {
            let at = began + Duration::from_secs(n);
            wait(format!("due{n}"), Class::Due(at))
        });
        join(join_all(spare), join(join_all(new), join_all(due))).await;
        assert_eq!(
            *told.borrow(),
            [
                "due0", "due1", "due2", "new0", "due3", "due4", "due5", "due6", "new1", "due7",
                "new2", "spare0", "spare1"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_who_leaves_lets_the_next_one_go_on() {
        let budget = Budget::default();
        budget.turn(Class::New).await;
        let first = timeout(Duration::from_millis(3), budget.turn(Class::New));
        let (first, waited) = join(first, budget.turn(Class::New)).await;
        assert!(first.is_err());
        assert_eq!(waited, EVERY);
    }
}

//! Wall time: the system's, or driven by a test.
//!
//! Elapsed time (deadlines, backoff) is tokio's. Wall time (ticks, stamps, ages, expiry) comes from a
//! [`Clock`] alone, so that a test can step a whole system tick by tick: a driven clock stands still
//! until [`Clock::step`], which returns when everybody who waits for wall time has done what was due.
//!
//! Whoever waits for wall time does it through a [`Waiter`]. A waiter *rests* while it is inside
//! [`Waiter::until`] with a time that has not come. One that does something else is at work, and a
//! step waits for it: so register a waiter only for a loop that returns to `until`, and read the time
//! it plans from beside the registration, not later inside the task, where a step may have come first.

mod driven;
mod line;
mod mode;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use self::driven::{Driven, Seat, Way};
pub use self::line::Line;
pub use self::mode::{Mode, ParseModeError};

/// The longest sleep on the system's clock without looking at it again: a step of the wall clock is
/// noticed after at most this long. Shorter wakes an idle process for nothing, longer delays the
/// first tick after a step.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The process's source of wall time. A clone is the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Inner,
}

#[derive(Clone, Debug)]
enum Inner {
    System,
    Driven(Arc<Driven>),
}

/// Why a driven clock did not come to rest at its new time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The clock is the system's.
    #[error("the clock is the system's: start the process with --clock driven")]
    NotDriven,
    /// The time is set, but these waiters are still at work; names sorted, one entry per waiter.
    #[error("still at work at the new time: {}", .names.join(", "))]
    Unsettled {
        /// The names given to [`Clock::waiter`].
        names: Vec<&'static str>,
    },
}

/// Why [`Waiter::until_or_back`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The time has come.
    Due,
    /// The wall clock went backwards: plan anew.
    SteppedBack,
}

impl Clock {
    /// Makes the clock a command line asks for.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        match mode {
            Mode::System => Self::system(),
            Mode::Driven { start_unix_ms } => Self::driven(start_unix_ms),
        }
    }

    /// Makes the system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self {
            inner: Inner::System,
        }
    }

    /// Makes a clock that stands still at `start_unix_ms` (Unix time in ms) until it is stepped.
    #[must_use]
    pub fn driven(start_unix_ms: u64) -> Self {
        Self {
            inner: Inner::Driven(Arc::new(Driven::new(start_unix_ms))),
        }
    }

    /// Tells whether the clock is driven.
    #[must_use]
    pub fn is_driven(&self) -> bool {
        matches!(self.inner, Inner::Driven(_))
    }

    /// Reads the wall time, Unix time in ms.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        match &self.inner {
            Inner::System => line::system_unix_ms(),
            Inner::Driven(driven) => driven.unix_ms(),
        }
    }

    /// Reads the time since boot, in ms: unlike wall time it never steps. For a driven clock it is
    /// the sum of all forward steps.
    fn boot_ms(&self) -> u64 {
        match &self.inner {
            Inner::System => line::system_boot_ms(),
            Inner::Driven(driven) => driven.boot_ms(),
        }
    }

    /// Starts a line: from the wall time of now on, straight ahead.
    #[must_use]
    pub fn line(&self) -> Line {
        Line::new(self.clone())
    }

    /// Registers somebody who waits for wall time. From now until it is dropped a [`Clock::step`]
    /// waits for it. `name` is what [`StepError::Unsettled`] calls it.
    #[must_use]
    pub fn waiter(&self, name: &'static str) -> Waiter {
        let seat = match &self.inner {
            Inner::System => None,
            Inner::Driven(driven) => Some(Seat::new(Arc::clone(driven), name)),
        };
        Waiter { seat }
    }

    /// Sets a driven clock and waits until every waiter rests again or is dropped.
    ///
    /// Steps run one after another; `deadline` covers the wait for an earlier one too. A step
    /// backwards is allowed: it is one of the faults a test makes. If the future is dropped after
    /// the time was set, the time stays set.
    ///
    /// # Errors
    ///
    /// [`StepError::NotDriven`], or [`StepError::Unsettled`] after `deadline`.
    pub async fn step(&self, to_unix_ms: u64, deadline: Duration) -> Result<(), StepError> {
        match &self.inner {
            Inner::System => Err(StepError::NotDriven),
            Inner::Driven(driven) => driven.step(to_unix_ms, Way::Passing, deadline).await,
        }
    }

    /// Sets a driven clock as somebody who sets a machine's clock does: wall time is another at once,
    /// and no time passes, so that a [`Line`] that began before is left behind. Waits as
    /// [`Clock::step`] does; backwards the two are the same.
    ///
    /// # Errors
    ///
    /// As [`Clock::step`].
    pub async fn jump(&self, to_unix_ms: u64, deadline: Duration) -> Result<(), StepError> {
        match &self.inner {
            Inner::System => Err(StepError::NotDriven),
            Inner::Driven(driven) => driven.step(to_unix_ms, Way::Jump, deadline).await,
        }
    }
}

/// Somebody who waits for wall time, such as the loop that samples each tick.
#[derive(Debug)]
pub struct Waiter {
    /// None on the system's clock, which nobody steps.
    seat: Option<Seat>,
}

impl Waiter {
    /// Waits until the wall time is at least `unix_ms` (Unix time in ms); returns at once when it is.
    ///
    /// A wall clock that goes backwards prolongs the wait; see [`Waiter::until_or_back`]. Cancel
    /// safe: nothing is lost, the waiter is simply at work until the next call.
    pub async fn until(&mut self, unix_ms: u64) {
        match &mut self.seat {
            None => while sleep_towards(unix_ms).await == Wait::Further {},
            Some(seat) => {
                seat.rest(unix_ms, false).await;
            }
        }
    }

    /// Waits like [`Waiter::until`], but also returns when the wall clock goes backwards meanwhile, so
    /// that a loop on the grid can end its run instead of sleeping the step out.
    ///
    /// On the system's clock a step back of at least 500 ms is noticed, within a second. Cancel safe.
    pub async fn until_or_back(&mut self, unix_ms: u64) -> Wake {
        let Some(seat) = &mut self.seat else {
            let line = Clock::system().line();
            while sleep_towards(unix_ms).await == Wait::Further {
                if line.drift_ms() <= -STEP_BACK_MS {
                    return Wake::SteppedBack;
                }
            }
            return Wake::Due;
        };
        seat.rest(unix_ms, true).await
    }
}

/// How far the system's clock must fall behind its line to count as stepped back, in ms. Below it,
/// ordinary slewing of a time daemon would be taken for a step.
const STEP_BACK_MS: i64 = 500;

#[derive(PartialEq, Eq)]
enum Wait {
    Over,
    Further,
}

/// Sleeps once towards a time of the system's clock.
async fn sleep_towards(unix_ms: u64) -> Wait {
    let left_ms = unix_ms.saturating_sub(line::system_unix_ms());
    if left_ms == 0 {
        return Wait::Over;
    }
    tokio::time::sleep(Duration::from_millis(left_ms).min(LOOK_EVERY)).await;
    Wait::Further
}

/// Makes an interval of elapsed time; the first tick is immediate, missed ticks are skipped.
///
/// The only constructor of intervals: with tokio's default a stall is followed by a burst. A period
/// of 0 counts as 1 ms.
#[must_use]
pub fn ticker(period: Duration) -> Interval {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that makes intervals"
    )]
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(1)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

//! A straight line of time, and the two system clocks it is made of.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::Clock;

/// Wall time at its start plus the time since boot that has passed: stamps on one line are ordered
/// and evenly spaced whatever is done to the wall clock.
///
/// On a driven clock "the time since boot" is the sum of the forward steps, so the line follows every
/// step forward and ignores every step back.
#[derive(Clone, Debug)]
pub struct Line {
    clock: Clock,
    start_unix_ms: u64,
    start_boot_ms: u64,
}

impl Line {
    pub(super) fn new(clock: Clock) -> Self {
        let start_unix_ms = clock.unix_ms();
        let start_boot_ms = clock.boot_ms();
        Self {
            clock,
            start_unix_ms,
            start_boot_ms,
        }
    }

    /// Reads the line, Unix time in ms. Never goes backwards.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        let elapsed_ms = self.clock.boot_ms().saturating_sub(self.start_boot_ms);
        self.start_unix_ms.saturating_add(elapsed_ms)
    }

    /// Returns wall time minus the line, in ms: how far the wall clock has moved since the line's
    /// start beyond what has really passed. Negative after a step back; 0 at the start.
    #[must_use]
    pub fn drift_ms(&self) -> i64 {
        let (wall, line) = (self.clock.unix_ms(), self.unix_ms());
        let size = i64::try_from(wall.abs_diff(line)).unwrap_or(i64::MAX);
        if wall < line { -size } else { size }
    }
}

/// Reads the system's wall clock, Unix time in ms; 0 before 1970.
pub(super) fn system_unix_ms() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    let now = SystemTime::now();
    whole_ms(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Reads the clock that counts from boot, suspended time included, in ms.
pub(super) fn system_boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    whole_ms(Duration::try_from(now).unwrap_or_default())
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

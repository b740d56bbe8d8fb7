//! Waiting in blocking test code: the only place of the test kit that reads the monotonic clock
//! and sleeps.

use std::time::{Duration, Instant};

/// The moment at which a wait is given up.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

/// How long one look at a condition is apart from the next: short against the 10 s of the waits,
/// long enough that a waiting test takes no CPU from the processes it waits for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Deadline {
    /// A deadline this far from now.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "blocking test code has no runtime whose time it could read"
    )]
    pub fn after(wait: Duration) -> Self {
        Self(Instant::now() + wait)
    }

    /// The time left; `None` when it has passed.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "blocking test code has no runtime whose time it could read"
    )]
    pub fn left(&self) -> Option<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Looks every 10 ms until `look` gives something; `None` when the deadline passes first.
    pub fn poll<T>(&self, mut look: impl FnMut() -> Option<T>) -> Option<T> {
        loop {
            if let Some(found) = look() {
                return Some(found);
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "blocks a test's own thread, no runtime"
            )]
            std::thread::sleep(self.left()?.min(LOOK_EVERY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Deadline;
    use std::time::Duration;

    #[test]
    fn a_poll_ends_with_the_answer_or_the_deadline() {
        let mut looks = 0;
        let found = Deadline::after(Duration::from_secs(5)).poll(|| {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(found, Some(3));
        let short = Deadline::after(Duration::from_millis(20));
        assert_eq!(short.poll(|| None::<()>), None);
        assert_eq!(short.left(), None);
    }
}

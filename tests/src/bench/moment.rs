//! The moment at which something was seen.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix microseconds of the system's clock: the one that the simulator stamps its answers with.
pub(crate) fn unix_us() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Lets others run for so long.
pub(super) fn rest(duration: Duration) {
    #[expect(
        clippy::disallowed_methods,
        reason = "blocks a benchmark's own thread, no runtime"
    )]
    std::thread::sleep(duration);
}

/// Waits until a moment, Unix microseconds; not at all when it has passed.
pub(super) fn until(moment_us: u64) {
    #[expect(
        clippy::disallowed_methods,
        reason = "blocks a benchmark's own thread, no runtime"
    )]
    std::thread::sleep(Duration::from_micros(moment_us.saturating_sub(unix_us())));
}

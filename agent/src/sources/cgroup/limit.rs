//! How many descriptors cgroups may hold.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Left to everything else: sockets, logs, other sources.
const RESERVED: u64 = 256;

/// The most that is asked for: 1,024 pods of four containers each on v2. The system has them for all.
const MOST: u64 = 1 << 14;

/// Raises this process's limit as far as it may, and says how many of it cgroups may take.
pub(super) fn descriptors() -> u64 {
    let wanted = MOST + RESERVED;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (Some(soft), hard) = (current, maximum.unwrap_or(wanted)) else {
        return MOST;
    };
    let raised = wanted.min(hard);
    let new = Rlimit {
        current: Some(raised),
        maximum,
    };
    let limit = if raised > soft && setrlimit(Resource::Nofile, new).is_ok() {
        raised
    } else {
        soft
    };
    limit.saturating_sub(RESERVED).min(MOST)
}

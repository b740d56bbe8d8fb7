//! Which core does what: the system under test has one to itself, the generator and the queries
//! have the other.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Generator and queries.
pub(super) const OURS: usize = 0;

/// The system under test.
pub(super) const THEIRS: usize = 1;

/// Keeps this thread, and those that it starts from now on, on one core.
///
/// # Errors
///
/// When the machine has no such core for us.
pub(super) fn stay_on(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on core {core}: two cores are needed"))
}

/// Starts a process on the core of the system under test: it inherits the core of the thread that
/// starts it.
///
/// # Errors
///
/// As `start`, or when there is no such core.
pub(super) fn on_theirs<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    stay_on(THEIRS)?;
    let started = start();
    stay_on(OURS)?;
    started
}

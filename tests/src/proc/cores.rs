//! Which core does what: the system under test has one to itself, the generator and the queries
//! have the other.

use anyhow::{Context as _, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Generator and queries.
pub(crate) const OURS: usize = 0;

/// The system under test.
pub(crate) const THEIRS: usize = 1;

/// Keeps this thread, and those that it starts from now on, on one core.
///
/// # Errors
///
/// When the machine has no such core for us.
pub(crate) fn stay_on(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set)
        .with_context(|| format!("cannot run on core {core}: two cores are needed"))
}

/// Does something with this thread, and what it starts meanwhile, on one core; then the thread may
/// run again where it could before.
///
/// # Errors
///
/// As `work`, or when there is no such core.
pub(crate) fn on<T>(core: usize, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = sched_getaffinity(None).context("the kernel does not tell the cores")?;
    stay_on(core)?;
    let done = work();
    sched_setaffinity(None, &before).context("cannot run again on the cores of before")?;
    done
}

/// Starts a process on the core of the system under test: it inherits the core of the thread that
/// starts it.
///
/// # Errors
///
/// As `start`, or when there is no such core.
pub(crate) fn on_theirs<T>(start: impl FnOnce() -> Result<T>) -> Result<T> {
    on(THEIRS, start)
}

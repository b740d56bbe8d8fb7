//! How much memory the tests take that measure it: they have one process, so they take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// Waits for the other tests that hold much. A failed one leaves nothing behind.
pub(super) fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most memory that this process ever had, bytes.
pub(super) fn bytes() -> u64 {
    let status = procfs::process::Process::myself()
        .and_then(|me| me.status())
        .unwrap();
    status.vmhwm.unwrap() * 1_024
}

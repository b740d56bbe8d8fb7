//! The tasks that one connection starts.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// An executor for one HTTP/2 connection: its streams die with it.
///
/// hyper's ready-made executor detaches what it starts, and such tasks outlive an aborted connection.
/// How many there are is bounded by the connection's limit of concurrent streams.
#[derive(Clone, Debug, Default)]
pub struct Children {
    set: Arc<Mutex<JoinSet<()>>>,
}

impl Children {
    /// Makes the executor of a connection without streams.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns a guard that aborts all children when it is dropped.
    #[must_use = "dropping the guard aborts the children"]
    pub fn abort_on_drop(&self) -> AbortOnDrop {
        AbortOnDrop(self.clone())
    }
}

/// Aborts the children of one connection when it is dropped.
#[derive(Debug)]
pub struct AbortOnDrop(Children);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0
            .set
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
    }
}

impl<F> Executor<F> for Children
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, child: F) {
        let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
        while set.try_join_next().is_some() {}
        set.spawn(async move {
            drop(child.await);
        });
    }
}

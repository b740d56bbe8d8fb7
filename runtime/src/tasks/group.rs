//! A bounded set of short-lived tasks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// The group runs as many tasks as it may, or is closed; the task was not started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{name} is full: {limit} are running")]
pub struct Full {
    /// The group.
    pub name: &'static str,
    /// The most tasks it runs at a time.
    pub limit: usize,
}

/// A bounded set of short-lived tasks, such as connections. A clone is the same group; when the last
/// clone is dropped, what still runs is aborted.
#[derive(Clone, Debug)]
pub struct Group {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    limit: usize,
    permits: Arc<Semaphore>,
    set: Mutex<JoinSet<()>>,
}

impl Group {
    /// Makes a group that runs at most `limit` tasks at a time (0 refuses every task).
    #[must_use]
    pub fn new(name: &'static str, limit: usize) -> Self {
        // A semaphore counts acquired permits in 32 bits.
        let limit = limit.min(Semaphore::MAX_PERMITS).min(u32::MAX as usize);
        let permits = Arc::new(Semaphore::new(limit));
        Self {
            inner: Arc::new(Inner {
                name,
                limit,
                permits,
                set: Mutex::default(),
            }),
        }
    }

    /// Starts a task, unless the group is full or [`Group::drained`] was called. Must be called
    /// inside a tokio runtime. A panic of the task is logged and ends that task alone.
    ///
    /// # Errors
    ///
    /// [`Full`]: the future was dropped unpolled.
    pub fn try_spawn<F>(&self, task: F) -> Result<(), Full>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Inner {
            name,
            limit,
            permits,
            set,
        } = &*self.inner;
        let full = Full {
            name,
            limit: *limit,
        };
        let permit = Arc::clone(permits).try_acquire_owned().map_err(|_| full)?;
        let running = Running {
            name,
            _permit: permit,
        };
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        // Ended tasks are kept until somebody looks; looking at each start bounds them by the limit.
        while set.try_join_next().is_some() {}
        set.spawn(async move {
            let _running = running;
            task.await;
        });
        Ok(())
    }

    /// Returns how many tasks run.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.limit - self.inner.permits.available_permits()
    }

    /// Tells whether no task runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until every task has ended, at most `deadline`; then aborts the rest and returns how
    /// many that were. The group takes no further task. Tasks started while this waits are waited
    /// for too.
    pub async fn drained(&self, deadline: Duration) -> usize {
        let Inner {
            limit,
            permits,
            set,
            ..
        } = &*self.inner;
        let all = u32::try_from(*limit).unwrap_or(u32::MAX);
        let drained = tokio::time::timeout(deadline, permits.acquire_many(all)).await;
        permits.close();
        if drained.is_ok() {
            return 0;
        }
        let left = self.len();
        set.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .abort_all();
        left
    }
}

/// Held by a running task.
struct Running {
    name: &'static str,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                group = self.name,
                "task panicked: this is a defect, please report it"
            );
        }
    }
}

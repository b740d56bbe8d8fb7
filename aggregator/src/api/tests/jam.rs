//! Time that a test has in its hand: when blocking work begins, and what the clock says.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::Poll;

use cairn_runtime::tasks::{self, Group};
use tokio::runtime::Builder;
use tokio::task::yield_now;

/// Runs a test on a runtime whose time stands still, and which has one thread for blocking work.
pub(in super::super) fn alone(test: impl Future<Output = ()>) {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().start_paused(true);
    builder.max_blocking_threads(1);
    builder.build().unwrap().block_on(test);
}

/// Keeps blocking work waiting until it is dropped. Meanwhile time passes only by `advance`.
pub(in super::super) struct Jam {
    _release: Sender<()>,
    _task: Group,
}

impl Jam {
    /// What blocking work began before, ends; what begins later, waits.
    pub(in super::super) async fn begin() -> Self {
        let (release, released) = channel::<()>();
        let task = Group::new("jam", 1);
        let jam = async move {
            // An error is what releases it.
            let jam = tasks::blocking("jam", move || released.recv().is_err());
            assert!(jam.await.unwrap());
        };
        task.try_spawn(jam).unwrap();
        Self::settle().await;
        Self {
            _release: release,
            _task: task,
        }
    }

    /// Lets every task go as far as it comes.
    pub(in super::super) async fn settle() {
        for _ in 0..10 {
            yield_now().await;
        }
    }
}

/// Polls once.
pub(in super::super) async fn is_pending(mut future: Pin<&mut impl Future>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

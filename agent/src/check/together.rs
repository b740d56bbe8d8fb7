//! Waits for several things at once, in this task.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// A future, and its result once it has one: it must not be polled again then.
struct Slot<F: Future> {
    future: Pin<Box<F>>,
    done: Option<F::Output>,
}

/// Runs all futures at the same time; their results in the order of the futures.
pub(super) async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let begun = |future| Slot {
        future: Box::pin(future),
        done: None,
    };
    let mut slots: Vec<Slot<F>> = futures.into_iter().map(begun).collect();
    poll_fn(|context| {
        for Slot { future, done } in &mut slots {
            if done.is_none()
                && let Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if slots.iter().all(|slot| slot.done.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    slots.into_iter().filter_map(|slot| slot.done).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    #[tokio::test(start_paused = true)]
    async fn all_run_at_once_and_come_back_in_order() {
        let began = Instant::now();
        let naps = [3, 1, 2].map(|seconds| async move {
            sleep(Duration::from_secs(seconds)).await;
            seconds
        });
        assert_eq!(super::all(naps).await, [3, 1, 2]);
        assert_eq!(began.elapsed().as_secs(), 3);
    }
}

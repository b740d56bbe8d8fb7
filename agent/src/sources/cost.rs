//! What one scrape costs: how long it takes, and how much of a processor.
//!
//! A source's work is done in turns, by its thread or by its task, and nothing else runs on that
//! thread during a turn. So the thread's CPU time from the beginning of a turn to its end is that of
//! the source: TLS, HTTP and parsing alike.

use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What one scrape cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The tick that it was asked for, Unix ms; a source may be asked twice for one.
    pub tick: Option<u64>,
    /// How long it took, to its answer.
    pub took: Duration,
    /// CPU time of the agent; zero where it is not measured.
    pub cpu: Duration,
    /// How long after its tick the reading was begun; `None` when it brought none.
    pub lag: Option<Duration>,
}

/// CPU time that this thread has used.
#[must_use]
pub fn thread_cpu() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    // It begins with the thread and never stands before that.
    Duration::try_from(used).unwrap_or_default()
}

/// Does some work of a task, and tells the CPU time that it took, whichever threads did it.
pub async fn metered<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let mut work = pin!(work);
    let mut cpu = Duration::ZERO;
    let done = poll_fn(|context| {
        let began = thread_cpu();
        let polled = work.as_mut().poll(context);
        cpu += thread_cpu().saturating_sub(began);
        polled
    })
    .await;
    (done, cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses the processor for so long, however often others have it meanwhile.
    fn burn(cpu: Duration) {
        let began = thread_cpu();
        while thread_cpu() - began < cpu {
            std::hint::spin_loop();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn work_counts_and_neither_waiting_nor_the_work_of_others() {
        const SHARE: Duration = Duration::from_millis(20);
        let began = thread_cpu();
        let work = async {
            burn(SHARE);
            tokio::time::sleep(Duration::from_secs(1)).await;
            burn(SHARE);
            7
        };
        let other = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            burn(SHARE * 5);
        };
        let ((done, cpu), ()) = tokio::join!(metered(work), other);
        let all = thread_cpu() - began;
        assert_eq!(done, 7);
        assert!(cpu >= SHARE * 2, "{cpu:?}");
        assert!(cpu <= all - SHARE * 5, "{cpu:?} of {all:?}");
    }
}

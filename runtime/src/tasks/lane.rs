//! A thread of its own for blocking work that comes again and again.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::oneshot;

use super::TaskError;

type Job = Box<dyn FnOnce() + Send>;

/// How far a lane's thread stands behind all others where there is not enough of the processors, as of
/// nice(1): a third of what another thread gets (weights 335 and 1024, sched(7)). So it goes on, and whoever
/// waits for something that it holds does not wait for long.
const NICE: i32 = 5;

/// A thread that does one piece of work after the other; it ends when this is dropped and what it was
/// at is done, or with the process if that hangs.
///
/// What [`blocking`](super::blocking) runs is now on this and now on that thread. An allocator that
/// keeps memory for each thread then has what is long-lived in all of them, each with holes of its own
/// that the others cannot use. So work that makes what stays runs on a lane, behind the other threads of the
/// process (`NICE`): nobody waits for an answer of it.
#[derive(Debug)]
pub struct Lane {
    name: &'static str,
    jobs: SyncSender<Job>,
}

impl Lane {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system has no thread left.
    pub fn start(name: &'static str) -> io::Result<Self> {
        let (jobs, queue): (SyncSender<Job>, Receiver<Job>) = sync_channel(1);
        // The handle is let go: whoever waits for an answer sees when the thread is not there.
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                // Of this thread alone, as Linux understands it; less is never refused.
                let stands = getpriority_process(None)
                    .and_then(|nice| setpriority_process(None, nice + NICE));
                if let Err(error) = stands {
                    tracing::debug!(thread = name, %error, "thread keeps its priority");
                }
                queue.into_iter().for_each(|job| job());
            })?;
        Ok(Self { name, jobs })
    }

    /// Runs a closure on the thread and waits for it.
    ///
    /// Not cancel safe: once handed over the closure runs to its end, whatever becomes of the future.
    ///
    /// # Errors
    ///
    /// The closure panicked, now or an earlier one, or two are waiting already.
    pub async fn run<T, F>(&self, work: F) -> Result<T, TaskError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        // Whoever asked may be gone.
        let job = Box::new(move || drop(answer.send(work())));
        let name = self.name;
        let ended = || TaskError(format!("{name}: its thread panicked: see the log"));
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => TaskError(format!("{name}: its thread is busy")),
            TrySendError::Disconnected(_) => ended(),
        })?;
        answered.await.map_err(|_| ended())
    }
}

#[cfg(test)]
mod tests {
    use super::{Lane, NICE, getpriority_process};

    #[tokio::test]
    async fn all_work_of_a_lane_is_on_one_thread_of_its_name() {
        let lane = Lane::start("lane").unwrap();
        let here = std::thread::current().id();
        let of = || {
            let thread = std::thread::current();
            (thread.id(), thread.name().map(str::to_owned))
        };
        let first = lane.run(of).await.unwrap();
        assert_eq!(lane.run(of).await.unwrap(), first);
        assert_ne!(first.0, here);
        assert_eq!(first.1.as_deref(), Some("lane"));
    }

    #[tokio::test]
    async fn a_lane_stands_behind_whoever_starts_it() {
        let of = || getpriority_process(None).unwrap();
        let here = of();
        let lane = Lane::start("lane").unwrap();
        assert_eq!(lane.run(of).await.unwrap(), (here + NICE).min(19));
        assert_eq!(of(), here);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_whoever_waits_and_of_all_who_come_later() {
        let lane = Lane::start("lane").unwrap();
        let panics = lane.run(|| assert_eq!(1, 2, "on purpose")).await;
        assert!(panics.unwrap_err().to_string().starts_with("lane: "));
        assert!(lane.run(|| ()).await.is_err());
    }
}

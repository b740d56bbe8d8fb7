//! Threads of their own for tasks that must not stand in line behind others.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

use super::TaskError;
use crate::logging;

/// A runtime beside the one of the process.
///
/// A runtime takes its tasks in turn, so one that is woken waits for all that were woken before it:
/// where thousands of streams have something to say at the same moment, at each of its steps. The
/// system gives the threads of another runtime their even part of the processors meanwhile. What a
/// task here starts (tasks, blocking work) runs here too; it ends when this is dropped, at the next
/// point at which it waits.
#[derive(Debug)]
pub struct Aside {
    name: &'static str,
    handle: Handle,
    // Taken only to be dropped.
    runtime: Option<Runtime>,
}

impl Aside {
    /// Starts so many threads, at least one.
    ///
    /// # Errors
    ///
    /// The system has no thread left, or no descriptor.
    pub fn start(name: &'static str, threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .worker_threads(threads.max(1))
            .thread_name(name)
            .build()?;
        Ok(Self {
            name,
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Runs a future there and waits for it: sockets belong to the runtime in which they are made.
    ///
    /// # Errors
    ///
    /// The future panicked.
    pub async fn run<F>(&self, work: F) -> Result<F::Output, TaskError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let name = self.name;
        let done = self.handle.spawn(work).await;
        done.map_err(|error| TaskError(format!("{name}: {}", logging::chain(&error))))
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Aside {
    /// May be called from any task: nothing is waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Aside;
    use crate::shutdown::Token;
    use crate::tasks::{Outcome, Supervisor, blocking};

    fn thread() -> String {
        let thread = std::thread::current();
        thread.name().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn what_runs_aside_and_what_that_starts_is_on_threads_of_its_name() {
        let aside = Aside::start("aside", 1).unwrap();
        let run = aside.run(async { (thread(), blocking("work", thread).await) });
        let (own, started) = run.await.unwrap();
        assert_eq!(own, "aside");
        assert_eq!(started.unwrap(), "aside");
        assert_ne!(thread(), "aside");
    }

    #[tokio::test]
    async fn a_task_aside_goes_on_while_the_others_do_not() {
        let aside = Aside::start("aside", 1).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let token = Token::new();
        let mut supervisor = Supervisor::new(token.clone());
        supervisor.spawn_aside(&aside, "task", async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok(tell.send(thread())?)
        });
        // The only thread of this test's runtime is blocked until then.
        let name = told.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(name, "aside");
        token.cancel();
        let outcome = supervisor.run(Duration::from_secs(60)).await;
        assert_eq!(outcome, Outcome::Clean);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_whoever_waits() {
        let aside = Aside::start("aside", 1).unwrap();
        let run = aside.run(async { assert_eq!(1, 2, "on purpose") });
        assert!(run.await.unwrap_err().to_string().starts_with("aside: "));
    }
}

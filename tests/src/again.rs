//! Work that is done again and again in a thread of its own until it is dropped.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// It goes on.
#[derive(Debug)]
pub struct Again(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Again {
    /// Does it at this pace.
    #[must_use]
    pub fn every(pace: Duration, mut work: impl FnMut() + Send + 'static) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            while stopped.recv_timeout(pace) == Err(RecvTimeoutError::Timeout) {
                work();
            }
        });
        Self(Some((stop, thread)))
    }
}

impl Drop for Again {
    /// Waits for what is being done. A panic of it is one of the test, unless that has one already: a second would
    /// end the process before the first is told.
    fn drop(&mut self) {
        let Some((stop, working)) = self.0.take() else {
            return;
        };
        drop(stop);
        let is_well = working.join().is_ok();
        assert!(
            is_well || thread::panicking(),
            "what was done again and again has panicked"
        );
    }
}

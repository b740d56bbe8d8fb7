//! How a process learns that it shall stop.
//!
//! The binary's main task awaits [`signalled`] and then cancels the [`Token`] that every other task
//! holds. Nothing here decides the order of stopping: that is the binary's.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
pub use tokio_util::sync::CancellationToken as Token;

/// Waits for the first SIGTERM or SIGINT and returns its name.
///
/// From the first poll on neither signal kills the process by itself. Signals are seen only while
/// the returned future lives, so keep one future for the whole life of the process.
///
/// # Errors
///
/// The operating system refused to install a signal handler.
pub async fn signalled() -> Result<&'static str, io::Error> {
    Ok(Signals::new()?.received().await)
}

/// SIGTERM and SIGINT, seen from when this is made: for who must not be killed before it waits.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on neither signal kills the process by itself. It takes a runtime to make this.
    ///
    /// # Errors
    ///
    /// The operating system refused to install a signal handler.
    pub fn new() -> Result<Self, io::Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the first of them, which may have come before, and returns its name.
    pub async fn received(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[tokio::test]
    async fn a_signal_is_named_and_does_not_kill() {
        for (option, name) in [("-TERM", "SIGTERM"), ("-INT", "SIGINT")] {
            // The first branch is polled first, and so the handler is there before the signal.
            let (signalled, killed) = tokio::join!(biased; signalled(), async {
                Command::new("kill").arg(option).arg(std::process::id().to_string()).status()
            });
            assert!(killed.unwrap().success());
            assert_eq!(signalled.unwrap(), name);
        }
    }
}

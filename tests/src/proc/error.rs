//! What goes wrong around a process, with what it said itself.

use std::path::PathBuf;
use std::time::Duration;

use crate::http1;

/// What can go wrong around a process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The binary is not in the target directory.
    #[error("no binary {name:?} near {}: build it first: cargo build --workspace --bins", near.display())]
    NotBuilt {
        /// The binary's name.
        name: String,
        /// Where the search began.
        near: PathBuf,
    },
    /// The process could not be started, signalled or waited for.
    #[error("cannot {step} {name}")]
    Process {
        /// The binary's name.
        name: String,
        /// What was tried.
        step: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The process ended, or wrote no addresses in time.
    #[error("{name} wrote no addresses within 10 s ({state}); its stderr:\n{stderr}")]
    NotUp {
        /// The binary's name.
        name: String,
        /// Running, or how it ended.
        state: String,
        /// Its last lines.
        stderr: String,
    },
    /// The process did not end in time.
    #[error("{name} did not end within {deadline:?}; its stderr:\n{stderr}")]
    StillRunning {
        /// The binary's name.
        name: String,
        /// The time it was given.
        deadline: Duration,
        /// Its last lines.
        stderr: String,
    },
    /// The process published no such address.
    #[error("{name} has no address {wanted:?}, only {found:?}")]
    Address {
        /// The binary's name.
        name: String,
        /// The address asked for.
        wanted: String,
        /// The addresses there are.
        found: Vec<String>,
    },
    /// The exchange with it failed.
    #[error("{name} gave no answer")]
    Exchange {
        /// The binary's name.
        name: String,
        /// Why.
        #[source]
        source: http1::Error,
    },
    /// The clock could not be stepped.
    #[error("{name} answered {status} to a step of its clock: {text}")]
    Step {
        /// The binary's name.
        name: String,
        /// The HTTP status.
        status: u16,
        /// The answer.
        text: String,
    },
}

//! How a command line names a clock.

use std::fmt;
use std::str::FromStr;

/// Which clock a process runs on: `system`, `driven` or `driven=UNIX_MS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The system's wall clock.
    System,
    /// Stands still until stepped.
    Driven {
        /// Where it stands at first, Unix time in ms; `driven` alone is 0.
        start_unix_ms: u64,
    },
}

/// A text that names no clock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no clock: write system, driven or driven=UNIX_MS")]
pub struct ParseModeError {
    text: String,
}

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, ParseModeError> {
        let error = || ParseModeError {
            text: text.to_owned(),
        };
        match text.split_once('=') {
            None if text == "system" => Ok(Self::System),
            None if text == "driven" => Ok(Self::Driven { start_unix_ms: 0 }),
            Some(("driven", start)) => {
                let start_unix_ms = start.parse().map_err(|_| error())?;
                Ok(Self::Driven { start_unix_ms })
            }
            _ => Err(error()),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::Driven { start_unix_ms } => write!(f, "driven={start_unix_ms}"),
        }
    }
}

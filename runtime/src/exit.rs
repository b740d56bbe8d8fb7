//! How a binary ends: one line on standard error and an exit code.
//!
//! 0 is a clean end, 64 a configuration that the operator must change, 2 a check that was made and
//! found something failing, 1 anything else.

use std::io::Write as _;
use std::process::ExitCode;

use crate::logging;

/// The exit code of a wrong configuration (`EX_USAGE`).
const CODE_CONFIG: u8 = 64;

/// The exit code of everything else.
const CODE_OTHER: u8 = 1;

/// The exit code of a check that was made and found something failing.
pub const CODE_FOUND_FAILING: u8 = 2;

/// Why the process ends without success. The text is one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The configuration is at fault: a flag, a file it names, an address it names.
    Config(String),
    /// Anything else.
    Other(String),
}

impl Failure {
    /// Makes a configuration failure of an error and its sources.
    pub fn config(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Config(logging::chain(error))
    }

    /// Makes any other failure of an error and its sources.
    pub fn other(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Other(logging::chain(error))
    }

    /// The exit code and the line, with control characters escaped.
    fn render(&self) -> (u8, String) {
        let (code, text) = match self {
            Self::Config(text) => (CODE_CONFIG, text),
            Self::Other(text) => (CODE_OTHER, text),
        };
        (code, format!("error: {}", logging::escape(text)))
    }
}

/// Prints a failure as exactly one line `error: ...` on standard error and returns the exit code.
#[must_use]
pub fn report(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, line) = failure.render();
            // A closed standard error is no reason to end in another way.
            drop(writeln!(std::io::stderr(), "{line}"));
            ExitCode::from(code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_is_64_and_everything_stays_on_one_line() {
        let failure = Failure::Config("two\nlines".to_owned());
        assert_eq!(failure.render(), (64, "error: two\\u{a}lines".to_owned()));
        assert_eq!(Failure::Other("x".to_owned()).render().0, 1);
    }

    #[test]
    fn a_failure_carries_the_sources_of_its_error() {
        let missing = crate::files::read_small(std::path::Path::new("/nonexistent/x"), 1);
        let Failure::Config(text) = Failure::config(&missing.unwrap_err()) else {
            panic!()
        };
        assert!(
            text.contains("/nonexistent/x") && text.contains("No such file"),
            "{text}"
        );
    }
}

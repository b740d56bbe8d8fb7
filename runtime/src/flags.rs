//! The command line as both binaries read it: one line for a mistake, exit code 64.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::exit::{self, Failure};

/// Reads the process's flags and environment.
///
/// # Errors
///
/// The code to exit with: 0 after `--help` and `--version`, whose text was printed; 64 after a
/// mistake, told in one line on standard error.
pub fn parse<A: Parser + Send + 'static>() -> Result<A, ExitCode> {
    aside(A::try_parse).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed standard output is no reason to end in another way.
            drop(write!(std::io::stdout(), "{error}"));
            ExitCode::SUCCESS
        }
        _ => exit::report(Err(Failure::Config(one_line(&error.to_string())))),
    })
}

/// Runs work on a thread of its own where there is one to be had. The description of some sixty flags
/// takes 150 KiB of stack, which the process's first thread would hold for as long as it lives.
fn aside<T: Send + 'static>(work: fn() -> T) -> T {
    let started = std::thread::Builder::new().spawn(work);
    match started.map(std::thread::JoinHandle::join) {
        Ok(Ok(done)) => done,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => work(),
    }
}

/// Joins the message and the tips of a parser's error, without its block of usage.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines = text
        .lines()
        .take_while(|line| !line.starts_with("Usage:"))
        .map(str::trim);
    let said: Vec<&str> = lines
        .filter(|line| !line.is_empty() && !line.starts_with("For more information"))
        .collect();
    format!("{}; see --help", said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Args {
        #[arg(long, default_value_t = 1)]
        _count: u8,
    }

    #[test]
    fn a_wrong_flag_is_one_line_that_names_it() {
        let error = Args::try_parse_from(["x", "--coumt", "5"]).unwrap_err();
        let line = one_line(&error.to_string());
        assert!(
            line.contains("--coumt") && line.contains("--help"),
            "{line}"
        );
        assert!(!line.contains('\n') && !line.contains("Usage"), "{line}");
        let error = Args::try_parse_from(["x", "--count", "many"]).unwrap_err();
        let line = one_line(&error.to_string());
        assert!(line.contains("--count") && line.contains("many"), "{line}");
    }
}

//! Command lines of the kit's binaries: wrong ones are one line and exit code 64, as everywhere.

use std::process::ExitCode;

use cairn_runtime::exit::{self, Failure};
use clap::Parser;

/// Reads the process's command line.
///
/// # Errors
///
/// The code to exit with: 0 after help or version was printed, 64 after a line on standard error.
pub fn parse<A: Parser>() -> Result<A, ExitCode> {
    A::try_parse().map_err(|error| {
        if !error.use_stderr() {
            // Help and version; a closed standard output is no reason to fail.
            drop(error.print());
            return ExitCode::SUCCESS;
        }
        exit::report(Err(Failure::Config(one_line(&error.to_string()))))
    })
}

/// The first paragraph in one line, without the word that the report begins with.
fn one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let paragraph: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .collect();
    paragraph.join(" ")
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_paragraph_becomes_a_line() {
        let text = "error: these are missing:\n  --dir <DIR>\n\nUsage: make-pki\n";
        assert_eq!(one_line(text), "these are missing: --dir <DIR>");
    }
}

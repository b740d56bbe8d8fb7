//! Logs: one subscriber on standard error, one printer of error chains, one brake on repeats.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use tokio::time::Instant;
use tracing_subscriber::filter::{LevelFilter, Targets};

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter is not in the form of level and target directives.
    #[error("log filter {filter:?} is not valid: write a level, or target=level pairs with commas")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A subscriber was installed before.
    #[error("logging was already set up")]
    Install {
        /// What the subscriber said.
        source: tracing_subscriber::util::TryInitError,
    },
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One line of text an event, with colours on a terminal.
    #[default]
    Text,
}

/// Installs the process's log subscriber on standard error.
///
/// `filter` is a level (`info`) or directives (`info,cairn_agent=debug`). Call it once, first.
///
/// # Errors
///
/// [`Error::Filter`] or [`Error::Install`].
pub fn init(format: Format, filter: &str) -> Result<(), Error> {
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    // Not `EnvFilter`, which knows spans and their fields besides, and brings an engine of regular
    // expressions for them, half a megabyte of each process.
    let targets: Targets = filter.parse().map_err(|source| Error::Filter {
        filter: filter.to_owned(),
        source,
    })?;
    let Format::Text = format;
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .finish()
        .with(targets)
        .try_init()
        .map_err(|source| Error::Install { source })
}

/// Joins an error and all of its sources with `: `.
///
/// A source that says the same as what is already there is left out, since some libraries repeat it.
#[must_use]
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}

/// Prints control, bidirectional and line-separator characters as `\u{..}`, so that a peer's text
/// cannot move the cursor, reorder or fake a line of a terminal or a log.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        let hostile = character.is_control()
            || matches!(character,
                '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if hostile {
            write!(escaped, "\\u{{{:x}}}", u32::from(character)).expect("a String takes any text");
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// The least time between two lines on the same unchanged state.
const REPEAT_EVERY: Duration = Duration::from_secs(60);

/// Brakes the lines on one failing thing: on a change of state, then at most once a minute.
#[derive(Clone, Debug, Default)]
pub struct Repeat {
    last: Option<Instant>,
    suppressed: u64,
}

impl Repeat {
    /// Makes a brake that lets the first line through.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells whether to write a line now: `Some` with the number of lines held back since the last
    /// one, or `None` to stay silent. `key_changed` says that this is not the state of the last call.
    pub fn should_log(&mut self, now: Instant, key_changed: bool) -> Option<u64> {
        let due = self
            .last
            .is_none_or(|last| now.duration_since(last) >= REPEAT_EVERY);
        if due || key_changed {
            self.last = Some(now);
            Some(std::mem::take(&mut self.suppressed))
        } else {
            self.suppressed += 1;
            None
        }
    }

    /// Forgets everything, for when the thing works again: the next failure is logged at once.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn a_chain_names_each_step_once() {
        let outer = Outer(std::io::Error::other("inner"));
        assert_eq!(chain(&outer), "outer: inner");
    }

    #[test]
    fn hostile_characters_are_spelled_out() {
        assert_eq!(
            escape("a\u{1b}[2Jb\n\u{202e}c"),
            "a\\u{1b}[2Jb\\u{a}\\u{202e}c"
        );
        assert_eq!(escape("plain text"), "plain text");
    }

    #[tokio::test(start_paused = true)]
    async fn repeats_are_held_back_and_counted() {
        let mut repeat = Repeat::new();
        assert_eq!(repeat.should_log(Instant::now(), false), Some(0));
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(10)).await;
            assert_eq!(repeat.should_log(Instant::now(), false), None);
        }
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(repeat.should_log(Instant::now(), false), Some(5));
        assert_eq!(repeat.should_log(Instant::now(), true), Some(0));
        assert_eq!(repeat.should_log(Instant::now(), false), None);
    }

    #[test]
    fn logging_is_set_up_once_and_a_bad_filter_is_quoted() {
        init(Format::Text, "off,cairn_runtime=off").unwrap();
        let again = init(Format::Text, "off").unwrap_err();
        assert!(matches!(again, Error::Install { .. }));
        let error = init(Format::Text, "info,cairn=loud").unwrap_err();
        assert!(error.to_string().contains("info,cairn=loud"), "{error}");
    }
}

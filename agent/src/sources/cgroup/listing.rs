//! When a directory is listed.
//!
//! When the number of directories in it has changed, at once when something below it is found to have ended,
//! and every five minutes: one may have come while another that is not read went. In between it is asked for that
//! number alone.

use std::io;
use std::path::Path;

/// Every directory is listed at least so often, ms.
const LIST_EVERY_MS: u64 = 300_000;

/// What a directory listed, and when it has to be listed again.
#[derive(Debug, Default)]
pub(super) struct Listing {
    tick: Option<u64>,
    count: Option<u64>,
    /// Something below it has ended or was left out, or it could not be listed.
    pub(super) stale: bool,
}

impl Listing {
    /// True when it has to be listed now, given the number of directories in it. A file system that
    /// does not count them has to be listed always.
    pub(super) fn is_due(&self, tick: u64, count: Option<u64>) -> bool {
        let is_old = |last: u64| tick.abs_diff(last) >= LIST_EVERY_MS;
        self.stale || count.is_none() || count != self.count || self.tick.is_none_or(is_old)
    }

    /// Says that it was listed.
    pub(super) fn done(&mut self, tick: u64, count: Option<u64>) {
        *self = Self {
            tick: Some(tick),
            count,
            stale: false,
        };
    }
}

/// The names of the directories in one, in order; none when it is not there.
///
/// # Errors
///
/// It could not be listed to its end, so nothing is known of who is not there.
pub(super) fn directories(path: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort_unstable();
    Ok(names)
}

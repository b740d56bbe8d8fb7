//! When a directory is listed.
//!
//! When the number of directories in it has changed, when something below it has ended, and every five
//! minutes: one may have come while another that is not read went. In between it is asked for that
//! number alone.

use std::path::Path;

/// Every directory is listed at least so often, ms.
const LIST_EVERY_MS: u64 = 300_000;

/// What a directory listed, and when it has to be listed again.
#[derive(Debug, Default)]
pub(super) struct Listing {
    tick: Option<u64>,
    count: Option<u64>,
    /// Something below it has ended, or was left out.
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

/// The names of the directories in one; none when it cannot be listed.
pub(super) fn directories(path: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(path) else {
        return Vec::new();
    };
    let is_directory =
        |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries
        .filter_map(Result::ok)
        .filter(is_directory)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

//! Times of the old APIs.

use cairn_proto::rfc3339;

pub(super) use cairn_proto::rfc3339::format;

/// Time of the oldest answer that Go knows how to print; means "never".
pub(super) const ZERO: &str = "0001-01-01T00:00:00Z";

/// Reads a time as Unix ms; times before 1970 are 0. `None` when it is not RFC 3339.
pub(super) fn parse(text: &str) -> Option<u64> {
    rfc3339::parse(text).map(|ms| u64::try_from(ms).unwrap_or(0))
}

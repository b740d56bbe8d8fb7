//! Times as the APIs and the headers of HTTP write them, for tests: by a library, not by the product's own code.

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Reads a time as Unix ms; `None` when it is none, or before 1970.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(time.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Writes Unix ms.
///
/// # Panics
///
/// After the year 9999.
#[must_use]
pub fn format(unix_ms: u64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(unix_ms) * 1_000_000);
    let text = time.ok().and_then(|time| time.format(&Rfc3339).ok());
    text.expect("times of tests have four-digit years")
}

/// Writes Unix seconds as the header `Date` has them.
///
/// # Panics
///
/// After the year 9999.
#[must_use]
pub fn date(unix_s: u64) -> String {
    let time = i64::try_from(unix_s).ok();
    let time = time.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let text = time.and_then(|time| time.format(&Rfc2822).ok());
    let text = text.expect("times of tests have four-digit years");
    // Mail has the offset in digits.
    text.replace("+0000", "GMT")
}

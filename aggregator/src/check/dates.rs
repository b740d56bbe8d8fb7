//! How long a certificate is good for, for people.

use cairn_proto::rfc3339;
use cairn_runtime::tls::{Chain, Validity};

const DAY_S: u64 = 86_400;

/// A leaf is renewed when a third of its time is left, which of a month are ten days; one with less than
/// half of that was not renewed.
const SHORT_LEAF_DAYS: u64 = 5;

/// A CA is replaced when a third of its year is left.
const SHORT_CA_DAYS: u64 = 30;

/// How it stands with the dates of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dates {
    Good,
    /// It ends soon, and somebody should have renewed it.
    Short,
    /// Today is outside of them.
    Bad,
}

/// The dates of the first certificate of a chain at a time in Unix seconds: how they stand, and a text such
/// as `until 2049-12-31 (8434 days)`.
pub(super) fn leaf(chain: &Chain, now_s: u64) -> (Dates, String) {
    judge(chain, now_s, SHORT_LEAF_DAYS)
}

/// The same of a CA.
pub(super) fn ca(chain: &Chain, now_s: u64) -> (Dates, String) {
    judge(chain, now_s, SHORT_CA_DAYS)
}

fn judge(chain: &Chain, now_s: u64, short_days: u64) -> (Dates, String) {
    let Some(Validity {
        from_unix_s,
        until_unix_s,
    }) = chain.validity()
    else {
        return (Dates::Bad, "of dates that are not understood".to_owned());
    };
    if now_s < from_unix_s {
        return (Dates::Bad, format!("not valid before {}", day(from_unix_s)));
    }
    let Some(left_s) = until_unix_s.checked_sub(now_s) else {
        return (Dates::Bad, format!("expired on {}", day(until_unix_s)));
    };
    let days = left_s / DAY_S;
    let text = format!("until {} ({days} days)", day(until_unix_s));
    let dates = if days < short_days {
        Dates::Short
    } else {
        Dates::Good
    };
    (dates, text)
}

/// The day of a moment, in UTC.
fn day(unix_s: u64) -> String {
    let text = rfc3339::format(unix_s.saturating_mul(1000));
    text.split('T').next().unwrap_or_default().to_owned()
}

//! What the verifier must know of a certificate beyond whether it chains.

use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, IpAddr, ServerName, UnixTime};
use webpki::{EndEntityCert, Error as PkiError, KeyUsage};

use crate::logging;

/// A moment after the end of every certificate: the year 10000.
const AFTER_ALL: Duration = Duration::from_secs(253_402_300_800);

/// The most names told of a certificate, and the most characters of each: the peer wrote them.
const MAX_NAMES: usize = 16;
const MAX_NAME_CHARS: usize = 253;

/// Judges a certificate alone, without any issuer: its dates, and whether it is a CA.
///
/// The path builder looks at these before it looks for an issuer, and with no anchor it never finds
/// one, so an unknown issuer is the best possible answer.
fn judge_alone(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<PkiError> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let usage = KeyUsage::server_auth();
    certificate
        .verify_for_usage(algorithms.all, &[], &[], now, usage, None, None)
        .err()
}

/// Tells whether a certificate is one of a CA.
pub(super) fn is_ca(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    matches!(
        judge_alone(certificate, now, algorithms),
        Some(PkiError::CaUsedAsEndEntity)
    )
}

/// Tells whether a certificate's last day is over.
pub(super) fn is_expired(
    certificate: &CertificateDer<'_>,
    now: UnixTime,
    algorithms: &WebPkiSupportedAlgorithms,
) -> bool {
    matches!(
        judge_alone(certificate, now, algorithms),
        Some(PkiError::CertExpired { .. })
    )
}

/// The last moment at which a certificate is valid; `None` when it is not understood.
pub(super) fn not_after(
    certificate: &CertificateDer<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<UnixTime> {
    // The library tells the date only in its refusal of a certificate whose date is over.
    match judge_alone(
        certificate,
        UnixTime::since_unix_epoch(AFTER_ALL),
        algorithms,
    ) {
        Some(PkiError::CertExpired { not_after, .. }) => Some(not_after),
        _ => None,
    }
}

/// The first moment at which a certificate is valid; `None` when it is not understood.
pub(super) fn not_before(
    certificate: &CertificateDer<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Option<UnixTime> {
    let zero = UnixTime::since_unix_epoch(Duration::ZERO);
    match judge_alone(certificate, zero, algorithms) {
        Some(PkiError::CertNotValidYet { not_before, .. }) => Some(not_before),
        _ => None,
    }
}

/// The day of a time in Unix seconds, `2022-01-01`, UTC.
pub(super) fn day(unix_s: u64) -> String {
    // Counted from 0000-03-01, so that a leap day is the last of its year; 400 years have 146,097 days.
    let days = unix_s / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    // March is 0.
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + next_year;
    format!("{year:04}-{month:02}-{day:02}")
}

/// Lists the names a certificate is for, as text: host names and addresses, at most 16, escaped.
pub(super) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else {
        return Vec::new();
    };
    // The library lists all names, addresses included, only in its refusal of a name that does not
    // fit; this one fits no certificate that is in use.
    let probe = ServerName::IpAddress(IpAddr::from(std::net::Ipv6Addr::UNSPECIFIED));
    let presented = match certificate.verify_is_valid_for_subject_name(&probe) {
        Err(PkiError::CertNotValidForName(context)) => context.presented,
        _ => certificate
            .valid_dns_names()
            .map(|name| format!("DnsName({name:?})"))
            .collect(),
    };
    presented
        .iter()
        .take(MAX_NAMES)
        .map(|name| plain(name))
        .collect()
}

/// Turns `DnsName("node1")` into `node1` and `IpAddress(10.0.0.1)` into `10.0.0.1`.
fn plain(presented: &str) -> String {
    let inner = presented
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'))
        .map_or(presented, |inner| inner.trim_matches('"'));
    let cut: String = inner.chars().take(MAX_NAME_CHARS).collect();
    logging::escape(&cut)
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (unix_s, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (978_307_200, "2001-01-01"),
            (1_640_995_199, "2021-12-31"),
            (4_107_542_400, "2100-03-01"),
            (253_402_300_799, "9999-12-31"),
        ] {
            assert_eq!(day(unix_s), expected);
        }
    }
}

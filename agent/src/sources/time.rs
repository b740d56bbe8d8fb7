//! Times as the kubelet writes them: RFC 3339.

/// Parses an RFC 3339 time to Unix ms, rounded down; `None` for anything else and for times before
/// 1970 or after 9999.
///
/// Fractions of any length and offsets are taken. A leap second counts as the second after it.
#[must_use]
pub fn parse_unix_ms(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let date = bytes.get(..19)?;
    let separated = date[4] == b'-'
        && date[7] == b'-'
        && matches!(date[10], b'T' | b't' | b' ')
        && date[13] == b':'
        && date[16] == b':';
    if !separated {
        return None;
    }
    let (year, month, day) = (
        digits(&date[..4])?,
        digits(&date[5..7])?,
        digits(&date[8..10])?,
    );
    let (hour, minute) = (digits(&date[11..13])?, digits(&date[14..16])?);
    let second = digits(&date[17..19])?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !valid {
        return None;
    }
    let (millis, rest) = fraction(bytes.get(19..)?)?;
    let offset_s = offset_seconds(rest)?;
    let local_s = days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let unix_s = u64::try_from(local_s - offset_s).ok()?;
    Some(unix_s * 1_000 + millis)
}

/// Reads a number of digits only.
fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Reads an optional fraction of a second; returns its whole ms and what follows.
fn fraction(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let Some(rest) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let length = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if length == 0 {
        return None;
    }
    let digit = |at: usize| rest[..length].get(at).map_or(0, |b| u64::from(b - b'0'));
    Some((digit(0) * 100 + digit(1) * 10 + digit(2), &rest[length..]))
}

/// Reads `Z` or `+hh:mm`, in seconds east of UTC.
fn offset_seconds(bytes: &[u8]) -> Option<i64> {
    if matches!(bytes, b"Z" | b"z") {
        return Some(0);
    }
    let (sign, rest) = match bytes.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    if rest.len() != 5 || rest[2] != b':' {
        return None;
    }
    let (hours, minutes) = (digits(&rest[..2])?, digits(&rest[3..])?);
    (hours < 24 && minutes < 60).then(|| sign * (hours * 3_600 + minutes * 60))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_unix_ms() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T07:26:47Z", Some(1_795_332_407_000)),
            ("2026-11-22T07:26:47.7149Z", Some(1_795_332_407_714)),
            ("2026-11-22T08:26:47.7+01:00", Some(1_795_332_407_700)),
            ("2026-11-22T00:56:47-06:30", Some(1_795_332_407_000)),
            ("2024-02-29T23:59:60Z", Some(1_709_251_200_000)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("0001-01-01T00:00:00Z", None),
            ("1970-01-01T00:00:00+00:01", None),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T07:26:47", None),
            ("2026-11-22T07:26:47.Z", None),
            ("2026-11-22T07:26:47+1:00", None),
            ("2026-11-22T07:26:47Zx", None),
            ("+026-11-22T07:26:47Z", None),
            ("", None),
        ] {
            assert_eq!(parse_unix_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn days_count_on_over_every_month_of_four_centuries() {
        let mut expected = days_from_epoch(1970, 1, 1);
        assert_eq!(expected, 0);
        for year in 1970..2370 {
            for month in 1..=12 {
                assert_eq!(days_from_epoch(year, month, 1), expected, "{year}-{month}");
                expected += days_in_month(year, month);
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.+Zz-]{0,20}") {
            prop_assert!(parse_unix_ms(&text).is_none_or(|ms| ms < 253_402_387_200_000));
        }
    }
}

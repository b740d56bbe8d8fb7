//! Times as kubelets and the old APIs write them: RFC 3339 in and out, in Unix ms.
//!
//! UTC and the Gregorian calendar only; a calendar library would bring time zones and formats that
//! nobody here needs.

/// Writes Unix ms as Go does: no fraction on whole seconds.
#[must_use]
pub fn format(unix_ms: u64) -> String {
    let (seconds, ms) = (unix_ms / 1000, unix_ms % 1000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(i64::try_from(days).unwrap_or(i64::MAX / 2));
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = if ms == 0 {
        String::new()
    } else {
        format!(".{ms:03}").trim_end_matches('0').to_owned()
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Reads RFC 3339 as Unix ms, rounded toward the past; negative before 1970. Fractions of any
/// length and offsets are taken, and a leap second counts as the second after it. `None` when it
/// is not RFC 3339.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let part = bytes.get(from..to)?;
        part.iter().all(u8::is_ascii_digit).then(|| {
            part.iter()
                .fold(0i64, |n, digit| n * 10 + i64::from(digit - b'0'))
        })
    };
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|b| wanted.contains(b));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 61;
    if !in_range {
        return None;
    }
    let (ms, rest) = fraction(bytes.get(19..)?)?;
    let offset_minutes = offset(rest)?;
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
        - offset_minutes * 60;
    Some(seconds * 1000 + ms)
}

/// Reads an optional `.fff...` as ms and returns what follows it.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let mut ms = 0;
    for place in 0..3 {
        let digit = digits
            .get(place)
            .filter(|_| place < len)
            .map_or(0, |b| i64::from(b - b'0'));
        ms = ms * 10 + digit;
    }
    (len > 0).then(|| (ms, digits.get(len..).unwrap_or_default()))
}

/// Reads `Z` or `+hh:mm` as minutes east of UTC.
fn offset(bytes: &[u8]) -> Option<i64> {
    let digit = |b: &u8| b.is_ascii_digit().then(|| i64::from(b - b'0'));
    match bytes {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digit(h1)? * 10 + digit(h2)?, digit(m1)? * 10 + digit(m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let east = hours * 60 + minutes;
            Some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Year, month and day of a number of days since 1970, counted in years that begin in March so
/// that the leap day is the last day of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (year_of_era, month + 3)
    } else {
        (year_of_era + 1, month - 9)
    };
    (year + era * 400, month, day)
}

/// The inverse of [`civil`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_as_the_reference_writes_them() {
        assert_eq!(format(1_795_332_620_000), "2026-11-22T07:30:20Z");
        assert_eq!(format(951_782_400_500), "2000-02-29T00:00:00.5Z");
        assert_eq!(format(0), "1970-01-01T00:00:00Z");
    }

    #[test]
    fn times_are_read_with_fractions_and_offsets() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-22T07:26:47Z", Some(1_795_332_407_000)),
            ("2026-11-22T07:26:47.7149Z", Some(1_795_332_407_714)),
            ("2026-11-22T08:26:47.7+01:00", Some(1_795_332_407_700)),
            ("2026-11-22T00:56:47-06:30", Some(1_795_332_407_000)),
            ("2024-02-29T23:59:60Z", Some(1_709_251_200_000)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000)),
            ("2023-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-22T24:00:00Z", None),
            ("2026-11-22T07:26:47", None),
            ("2026-11-22T07:26:47.Z", None),
            ("2026-11-22T07:26:47+1:00", None),
            ("2026-11-22T07:26:47Zx", None),
            ("2026-11-22 07:26:47Z", None),
            ("+026-11-22T07:26:47Z", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn reading_undoes_writing(ms in 0u64..253_402_300_800_000) {
            prop_assert_eq!(parse(&format(ms)), i64::try_from(ms).ok());
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.+Zz-]{0,20}") {
            prop_assert!(parse(&text).is_none_or(|ms| ms < 253_402_387_200_000));
        }
    }
}

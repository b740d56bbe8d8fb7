//! Durations as people write them on a command line: `250ms`, `10s`, `15m`, `1h`.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The number is missing, or is followed by something that is no unit.
    #[error(
        "{text:?} is not a duration: write a whole number and ms, s, m or h, such as 10s or 15m"
    )]
    Syntax {
        /// The text as given.
        text: String,
    },
    /// The number does not fit.
    #[error("{text:?} is too long a duration: the largest is 8760h")]
    TooLong {
        /// The text as given.
        text: String,
    },
}

/// The largest duration taken, one year: sums of two of them stay far from any overflow.
const MAX: Duration = Duration::from_secs(8760 * 3600);

/// Parses a whole number with its unit (`ms`, `s`, `m` or `h`); `0` alone is zero.
///
/// # Errors
///
/// [`Error::Syntax`] for anything else, [`Error::TooLong`] above one year.
pub fn parse(text: &str) -> Result<Duration, Error> {
    let syntax = || Error::Syntax {
        text: text.to_owned(),
    };
    let too_long = || Error::TooLong {
        text: text.to_owned(),
    };
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(syntax());
    }
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(syntax()),
    };
    // Only digits are left, so the one way to fail is a number that does not fit.
    let number: u64 = number.parse().map_err(|_| too_long())?;
    let total_ms = number.checked_mul(unit_ms).ok_or_else(too_long)?;
    let total = Duration::from_millis(total_ms);
    if total > MAX {
        Err(too_long())
    } else {
        Ok(total)
    }
}

/// Writes a duration with the largest unit that loses nothing; below a millisecond is cut off.
///
/// What [`parse`] took comes back as an equal duration.
#[must_use]
pub fn display(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_parses_and_displays_back() {
        for (text, ms) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("15m", 900_000),
            ("1h", 3_600_000),
            ("0s", 0),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(ms), "{text}");
            assert_eq!(display(duration), text);
        }
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        assert_eq!(display(parse("90s").unwrap()), "90s");
        assert_eq!(display(parse("120s").unwrap()), "2m");
    }

    #[test]
    fn anything_else_is_refused_with_the_text() {
        for text in ["", "s", "10", "1.5s", "-1s", "10 s", "10d", "+5s", "5S"] {
            let error = parse(text).unwrap_err();
            assert!(
                matches!(&error, Error::Syntax { text: found } if found == text),
                "{text}"
            );
        }
        for text in ["99999999999999999999s", "18446744073709551615h", "8761h"] {
            assert!(matches!(parse(text), Err(Error::TooLong { .. })), "{text}");
        }
    }
}

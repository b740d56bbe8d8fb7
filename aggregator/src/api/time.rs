//! Times of the old APIs.

use cairn_proto::rfc3339;

pub(super) use cairn_proto::rfc3339::format;

use crate::query::Bounds;

/// Time of the oldest answer that Go knows how to print; means "never".
pub(super) const ZERO: &str = "0001-01-01T00:00:00Z";

/// Nothing lies within.
const NOTHING: Bounds = Bounds {
    start_ms: 1,
    end_ms: 0,
};

/// Reads the two ends of a range, both inclusive and both optional; an empty text is none.
///
/// # Errors
///
/// The name of the one that is not RFC 3339.
pub(super) fn bounds(start: Option<&str>, end: Option<&str>) -> Result<Bounds, &'static str> {
    let read = |text: Option<&str>, name| match text.filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => rfc3339::parse(text).map(Some).ok_or(name),
    };
    let (start_ms, end_ms) = (read(start, "start")?, read(end, "end")?);
    // Reading rounds toward the past: right for an end, one too early for a start.
    let between = start.is_some_and(has_part_of_ms);
    let start_ms = start_ms.map_or(0, |ms| ms.saturating_add(i64::from(between)));
    let Ok(end_ms) = end_ms.map_or(Ok(u64::MAX), u64::try_from) else {
        return Ok(NOTHING);
    };
    Ok(Bounds {
        start_ms: u64::try_from(start_ms).unwrap_or(0),
        end_ms,
    })
}

/// True when a time that was read has a fraction that whole milliseconds cannot hold.
fn has_part_of_ms(text: &str) -> bool {
    let fraction = text.split_once('.').map_or("", |(_, fraction)| fraction);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit);
    digits.skip(3).any(|digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(start: &str, end: &str) -> Result<(u64, u64), &'static str> {
        bounds(Some(start), Some(end)).map(|b| (b.start_ms, b.end_ms))
    }

    #[test]
    fn a_start_is_rounded_up_and_an_end_down() {
        let second = 1_795_332_330_000;
        for (fraction, start, end) in [
            ("", 0, 0),
            (".0000", 0, 0),
            (".5", 500, 500),
            (".000000001", 1, 0),
            (".9999", 1000, 999),
            (".123000000", 123, 123),
            (".1230000004", 124, 123),
        ] {
            let text = format!("2026-11-22T07:25:30{fraction}Z");
            assert_eq!(read(&text, &text), Ok((second + start, second + end)));
        }
    }

    #[test]
    fn what_is_not_given_does_not_bound() {
        assert_eq!(bounds(None, None), Ok(Bounds::ALL));
        assert_eq!(read("", ""), Ok((0, u64::MAX)));
    }

    #[test]
    fn times_far_outside_work() {
        let (first, last) = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z");
        assert_eq!(read(first, last), Ok((0, 253_402_300_799_999)));
        assert_eq!(read(last, ""), Ok((253_402_300_800_000, u64::MAX)));
        assert_eq!(bounds(None, Some(first)), Ok(NOTHING));
    }

    #[test]
    fn the_one_that_is_no_time_is_named() {
        assert_eq!(read("bad", "worse"), Err("start"));
        assert_eq!(read("", "2026-11-22"), Err("end"));
    }
}

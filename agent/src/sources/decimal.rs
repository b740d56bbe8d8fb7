//! Decimal numbers as text, read without going through a float.
//!
//! The kubelet writes CPU time as seconds with nine decimals or in scientific notation. A float has
//! 53 bits: after a hundred days of one core it would already round nanoseconds.

/// The most digits that are kept; those behind are below anything that is asked for.
const MAX_DIGITS: usize = 38;

/// Reads `text` times ten to the power of `scale`, rounded down to a whole number.
///
/// Takes an optional `+`, digits with an optional point, and an optional exponent. `None` for
/// anything else: a negative number, `NaN`, `Inf`, or one that does not fit.
#[must_use]
pub fn parse_scaled(text: &[u8], scale: i32) -> Option<u64> {
    plain(text, scale).or_else(|| general(text, scale))
}

/// Nearly all numbers: digits, of which few enough stand behind a point. `None` for any other, or for
/// one that does not fit.
fn plain(text: &[u8], scale: i32) -> Option<u64> {
    // So many digits are always below 2^64.
    const DIGITS: usize = 19;
    if text.is_empty() || text.len() > DIGITS {
        return None;
    }
    let (mut number, mut behind_point) = (0_u64, None);
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            behind_point = behind_point.map(|count| count + 1);
        } else if *byte == b'.' && behind_point.is_none() && text.len() > 1 {
            behind_point = Some(0);
        } else {
            return None;
        }
    }
    let power = u32::try_from(scale)
        .ok()?
        .checked_sub(behind_point.unwrap_or(0))?;
    number.checked_mul(10_u64.checked_pow(power)?)
}

fn general(text: &[u8], scale: i32) -> Option<u64> {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (mantissa, exponent) = match text.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..])?),
        None => (text, 0),
    };
    let mut number: u128 = 0;
    let mut kept = 0;
    let mut power = scale.checked_add(exponent)?;
    let (mut any, mut behind_point) = (false, false);
    for byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                any = true;
                // Zeros in front are no digits that have to be kept.
                if kept < MAX_DIGITS {
                    number = number * 10 + u128::from(byte - b'0');
                    kept += usize::from(number > 0);
                    power = power.checked_sub(i32::from(behind_point))?;
                } else {
                    power = power.checked_add(i32::from(!behind_point))?;
                }
            }
            b'.' if !behind_point => behind_point = true,
            _ => return None,
        }
    }
    if !any {
        return None;
    }
    shifted(number, power)
}

/// `number` times ten to the power of `power`, rounded down.
fn shifted(number: u128, power: i32) -> Option<u64> {
    if number == 0 {
        return Some(0);
    }
    let factor = 10_u128.checked_pow(power.unsigned_abs());
    let whole = match (power >= 0, factor) {
        (true, factor) => number.checked_mul(factor?)?,
        (false, Some(factor)) => number / factor,
        (false, None) => 0,
    };
    u64::try_from(whole).ok()
}

fn parse_exponent(text: &[u8]) -> Option<i32> {
    let (sign, digits) = match text.split_first()? {
        (b'-', rest) => (-1, rest),
        (b'+', rest) => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // Beyond four digits every number is 0 or does not fit; the cap keeps the sum in range.
    let size = digits
        .iter()
        .fold(0_i32, |n, d| (n * 10 + i32::from(d - b'0')).min(9_999));
    Some(sign * size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimals_are_exact_and_rounded_down() {
        for (text, scale, expected) in [
            ("2.698091047", 9, Some(2_698_091_047)),
            ("0", 9, Some(0)),
            ("84.940021013", 9, Some(84_940_021_013)),
            ("1.7953322207225926e+09", 3, Some(1_795_332_220_722)),
            ("1.795332377999324e+09", 3, Some(1_795_332_377_999)),
            ("8640000.123456789", 9, Some(8_640_000_123_456_789)),
            ("9007199254.740993001", 9, Some(9_007_199_254_740_993_001)),
            ("6e-09", 9, Some(6)),
            ("6e-10", 9, Some(0)),
            ("1E3", 0, Some(1_000)),
            (".5", 1, Some(5)),
            ("5.", 0, Some(5)),
            ("+1", 0, Some(1)),
            (
                "0.00000000000000000000000000000000000000000000000007",
                50,
                Some(7),
            ),
            ("18446744073709551615", 0, Some(u64::MAX)),
            ("18446744073709551616", 0, None),
            ("1e400", 0, None),
            ("0e99999999999", 9, Some(0)),
            ("1e-99999999999", 9, Some(0)),
            ("-1", 0, None),
            ("NaN", 0, None),
            ("+Inf", 0, None),
            ("", 0, None),
            (".", 0, None),
            ("1e", 0, None),
            ("1.2.3", 0, None),
            ("0x10", 0, None),
        ] {
            assert_eq!(parse_scaled(text.as_bytes(), scale), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(text in proptest::collection::vec(any::<u8>(), 0..60), scale in -20..20) {
            let read = parse_scaled(&text, scale);
            prop_assert!(read.is_none() || text.iter().any(u8::is_ascii_digit));
        }

        #[test]
        fn the_short_way_reads_what_the_general_one_does(text in "[0-9]{0,12}[.]?[0-9]{0,10}", scale in -2..12) {
            let text = text.as_bytes();
            let short = plain(text, scale);
            prop_assert!(short.is_none() || short == general(text, scale));
        }

        #[test]
        fn nanoseconds_come_back(nanos: u64) {
            let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
            prop_assert_eq!(parse_scaled(text.as_bytes(), 9), Some(nanos));
        }
    }
}

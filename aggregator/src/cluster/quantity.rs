//! Amounts as objects write them: `250m`, `1.5`, `64Mi`, `1e3`. Exact: nothing goes through a float.

/// Reads an amount of CPU as thousandths of a core, rounded up. `None` for what is no amount, is negative
/// or does not fit.
#[must_use]
pub(super) fn milli(text: &str) -> Option<u64> {
    scaled(text, 1_000)
}

/// Reads an amount of memory as bytes, rounded up. `None` as of [`milli`].
#[must_use]
pub(super) fn whole(text: &str) -> Option<u64> {
    scaled(text, 1)
}

/// The number in units of `1/per`, rounded up as Kubernetes itself does.
fn scaled(text: &str, per: u128) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let (mantissa, decimals) = mantissa(number)?;
    let (factor, divisor) = factor(suffix)?;
    let numerator = mantissa.checked_mul(factor)?.checked_mul(per)?;
    let divisor = divisor.checked_mul(10u128.checked_pow(decimals)?)?;
    u64::try_from(numerator.div_ceil(divisor)).ok()
}

/// The digits as a whole number, and how many of them stand after the point.
fn mantissa(number: &str) -> Option<(u128, u32)> {
    let (before, after) = number.split_once('.').unwrap_or((number, ""));
    // Zeros at the end say nothing and would only make it too large.
    let after = after.trim_end_matches('0');
    if number.is_empty() || number == "." || after.contains('.') {
        return None;
    }
    let digits = before.bytes().chain(after.bytes());
    let value = digits.into_iter().try_fold(0u128, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u128::from(digit))
    })?;
    Some((value, u32::try_from(after.len()).ok()?))
}

/// What a suffix multiplies by, and divides by.
fn factor(suffix: &str) -> Option<(u128, u128)> {
    let whole = |factor: u128| Some((factor, 1));
    let part = |divisor: u128| Some((1, divisor));
    match suffix {
        "" => whole(1),
        "n" => part(1_000_000_000),
        "u" => part(1_000_000),
        "m" => part(1_000),
        "k" => whole(1_000),
        "M" => whole(1_000_000),
        "G" => whole(1_000_000_000),
        "T" => whole(1_000_000_000_000),
        "P" => whole(1_000_000_000_000_000),
        "E" => whole(1_000_000_000_000_000_000),
        "Ki" => whole(1 << 10),
        "Mi" => whole(1 << 20),
        "Gi" => whole(1 << 30),
        "Ti" => whole(1 << 40),
        "Pi" => whole(1 << 50),
        "Ei" => whole(1 << 60),
        exponent => {
            let exponent = exponent.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            let power = 10u128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 {
                part(power)
            } else {
                whole(power)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{milli, whole};

    #[test]
    fn cpu_is_read_in_thousandths() {
        let read = [
            ("2", 2_000),
            ("250m", 250),
            ("0.5", 500),
            (".5", 500),
            ("1.", 1_000),
            ("100u", 1),
            ("1n", 1),
            ("0", 0),
            ("1e3", 1_000_000),
            ("1E-2", 10),
            ("2k", 2_000_000),
            ("+1", 1_000),
            ("1.0000000000000000000000000000000000000", 1_000),
        ];
        for (text, expected) in read {
            assert_eq!(milli(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let read = [
            ("24684096Ki", 24_684_096 * 1_024),
            ("64Mi", 64 << 20),
            ("1.5Gi", 3 << 29),
            ("129e6", 129_000_000),
            ("129M", 129_000_000),
            ("1E", 1_000_000_000_000_000_000),
            ("123456789123m", 123_456_790),
            ("18446744073709551615", u64::MAX),
            ("8Ei", 8 << 60),
        ];
        for (text, expected) in read {
            assert_eq!(whole(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_or_does_not_fit_is_none() {
        let bad = [
            "",
            ".",
            "-1",
            "1.2.3",
            "Mi",
            "1 Mi",
            "1mi",
            "1KI",
            "1e",
            "1e1.5",
            "abc",
            "0x10",
            "1e99",
            "18446744073709551616",
            "16Ei",
            "1e-999999999999",
            "99999999999999999999999999999999999999999",
        ];
        for text in bad {
            assert_eq!(whole(text), None, "{text}");
        }
        assert_eq!(milli("18446744073709551615"), None);
    }
}

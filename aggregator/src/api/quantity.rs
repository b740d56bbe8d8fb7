//! Quantities as Kubernetes writes them, in their canonical form.

use std::fmt;

use crate::query::Usage;

/// Millicores as a decimal quantity: whole cores without a suffix, the rest in `m`.
pub(super) fn millicores(millis: u64) -> String {
    let (number, suffix) = if millis.is_multiple_of(1000) {
        (millis / 1000, "")
    } else {
        (millis, "m")
    };
    // Of decimal quantities the largest suffix that leaves no fraction is the canonical one.
    let mut number = number;
    let mut larger = ["k", "M", "G", "T", "P"].into_iter();
    let mut suffix = suffix;
    while suffix != "m" && number != 0 && number.is_multiple_of(1000) {
        let Some(next) = larger.next() else { break };
        (number, suffix) = (number / 1000, next);
    }
    format!("{number}{suffix}")
}

/// A number and its suffix, in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantity {
    pub(super) number: u64,
    pub(super) suffix: &'static str,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.number, self.suffix)
    }
}

impl Quantity {
    /// Appends it as text.
    pub(super) fn put(self, text: &mut Vec<u8>) {
        decimal(text, self.number);
        text.extend_from_slice(self.suffix.as_bytes());
    }
}

/// Digits of the largest number.
const MOST_DIGITS: usize = 20;

/// Two digits of each number below a hundred.
const PAIRS: [[u8; 2]; 100] = pairs();

const fn pairs() -> [[u8; 2]; 100] {
    let mut pairs = [*b"00"; 100];
    let (mut nth, mut digits) = (0, *b"00");
    while nth < pairs.len() {
        pairs[nth] = digits;
        nth += 1;
        digits = match digits {
            [tens, b'9'] => [tens + 1, b'0'],
            [tens, ones] => [tens, ones + 1],
        };
    }
    pairs
}

/// Appends a number in decimal digits. A list of everything has a million of them, and the formatter of the standard
/// library takes several times as long.
pub(super) fn decimal(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; MOST_DIGITS];
    let mut from = MOST_DIGITS;
    while number >= 10 {
        let pair = PAIRS.get((number % 100) as usize).copied();
        number /= 100;
        from -= 2;
        if let Some(slot) = digits.get_mut(from..).and_then(<[u8]>::first_chunk_mut) {
            *slot = pair.unwrap_or_default();
        }
    }
    // One digit is left, or none of a number that had as many as can be told in pairs.
    if number > 0 || from == MOST_DIGITS {
        from -= 1;
        if let Some(slot) = digits.get_mut(from) {
            *slot = b'0' + u8::try_from(number).unwrap_or(0);
        }
    }
    text.extend_from_slice(digits.get(from..).unwrap_or_default());
}

/// Billionths of a core as a decimal quantity: the largest suffix that leaves no fraction.
pub(super) fn nanocores(nanos: u64) -> Quantity {
    let (mut number, mut suffix) = (nanos, "n");
    for larger in ["u", "m", "", "k", "M", "G"] {
        if number == 0 {
            return Quantity { number, suffix: "" };
        }
        if !number.is_multiple_of(1000) {
            break;
        }
        (number, suffix) = (number / 1000, larger);
    }
    Quantity { number, suffix }
}

/// Bytes as a binary quantity: the largest suffix that leaves no fraction.
pub(super) fn bytes(bytes: u64) -> Quantity {
    let (mut number, mut suffix) = (bytes, "");
    for larger in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
        if number == 0 || !number.is_multiple_of(1024) {
            break;
        }
        (number, suffix) = (number / 1024, larger);
    }
    Quantity { number, suffix }
}

/// What something uses, by the names of resources.
pub(super) fn of_usage(usage: &Usage) -> impl Iterator<Item = (&'static str, Quantity)> {
    let all = [
        Some(("cpu", nanocores(usage.cpu_nanocores))),
        Some(("memory", bytes(usage.memory_bytes))),
        usage.swap_bytes.map(|swap| ("swap", bytes(swap))),
    ];
    all.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(quantity: Quantity) -> String {
        let mut text = Vec::new();
        quantity.put(&mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, quantity.to_string());
        text
    }

    #[test]
    fn every_number_has_the_digits_that_the_formatter_gives_it() {
        let near = |number: u64| [number.saturating_sub(1), number, number.saturating_add(1)];
        let tens = (0..20).flat_map(|zeros| near(10_u64.pow(zeros)));
        let twos = (0..64).flat_map(|bits| near(1 << bits));
        for number in (0..=10_000).chain(tens).chain(twos).chain([u64::MAX]) {
            let mut text = b"x".to_vec();
            decimal(&mut text, number);
            assert_eq!(String::from_utf8(text).unwrap(), format!("x{number}"));
        }
    }

    proptest::proptest! {
        #[test]
        fn digits_are_those_of_the_formatter(number: u64, shift in 0_u32..64) {
            let mut text = Vec::new();
            decimal(&mut text, number >> shift);
            assert_eq!(String::from_utf8(text).unwrap(), (number >> shift).to_string());
        }
    }

    #[test]
    fn cpu_is_in_thousandths_unless_it_is_whole() {
        for (millis, expected) in [
            (0, "0"),
            (1, "1m"),
            (89, "89m"),
            (999, "999m"),
            (1_000, "1"),
            (1_001, "1001m"),
            (2_500, "2500m"),
            (16_000, "16"),
            (999_000, "999"),
            (1_000_000, "1k"),
            (1_500_000, "1500"),
            (12_000_000_000, "12M"),
            (u64::MAX, "18446744073709551615m"),
        ] {
            assert_eq!(millicores(millis), expected, "{millis}");
        }
    }

    #[test]
    fn a_rate_has_the_largest_suffix_that_divides_it() {
        for (nanos, expected) in [
            (0, "0"),
            (1, "1n"),
            (123_456, "123456n"),
            (12_345_000, "12345u"),
            (5_000_000, "5m"),
            (500_000_000, "500m"),
            (1_000_000_000, "1"),
            (2_500_000_000, "2500m"),
            (1_000_000_000_000, "1k"),
            (u64::MAX, "18446744073709551615n"),
        ] {
            assert_eq!(text(nanocores(nanos)), expected, "{nanos}");
        }
    }

    #[test]
    fn memory_has_the_largest_suffix_that_divides_it() {
        for (number, expected) in [
            (0, "0"),
            (1, "1"),
            (1_000, "1000"),
            (1_023, "1023"),
            (1_024, "1Ki"),
            (1_025, "1025"),
            (691_417_088, "675212Ki"),
            (1_048_576, "1Mi"),
            (1_572_864, "1536Ki"),
            (3_221_225_472, "3Gi"),
            (1 << 40, "1Ti"),
            (1 << 60, "1Ei"),
            (u64::MAX, "18446744073709551615"),
        ] {
            assert_eq!(text(bytes(number)), expected, "{number}");
        }
    }
}

//! Digits, eight at a time.

/// Eight zeros as they are written.
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

/// Added to a byte that is 10 or more and below 16, it carries into the byte's upper half.
const SIXES: u64 = u64::from_le_bytes([6; 8]);
const UPPER: u64 = u64::from_le_bytes([0xf0; 8]);

/// The number that the digits are with which a text begins, modulo 2^64, and how many they are.
#[inline]
pub(super) fn read(text: &[u8]) -> (u64, usize) {
    let mut number: u64 = 0;
    let mut len = 0;
    while let Some(chunk) = text.get(len..).and_then(<[u8]>::first_chunk) {
        // A byte is a digit when it differs from '0' by less than ten. What the sum carries into the next
        // byte lies beyond the first that is none.
        let values = u64::from_le_bytes(*chunk) ^ ZEROS;
        let others = (values | values.wrapping_add(SIXES)) & UPPER;
        let count = others.trailing_zeros() as usize / 8;
        if count == 0 {
            return (number, len);
        }
        // Zeros go before them, so that there are eight.
        let eight = together(values << (64 - 8 * count));
        number = number.wrapping_mul(power(count)).wrapping_add(eight);
        len += count;
        if count < 8 {
            return (number, len);
        }
    }
    for byte in text.get(len..).unwrap_or_default() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        len += 1;
    }
    (number, len)
}

/// Ten to the power of up to eight.
#[inline]
fn power(count: usize) -> u64 {
    const POWERS: [u64; 9] = [
        1,
        10,
        100,
        1_000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
    ];
    POWERS.get(count).copied().unwrap_or(1)
}

/// The number of eight digits, the first one in the lowest byte: neighbours are put together into numbers of
/// two, four, and eight digits.
#[inline]
fn together(digits: u64) -> u64 {
    const TWO: u64 = 0x00ff_00ff_00ff_00ff;
    const FOUR: u64 = 0x0000_ffff_0000_ffff;
    const EIGHT: u64 = 0x0000_0000_ffff_ffff;
    let two = digits.wrapping_mul(10).wrapping_add(digits >> 8) & TWO;
    let four = two.wrapping_mul(100).wrapping_add(two >> 16) & FOUR;
    four.wrapping_mul(10_000).wrapping_add(four >> 32) & EIGHT
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;

    /// One digit after the other.
    fn plainly(text: &[u8]) -> (u64, usize) {
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold((0, 0), |(number, len), digit| {
            let digit = u64::from(digit - b'0');
            (
                u64::wrapping_add(u64::wrapping_mul(number, 10), digit),
                len + 1,
            )
        })
    }

    proptest! {
        #[test]
        fn digits_are_read_as_one_after_the_other(digits in "[0-9]{0,25}", rest in prop::collection::vec(any::<u8>(), 0..12)) {
            let text = [digits.as_bytes(), &rest].concat();
            prop_assert_eq!(read(&text), plainly(&text));
        }
    }

    #[test]
    fn every_byte_that_is_no_digit_ends_them() {
        for end in 0..=u8::MAX {
            for before in 0..9 {
                let text = [&b"90718263"[..before.min(8)], &[end], b"55555555555"].concat();
                assert_eq!(read(&text), plainly(&text), "{end} after {before}");
            }
        }
    }
}

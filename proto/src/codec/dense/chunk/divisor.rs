//! What divides the differences of a series. A division is the dearest thing that a processor does to
//! two numbers, and there are two for each sample: here most of them are multiplications.

/// Greatest common divisor; of 0 and a number that number.
pub(super) fn gcd(a: u64, b: u64) -> u64 {
    let (small, large) = (a.min(b), a.max(b));
    if small <= 1 || small == large {
        return if small == 0 { large } else { small };
    }
    // One division takes off what one has above the other; then halves and differences alone.
    let (mut a, mut b) = (small, large % small);
    if b == 0 {
        return a;
    }
    let shared = (a | b).trailing_zeros();
    a >>= a.trailing_zeros();
    while b != 0 {
        b >>= b.trailing_zeros();
        (a, b) = (a.min(b), a.abs_diff(b));
    }
    a << shared
}

/// A number that divides others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Divisor {
    whole: u64,
    // Twos in it.
    shift: u32,
    // What is 1 when it is multiplied by the odd rest, in 64 bits.
    inverse: u64,
}

impl Divisor {
    pub(super) const ONE: Self = Self {
        whole: 1,
        shift: 0,
        inverse: 1,
    };

    /// Of a number, not 0.
    pub(super) fn of(whole: u64) -> Self {
        let shift = whole.trailing_zeros().min(u64::BITS - 1);
        let odd = (whole >> shift) | 1;
        // Right in three bits to begin with, and in twice as many after each step.
        let inverse = (0..5).fold(odd, |inverse: u64, _| {
            inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)))
        });
        Self {
            whole,
            shift,
            inverse,
        }
    }

    /// How often it is in a number that it divides.
    pub(super) fn times(&self, number: u64) -> u64 {
        (number >> self.shift).wrapping_mul(self.inverse)
    }

    /// The same of a signed one.
    pub(super) fn quotient(&self, number: i64) -> i64 {
        let odd = (number >> self.shift).cast_unsigned();
        odd.wrapping_mul(self.inverse).cast_signed()
    }

    pub(super) fn whole(&self) -> u64 {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slow_gcd(mut a: u64, mut b: u64) -> u64 {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    }

    fn number() -> impl Strategy<Value = u64> {
        let sized = (any::<u64>(), 0_u32..64).prop_map(|(number, bits)| number >> bits);
        prop_oneof![Just(0), Just(1), Just(u64::MAX), sized]
    }

    proptest! {
        #[test]
        fn multiplications_say_what_divisions_say(a in number(), b in number()) {
            let whole = a.max(1);
            let divisor = Divisor::of(whole);
            prop_assert_eq!(divisor.times(b / whole * whole), b / whole);
            let multiple = i64::try_from(whole).map_or(0, |by| b.cast_signed() / by * by);
            prop_assert_eq!(divisor.quotient(multiple), multiple.checked_div(whole.cast_signed()).unwrap_or(0));
            prop_assert_eq!(gcd(a, b), slow_gcd(a, b));
        }
    }
}

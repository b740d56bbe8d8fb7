//! Bytes of the interfaces that count, as one counter that never jumps.
//!
//! Pure. The default route may move to another interface, whose counter says what it carried since
//! the boot. So the sum begins as what it is at the first reading, and from there grows by what each
//! interface carries while it counts. Its state ends with the process: after a move and then a
//! restart the agent begins at the plain sum again, which may be lower (a reset) or higher (one rate
//! that is too high); the wire has no start of one field that could tell it.

use std::collections::BTreeMap;

/// What was received and what was sent, bytes.
pub(super) type Bytes = [u64; 2];

/// The sum so far; by default before the first reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    sum: Option<Bytes>,
    // The counters of the interfaces that counted at the last reading.
    last: BTreeMap<String, Bytes>,
}

impl Traffic {
    /// Takes one reading of the interfaces that count now; returns the sum.
    pub(super) fn take<'a>(&mut self, counted: impl Iterator<Item = (&'a str, Bytes)>) -> Bytes {
        let mut now = BTreeMap::new();
        let mut sum = self.sum.unwrap_or_default();
        for (name, bytes) in counted {
            let before = match self.sum {
                None => Some([0, 0]),
                Some(_) => self.last.get(name).copied(),
            };
            if let Some(before) = before {
                for ((sum, now), before) in sum.iter_mut().zip(bytes).zip(before) {
                    // A counter that fell began anew.
                    *sum = sum.saturating_add(now.checked_sub(before).unwrap_or(now));
                }
            }
            now.insert(name.to_owned(), bytes);
        }
        (self.sum, self.last) = (Some(sum), now);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings, each the received bytes of some interfaces, and the sums that they give.
    fn check(what: &str, readings: &[&[(&str, u64)]], expected: &[u64]) {
        let mut traffic = Traffic::default();
        let sums = readings.iter().map(|reading| {
            let counted = reading.iter().map(|(name, rx)| (*name, [*rx, 2 * rx]));
            let [rx, tx] = traffic.take(counted);
            assert_eq!(tx, 2 * rx, "{what}");
            rx
        });
        assert_eq!(sums.collect::<Vec<u64>>(), expected, "{what}");
    }

    #[test]
    fn a_set_that_never_changes_is_the_plain_sum() {
        check("one", &[&[("a", 5)], &[("a", 7)], &[("a", 7)]], &[5, 7, 7]);
        check(
            "two",
            &[&[("a", 5), ("b", 10)], &[("a", 6), ("b", 30)]],
            &[15, 36],
        );
        check("none at all", &[&[], &[]], &[0, 0]);
    }

    #[test]
    fn an_interface_counts_from_its_first_reading_to_its_last() {
        check(
            "the route moves",
            &[&[("a", 1_000)], &[("b", 2_000)], &[("b", 2_010)]],
            &[1_000, 1_000, 1_010],
        );
        check(
            "one joins",
            &[
                &[("a", 10)],
                &[("a", 11), ("b", 2_000)],
                &[("a", 12), ("b", 2_003)],
            ],
            &[10, 11, 15],
        );
        check(
            "one leaves and comes back",
            &[
                &[("a", 10), ("b", 20)],
                &[("a", 11)],
                &[("a", 11), ("b", 90)],
                &[("a", 11), ("b", 91)],
            ],
            &[30, 31, 31, 32],
        );
        check(
            "all leave",
            &[&[("a", 10)], &[], &[("a", 15)], &[("a", 17)]],
            &[10, 10, 10, 12],
        );
        check(
            "none at first",
            &[&[], &[("a", 9)], &[("a", 10)]],
            &[0, 0, 1],
        );
    }

    #[test]
    fn a_counter_that_falls_adds_what_it_has() {
        check(
            "it falls",
            &[&[("a", 10), ("b", 1)], &[("a", 3), ("b", 2)]],
            &[11, 15],
        );
        check(
            "it is full",
            &[&[("a", u64::MAX / 2)], &[("a", 0)]],
            &[u64::MAX / 2; 2],
        );
    }
}

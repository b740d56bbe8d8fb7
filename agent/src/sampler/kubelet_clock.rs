//! Whether a kubelet that answers says what it measured now.
//!
//! Pure. What was measured later than the row is not taken, and what is older than its max-age is not
//! shown. Then no value is there though every scrape is answered, and somebody has to say why.

use cairn_proto::catalogue::Group;

use super::merge::FUTURE_TOLERANCE_MS;
use crate::sources::{Failure, FailureKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Ahead,
    Behind,
}

/// What is known of the kubelet's clock.
#[derive(Clone, Debug, Default)]
pub(super) struct KubeletClock {
    // Which way it is off, and what was said of it at first: the same thing is told in the same
    // words, so that it is no news at every tick.
    off: Option<(Side, Failure)>,
}

impl KubeletClock {
    /// Takes when the node's memory was measured, and what time it is, both Unix ms. A summary that
    /// does not say when is as good as one of now.
    ///
    /// # Errors
    ///
    /// Nothing that was measured then is shown.
    pub(super) fn check(&mut self, measured_ms: Option<u64>, now_ms: u64) -> Result<(), Failure> {
        let Some((side, measured_ms)) = measured_ms.and_then(|ms| Some((side(ms, now_ms)?, ms)))
        else {
            self.off = None;
            return Ok(());
        };
        if let Some((_, failure)) = self.off.as_ref().filter(|(before, _)| *before == side) {
            return Err(failure.clone());
        }
        let seconds = now_ms.abs_diff(measured_ms) / 1_000;
        let side_of = match side {
            Side::Ahead => "ahead of",
            Side::Behind => "behind",
        };
        let reason = format!(
            "kubelet answers, but its newest measurement is {seconds} s {side_of} this node's clock \
             and is not shown: check both clocks and the kubelet's log"
        );
        let failure = Failure::new(FailureKind::Clock, reason);
        self.off = Some((side, failure.clone()));
        Err(failure)
    }
}

fn side(measured_ms: u64, now_ms: u64) -> Option<Side> {
    if measured_ms > now_ms.saturating_add(FUTURE_TOLERANCE_MS) {
        Some(Side::Ahead)
    } else if now_ms.saturating_sub(measured_ms) > Group::Memory.max_age_ms() {
        Some(Side::Behind)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 10_000_000;

    /// Checks measurements a tick apart; gives the number in each reason.
    fn told(measured: &[Option<u64>]) -> Vec<Option<String>> {
        let mut clock = KubeletClock::default();
        let ticks = (0..).map(|k| NOW_MS + k * 10_000);
        let words = measured.iter().zip(ticks).map(|(measured_ms, now_ms)| {
            let failure = clock.check(*measured_ms, now_ms).err()?;
            assert_eq!(failure.kind, FailureKind::Clock);
            let words: Vec<&str> = failure.reason.split(' ').collect();
            let at = words.iter().position(|word| *word == "s").unwrap();
            Some(words[at - 1..=at + 1].join(" "))
        });
        words.collect()
    }

    #[test]
    fn what_is_of_now_or_does_not_say_is_right() {
        let measured = [Some(NOW_MS + 1_000), None, Some(NOW_MS - 70_000)];
        assert_eq!(told(&measured), [None, None, None]);
    }

    #[test]
    fn the_bounds_are_those_at_which_values_are_not_taken_or_not_shown() {
        assert_eq!(
            told(&[Some(NOW_MS + 1_001)]),
            [Some("1 s ahead".to_owned())]
        );
        let oldest = NOW_MS - Group::Memory.max_age_ms();
        assert_eq!(told(&[Some(oldest)]), [None]);
        assert_eq!(told(&[Some(oldest - 1)]), [Some("90 s behind".to_owned())]);
    }

    #[test]
    fn a_kubelet_that_stays_off_is_told_in_the_same_words() {
        let stuck = Some(NOW_MS - 100_000);
        let ahead = Some(NOW_MS + 3_600_000);
        let (behind, before) = ("100 s behind".to_owned(), "3580 s ahead".to_owned());
        assert_eq!(
            told(&[stuck, stuck, ahead, ahead, Some(NOW_MS + 40_000), stuck]),
            [
                Some(behind.clone()),
                Some(behind),
                Some(before.clone()),
                Some(before),
                None,
                Some("150 s behind".to_owned())
            ]
        );
    }
}

//! At which ticks one source is asked.
//!
//! Pure. A source whose answers are dear is asked less often than there are rows. What it said stands
//! until it is asked again.

/// The ticks of one source.
#[derive(Clone, Debug)]
pub(super) struct Cadence {
    // How far apart its questions are, ms; a multiple of the interval, or the interval counts.
    every_ms: u64,
    // The tick at which it was asked last in this run.
    asked: Option<u64>,
}

impl Cadence {
    pub(super) fn new(every_ms: u64) -> Self {
        Self {
            every_ms,
            asked: None,
        }
    }

    /// Whether it is asked at a tick, Unix ms; then the tick counts as the one at which it was.
    pub(super) fn is_due(&mut self, tick: u64) -> bool {
        let is_due = self
            .asked
            .is_none_or(|asked| tick.saturating_sub(asked) >= self.every_ms);
        if is_due {
            self.asked = Some(tick);
        }
        is_due
    }

    /// Forgets when it was asked: the ticks of another run say nothing about this one's.
    pub(super) fn forget_times(&mut self) {
        self.asked = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(cadence: &mut Cadence, ticks: impl IntoIterator<Item = u64>) -> Vec<u64> {
        ticks
            .into_iter()
            .filter(|tick| cadence.is_due(*tick))
            .collect()
    }

    #[test]
    fn questions_are_as_far_apart_as_said_and_a_missed_tick_delays_the_next_ones() {
        let mut cadence = Cadence::new(60);
        assert_eq!(
            asked(&mut cadence, (0..20).map(|n| 5 + n * 10)),
            [5, 65, 125, 185]
        );
        assert_eq!(asked(&mut cadence, [300, 310, 350, 360]), [300, 360]);
        let mut every = Cadence::new(10);
        assert_eq!(asked(&mut every, [10, 20, 30]), [10, 20, 30]);
    }

    #[test]
    fn another_run_asks_at_once() {
        let mut cadence = Cadence::new(60);
        assert_eq!(asked(&mut cadence, [1_000, 1_010]), [1_000]);
        cadence.forget_times();
        assert_eq!(asked(&mut cadence, [500, 510]), [500]);
    }
}

//! Whether the ring holds its window, and when to say so.
//!
//! Pure. The ring is short from the first row that falls out for memory until it reaches over its
//! window again. A ring that it is too much for by a little is so every few blocks.

use crate::ring::Stock;

/// The log hears of it once in this time, ms.
const QUIET_MS: u64 = 60_000;

/// What is known of the ring.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shortage {
    short: bool,
    // The tick at which the log heard of it last.
    told_tick: Option<u64>,
}

/// What there is to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Nothing: it holds its window, or was never full.
    Nothing,
    /// It is short, and has been.
    Short,
    /// It is short, and the log is to hear of it.
    BecameShort,
    /// It is not short any more.
    Over,
}

impl Shortage {
    /// Takes what the ring holds at a tick (Unix ms), and held at the one before.
    pub(super) fn tick(&mut self, tick: u64, now: &Stock, before: &Stock, enough_ms: u64) -> Word {
        let was = self.short;
        let fell = now.crowded_rows > before.crowded_rows;
        // A run that began anew is young, not short.
        let goes_on = was && now.stepped_rows == before.stepped_rows;
        self.short = (fell || goes_on) && now.span_ms < enough_ms;
        match (was, self.short) {
            (false, false) => Word::Nothing,
            (true, false) => Word::Over,
            (true, true) => Word::Short,
            (false, true) => {
                let told = self.told_tick;
                if told.is_some_and(|told| tick.abs_diff(told) < QUIET_MS) {
                    return Word::Short;
                }
                self.told_tick = Some(tick);
                Word::BecameShort
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stocks a second apart, each as the rows that fell out for memory so far, those that ended
    /// with their run, and the span in seconds.
    fn check(stocks: &[(u64, u64, u64)], expected: &[Word]) {
        let mut shortage = Shortage::default();
        let mut before = Stock::default();
        let words = stocks.iter().zip(1..).map(|(stock, second)| {
            let mut now = Stock::default();
            (now.crowded_rows, now.stepped_rows) = (stock.0, stock.1);
            now.span_ms = stock.2 * 1_000;
            let word = shortage.tick(second * 1_000, &now, &before, 60_000);
            before = now;
            word
        });
        assert_eq!(words.collect::<Vec<Word>>(), expected, "{stocks:?}");
    }

    #[test]
    fn it_is_short_from_the_first_row_that_falls_until_the_window_is_there_again() {
        check(
            &[
                (0, 0, 1),
                (1, 0, 1),
                (2, 0, 1),
                (2, 0, 59),
                (2, 0, 60),
                (2, 0, 60),
            ],
            &[
                Word::Nothing,
                Word::BecameShort,
                Word::Short,
                Word::Short,
                Word::Over,
                Word::Nothing,
            ],
        );
    }

    #[test]
    fn rows_beyond_the_window_are_no_loss() {
        check(&[(16, 0, 60), (32, 0, 61)], &[Word::Nothing; 2]);
    }

    #[test]
    fn a_run_that_began_anew_is_young_and_not_short() {
        check(
            &[(1, 0, 1), (1, 5, 0), (1, 5, 1)],
            &[Word::BecameShort, Word::Over, Word::Nothing],
        );
    }

    #[test]
    fn the_log_hears_of_it_once_a_minute() {
        let waver = (1..=31).flat_map(|n| [(n, 0, 1), (n, 0, 60)]);
        let waver: Vec<(u64, u64, u64)> = waver.collect();
        let mut expected = [Word::Short, Word::Over].repeat(31);
        (expected[0], expected[60]) = (Word::BecameShort, Word::BecameShort);
        check(&waver, &expected);
    }
}

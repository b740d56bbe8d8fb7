//! Which of several sources of the same figure is taken.
//!
//! Pure. The catalogue lists the sources of a field, best first. One is given up after three silent
//! ticks, or as soon as what it said last is too old to mean anything, and taken back after three
//! good ones, so that a source that fails now and then does not make a series jump between the two.
//! A group has one time and one source, so until memory is taken back its fields that the summary
//! alone has (faults, pressure, processes) stay absent, also when the summary answers again.

use cairn_proto::catalogue::{Group, Source};

/// Ticks without an answer after which a source is given up, when its figures live that long.
const SILENT_TICKS: u32 = 3;

/// Good readings in a row after which it is taken back.
const GOOD_READINGS: u32 = 3;

/// What one tick says of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It brought a good reading.
    Good,
    /// It failed, or was still at an earlier question when the next one was due.
    Silent,
    /// It was not asked, or works on the answer to the newest question.
    Unasked,
}

impl From<bool> for Heard {
    fn from(good: bool) -> Self {
        if good { Heard::Good } else { Heard::Silent }
    }
}

/// The choice among the sources of one group of fields.
#[derive(Clone, Debug)]
pub struct Preference {
    // Best first; never empty.
    ranks: Vec<Rank>,
    current: Source,
}

#[derive(Clone, Copy, Debug)]
struct Rank {
    source: Source,
    given_up: bool,
    // The tick of its last good reading; at first, of the first time that it was asked.
    good_tick: Option<u64>,
    // Ticks in a row that speak against what `given_up` says.
    against: u32,
}

impl Preference {
    /// Begins with the best of `sources`, which are listed best first; `None` when there is none.
    #[must_use]
    pub fn new(sources: &[Source]) -> Option<Self> {
        let current = *sources.first()?;
        let rank = |source: &Source| Rank {
            source: *source,
            given_up: false,
            good_tick: None,
            against: 0,
        };
        Some(Self {
            ranks: sources.iter().map(rank).collect(),
            current,
        })
    }

    /// The source to take.
    #[must_use]
    pub fn current(&self) -> Source {
        self.current
    }

    /// Forgets when sources were heard: the ticks of another run say nothing about this one's.
    pub fn forget_times(&mut self) {
        for rank in &mut self.ranks {
            rank.good_tick = None;
        }
    }

    /// Takes one tick (Unix ms): `heard` says which sources brought a good reading. Returns the
    /// source to take. A tick at which a source was not asked counts neither for it nor against it.
    pub fn tick<H: Into<Heard>>(&mut self, tick: u64, heard: impl Fn(Source) -> H) -> Source {
        for rank in &mut self.ranks {
            let heard = heard(rank.source).into();
            let good = heard == Heard::Good;
            let good_tick = rank.good_tick.filter(|_| !good).unwrap_or(tick);
            rank.good_tick = Some(good_tick);
            let too_old = tick.saturating_sub(good_tick) > Group::Cpu.max_age_ms();
            rank.against = match heard {
                Heard::Unasked => rank.against,
                _ if good == rank.given_up => rank.against + 1,
                _ => 0,
            };
            let enough = if rank.given_up {
                GOOD_READINGS
            } else {
                SILENT_TICKS
            };
            if rank.against >= enough || (too_old && !rank.given_up) {
                rank.given_up = !rank.given_up;
                rank.against = 0;
            }
        }
        // With all of them silent there is nothing to gain from a switch.
        if let Some(best) = self.ranks.iter().find(|rank| !rank.given_up) {
            self.current = best.source;
        }
        self.current
    }
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs through ticks, each a pair of "resource answered" and "summary answered".
    fn check(ticks: &str, expected: &str) {
        check_at(10_000, ticks, expected);
    }

    fn check_at(interval_ms: u64, ticks: &str, expected: &str) {
        let mut preference = Preference::new(&[Source::Resource, Source::Summary]).unwrap();
        let taken: String = ticks
            .split(' ')
            .zip(1..)
            .map(|(tick, n)| {
                let heard = |source| match source {
                    Source::Resource => tick.contains('r'),
                    _ => tick.contains('s'),
                };
                match preference.tick(n * interval_ms, heard) {
                    Source::Resource => 'r',
                    _ => 's',
                }
            })
            .collect();
        assert_eq!(taken, expected, "{ticks}");
    }

    #[test]
    fn a_switch_takes_three_silent_ticks_and_back_three_good_ones() {
        check("rs rs s s s s rs rs rs rs", "rrrrssssrr");
        check("s s s s", "rrss");
    }

    #[test]
    fn a_source_whose_figures_are_too_old_is_given_up_before_three_ticks() {
        check_at(60_000, "rs s s s rs rs rs", "rrssssr");
        check_at(60_000, "rs s rs s rs", "rrrrr");
        check_at(30_000, "rs s s s s", "rrrss");
    }

    #[test]
    fn a_source_that_is_asked_seldom_has_as_many_tries() {
        let tries = |said: &str| {
            let mut preference = Preference::new(&[Source::Resource, Source::Summary]).unwrap();
            let ticks = said.chars().zip(1..).map(|(said, n)| {
                let heard = |source| match (source, said) {
                    (Source::Resource, '+') => Heard::Good,
                    (Source::Resource, '-') => Heard::Silent,
                    (Source::Resource, _) => Heard::Unasked,
                    _ => Heard::Good,
                };
                match preference.tick(n * 5_000, heard) {
                    Source::Resource => 'r',
                    _ => 's',
                }
            });
            ticks.collect::<String>()
        };
        assert_eq!(tries("+  -  -  + "), "rrrrrrrrrrr");
        assert_eq!(tries("+  -  -  -  +  + + "), "rrrrrrrrrssssssssrr");
        // Its figures are too old, however seldom it is asked.
        let given_up = tries(&format!("+{}", " ".repeat(20)));
        assert_eq!(given_up.find('s'), Some(19));
    }

    #[test]
    fn times_of_another_run_give_nobody_up() {
        let mut preference = Preference::new(&[Source::Resource, Source::Summary]).unwrap();
        preference.tick(10_000, |_| true);
        preference.forget_times();
        let silent = |source| source == Source::Summary;
        assert_eq!(preference.tick(9_000_000, silent), Source::Resource);
    }

    #[test]
    fn a_source_that_fails_now_and_then_is_kept() {
        check("rs s s rs s s rs", "rrrrrrr");
        check("s s s rs rs s rs rs rs", "rrssssssr");
    }

    #[test]
    fn with_all_silent_nothing_changes() {
        check("- - - - -", "rrrrr");
        check("s s s - - - -", "rrsssss");
        check("s s s - - - r r r", "rrssssssr");
    }

    #[test]
    fn no_source_is_no_preference() {
        assert!(Preference::new(&[]).is_none());
    }
}

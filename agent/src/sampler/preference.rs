//! Which of several sources of the same figure is taken.
//!
//! Pure. The catalogue lists the sources of a field, best first. One is given up after three silent
//! ticks and taken back after three good ones, so that a source that fails now and then does not
//! make a series jump between the two.

use cairn_proto::catalogue::Source;

/// Ticks without an answer after which a source is given up.
const SILENT_TICKS: u32 = 3;

/// Good readings in a row after which it is taken back.
const GOOD_READINGS: u32 = 3;

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

    /// Takes one tick: `heard` says which sources brought a good reading. Returns the source to take.
    pub fn tick(&mut self, heard: impl Fn(Source) -> bool) -> Source {
        for rank in &mut self.ranks {
            let good = heard(rank.source);
            rank.against = if good == rank.given_up {
                rank.against + 1
            } else {
                0
            };
            let enough = if rank.given_up {
                GOOD_READINGS
            } else {
                SILENT_TICKS
            };
            if rank.against >= enough {
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
mod tests {
    use super::*;

    /// Runs through ticks, each a pair of "resource answered" and "summary answered".
    fn check(ticks: &str, expected: &str) {
        let mut preference = Preference::new(&[Source::Resource, Source::Summary]).unwrap();
        let taken: String = ticks
            .split(' ')
            .map(|tick| {
                let heard = |source| match source {
                    Source::Resource => tick.contains('r'),
                    _ => tick.contains('s'),
                };
                match preference.tick(heard) {
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

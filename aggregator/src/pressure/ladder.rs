//! Which rung memory is on, and how far the windows have to be shortened.
//!
//! Pure: it is given two gauges and remembers little. The difficulty is that memory which is let go
//! may stay with the allocator: the process looks as large as before, though the next rows fit into
//! what is free. Who looked at the process alone would shorten again and again until nothing is left.
//! So after a window was shortened, what was let go and did not come back to the kernel counts as
//! free, by the counted bytes that went. When the window grows again, that shrinks with it. And when
//! shortening did not help, because something else has the memory, it is not done again before one
//! of the gauges has risen.

use super::Level;

/// Where windows are shortened, in hundredths of the limit.
const SHORTEN_FROM: u64 = 85;

/// Where each level begins, in hundredths of the limit.
const FROM: [(Level, u64); 3] = [
    (Level::Refuse, 95),
    (Level::Shorten, SHORTEN_FROM),
    (Level::NoWants, 75),
];

/// Windows are shortened until so much of the limit is used, hundredths: far enough below 85 that it
/// does not happen at every tick, and below 75 so that history is asked for again.
const SHORTEN_TO: u64 = 70;

/// A level is left when so much less is used than where it begins, hundredths of the limit, so that
/// a figure that trembles does not make it come and go.
const LEAVE_BELOW: u64 = 3;

/// The most bytes of the process that one counted byte stands for. An allocator rounds up; beyond
/// this the process is large for another reason, which a shorter window does not mend.
const MOST_OVERHEAD: u64 = 2;

/// How far the process must have grown since a window was shortened, hundredths of the limit, before
/// it is shortened again although what it is counted as did not grow.
const GROWN: u64 = 2;

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Bytes that the window is counted as.
    pub counted: u64,
    /// Bytes of memory that the process has.
    pub real: u64,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// How short memory is.
    pub level: Level,
    /// Bytes that count as used.
    pub used: u64,
    /// The windows must be shortened to so many counted bytes.
    pub shorten_to: Option<u64>,
}

/// The ladder of one process.
#[derive(Clone, Debug)]
pub struct Ladder {
    limit: u64,
    level: Level,
    // The gauges when the window was shortened and nothing was still to come back.
    free_since: Option<Gauges>,
    // The last time that the window was shortened.
    shortened: Option<Shortened>,
}

#[derive(Clone, Copy, Debug)]
struct Shortened {
    at: Gauges,
    to: u64,
}

impl Ladder {
    /// A ladder below a limit in bytes; 0 means that there is none.
    #[must_use]
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            level: Level::Calm,
            free_since: None,
            shortened: None,
        }
    }

    /// Looks at the gauges. When this says to shorten, it counts on that being done before the next
    /// look.
    pub fn look(&mut self, gauges: Gauges) -> Look {
        let kept = self.kept_by_allocator(gauges);
        let used = gauges.counted.max(gauges.real.saturating_sub(kept));
        if self.limit == 0 {
            return Look {
                used,
                ..Look::default()
            };
        }
        self.level = self.next_level(used);
        let shorten_to = (self.level >= Level::Shorten && self.may_shorten(gauges)).then(|| {
            if kept == 0 {
                self.free_since = Some(gauges);
            }
            // What is used beside the window is taken to shrink with it.
            let to = scale(gauges.counted, hundredths(self.limit, SHORTEN_TO), used);
            self.shortened = Some(Shortened { at: gauges, to });
            to
        });
        Look {
            level: self.level,
            used,
            shorten_to,
        }
    }

    /// False while the gauges only show what the last time has not mended.
    fn may_shorten(&self, now: Gauges) -> bool {
        let Some(Shortened { at, to }) = self.shortened else {
            return true;
        };
        // What is counted falls at once.
        let is_counted = now.counted >= hundredths(self.limit, SHORTEN_FROM);
        let has_grown_again = now.counted > to + at.counted.saturating_sub(to) / 2;
        is_counted || has_grown_again || now.real > at.real + hundredths(self.limit, GROWN)
    }

    /// Memory that was let go when the window was shortened and that the process still has.
    fn kept_by_allocator(&self, now: Gauges) -> u64 {
        let Some(then) = self.free_since else {
            return 0;
        };
        let gone = then.counted.saturating_sub(now.counted);
        // Each counted byte stood for as much of the process as it did then.
        let most = then.counted.saturating_mul(MOST_OVERHEAD);
        let expected = scale(gone, then.real.clamp(then.counted, most), then.counted);
        expected.saturating_sub(then.real.saturating_sub(now.real))
    }

    fn next_level(&self, used: u64) -> Level {
        let found = FROM.iter().find(|(level, from)| {
            let from = if self.level >= *level {
                from - LEAVE_BELOW
            } else {
                *from
            };
            used >= hundredths(self.limit, from)
        });
        found.map_or(Level::Calm, |(level, _)| *level)
    }
}

/// `of * to / from`, without overflow; all of it when `from` is nothing.
fn scale(of: u64, to: u64, from: u64) -> u64 {
    let scaled = u128::from(of) * u128::from(to);
    let scaled = scaled.checked_div(u128::from(from));
    scaled.map_or(of, |scaled| u64::try_from(scaled).unwrap_or(u64::MAX))
}

fn hundredths(limit: u64, part: u64) -> u64 {
    scale(limit, part, 100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn look(ladder: &mut Ladder, counted: u64, real: u64) -> (Level, Option<u64>) {
        let look = ladder.look(Gauges { counted, real });
        (look.level, look.shorten_to)
    }

    #[test]
    fn the_larger_gauge_rules_and_each_rung_has_its_place() {
        for (used, level) in [
            (0, Level::Calm),
            (749, Level::Calm),
            (750, Level::NoWants),
            (849, Level::NoWants),
            (850, Level::Shorten),
            (949, Level::Shorten),
            (950, Level::Refuse),
            (u64::MAX, Level::Refuse),
        ] {
            assert_eq!(look(&mut Ladder::new(1_000), used, 0).0, level, "{used}");
            assert_eq!(look(&mut Ladder::new(1_000), 0, used).0, level, "{used}");
        }
        assert_eq!(look(&mut Ladder::new(0), 1, u64::MAX), (Level::Calm, None));
    }

    #[test]
    fn a_level_is_left_a_little_below_where_it_begins() {
        let mut ladder = Ladder::new(1_000);
        for (used, level) in [
            (760, Level::NoWants),
            (721, Level::NoWants),
            (719, Level::Calm),
            (740, Level::Calm),
            (960, Level::Refuse),
            (921, Level::Refuse),
            (919, Level::Shorten),
            (949, Level::Shorten),
            (819, Level::NoWants),
        ] {
            assert_eq!(look(&mut ladder, used, 0).0, level, "{used}");
        }
    }

    #[test]
    fn the_window_is_shortened_to_seventy_hundredths() {
        let mut ladder = Ladder::new(1_000);
        assert_eq!(
            look(&mut ladder, 860, 400),
            (Level::Shorten, Some(700)),
            "by what is counted"
        );
        let mut ladder = Ladder::new(1_000);
        assert_eq!(
            look(&mut ladder, 600, 900),
            (Level::Shorten, Some(466)),
            "in proportion, when the process is larger"
        );
    }

    #[test]
    fn memory_that_the_allocator_keeps_does_not_empty_the_window() {
        let mut ladder = Ladder::new(1_000);
        assert_eq!(look(&mut ladder, 600, 900), (Level::Shorten, Some(466)));
        // The process stays as large as it was.
        for _ in 0..100 {
            assert_eq!(look(&mut ladder, 466, 900), (Level::Calm, None));
        }
        // The window grows into what is free, up to where it was.
        assert_eq!(look(&mut ladder, 500, 900), (Level::NoWants, None));
        assert_eq!(look(&mut ladder, 570, 900), (Level::Shorten, Some(466)));
        assert_eq!(look(&mut ladder, 466, 900), (Level::Calm, None));
    }

    #[test]
    fn memory_that_comes_back_is_not_counted_twice() {
        let mut ladder = Ladder::new(1_000);
        look(&mut ladder, 600, 900);
        assert_eq!(look(&mut ladder, 466, 760), (Level::Calm, None));
        assert_eq!(look(&mut ladder, 466, 699), (Level::Calm, None));
        assert_eq!(look(&mut ladder, 590, 890).0, Level::Shorten);
    }

    #[test]
    fn memory_that_something_else_takes_is_seen_although_the_allocator_keeps_some() {
        let mut ladder = Ladder::new(1_000);
        look(&mut ladder, 600, 900);
        let (level, to) = look(&mut ladder, 466, 1_060);
        assert_eq!(level, Level::Shorten);
        assert!(to.is_some_and(|to| to < 400), "{to:?}");
    }

    #[test]
    fn a_window_is_not_shortened_again_and_again_for_memory_that_is_not_its_own() {
        let mut ladder = Ladder::new(1_000);
        assert_eq!(look(&mut ladder, 100, 900), (Level::Shorten, Some(77)));
        for _ in 0..100 {
            assert_eq!(look(&mut ladder, 77, 900), (Level::Shorten, None));
        }
        assert_eq!(look(&mut ladder, 77, 921), (Level::Shorten, Some(61)));
        assert_eq!(look(&mut ladder, 61, 700), (Level::Calm, None));
    }

    proptest! {
        /// A process whose allocator keeps everything for ever: however its window grows, it is
        /// shortened in time, and never to less than half of what it may have.
        #[test]
        fn a_window_never_goes_for_an_allocator_that_gives_nothing_back(
            grows in prop::collection::vec(0..80_u64, 1..200),
            overhead in 0..150_u64,
        ) {
            let mut ladder = Ladder::new(1_000);
            let (mut counted, mut real) = (300_u64, 0_u64);
            for grow in grows {
                counted += grow;
                real = real.max(counted + overhead);
                let look = ladder.look(Gauges { counted, real });
                if let Some(to) = look.shorten_to {
                    prop_assert!(to >= 300, "{to}");
                    counted = to;
                }
                prop_assert!(counted < 950, "{counted}");
                prop_assert!(real <= 1_100, "{real}");
            }
        }
    }
}

//! Who is asked at a tick, beside cgroups.
//!
//! Pure. Two have a say: the cadence, whether there is anything to ask for, and the pace, whether it may
//! be asked yet, for what it costs.

use cairn_proto::catalogue::Source;

use super::cadence::{Cadence, Seen};
use super::pace::Paces;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) summary: bool,
    pub(super) resource: bool,
    pub(super) cadvisor: bool,
    pub(super) host: bool,
}

impl Due {
    /// At a tick, Unix ms; who is due counts as asked when the question goes out.
    pub(super) fn at(paces: &mut Paces, cadence: Cadence, tick: u64, seen: Seen) -> Self {
        // What costs too much is not asked before its time, whoever is new; and only a question that
        // went out puts the next one off.
        let stands = paces.stands(Source::Summary);
        let asked = paces.asked(Source::Summary);
        let summary = cadence.summary(tick, seen, asked, stands);
        Self {
            summary: summary && paces.is_due(Source::Summary, tick),
            resource: Cadence::resource(seen) && paces.is_due(Source::Resource, tick),
            cadvisor: cadence.cadvisor(seen) && paces.is_due(Source::Cadvisor, tick),
            host: paces.is_due(Source::Procfs, tick),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::budget::Share;
    use super::*;

    const BESIDE: Seen = Seen::BESIDE;

    /// Seconds of a minute at which the summary is asked, which may be asked every eight for what it
    /// costs.
    fn dear(seen: impl Fn(u64) -> Seen) -> Vec<u64> {
        let mut paces = Paces::new(&[Source::Summary], 1_000);
        paces.limit(Share::new(10));
        let pace = paces.of_mut(Source::Summary).unwrap();
        for tick in 0..9 {
            pace.spend(Some(tick), Duration::from_secs(1), true);
        }
        assert_eq!(pace.distances_ms(), (8_000, 1_000));
        let cadence = Cadence::new(None);
        let asked = (0..=60).filter(|second| {
            let due = Due::at(&mut paces, cadence, second * 1_000, seen(*second));
            if due.summary {
                let pace = paces.of_mut(Source::Summary).unwrap();
                pace.sent();
                pace.hear(true);
            }
            due.summary
        });
        asked.collect()
    }

    #[test]
    fn what_is_dear_is_not_hurried_and_comes_when_it_would_have_come() {
        assert_eq!(dear(|_| BESIDE), [0, 30, 60]);
        let restarts = |second| Seen {
            newcomer: (1..=5).contains(&second),
            ..BESIDE
        };
        assert_eq!(dear(restarts), [0, 30, 60]);
        let appears = |second| Seen {
            unnamed_pod: second >= 1,
            ..BESIDE
        };
        assert_eq!(dear(appears), [0, 8, 16, 24, 32, 40, 48, 56]);
        assert_eq!(dear(|_| Seen::default()), dear(appears));
    }

    #[test]
    fn a_summary_that_was_busy_was_not_asked() {
        let mut paces = Paces::new(&[Source::Summary], 10_000);
        let due = |paces: &mut Paces, tick, goes_out: bool| {
            let due = Due::at(paces, Cadence::new(None), tick, BESIDE);
            let pace = paces.of_mut(Source::Summary).unwrap();
            if due.summary && goes_out {
                pace.sent();
            }
            // What it said last stands, so nothing hurries.
            pace.hear(true);
            due.summary
        };
        assert!(due(&mut paces, 0, true));
        assert!(!due(&mut paces, 20_000, true));
        assert!(due(&mut paces, 30_000, false));
        assert!(due(&mut paces, 40_000, true));
        assert!(!due(&mut paces, 60_000, true));
        assert!(due(&mut paces, 70_000, true));
    }

    #[test]
    fn beside_cgroups_others_are_asked_for_what_these_do_not_know() {
        let sources = [
            Source::Summary,
            Source::Resource,
            Source::Cadvisor,
            Source::Procfs,
        ];
        let at_first = |seen| {
            let mut paces = Paces::new(&sources, 10_000);
            let due = Due::at(&mut paces, Cadence::new(None), 10_000, seen);
            [due.summary, due.resource, due.cadvisor, due.host]
        };
        assert_eq!(at_first(BESIDE), [true, false, false, true]);
        assert_eq!(at_first(Seen::default()), [true; 4]);
        let nameless = Seen {
            unnamed_container: true,
            ..BESIDE
        };
        assert_eq!(at_first(nameless), [true, false, true, true]);
    }
}

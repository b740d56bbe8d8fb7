//! How often a source is asked, so that its work stays within its share of a processor.
//!
//! Pure. Three scrapes in a row that cost more than the share make the distance of its questions
//! twice as long, up to the longest at which its values are still shown; three that would leave a
//! quarter of the share at half the distance make it half as long again. So a cost near the share
//! changes nothing, and one dear scrape (a new connection, a page that was swapped out) neither.

use std::time::Duration;

/// Scrapes in a row that it takes.
const IN_A_ROW: u32 = 3;

/// What a cost may be of the share at a shorter distance for that distance to come back: this many
/// quarters. Nearer to four, a cost that varies by itself would go back and forth.
const QUARTERS: u32 = 3;

/// What the agent lets one source use, in thousandths of a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share(u64);

impl Share {
    /// `None` for 0: no limit.
    pub(super) fn new(millicores: u64) -> Option<Self> {
        (millicores > 0).then_some(Self(millicores))
    }

    /// CPU time of it in so many ms.
    fn of(self, every_ms: u64) -> Duration {
        // A thousandth of a core is a microsecond in each millisecond.
        Duration::from_micros(every_ms.saturating_mul(self.0))
    }
}

/// What followed from a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Questions are twice as far apart from now on.
    Longer,
    /// They are nearer again.
    Shorter,
}

/// The distance of one source's questions.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    base_ms: u64,
    longest_ms: u64,
    share: Option<Share>,
    // How often the distance was doubled.
    doublings: u32,
    // Scrapes in a row that were too dear, and that would be cheap enough at half the distance.
    dear: u32,
    cheap: u32,
}

impl Budget {
    /// Questions that are `base_ms` apart as long as that costs no more than the share.
    pub(super) fn new(base_ms: u64, longest_ms: u64) -> Self {
        Self {
            base_ms,
            longest_ms: longest_ms.max(base_ms),
            share: None,
            doublings: 0,
            dear: 0,
            cheap: 0,
        }
    }

    /// Says what the source may use; `None` is no limit.
    pub(super) fn limit(&mut self, share: Option<Share>) {
        self.share = share;
    }

    /// How far apart its questions are, ms.
    pub(super) fn every_ms(&self) -> u64 {
        self.after(self.doublings)
    }

    /// How far apart they would be if it cost nothing, ms.
    pub(super) fn base_ms(&self) -> u64 {
        self.base_ms
    }

    fn after(&self, doublings: u32) -> u64 {
        self.base_ms
            .saturating_mul(1 << doublings)
            .min(self.longest_ms)
    }

    /// Takes what a scrape cost that was asked for `gap_ms` after the one before. What it may cost goes by
    /// that time where it is longer than the distance: the share is of all the time that passes. One that
    /// failed may be dear; when it is not, it says nothing of what an answer costs.
    pub(super) fn spend(&mut self, cpu: Duration, is_good: bool, gap_ms: u64) -> Option<Change> {
        let share = self.share?;
        // A source that was away for an hour has not saved up an hour's share.
        let gap_ms = gap_ms.min(self.longest_ms);
        let is_dear = cpu > share.of(self.every_ms().max(gap_ms));
        if !is_good && !is_dear {
            return None;
        }
        let shorter = self.doublings.checked_sub(1);
        let is_cheap = shorter.is_some_and(|shorter| {
            // Who is asked seldom at this distance may be asked as seldom at a shorter one.
            let is_seldom = gap_ms > self.every_ms();
            let over_ms = if is_seldom {
                gap_ms
            } else {
                self.after(shorter)
            };
            cpu <= share.of(over_ms) / 4 * QUARTERS
        });
        self.dear = if is_dear { self.dear + 1 } else { 0 };
        self.cheap = if is_cheap { self.cheap + 1 } else { 0 };
        let change = if self.dear >= IN_A_ROW && self.every_ms() < self.longest_ms {
            self.doublings += 1;
            Change::Longer
        } else if self.cheap >= IN_A_ROW {
            self.doublings -= 1;
            Change::Shorter
        } else {
            return None;
        };
        (self.dear, self.cheap) = (0, 0);
        Some(change)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of a hundredth of a core at a distance of 10 s, at most 60 s.
    fn budget() -> Budget {
        let mut budget = Budget::new(10_000, 60_000);
        budget.limit(Share::new(10));
        budget
    }

    /// Scrapes of so many ms of CPU, and the distances in seconds after each.
    fn check(budget: &mut Budget, costs_ms: &[u64], expected_s: &[u64]) {
        let distances = costs_ms.iter().map(|ms| {
            budget.spend(Duration::from_millis(*ms), true, 0);
            budget.every_ms() / 1_000
        });
        assert_eq!(distances.collect::<Vec<u64>>(), expected_s, "{costs_ms:?}");
    }

    #[test]
    fn three_dear_scrapes_double_the_distance_up_to_the_longest() {
        let mut budget = budget();
        // 100 ms in 10 s are the share.
        check(&mut budget, &[100, 900, 900, 100, 101, 101], &[10; 6]);
        check(&mut budget, &[101, 101, 101, 101], &[20; 4]);
        check(
            &mut budget,
            &[300, 300, 300, 900, 900, 900],
            &[20, 20, 40, 40, 40, 60],
        );
        check(&mut budget, &[9_000; 9], &[60; 9]);
    }

    #[test]
    fn three_cheap_ones_halve_it_again_down_to_what_was_asked_for() {
        let mut budget = budget();
        check(
            &mut budget,
            &[900; 9],
            &[10, 10, 20, 20, 20, 40, 40, 40, 60],
        );
        // Three quarters of what 40 s may cost, and a little more.
        check(
            &mut budget,
            &[300, 300, 301, 300, 300, 300],
            &[60, 60, 60, 60, 60, 40],
        );
        check(&mut budget, &[1; 9], &[40, 40, 20, 20, 20, 10, 10, 10, 10]);
    }

    #[test]
    fn what_fails_may_be_dear_and_is_never_cheap() {
        let mut budget = budget();
        let mut spend = |ms, is_good| budget.spend(Duration::from_millis(ms), is_good, 0);
        // Neither does a cheap failure end the row of dear scrapes.
        let said = [(900, true), (1, false), (900, false), (900, true)];
        let said = said.map(|(ms, is_good)| spend(ms, is_good));
        assert_eq!(said, [None, None, None, Some(Change::Longer)]);
        assert!((0..9).all(|_| spend(1, false).is_none()));
        let said = [(1, true), (1, true), (1, false), (1, true)];
        let said = said.map(|(ms, is_good)| spend(ms, is_good));
        assert_eq!(said, [None, None, None, Some(Change::Shorter)]);
    }

    #[test]
    fn a_cost_near_the_share_does_not_go_back_and_forth() {
        let mut budget = budget();
        check(&mut budget, &[110; 3], &[10, 10, 20]);
        check(
            &mut budget,
            &[76, 110, 76, 110, 76, 120, 90, 90, 90, 200],
            &[20; 10],
        );
    }

    #[test]
    fn who_is_asked_seldom_has_the_share_of_all_that_time_and_no_more_than_of_the_longest() {
        let mut budget = budget();
        let mut every_s = |ms, gap_s: u64| {
            for _ in 0..3 {
                budget.spend(Duration::from_millis(ms), true, gap_s * 1_000);
            }
            budget.every_ms() / 1_000
        };
        assert_eq!(every_s(300, 30), 10);
        assert_eq!(every_s(301, 30), 20);
        // Asked as seldom all the same, it may as well be asked sooner for once.
        assert_eq!(every_s(226, 30), 20);
        assert_eq!(every_s(225, 30), 10);
        assert_eq!(every_s(601, 3_600), 20);
    }

    #[test]
    fn without_a_share_or_room_nothing_changes() {
        let mut free = Budget::new(10_000, 60_000);
        check(&mut free, &[9_000; 6], &[10; 6]);
        free.limit(Share::new(0));
        check(&mut free, &[9_000; 6], &[10; 6]);
        let mut slow = Budget::new(60_000, 10_000);
        slow.limit(Share::new(1));
        check(&mut slow, &[9_000; 6], &[60; 6]);
    }

    proptest! {
        #[test]
        fn a_steady_cost_comes_to_rest_at_the_shortest_distance_that_it_may_have(
            cost_ms in 0_u64..2_000,
            before in prop::collection::vec(0_u64..2_000, 0..30),
        ) {
            let mut budget = budget();
            for ms in before {
                budget.spend(Duration::from_millis(ms), true, 0);
            }
            for _ in 0..20 {
                budget.spend(Duration::from_millis(cost_ms), true, 0);
            }
            let every_ms = budget.every_ms();
            for _ in 0..20 {
                prop_assert_eq!(budget.spend(Duration::from_millis(cost_ms), true, 0), None);
            }
            // A hundredth of the distance is the share.
            prop_assert!(cost_ms <= every_ms / 100 || every_ms == 60_000);
            let shorter_ms = budget.doublings.checked_sub(1).map(|d| budget.after(d));
            let is_shortest = shorter_ms.is_none_or(|ms| cost_ms > ms / 100 * 3 / 4);
            prop_assert!(is_shortest, "{} at {}", cost_ms, every_ms);
        }
    }
}

//! How fast each source is asked.
//!
//! Pure. A source whose answers are dear, for the kubelet or for the agent itself, is asked less often
//! than there are rows. What it said stands until it is asked again: what it listed is there, and
//! that it was not asked is no silence.

use std::cmp::Ordering;
use std::time::Duration;

use cairn_proto::catalogue::{Group, Source};

use super::budget::{Budget, Change, Share};
use super::preference::Heard;
use crate::sources::cadvisor_every_ms;

/// How old what a kubelet says may already be when it is read, ms.
const KUBELET_AGE_MS: u64 = 30_000;

/// The ticks of one source.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    budget: Budget,
    // The tick of the last question that went out in this run, and how long after the one before.
    asked: Option<u64>,
    gap_ms: u64,
    // The newest tick, while a question is due at it that did not go out yet.
    due: Option<u64>,
    // What the newest tick says of it.
    heard: Heard,
    // The newest word of it was a good reading.
    stands: bool,
    // What was charged last.
    charged: Option<Charged>,
}

/// What the scrapes of one tick cost so far.
#[derive(Clone, Debug)]
struct Charged {
    tick: u64,
    cpu: Duration,
    is_good: bool,
    // As it was before the first of them.
    before: Budget,
}

impl Pace {
    fn new(budget: Budget) -> Self {
        Self {
            budget,
            asked: None,
            gap_ms: 0,
            due: None,
            heard: Heard::Unasked,
            stands: false,
            charged: None,
        }
    }

    /// A tick begins, at which it was neither asked nor heard.
    fn begin_tick(&mut self) {
        (self.due, self.heard) = (None, Heard::Unasked);
    }

    /// Whether it may be asked at a tick, Unix ms.
    pub(super) fn is_time(&self, tick: u64) -> bool {
        let every_ms = self.budget.every_ms();
        self.asked
            .is_none_or(|asked| tick.saturating_sub(asked) >= every_ms)
    }

    /// Whether it is to be asked at a tick, Unix ms. It stays due until a question went out.
    pub(super) fn is_due(&mut self, tick: u64) -> bool {
        let is_due = self.is_time(tick);
        self.due = is_due.then_some(tick);
        is_due
    }

    /// The question that was due at the newest tick, if one was, went out.
    pub(super) fn sent(&mut self) {
        if let Some(due) = self.due.take() {
            let gap_ms = self.asked.map(|asked| due.saturating_sub(asked));
            (self.asked, self.gap_ms) = (Some(due), gap_ms.unwrap_or(0));
        }
    }

    /// What came of it at the newest tick: a good reading, or a failure. That it still worked on an
    /// earlier question when the next one was due is a failure; that it works on the newest one is
    /// nothing yet, and what it said before stands until then.
    pub(super) fn hear(&mut self, is_good: bool) {
        self.stands = is_good;
        self.heard = if is_good { Heard::Good } else { Heard::Silent };
    }

    /// Whether what it said last is its newest word.
    pub(super) fn stands(&self) -> bool {
        self.stands
    }

    /// Whether a good reading came at the newest tick.
    pub(super) fn is_fresh(&self) -> bool {
        self.heard == Heard::Good
    }

    /// What the newest tick says of it.
    pub(super) fn heard(&self) -> Heard {
        self.heard
    }

    /// Takes what the last scrape cost, which was for this tick, and whether it brought a reading. One that
    /// was asked less often than it might have been, because there was nothing to ask, had that much more
    /// time.
    ///
    /// All scrapes of a tick have its time together: each further one is added to those before it, and they
    /// count once. What follows comes with what the tick cost.
    pub(super) fn spend(
        &mut self,
        tick: Option<u64>,
        cpu: Duration,
        is_good: bool,
    ) -> Option<(Change, Duration)> {
        let every_ms = self.budget.every_ms();
        let more = self.charged.take().filter(|of| Some(of.tick) == tick);
        let (cpu, is_good) = match &more {
            Some(of) => (of.cpu + cpu, of.is_good || is_good),
            None => (cpu, is_good),
        };
        let before = more.map_or_else(|| self.budget.clone(), |of| of.before);
        self.budget = before.clone();
        self.budget.spend(cpu, is_good, self.gap_ms);
        self.charged = tick.map(|tick| Charged {
            tick,
            cpu,
            is_good,
            before,
        });
        let change = match self.budget.every_ms().cmp(&every_ms) {
            Ordering::Greater => Change::Longer,
            Ordering::Less => Change::Shorter,
            Ordering::Equal => return None,
        };
        Some((change, cpu))
    }

    /// How far apart its questions are, and would be if it cost nothing; ms.
    pub(super) fn distances_ms(&self) -> (u64, u64) {
        (self.budget.every_ms(), self.budget.base_ms())
    }
}

/// The paces of all sources.
#[derive(Clone, Debug)]
pub(super) struct Paces(Vec<(Source, Pace)>);

impl Paces {
    /// Of the sources of an agent of this interval.
    pub(super) fn new(sources: &[Source], interval_ms: u64) -> Self {
        let is_alone = !sources.contains(&Source::Summary);
        let pace = |source: &Source| {
            let base_ms = match source {
                Source::Cadvisor => cadvisor_every_ms(interval_ms, is_alone),
                _ => interval_ms,
            };
            let longest_ms = match source {
                Source::Cadvisor if is_alone => longest_ms(Source::Summary, interval_ms),
                source => longest_ms(*source, interval_ms),
            };
            let budget = Budget::new(base_ms, longest_ms);
            (*source, Pace::new(budget))
        };
        Self(sources.iter().map(pace).collect())
    }

    /// Says what each source may use; `None` is no limit.
    pub(super) fn limit(&mut self, share: Option<Share>) {
        for (_, pace) in &mut self.0 {
            pace.budget.limit(share);
        }
    }

    /// The sources, in the order of the rows' makers.
    pub(super) fn sources(&self) -> impl Iterator<Item = Source> + '_ {
        self.0.iter().map(|(source, _)| *source)
    }

    pub(super) fn of(&self, source: Source) -> Option<&Pace> {
        let found = self.0.iter().find(|(of, _)| *of == source);
        found.map(|(_, pace)| pace)
    }

    pub(super) fn of_mut(&mut self, source: Source) -> Option<&mut Pace> {
        let found = self.0.iter_mut().find(|(of, _)| *of == source);
        found.map(|(_, pace)| pace)
    }

    /// A tick begins, at which none was asked yet.
    pub(super) fn begin_tick(&mut self) {
        for (_, pace) in &mut self.0 {
            pace.begin_tick();
        }
    }

    /// The tick of a source's last question in this run.
    pub(super) fn asked(&self, source: Source) -> Option<u64> {
        self.of(source).and_then(|of| of.asked)
    }

    /// Whether a source is to be asked at a tick, Unix ms. Who does not ask because something else
    /// speaks against it need not come here.
    pub(super) fn is_due(&mut self, source: Source, tick: u64) -> bool {
        self.of_mut(source).is_some_and(|of| of.is_due(tick))
    }

    /// Whether what a source said last is its newest word.
    pub(super) fn stands(&self, source: Source) -> bool {
        self.of(source).is_some_and(Pace::stands)
    }

    /// Whether a source brought a good reading at the newest tick.
    pub(super) fn is_fresh(&self, source: Source) -> bool {
        self.of(source).is_some_and(Pace::is_fresh)
    }

    /// Those that brought a good reading at the newest tick.
    pub(super) fn fresh(&self) -> impl Iterator<Item = Source> + '_ {
        let fresh = self.0.iter().filter(|(_, pace)| pace.is_fresh());
        fresh.map(|(source, _)| *source)
    }

    /// What the newest tick says of a source.
    pub(super) fn heard(&self, source: Source) -> Heard {
        self.of(source).map_or(Heard::Silent, Pace::heard)
    }

    /// Forgets when they were asked: the ticks of another run say nothing about this one's.
    pub(super) fn forget_times(&mut self) {
        for (_, pace) in &mut self.0 {
            (pace.asked, pace.gap_ms) = (None, 0);
            pace.stands = false;
            pace.charged = None;
        }
    }
}

/// How far apart a source's questions may be, ms: its values are still shown when the next ones come.
/// A multiple of every interval.
fn longest_ms(source: Source, interval_ms: u64) -> u64 {
    let max_age_ms = match source {
        Source::Cadvisor => Group::Detail.max_age_ms(),
        _ => Group::Cpu.max_age_ms(),
    };
    let longest_ms = max_age_ms - KUBELET_AGE_MS;
    longest_ms - longest_ms % cadvisor_every_ms(interval_ms, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: u64 = 60_000;

    fn pace(base_ms: u64) -> Pace {
        Pace::new(Budget::new(base_ms, base_ms))
    }

    fn asked(pace: &mut Pace, ticks: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let ticks = ticks.into_iter();
        let sent = ticks.filter(|tick| {
            let is_due = pace.is_due(*tick);
            pace.sent();
            is_due
        });
        sent.collect()
    }

    #[test]
    fn questions_are_as_far_apart_as_said_and_a_missed_tick_delays_the_next_ones() {
        let mut seldom = pace(60);
        let ticks = (0..20).map(|n| 5 + n * 10);
        assert_eq!(asked(&mut seldom, ticks), [5, 65, 125, 185]);
        assert_eq!(asked(&mut seldom, [300, 310, 350, 360]), [300, 360]);
        assert_eq!(asked(&mut pace(10), [10, 20, 30]), [10, 20, 30]);
    }

    #[test]
    fn what_is_asked_seldom_may_cost_as_much_as_in_all_that_time() {
        let spent = |every_ms: u64, cost_ms: u64| {
            let mut paces = Paces::new(&[Source::Summary], 1_000);
            // A millisecond in each second.
            paces.limit(Share::new(1));
            let pace = paces.of_mut(Source::Summary).unwrap();
            for n in 0..9 {
                assert!(pace.is_due(n * every_ms));
                pace.sent();
                pace.spend(Some(n * every_ms), Duration::from_millis(cost_ms), true);
            }
            pace.distances_ms().0
        };
        assert_eq!(spent(30_000, 30), 1_000);
        assert_eq!(spent(30_000, 9), 1_000);
        // More than that is too much, and asking at once for who is new is put off.
        assert!(spent(30_000, 31) > 1_000);
    }

    #[test]
    fn who_is_asked_twice_at_a_tick_has_the_time_of_one() {
        // 10 ms in each second; two questions at each of so many ticks.
        let spent = |ticks: u64, costs_ms: [u64; 2]| {
            let mut paces = Paces::new(&[Source::Summary], 1_000);
            paces.limit(Share::new(10));
            let pace = paces.of_mut(Source::Summary).unwrap();
            let mut changes = Vec::new();
            for tick in (0..ticks).map(|n| n * 1_000) {
                for ms in costs_ms {
                    let change = pace.spend(Some(tick), Duration::from_millis(ms), true);
                    changes.extend(change.map(|(_, cpu)| (tick, cpu.as_millis())));
                }
            }
            (pace.distances_ms().0, changes)
        };
        // Neither of them is too dear, and both are.
        assert_eq!(spent(3, [6, 5]), (2_000, vec![(2_000, 11)]));
        assert_eq!(spent(9, [6, 4]), (1_000, vec![]));
        // Both are, and it takes three ticks all the same.
        assert_eq!(spent(2, [11, 11]).0, 1_000);
        assert_eq!(spent(3, [11, 11]).0, 2_000);
    }

    #[test]
    fn what_the_first_question_of_a_tick_brought_back_the_second_may_undo() {
        let mut paces = Paces::new(&[Source::Summary], 1_000);
        paces.limit(Share::new(10));
        let pace = paces.of_mut(Source::Summary).unwrap();
        let mut spend = |tick, ms| {
            let change = pace.spend(Some(tick), Duration::from_millis(ms), true);
            change.map(|(change, _)| change)
        };
        let dear = [1, 2, 3].map(|tick| spend(tick, 11));
        assert_eq!(dear, [None, None, Some(Change::Longer)]);
        let cheap = [4, 5, 6].map(|tick| spend(tick, 5));
        assert_eq!(cheap, [None, None, Some(Change::Shorter)]);
        assert_eq!(spend(6, 5), Some(Change::Longer));
        // Cheap ones are counted anew.
        let cheap = [7, 8, 9].map(|tick| spend(tick, 5));
        assert_eq!(cheap, [None, None, Some(Change::Shorter)]);
    }

    #[test]
    fn another_run_asks_at_once() {
        let mut paces = Paces::new(&[Source::Summary, Source::Cadvisor], 10_000);
        let pace = paces.of_mut(Source::Cadvisor).unwrap();
        assert_eq!(asked(pace, [1_000_000, 1_010_000]), [1_000_000]);
        paces.forget_times();
        let pace = paces.of_mut(Source::Cadvisor).unwrap();
        assert_eq!(asked(pace, [500_000, 510_000]), [500_000]);
    }

    #[test]
    fn a_question_that_did_not_go_out_stays_due() {
        let mut seldom = pace(60);
        assert!(seldom.is_due(10) && seldom.is_due(20));
        assert_eq!(asked(&mut seldom, [30, 40, 80, 90]), [30, 90]);
        // A tick at which nothing was due sends nothing.
        assert!(!seldom.is_due(100));
        seldom.sent();
        assert_eq!(asked(&mut seldom, [140, 150]), [150]);
    }

    #[test]
    fn what_was_said_stands_until_something_else_is_heard() {
        let mut seldom = pace(20);
        let mut tick = |tick, heard: Option<bool>| {
            seldom.begin_tick();
            if seldom.is_due(tick) {
                seldom.sent();
            }
            heard.into_iter().for_each(|good| seldom.hear(good));
            (seldom.stands(), seldom.heard())
        };
        assert_eq!(tick(0, Some(true)), (true, Heard::Good));
        assert_eq!(tick(10, None), (true, Heard::Unasked));
        // It works on the answer, which comes between two questions.
        assert_eq!(tick(20, None), (true, Heard::Unasked));
        assert_eq!(tick(30, Some(true)), (true, Heard::Good));
        assert_eq!(tick(40, None), (true, Heard::Unasked));
        assert_eq!(tick(50, Some(false)), (false, Heard::Silent));
        assert_eq!(tick(60, None), (false, Heard::Unasked));
        assert_eq!(tick(70, Some(true)), (true, Heard::Good));
    }

    #[test]
    fn the_longest_distance_is_a_multiple_of_the_interval_and_shorter_than_values_live() {
        for interval_ms in cairn_proto::limits::INTERVALS_S.map(|s| s * 1_000) {
            for (source, group) in [
                (Source::Summary, Group::Memory),
                (Source::Procfs, Group::Host),
                (Source::Cadvisor, Group::Detail),
            ] {
                let longest_ms = longest_ms(source, interval_ms);
                assert!(longest_ms >= interval_ms && longest_ms.is_multiple_of(interval_ms));
                assert!(longest_ms + KUBELET_AGE_MS <= group.max_age_ms());
            }
        }
        assert_eq!(longest_ms(Source::Cadvisor, 1_000), 2 * MINUTE_MS);
        assert_eq!(longest_ms(Source::Resource, 10_000), MINUTE_MS);
    }
}

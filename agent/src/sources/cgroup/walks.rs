//! Readings for which the kernel walks all that is below a cgroup.
//!
//! v1 adds up block I/O when it is asked for, over every cgroup below, however many a container made there; and
//! its pod's again. A tenth of a millisecond is far more than a cgroup takes that made none. Of those that took
//! longer, one is read at a tick, the one that waits for longest first, and whoever has waited for a minute: values
//! that are read seldom are withdrawn after three. Pure.

use std::time::Duration;

/// CPU time of one cgroup's block I/O from which on it is read by itself.
const DEAR: Duration = Duration::from_micros(100);

/// Who has waited for so long is read, whoever else is, ms: a third of what a value that is read seldom is held.
const LONGEST_WAIT_MS: u64 = 60_000;

/// What there is of such readings at a tick.
#[derive(Debug, Default)]
pub(super) struct Walks {
    tick: u64,
    // One was made.
    is_made: bool,
    // Since when they wait that were put off at the tick before: the longest.
    longest: Option<u64>,
    // Those that were put off at this one: since when the longest waits, and how many they are.
    put_off: Option<u64>,
    count: u64,
}

/// What is known of one cgroup's.
#[derive(Debug, Default)]
pub(super) struct Walk {
    is_dear: bool,
    // The tick from which on it waits.
    since: Option<u64>,
}

impl Walks {
    /// Begins a tick, Unix ms.
    pub(super) fn begin(&mut self, tick: u64) {
        *self = Self {
            tick,
            longest: self.put_off,
            ..Self::default()
        };
    }

    /// How many were put off at this tick.
    pub(super) fn put_off_count(&self) -> u64 {
        self.count
    }

    fn admits(&mut self, since: u64) -> bool {
        let is_first = self.longest.is_none_or(|longest| since <= longest);
        let is_overdue = self.tick.saturating_sub(since) >= LONGEST_WAIT_MS;
        if is_overdue || is_first && !self.is_made {
            return true;
        }
        self.put_off = Some(self.put_off.map_or(since, |other| other.min(since)));
        self.count += 1;
        false
    }
}

impl Walk {
    /// Whether the last one took long.
    pub(super) fn is_dear(&self) -> bool {
        self.is_dear
    }

    /// Says that it is to be made, from this tick on.
    pub(super) fn want(&mut self, tick: u64) {
        self.since.get_or_insert(tick);
    }

    /// Whether it is made now. `is_below_dear` says that the pod's took long, of which a container's is a part.
    pub(super) fn is_due(&mut self, walks: &mut Walks, is_below_dear: bool) -> bool {
        let Some(since) = self.since else {
            return false;
        };
        let is_due = !(self.is_dear || is_below_dear) || walks.admits(since);
        if is_due {
            self.since = None;
        }
        is_due
    }

    /// Takes what it cost.
    pub(super) fn cost(&mut self, walks: &mut Walks, cpu: Duration) {
        self.is_dear = cpu >= DEAR;
        walks.is_made |= self.is_dear;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Duration = Duration::from_micros(20);
    const LONG: Duration = Duration::from_micros(600);

    /// Which of some are read at each of so many ticks, of which all of them are wanted at the first, and at
    /// every third.
    fn read_at(all: &mut [(Walk, Duration)], ticks: u64) -> Vec<Vec<usize>> {
        let mut walks = Walks::default();
        let at = |tick: u64| {
            walks.begin(tick);
            let mut read = Vec::new();
            for (at, (walk, cpu)) in all.iter_mut().enumerate() {
                if tick.is_multiple_of(3) {
                    walk.want(tick);
                }
                if walk.is_due(&mut walks, false) {
                    walk.cost(&mut walks, *cpu);
                    read.push(at);
                }
            }
            read
        };
        (0..ticks).map(at).collect()
    }

    fn all(cpu: &[Duration]) -> Vec<(Walk, Duration)> {
        cpu.iter().map(|cpu| (Walk::default(), *cpu)).collect()
    }

    #[test]
    fn what_takes_little_is_read_when_it_is_wanted() {
        let read = read_at(&mut all(&[CHEAP; 5]), 4);
        assert_eq!(
            read,
            [vec![0, 1, 2, 3, 4], vec![], vec![], vec![0, 1, 2, 3, 4]]
        );
    }

    #[test]
    fn of_what_takes_long_one_is_read_at_a_tick() {
        // Until it was read nobody knows.
        let read = read_at(&mut all(&[LONG, CHEAP, LONG]), 6);
        let expected = [vec![0, 1, 2], vec![], vec![], vec![0, 1], vec![2], vec![]];
        assert_eq!(read, expected);
    }

    #[test]
    fn of_more_than_there_are_ticks_each_has_its_turn() {
        let read = read_at(&mut all(&[LONG; 7]), 60);
        let mut counts = [0; 7];
        for read in read.iter().skip(1) {
            assert!(read.len() <= 1, "{read:?}");
            read.iter().for_each(|at| counts[*at] += 1);
        }
        assert!(
            counts.iter().all(|count| (5..=11).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn one_that_waited_and_is_gone_keeps_nobody_for_longer_than_a_tick() {
        let mut walks = Walks::default();
        let [mut first, mut gone, mut last] = [(); 3].map(|()| Walk {
            is_dear: true,
            since: Some(1),
        });
        last.since = Some(2);
        assert!(first.is_due(&mut walks, false));
        first.cost(&mut walks, LONG);
        assert!(!gone.is_due(&mut walks, false) && !last.is_due(&mut walks, false));
        assert_eq!(walks.put_off_count(), 2);
        walks.begin(3);
        assert!(!last.is_due(&mut walks, false));
        walks.begin(4);
        assert!(last.is_due(&mut walks, false));
    }

    #[test]
    fn nobody_waits_until_what_was_read_last_is_withdrawn() {
        let dear = || Walk {
            is_dear: true,
            since: None,
        };
        let mut all: Vec<Walk> = (0..7).map(|_| dear()).collect();
        let mut walks = Walks::default();
        let mut last = [0; 7];
        for tick in (0..20).map(|n| n * 30_000) {
            walks.begin(tick);
            for ((walk, last), at) in all.iter_mut().zip(&mut last).zip(0_u64..) {
                walk.want(tick);
                if walk.is_due(&mut walks, false) {
                    walk.cost(&mut walks, LONG);
                    assert!(tick - *last <= 30_000 + LONGEST_WAIT_MS, "{at} at {tick}");
                    *last = tick;
                }
            }
        }
        assert!(last.iter().all(|last| *last >= 480_000), "{last:?}");
    }

    #[test]
    fn a_container_is_not_read_beside_a_pod_that_takes_long() {
        let mut walks = Walks::default();
        let [mut pod, mut container] = [Walk::default(), Walk::default()];
        pod.want(1);
        container.want(1);
        assert!(pod.is_due(&mut walks, false));
        pod.cost(&mut walks, LONG);
        assert!(pod.is_dear() && !container.is_due(&mut walks, pod.is_dear()));
        walks.begin(2);
        assert!(container.is_due(&mut walks, pod.is_dear()));
    }
}

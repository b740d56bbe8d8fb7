//! Which source is asked at which tick.
//!
//! Pure. An answer of the kubelet costs the node a hundred times what reading cgroups does. While
//! cgroups say what pods use, the summary is asked for what they do not know, the resource endpoint
//! for nothing, and cAdvisor for who is who. How often one may be asked at all is its pace.

/// Two summaries that are asked for out of turn are so far apart at least, ms.
const HURRY_EVERY_MS: u64 = 2_000;

/// What the cgroups of a tick say about whom to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Cgroups say what pods use.
    pub serves: bool,
    /// A pod is there that nobody named.
    pub unnamed_pod: bool,
    /// A container has just come.
    pub newcomer: bool,
    /// A container is there that nobody named, and not only just.
    pub unnamed_container: bool,
}

#[cfg(test)]
impl Seen {
    /// Cgroups that all have names.
    pub(super) const BESIDE: Self = Self {
        serves: true,
        unnamed_pod: false,
        newcomer: false,
        unnamed_container: false,
    };
}

/// Whom there is something to ask.
#[derive(Clone, Copy, Debug)]
pub struct Cadence {
    // Between two summaries; `None` is 30 s beside cgroups, and a tick without.
    summary_every_ms: Option<u64>,
    // There is no kubelet: cAdvisor alone says what is there.
    cadvisor_is_alone: bool,
}

/// The default beside cgroups, ms: what the summary alone knows lives three minutes and longer, and its
/// CPU and memory, where a pod has no cgroup, 90 s.
const SUMMARY_EVERY_MS: u64 = 30_000;

impl Cadence {
    /// Of summaries that are so far apart, ms.
    #[must_use]
    pub fn new(summary_every_ms: Option<u64>) -> Self {
        Self {
            summary_every_ms,
            cadvisor_is_alone: false,
        }
    }

    /// Says whether cAdvisor alone says what is there.
    #[must_use]
    pub fn with_cadvisor_alone(mut self, is_alone: bool) -> Self {
        self.cadvisor_is_alone = is_alone;
        self
    }

    /// Whether the summary is asked at a tick, whose last question went out at `asked` and whose last word
    /// stands or does not. One that failed is asked again at the next.
    #[must_use]
    pub fn summary(self, tick: u64, seen: Seen, asked: Option<u64>, stands: bool) -> bool {
        let every_ms = match self.summary_every_ms {
            Some(every_ms) => every_ms,
            None if seen.serves => SUMMARY_EVERY_MS,
            None => 0,
        };
        asked.is_none_or(|asked| {
            let since_ms = tick.saturating_sub(asked);
            let hurries = seen.unnamed_pod || seen.newcomer || !stands;
            since_ms >= every_ms || (hurries && since_ms >= HURRY_EVERY_MS)
        })
    }

    /// Whether the resource endpoint is asked.
    #[must_use]
    pub fn resource(seen: Seen) -> bool {
        !seen.serves
    }

    /// Whether cAdvisor is asked.
    #[must_use]
    pub fn cadvisor(&self, seen: Seen) -> bool {
        self.cadvisor_is_alone || !seen.serves || seen.unnamed_container
    }
}

#[cfg(test)]
mod tests {
    use cairn_proto::catalogue::Source;

    use super::super::pace::Paces;
    use super::*;

    const BESIDE: Seen = Seen::BESIDE;

    /// Ticks of a minute at which the summary is asked, in seconds.
    fn summaries(cadence: Cadence, good: bool, seen: impl Fn(u64) -> Seen) -> Vec<u64> {
        let (mut asked, mut stands) = (None, false);
        let ticks = (0..=60).filter(|second| {
            let tick = 1_000_000 + second * 1_000;
            let due = cadence.summary(tick, seen(*second), asked, stands);
            asked = if due { Some(tick) } else { asked };
            stands |= due && good;
            due
        });
        ticks.collect()
    }

    #[test]
    fn the_summary_is_asked_every_half_minute_beside_cgroups_and_always_without() {
        let new = || Cadence::new(None);
        assert_eq!(summaries(new(), true, |_| BESIDE), [0, 30, 60]);
        assert_eq!(summaries(new(), true, |_| Seen::default()).len(), 61);
        let every = Cadence::new(Some(20_000));
        assert_eq!(summaries(every, true, |_| BESIDE), [0, 20, 40, 60]);
    }

    #[test]
    fn a_new_pod_is_asked_for_at_once_and_not_more_often_than_every_other_second() {
        let appears = |second| Seen {
            unnamed_pod: second == 7,
            ..BESIDE
        };
        assert_eq!(summaries(Cadence::new(None), true, appears), [0, 7, 37]);
        let restarts = |second| Seen {
            newcomer: (10..=15).contains(&second),
            ..BESIDE
        };
        let asked = summaries(Cadence::new(None), true, restarts);
        assert_eq!(asked, [0, 10, 12, 14, 44]);
        let stays = |_| Seen {
            unnamed_pod: true,
            ..BESIDE
        };
        let asked = summaries(Cadence::new(None), true, stays);
        assert!(
            asked.iter().map(|second| second / 2).eq(0..=30),
            "{asked:?}"
        );
    }

    #[test]
    fn a_kubelet_that_fails_is_asked_again_soon() {
        assert_eq!(summaries(Cadence::new(None), false, |_| BESIDE).len(), 31);
    }

    #[test]
    fn cadvisor_is_asked_once_a_minute_and_beside_cgroups_only_for_a_name() {
        let asked = |seen: fn(u64) -> Seen| {
            let mut paces = Paces::new(&[Source::Summary, Source::Cadvisor], 1_000);
            let cadence = Cadence::new(None);
            let ticks = (0..=200_u64).filter(move |s| {
                let due = cadence.cadvisor(seen(*s)) && paces.is_due(Source::Cadvisor, s * 1_000);
                if due {
                    paces.of_mut(Source::Cadvisor).unwrap().sent();
                }
                due
            });
            ticks.collect::<Vec<u64>>()
        };
        assert_eq!(asked(|_| Seen::default()), [0, 60, 120, 180]);
        assert!(asked(|_| BESIDE).is_empty());
        let nameless = |second| Seen {
            unnamed_container: (20..30).contains(&second) || second >= 100,
            ..BESIDE
        };
        assert_eq!(asked(nameless), [20, 100, 160]);
    }
    #[test]
    fn one_that_is_alone_is_asked_every_ten_seconds_whatever_cgroups_say() {
        for (interval_ms, expected) in [(1_000, [0, 10, 20, 30]), (10_000, [0, 10, 20, 30])] {
            let mut paces = Paces::new(&[Source::Cadvisor, Source::Procfs], interval_ms);
            let cadence = Cadence::new(None).with_cadvisor_alone(true);
            let ticks = (0..=35_u64).filter(|s| s * 1_000 % interval_ms == 0);
            let asked = ticks.filter(|s| {
                let due = cadence.cadvisor(BESIDE) && paces.is_due(Source::Cadvisor, s * 1_000);
                if due {
                    paces.of_mut(Source::Cadvisor).unwrap().sent();
                }
                due
            });
            assert_eq!(asked.collect::<Vec<u64>>(), expected);
        }
    }
}

//! What is wrong, thing by thing: it stands in `/readyz?verbose` until it is over, and is said in the log, the same
//! not again for a while, whatever times and numbers stand in its words. While nothing is served yet, the
//! process is not ready, and says what it waits for.

use std::collections::BTreeMap;
use std::time::Duration;

use cairn_runtime::clock::Line;
use cairn_runtime::readiness::{Blocker, Note, Readiness};

/// How long the same is not said again: often enough to be found in the log of a process that has run for
/// weeks, and no more than 150 lines a day.
const AGAIN: Duration = Duration::from_secs(600);

/// Of a wrong clock, which somebody has to set by hand.
const CLOCK_AGAIN: Duration = Duration::from_secs(3600);

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// Who writes.
    Lease,
    /// The certificates themselves: what is read and served.
    Secret,
    /// What is made anew and written. Apart from what is served: that may be well while nothing can be written.
    Renewal,
    /// Where agents find the CAs.
    ConfigMap,
    /// Where the API server finds them.
    ApiService,
    /// By what all of it is judged.
    Clock,
}

impl About {
    /// Those that are objects of the Kubernetes API.
    pub(super) const OBJECTS: [Self; 4] =
        [Self::Lease, Self::Secret, Self::ConfigMap, Self::ApiService];

    /// What it is called in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Secret | Self::Renewal => "secret",
            Self::ConfigMap => "config-map",
            Self::ApiService => "api-service",
            Self::Clock => "clock",
        }
    }

    /// The name of its note.
    fn note(self) -> &'static str {
        match self {
            Self::Lease => "certificate lease",
            Self::Secret => "certificate",
            Self::Renewal => "certificate renewal",
            Self::ConfigMap => "certificate config map",
            Self::ApiService => "certificate api service",
            Self::Clock => "certificate clock",
        }
    }

    /// True of what may keep a first certificate from being served.
    fn holds_back(self) -> bool {
        matches!(self, Self::Secret | Self::Renewal | Self::Clock)
    }

    fn again(self) -> Duration {
        if self == Self::Clock {
            CLOCK_AGAIN
        } else {
            AGAIN
        }
    }
}

/// A kind of trouble: a word of a closed set, which stays the same while the words of its text may not.
pub(super) type Kind = &'static str;

/// Says it.
#[derive(Debug)]
pub(super) struct Told {
    readiness: Readiness,
    // None once something is served.
    blocker: Option<Blocker>,
    wrong: BTreeMap<About, Wrong>,
    // When each was said last, ms of the line. Kinds are few.
    said: BTreeMap<(About, Kind), u64>,
    // Goes straight on when somebody sets the clock.
    line: Line,
    // Lines of the log so far.
    #[cfg(test)]
    pub(super) lines: usize,
}

/// Something that is wrong now.
#[derive(Debug)]
struct Wrong {
    text: String,
    // It was said since it began.
    is_said: bool,
}

impl Told {
    pub(super) fn new(readiness: &Readiness, line: Line, waits_for: &str) -> Self {
        Self {
            blocker: Some(readiness.block("certificate", waits_for)),
            readiness: readiness.clone(),
            wrong: BTreeMap::new(),
            said: BTreeMap::new(),
            line,
            #[cfg(test)]
            lines: 0,
        }
    }

    /// Something is wrong. True when it was said in the log.
    pub(super) fn wrong(&mut self, about: About, kind: Kind, text: String) -> bool {
        if about.holds_back()
            && let Some(blocker) = &self.blocker
        {
            blocker.set_reason(text.as_str());
        }
        let says = self.is_due(about, kind);
        if says {
            tracing::warn!("{text}");
            #[cfg(test)]
            {
                self.lines += 1;
            }
        }
        let before = self.wrong.get(&about);
        let is_said = says || before.is_some_and(|before| before.is_said);
        if before.is_none_or(|before| before.text != text) {
            let note = Note::Degraded(text.clone());
            self.readiness.note(about.note(), note);
        }
        self.wrong.insert(about, Wrong { text, is_said });
        says
    }

    /// Whether this kind is to be said now; if so, it counts as said.
    pub(super) fn is_due(&mut self, about: About, kind: Kind) -> bool {
        let now_ms = self.line.unix_ms();
        let again_ms = about.again().as_millis();
        let last = self.said.get(&(about, kind));
        let is_due = last.is_none_or(|at| u128::from(now_ms.saturating_sub(*at)) >= again_ms);
        if is_due {
            self.said.insert((about, kind), now_ms);
        }
        is_due
    }

    /// Nothing is wrong with it, or no more. True when that was said in the log: of what was not said to be wrong
    /// it is no news.
    pub(super) fn well(&mut self, about: About) -> bool {
        let Some(wrong) = self.wrong.remove(&about) else {
            return false;
        };
        self.readiness.clear(about.note());
        if wrong.is_said {
            tracing::info!(about = about.note(), "it is in order again");
            #[cfg(test)]
            {
                self.lines += 1;
            }
        }
        wrong.is_said
    }

    /// It is another replica's business now.
    pub(super) fn forget(&mut self, about: About) {
        if self.wrong.remove(&about).is_some() {
            self.readiness.clear(about.note());
        }
    }

    /// Not yet: says what is waited for, as long as nothing is served.
    pub(super) fn waits(&self, text: &str) {
        if let Some(blocker) = &self.blocker {
            blocker.set_reason(text);
        }
    }

    /// A certificate is served.
    pub(super) fn served(&mut self) {
        self.blocker = None;
    }
}

#[cfg(test)]
mod tests {
    use cairn_runtime::clock::Clock;

    use super::*;

    async fn pass(clock: &Clock, seconds: u64) {
        let to = clock.unix_ms() + seconds * 1000;
        clock.step(to, Duration::from_secs(10)).await.unwrap();
    }

    fn told(clock: &Clock) -> (Told, Readiness) {
        let readiness = Readiness::new();
        (Told::new(&readiness, clock.line(), "waits"), readiness)
    }

    #[tokio::test]
    async fn the_same_is_said_once_in_ten_minutes_whatever_its_words() {
        let clock = Clock::driven(1_800_000_000_000);
        let (mut told, readiness) = told(&clock);
        let mut said = 0;
        // Each look finds it wrong, in other words, and says for a moment that it is well.
        for look in 0..180 {
            said += u32::from(told.wrong(About::Secret, "timeout", format!("at {look}")));
            let notes = format!("{:?}", readiness.degraded());
            assert!(notes.contains(&format!("at {look}\"")), "{notes}");
            told.well(About::Secret);
            pass(&clock, 10).await;
        }
        // In half an hour.
        assert_eq!(said, 3);
        // Another kind, and another thing, are news.
        assert!(told.wrong(About::Secret, "auth", "403".to_owned()));
        assert!(told.wrong(About::Lease, "timeout", "late".to_owned()));
        assert!(!told.wrong(About::Secret, "auth", "403 again".to_owned()));
        assert!(told.well(About::Secret) && !told.well(About::Secret));
        assert!(!told.wrong(About::Secret, "auth", "403".to_owned()));
        // It was not said that it is wrong again.
        assert!(!told.well(About::Secret));
        assert!(told.wrong(About::Clock, "clock", "off".to_owned()));
        pass(&clock, 3_590).await;
        assert!(!told.wrong(About::Clock, "clock", "off".to_owned()));
        pass(&clock, 10).await;
        assert!(told.wrong(About::Clock, "clock", "off".to_owned()));
    }

    #[tokio::test]
    async fn what_is_forgotten_is_not_said_sooner_and_stands_nowhere() {
        let clock = Clock::driven(1_800_000_000_000);
        let (mut told, readiness) = told(&clock);
        assert!(told.wrong(About::ConfigMap, "taken", "argo".to_owned()));
        told.forget(About::ConfigMap);
        assert_eq!(readiness.degraded(), []);
        assert!(!told.wrong(About::ConfigMap, "taken", "argo".to_owned()));
        // Whoever sets the clock does not make it news.
        let jump = clock.unix_ms() + 86_400_000;
        clock.jump(jump, Duration::from_secs(10)).await.unwrap();
        assert!(!told.wrong(About::ConfigMap, "taken", "argo".to_owned()));
    }
}

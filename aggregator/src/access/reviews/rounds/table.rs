//! What is known of the namespaces of one reader, and what is asked about next.
//!
//! A right counts for [`COUNTS_FOR`], whoever asks: a stream that rests on it is over before a reader may be told
//! nothing more. It is asked about again before that, in this order: rights that are [`DUE`]; what nobody knows; rights
//! that are not fresh; refusals. Where a reader has few rights, each that is not fresh is due, for then all of them
//! can be asked about while somebody waits. One question in [`OTHERS`] is not about a right, so that rights alone do
//! not take all turns of their reader. A refusal counts for a minute and longer where there are more of them: nothing is
//! shown for it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::super::super::Decision;
use super::super::budget::Class;
use super::{Unsettled, Within};

/// How old an answer may be that is not asked for again.
pub(super) const FRESH: Duration = super::super::super::answers::KEPT;

/// How long a right counts that could not be asked for again: a stream is judged again 59 seconds after its oldest
/// right was settled, at the latest, and may then try for ten.
pub(super) const COUNTS_FOR: Duration = Duration::from_secs(45);

/// How old a right is that is asked for before anything else. With 20 s until it does not count any more, all that may
/// be kept are asked for in time; much less, and 600 rights would leave no question for what is new.
const DUE: Duration = Duration::from_secs(25);

/// How long a refusal counts that could not be asked for again.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(60);

/// And so much longer for each namespace: of 20 questions a second at least four are about what is not allowed.
pub(super) const REFUSED_FOR_EACH: Duration = Duration::from_millis(200);

/// So many are asked for and are answered while a request waits, so who asks about no more waits for all of them.
const IN_TIME: usize = 160;

/// Rights beyond which they are to be asked for again before a stream is judged: those that can be while it is.
const BY_JUDGING: usize = 80;

/// One question in so many is not about a right.
const OTHERS: u64 = 5;

/// Namespaces of one reader: at 20 a second a round of them takes three minutes.
const MOST_NAMES: usize = 4_096;

/// Rights of one reader that are kept: those that are asked for in 38 s by four of their 20 questions in five a second.
pub const MOST_RIGHTS_OF_ONE: usize = 600;

/// Rights of all readers that are kept, beside those that each may have in any case. With these they are asked for in
/// 32 s, by four of 100 questions in five a second.
const MOST_RIGHTS: usize = 1_500;

/// Rights that each reader may have whatever others have.
const IN_ANY_CASE: usize = 8;

/// A table that nobody asked for this long keeps nothing: a stream asks at least every 45 s.
const IN_USE: Duration = Duration::from_secs(60);

/// How long who was refused for too many rights is told so without anybody being asked.
const REFUSED_AGAIN: Duration = Duration::from_secs(30);

/// How urgent a question is among those of its reader; the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Pressing,
    Unknown,
    Stale,
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    is_allowed: bool,
    at: Instant,
}

impl Answer {
    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.at)
    }
}

/// How many rights others keep.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Others {
    /// Other tables of the same reader, as with another token.
    pub(super) of_one: usize,
    /// All others, beyond what each may have in any case.
    pub(super) of_all: usize,
}

/// The table of one reader.
#[derive(Debug)]
pub(super) struct Table {
    answers: HashMap<Arc<str>, Answer>,
    // Most urgent first.
    waiting: VecDeque<(Urgency, Arc<str>)>,
    under_way: HashMap<Arc<str>, Urgency>,
    // A task asks.
    is_asked: bool,
    // There were more rights, when it was planned, than can be asked for while a request waits.
    has_many: bool,
    // Questions since the task began.
    taken: u64,
    // Rounds that nobody could answer, and why the last one of them was.
    failures: u64,
    failure: Option<Unsettled>,
    // Rights that are kept.
    kept: usize,
    refused: Option<(Instant, Unsettled)>,
    pub(super) used: Instant,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            answers: HashMap::new(),
            waiting: VecDeque::new(),
            under_way: HashMap::new(),
            is_asked: false,
            has_many: false,
            taken: 0,
            failures: 0,
            failure: None,
            kept: 0,
            refused: None,
            used: Instant::now(),
        }
    }

    /// Puts into the line what is to be asked of these names. True when somebody has to begin to ask.
    pub(super) fn plan(&mut self, names: &[Arc<str>], now: Instant) -> bool {
        self.used = now;
        self.has_many = self.rights() > IN_TIME;
        let refused_for = refused_for(names.len());
        let names = names.get(..MOST_NAMES).unwrap_or(names);
        let mut answers = HashMap::with_capacity(names.len());
        let mut waiting = Vec::new();
        for name in names {
            let answer = self.answers.get(name).copied();
            if let Some(answer) = answer {
                answers.insert(Arc::clone(name), answer);
            }
            if self.under_way.contains_key(name) {
                continue;
            }
            let urgency = match answer {
                Some(answer) if answer.age(now) < FRESH => continue,
                Some(answer) if answer.is_allowed => self.urgency(answer.age(now)),
                Some(answer) if answer.age(now) < refused_for => Urgency::Refused,
                _ => Urgency::Unknown,
            };
            waiting.push((urgency, answer.map(|answer| answer.at), Arc::clone(name)));
        }
        // What was asked longest ago first.
        waiting.sort_by(|(a, at, _), (b, bt, _)| (a, at).cmp(&(b, bt)));
        let waiting = waiting.into_iter();
        self.waiting = waiting.map(|(urgency, _, name)| (urgency, name)).collect();
        // Names that are gone are forgotten.
        self.answers = answers;
        let begins = !self.is_asked && !self.waiting.is_empty();
        self.is_asked |= begins;
        begins
    }

    /// Of a right of this age that is not fresh.
    fn urgency(&self, age: Duration) -> Urgency {
        let due = if self.has_many { DUE } else { FRESH };
        if age >= COUNTS_FOR {
            Urgency::Unknown
        } else if age >= due {
            Urgency::Pressing
        } else {
            Urgency::Stale
        }
    }

    /// How urgent the next question is among those of all readers.
    pub(super) fn wants(&self, now: Instant) -> Option<Class> {
        let (urgency, name) = self.waiting.get(self.next_index())?;
        let right = self.answers.get(name).filter(|answer| answer.is_allowed);
        Some(match (right, urgency) {
            // Of rights that are too many none is kept.
            (Some(right), _) if self.refused.is_none() && right.age(now) >= DUE => {
                Class::Due(right.at)
            }
            (_, Urgency::Pressing | Urgency::Unknown) if self.refused.is_none() => Class::New,
            _ => Class::Spare,
        })
    }

    pub(super) fn next(&mut self) -> Option<Arc<str>> {
        let (urgency, name) = self.waiting.remove(self.next_index())?;
        self.taken += 1;
        self.under_way.insert(Arc::clone(&name), urgency);
        Some(name)
    }

    fn next_index(&self) -> usize {
        let is_for_others = self.taken % OTHERS == OTHERS - 1;
        let mut waiting = self.waiting.iter();
        let is_other = |(of, _): &(Urgency, _)| matches!(of, Urgency::Unknown | Urgency::Refused);
        let other = is_for_others.then(|| waiting.position(is_other));
        other.flatten().unwrap_or(0)
    }

    /// Takes an answer. False when there is none, and nothing more is asked.
    pub(super) fn answered(&mut self, name: &Arc<str>, decision: Decision, now: Instant) -> bool {
        let urgency = self.under_way.remove(name).unwrap_or(Urgency::Unknown);
        match decision {
            Decision::Allowed | Decision::Denied(_) => {
                let is_allowed = decision == Decision::Allowed;
                let answer = Answer {
                    is_allowed,
                    at: now,
                };
                self.answers.insert(Arc::clone(name), answer);
            }
            // Other questions of this reader, or of others, are before it.
            Decision::Busy => self.waiting.push_front((urgency, Arc::clone(name))),
            Decision::Unanswered(why) => {
                self.fail(Unsettled::Unanswered(why));
                return false;
            }
        }
        true
    }

    /// Nobody can say.
    fn fail(&mut self, why: Unsettled) {
        self.failures += 1;
        self.failure = Some(why);
        self.waiting.clear();
    }

    /// Nobody asks any more, though there was something to be asked.
    pub(super) fn give_up(&mut self) {
        self.fail(Unsettled::Busy);
        self.under_way.clear();
        self.is_asked = false;
        self.taken = 0;
    }

    /// Ends the asking, unless there is something to be asked again.
    pub(super) fn is_over(&mut self) -> bool {
        let is_over = self.waiting.is_empty() && self.under_way.is_empty();
        self.is_asked = !is_over;
        if is_over {
            self.taken = 0;
        }
        is_over
    }

    /// Rounds that nobody could answer.
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    /// Why nobody could answer a round after that many.
    pub(super) fn failed_since(&self, failures: u64) -> Option<&Unsettled> {
        self.failure.as_ref().filter(|_| self.failures != failures)
    }

    /// True when nothing is asked of these many names that is worth waiting for.
    pub(super) fn is_settled(&self, names: usize) -> bool {
        let is_waited_for = |urgency: &Urgency| match urgency {
            Urgency::Unknown => true,
            // Of more it would be in vain, and they count until they are asked for.
            Urgency::Pressing => !self.has_many,
            // Of more it would be in vain to wait for what was refused a moment ago.
            Urgency::Stale | Urgency::Refused => !self.has_many && names <= IN_TIME,
        };
        let mut waiting = self.waiting.iter().map(|(urgency, _)| urgency);
        let mut under_way = self.under_way.values();
        !waiting.any(is_waited_for) && !under_way.any(is_waited_for)
    }

    /// What is settled of these names.
    pub(super) fn within(&self, names: &[Arc<str>], now: Instant) -> Within {
        let refused_for = refused_for(names.len());
        let beyond = names.len().saturating_sub(MOST_NAMES);
        let mut within = Within {
            pending: beyond,
            beyond,
            ..Within::default()
        };
        for name in names.iter().take(MOST_NAMES) {
            let answer = self.answers.get(name);
            match answer.map(|answer| (answer.is_allowed, answer.age(now))) {
                Some((true, age)) if age < COUNTS_FOR => {
                    within.kept.oldest = within.kept.oldest.max(age);
                    within.allowed.push(Arc::clone(name));
                }
                Some((false, age)) if age < refused_for => {}
                _ => within.pending += 1,
            }
        }
        within.kept.is_many = within.allowed.len() > BY_JUDGING;
        within
    }

    /// Rights that the reader had when they were asked for last, however long ago: one who had too many has too many
    /// until it is known better.
    fn rights(&self) -> usize {
        let rights = self.answers.values().filter(|answer| answer.is_allowed);
        rights.count()
    }

    /// Rights that are kept while somebody asks.
    pub(super) fn kept(&self, now: Instant) -> usize {
        let is_used = now.saturating_duration_since(self.used) < IN_USE;
        if is_used { self.kept } else { 0 }
    }

    /// Whether the rights can be kept beside those of others.
    ///
    /// # Errors
    ///
    /// [`Unsettled::TooMany`], [`Unsettled::Crowded`].
    pub(super) fn keep(&mut self, others: Others, now: Instant) -> Result<(), Unsettled> {
        let rights = self.rights();
        let refused = if rights + others.of_one > MOST_RIGHTS_OF_ONE {
            Unsettled::TooMany
        } else if beyond(rights) > 0 && beyond(rights) + others.of_all > MOST_RIGHTS {
            Unsettled::Crowded
        } else {
            (self.kept, self.refused) = (rights, None);
            return Ok(());
        };
        (self.kept, self.refused) = (0, Some((now, refused.clone())));
        Err(refused)
    }

    /// Why this reader was refused a moment ago.
    pub(super) fn refusal(&self, now: Instant) -> Option<Unsettled> {
        let (at, why) = self.refused.as_ref()?;
        let is_soon = now.saturating_duration_since(*at) < REFUSED_AGAIN;
        is_soon.then(|| why.clone())
    }

    /// True of one that streams rest on and that is dear to ask for again.
    pub(super) fn is_held(&self, now: Instant) -> bool {
        self.kept(now) > BY_JUDGING
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }
}

/// Of so many rights those that not every reader may have in any case.
pub(super) fn beyond(rights: usize) -> usize {
    rights.saturating_sub(IN_ANY_CASE)
}

fn refused_for(names: usize) -> Duration {
    let names = u32::try_from(names).unwrap_or(u32::MAX);
    REFUSED_FOR.saturating_add(REFUSED_FOR_EACH.saturating_mul(names))
}

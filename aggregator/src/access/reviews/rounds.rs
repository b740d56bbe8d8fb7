//! What one reader may do in many namespaces: asked of one after the other, in rounds.
//!
//! Who may not list in all namespaces is asked about in each, 20 a second. In a cluster of 400 that takes as long as
//! two answers are kept. So what was answered stands in a table of the reader's, a task asks for what is missing and
//! for what is old, and whoever asks is told of what is settled when they have waited for as long as they can.
//!
//! Asked first is where the reader was allowed to, since a right may have been taken away; then where nobody has asked
//! yet; then where they were not. A right that is old counts for [`FRESH`] and the time in which as many can be
//! asked for again, a refusal that is old for a minute: nothing is shown for that.
//!
//! Bounds: [`MOST_ROUNDS`] readers, of whom the one who asked longest ago goes for another; [`MOST_NAMES`] namespaces
//! of each, in some 60 bytes; [`AT_ONCE`] questions of a reader under way.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::super::Decision;
use crate::cluster::access::Access;

/// How old an answer may be that is not asked for again.
const FRESH: Duration = super::super::answers::KEPT;

/// How long a refusal counts that could not be asked for again.
const REFUSED_FOR: Duration = Duration::from_secs(60);

/// How long a right counts at most that could not be asked for again.
const ALLOWED_FOR: Duration = Duration::from_secs(60);

/// How long one request waits: with ten seconds of age and 45 between two judgements an open stream of a reader who may
/// read nothing more ends within 70.
const WAIT: Duration = Duration::from_secs(9);

/// So many are asked for in that time and are answered, so who asks about no more waits for all of them.
const IN_TIME: usize = 160;

/// Questions of one reader under way: half of what one may have, so that others of theirs find room.
pub(super) const AT_ONCE: usize = 8;

/// Namespaces of one reader: at 20 a second a round of them takes three minutes.
const MOST_NAMES: usize = 4_096;

/// Readers whose namespaces are asked about one by one.
const MOST_ROUNDS: usize = 128;

/// What one reader may do in many namespaces, as far as it is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// Where they may, in the order in which it was asked for.
    pub allowed: Vec<Arc<str>>,
    /// Namespaces of which it is not known yet.
    pub pending: usize,
}

/// Tables by readers and what they ask for; the namespace of each question is empty.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    all: Mutex<HashMap<Access, Arc<Round>>>,
}

/// How urgent a question is; the lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Allowed,
    Unknown,
    Refused,
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    is_allowed: bool,
    at: Instant,
}

/// What is to be done after a plan was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Somebody has to begin to ask.
    pub(super) begins: bool,
    failures: u64,
}

/// The table of one reader.
#[derive(Debug)]
pub(super) struct Round {
    table: Mutex<Table>,
    settled: Notify,
}

#[derive(Debug)]
struct Table {
    answers: HashMap<Arc<str>, Answer>,
    // Most urgent first.
    waiting: VecDeque<(Urgency, Arc<str>)>,
    under_way: HashMap<Arc<str>, Urgency>,
    // A task asks.
    is_asked: bool,
    // Rounds that nobody could answer, and why the last one of them was.
    failures: u64,
    failure: Option<Decision>,
    used: Instant,
}

impl Rounds {
    /// The table for these questions; `None` when there are too many that somebody waits for.
    pub(super) fn of(&self, access: &Access) -> Option<Arc<Round>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(round) = all.get(access) {
            return Some(Arc::clone(round));
        }
        if all.len() >= MOST_ROUNDS {
            let idle = all.iter().filter(|(_, one)| Arc::strong_count(one) == 1);
            let oldest = idle.min_by_key(|(_, one)| one.lock().used);
            let oldest = oldest.map(|(of, _)| of.clone())?;
            all.remove(&oldest);
        }
        let round = Arc::new(Round::new());
        all.insert(access.clone(), Arc::clone(&round));
        Some(round)
    }
}

impl Round {
    fn new() -> Self {
        Self {
            table: Mutex::new(Table {
                answers: HashMap::new(),
                waiting: VecDeque::new(),
                under_way: HashMap::new(),
                is_asked: false,
                failures: 0,
                failure: None,
                used: Instant::now(),
            }),
            settled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // What is changed under it is whole at every step.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts into the line what is to be asked of these names.
    pub(super) fn plan(&self, names: &[Arc<str>]) -> Planned {
        let mut table = self.lock();
        table.plan(names, Instant::now());
        let begins = !table.is_asked && !table.waiting.is_empty();
        table.is_asked |= begins;
        Planned {
            begins,
            failures: table.failures,
        }
    }

    /// Nobody asks: it could not be begun.
    pub(super) fn give_up(&self) {
        let mut table = self.lock();
        table.is_asked = false;
        table.waiting.clear();
    }

    /// What is settled of these names, when all that is waited for is, or after [`WAIT`].
    ///
    /// # Errors
    ///
    /// Why nobody could say.
    pub(super) async fn settled(
        &self,
        planned: Planned,
        names: &[Arc<str>],
    ) -> Result<Within, Decision> {
        let until = Instant::now() + WAIT;
        // Of more it would be in vain to wait for what was refused a moment ago.
        let waits_for = if names.len() <= IN_TIME {
            Urgency::Refused
        } else {
            Urgency::Unknown
        };
        loop {
            let notified = self.settled.notified();
            {
                let table = self.lock();
                if table.failures != planned.failures
                    && let Some(failure) = &table.failure
                {
                    // What is kept goes on.
                    let within = table.within(names, Instant::now());
                    return if within.allowed.is_empty() {
                        Err(failure.clone())
                    } else {
                        Ok(within)
                    };
                }
                if table.is_settled(waits_for) {
                    break;
                }
            }
            if timeout_at(until, notified).await.is_err() {
                break;
            }
        }
        Ok(self.lock().within(names, Instant::now()))
    }

    /// The next one to be asked about.
    pub(super) fn next(&self) -> Option<Arc<str>> {
        let mut table = self.lock();
        let (urgency, name) = table.waiting.pop_front()?;
        table.under_way.insert(Arc::clone(&name), urgency);
        Some(name)
    }

    /// Takes an answer. False when there is none, and nothing more is asked.
    pub(super) fn answered(&self, name: &Arc<str>, decision: Decision) -> bool {
        let mut table = self.lock();
        let urgency = table.under_way.remove(name).unwrap_or(Urgency::Unknown);
        let goes_on = match decision {
            Decision::Allowed | Decision::Denied(_) => {
                let is_allowed = decision == Decision::Allowed;
                let at = Instant::now();
                let answer = Answer { is_allowed, at };
                table.answers.insert(Arc::clone(name), answer);
                true
            }
            // Other questions of this reader, or of others, are before it.
            Decision::Busy => {
                table.waiting.push_front((urgency, Arc::clone(name)));
                true
            }
            Decision::Unanswered(_) => {
                table.failures += 1;
                table.failure = Some(decision);
                table.waiting.clear();
                false
            }
        };
        drop(table);
        self.settled.notify_waiters();
        goes_on
    }

    /// Ends the asking, unless there is something to be asked again.
    pub(super) fn is_over(&self) -> bool {
        let mut table = self.lock();
        let is_over = table.waiting.is_empty() && table.under_way.is_empty();
        table.is_asked = !is_over;
        is_over
    }
}

impl Table {
    fn plan(&mut self, names: &[Arc<str>], now: Instant) {
        self.used = now;
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
            let age = |answer: Answer| now.saturating_duration_since(answer.at);
            let urgency = match answer {
                Some(answer) if age(answer) < FRESH => continue,
                Some(answer) if answer.is_allowed => Urgency::Allowed,
                Some(answer) if age(answer) < REFUSED_FOR => Urgency::Refused,
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
    }

    fn is_settled(&self, waits_for: Urgency) -> bool {
        let mut waiting = self.waiting.iter().map(|(urgency, _)| urgency);
        let mut under_way = self.under_way.values();
        !waiting.any(|one| *one <= waits_for) && !under_way.any(|one| *one <= waits_for)
    }

    fn within(&self, names: &[Arc<str>], now: Instant) -> Within {
        let allowed = self.answers.values().filter(|answer| answer.is_allowed);
        let count = u32::try_from(allowed.count()).unwrap_or(u32::MAX);
        // As long as they can all be asked for again.
        let again = super::QUESTION_EVERY.saturating_mul(count).max(WAIT);
        let allowed_for = (FRESH + again).min(ALLOWED_FOR);
        let mut within = Within::default();
        for name in names {
            let answer = self.answers.get(name);
            let age = answer.map(|answer| now.saturating_duration_since(answer.at));
            match (answer, age) {
                (Some(answer), Some(age)) if answer.is_allowed && age < allowed_for => {
                    within.allowed.push(Arc::clone(name));
                }
                (Some(answer), Some(age)) if !answer.is_allowed && age < REFUSED_FOR => {}
                _ => within.pending += 1,
            }
        }
        within
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn names(count: usize) -> Vec<Arc<str>> {
        (0..count).map(|n| format!("n{n}").into()).collect()
    }

    fn denied() -> Decision {
        Decision::Denied(String::new())
    }

    /// Asks for all that waits, of which these are allowed.
    fn ask(round: &Round, allowed: &[&str]) -> Vec<Arc<str>> {
        let mut asked = Vec::new();
        while let Some(name) = round.next() {
            let is_allowed = allowed.contains(&&*name);
            let decision = if is_allowed {
                Decision::Allowed
            } else {
                denied()
            };
            assert!(round.answered(&name, decision));
            asked.push(name);
        }
        assert!(round.is_over());
        asked
    }

    #[tokio::test(start_paused = true)]
    async fn rights_are_asked_for_again_first_then_what_is_new_then_refusals() {
        let round = Round::new();
        assert!(round.plan(&names(4)).begins);
        assert!(!round.plan(&names(4)).begins, "somebody asks");
        assert_eq!(ask(&round, &["n2"]).len(), 4);
        assert!(!round.plan(&names(4)).begins, "it is fresh");
        advance(FRESH).await;
        assert!(round.plan(&names(6)).begins);
        let asked = ask(&round, &["n2"]);
        let asked: Vec<&str> = asked.iter().map(|name| &**name).collect();
        assert_eq!(asked[..3], ["n2", "n4", "n5"]);
        assert_eq!(asked.len(), 6);
        // What is not there any more is forgotten.
        round.plan(&names(1));
        assert_eq!(round.lock().answers.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_and_was_not_asked_for_again_is_not_settled() {
        let round = Round::new();
        round.plan(&names(3));
        ask(&round, &["n1"]);
        let told = |round: &Round| {
            let within = round.lock().within(&names(3), Instant::now());
            (within.allowed.len(), within.pending)
        };
        assert_eq!(told(&round), (1, 0));
        advance(FRESH + WAIT).await;
        // Nothing is shown for a refusal that is old.
        assert_eq!(told(&round), (0, 1));
        advance(REFUSED_FOR).await;
        assert_eq!(told(&round), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_told_why_nobody_could_say() {
        let round = Round::new();
        let all = names(3);
        let planned = round.plan(&all);
        let failed = Decision::Unanswered("away".to_owned());
        let fails = async {
            let name = round.next().unwrap();
            assert!(!round.answered(&name, failed.clone()));
            assert!(round.is_over());
        };
        let waits = round.settled(planned, &all);
        let (told, ()) = futures_util::future::join(waits, fails).await;
        assert_eq!(told, Err(failed));
        // The next one begins anew.
        assert!(round.plan(&all).begins);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reader_who_asked_longest_ago_makes_room() {
        let rounds = Rounds::default();
        let of = |n: usize| {
            let mut access = Access {
                user: super::super::User::default(),
                what: super::super::Attributes::Path {
                    verb: "get",
                    path: String::new(),
                },
            };
            access.user.name = n.to_string();
            access
        };
        let held = rounds.of(&of(0)).unwrap();
        for n in 1..=MOST_ROUNDS {
            advance(Duration::from_secs(1)).await;
            assert!(rounds.of(&of(n)).is_some());
        }
        let all = rounds.all.lock().unwrap();
        assert_eq!(all.len(), MOST_ROUNDS);
        assert!(all.contains_key(&of(0)) && !all.contains_key(&of(1)));
        drop(held);
    }
}

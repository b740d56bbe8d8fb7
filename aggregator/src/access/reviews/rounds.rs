//! What one reader may do in many namespaces: asked of one after the other, in rounds.
//!
//! Who may not list in all namespaces is asked about in each, 20 a second. So what was answered stands in a table of the
//! reader's, a task asks for what is missing and for what is old, and whoever asks is told of what is settled when they
//! have waited for as long as they can. Rights that streams rest on are asked for again while they count. Of more than
//! can be, none is kept: that reader is refused, rather than told a part.
//!
//! Bounds: [`MOST_ROUNDS`] readers, of whom the one who asked longest ago goes for another, and none with many rights
//! that are kept; of each as many namespaces and rights as the [table](table) says, in some 60 bytes; [`AT_ONCE`]
//! questions of a reader under way.

mod table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::super::Decision;
use super::budget::Class;
use crate::cluster::access::Access;
use table::{Others, Table};

pub use table::MOST_RIGHTS_OF_ONE;

/// Questions of one reader under way: half of what one may have, so that others of theirs find room.
pub(super) const AT_ONCE: usize = 8;

/// Readers whose namespaces are asked about one by one.
const MOST_ROUNDS: usize = 128;

/// What one reader may do in many namespaces, as far as it is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Within {
    /// Where they may, in the order in which it was asked for.
    pub allowed: Vec<Arc<str>>,
    /// Namespaces of which it is not known yet.
    pub pending: usize,
    /// Those among them that are not asked about: they are more than can be.
    pub beyond: usize,
    /// What the rights among these rest on.
    pub kept: Kept,
}

/// What rights rest on that were asked for one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// How long ago the oldest of them was asked for.
    pub oldest: Duration,
    /// They are so many that a stream has to ask for them again before it is judged.
    pub is_many: bool,
}

/// Why it is not known, or not kept, what a reader may do in many namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// Nobody could say; why.
    Unanswered(String),
    /// Too many ask.
    Busy,
    /// The reader has more rights than [`MOST_RIGHTS_OF_ONE`].
    TooMany,
    /// All readers together have more than can be asked for again in time.
    Crowded,
}

/// Tables by readers and what they ask for; the namespace of each question is empty.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    all: Mutex<HashMap<Access, Arc<Round>>>,
}

/// What is to be done after a plan was made.
#[derive(Debug)]
pub(super) struct Planned {
    /// Has to begin to ask.
    pub(super) asker: Option<Asker>,
    failures: u64,
}

/// The table of one reader, and those who wait for it.
#[derive(Debug)]
pub(super) struct Round {
    table: Mutex<Table>,
    settled: Notify,
}

/// Asks for what is in a table. When it is dropped before that is over, those who wait are told, and another one can
/// begin.
#[derive(Debug)]
pub(super) struct Asker {
    round: Arc<Round>,
    is_over: bool,
}

impl Rounds {
    /// The table for these questions; `None` when there are too many that somebody waits for.
    pub(super) fn of(&self, access: &Access) -> Option<Arc<Round>> {
        let now = Instant::now();
        let mut all = self.lock();
        if let Some(round) = all.get(access) {
            return Some(Arc::clone(round));
        }
        if all.len() >= MOST_ROUNDS {
            let idle = all.iter().filter(|(_, one)| Arc::strong_count(one) == 1);
            let free = idle.filter_map(|(of, one)| {
                let table = one.lock();
                (!table.is_held(now)).then_some((of, table.used))
            });
            let oldest = free.min_by_key(|(_, used)| *used);
            let oldest = oldest.map(|(of, _)| of.clone())?;
            all.remove(&oldest);
        }
        let round = Arc::new(Round::new());
        all.insert(access.clone(), Arc::clone(&round));
        Some(round)
    }

    /// Whether the rights of this table can be kept beside those of others.
    ///
    /// # Errors
    ///
    /// [`Unsettled::TooMany`], [`Unsettled::Crowded`].
    pub(super) fn keep(&self, access: &Access, round: &Arc<Round>) -> Result<(), Unsettled> {
        let now = Instant::now();
        let mut others = Others::default();
        // Held to the end: two tables shall not both find the last room.
        let all = self.lock();
        for (of, other) in all.iter().filter(|(_, other)| !Arc::ptr_eq(other, round)) {
            let kept = other.lock().kept(now);
            others.of_all += table::beyond(kept);
            if of.user.name == access.user.name {
                others.of_one += kept;
            }
        }
        round.lock().keep(others, now)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Access, Arc<Round>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    fn new() -> Self {
        Self {
            table: Mutex::new(Table::new()),
            settled: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // What is changed under it is whole at every step.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why this reader was refused a moment ago, which is so without anything being asked.
    pub(super) fn refusal(&self) -> Option<Unsettled> {
        self.lock().refusal(Instant::now())
    }

    /// Puts into the line what is to be asked of these names.
    pub(super) fn plan(self: &Arc<Self>, names: &[Arc<str>]) -> Planned {
        let mut table = self.lock();
        let begins = table.plan(names, Instant::now());
        Planned {
            asker: begins.then(|| Asker {
                round: Arc::clone(self),
                is_over: false,
            }),
            failures: table.failures(),
        }
    }

    /// What is settled of these names, when all that is waited for is, or after that time.
    ///
    /// # Errors
    ///
    /// Why nobody could say.
    pub(super) async fn settled(
        &self,
        planned: &Planned,
        names: &[Arc<str>],
        patience: Duration,
    ) -> Result<Within, Unsettled> {
        let until = Instant::now() + patience;
        loop {
            let notified = self.settled.notified();
            {
                let table = self.lock();
                if let Some(failure) = table.failed_since(planned.failures) {
                    // What is kept goes on.
                    let within = table.within(names, Instant::now());
                    return if within.allowed.is_empty() {
                        Err(failure.clone())
                    } else {
                        Ok(within)
                    };
                }
                if table.is_settled(names.len()) {
                    break;
                }
            }
            if timeout_at(until, notified).await.is_err() {
                break;
            }
        }
        Ok(self.lock().within(names, Instant::now()))
    }

    /// How urgent the next question is; `None` when there is none.
    pub(super) fn wants(&self) -> Option<Class> {
        self.lock().wants(Instant::now())
    }

    /// The next one to be asked about.
    pub(super) fn next(&self) -> Option<Arc<str>> {
        self.lock().next()
    }

    /// Takes an answer. False when there is none, and nothing more is asked.
    pub(super) fn answered(&self, name: &Arc<str>, decision: Decision) -> bool {
        let goes_on = self.lock().answered(name, decision, Instant::now());
        self.settled.notify_waiters();
        goes_on
    }
}

impl Asker {
    /// Whose questions these are.
    pub(super) fn round(&self) -> Arc<Round> {
        Arc::clone(&self.round)
    }

    /// Ends the asking, unless there is something to be asked again.
    pub(super) fn is_over(&mut self) -> bool {
        self.is_over = self.round.lock().is_over();
        self.is_over
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if !self.is_over {
            self.round.lock().give_up();
            self.round.settled.notify_waiters();
        }
    }
}

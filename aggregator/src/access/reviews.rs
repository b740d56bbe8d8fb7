//! What the Kubernetes API says of readers: whose token something is, and what somebody may do.
//!
//! Answers are kept for ten seconds, as long as an aggregated API server keeps them, and so is how long a right
//! that was taken away still counts. Without an answer nothing is allowed that is not kept. Whether a reader may
//! do something in a namespace is asked of all namespaces first: who may do it in all, such as an autoscaler
//! with a thousand of them, costs one question.
//!
//! Bounds: those of [`Answers`], [`Lanes`], [`Rounds`] and [`Budget`]; [`QUESTIONS`] rights that wait, of one reader
//! [`OF_ONE`].

mod asker;
mod budget;
mod lanes;
mod rounds;
mod weigh;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::answers::{Answers, Told};
use super::metrics::Of;
use super::{Attributes, Decision, MASTERS, Metrics, Resource, Unauthorized, Unproven, User};
use crate::cluster::access::Access;
use crate::cluster::authority::Authority;
use crate::cluster::slots::Slots;
use crate::cluster::token;
use budget::Budget;
use cairn_runtime::tasks::Group;
use lanes::Lanes;
use rounds::Rounds;

pub use rounds::{Kept, MOST_RIGHTS_OF_ONE, Unsettled, Within};

/// How long a question may take; of a token or of a single right with the wait for its turn, of one of many namespaces
/// without.
const DEADLINE: Duration = Duration::from_secs(10);

/// Questions about rights that wait: as many as all rounds have at once, and as many of others, so that no number of
/// readers of many namespaces is in an autoscaler's way.
const QUESTIONS: usize = 2 * MOST_ASKING * rounds::AT_ONCE;

/// Of one reader.
const OF_ONE: usize = 16;

/// Between two of one reader; others have turns of their own.
const QUESTION_EVERY: Duration = Duration::from_millis(50);

/// Readers about whose namespaces is asked at once.
const MOST_ASKING: usize = 64;

/// Readers with turns of their own.
const MOST_READERS: usize = 1_024;

/// Asks the Kubernetes API about readers. A clone is the same.
#[derive(Clone, Debug)]
pub struct Reviews {
    inner: Arc<Inner>,
    // Those that ask about many namespaces; they end with the last clone.
    asking: Group,
}

#[derive(Debug)]
struct Inner {
    api: Arc<dyn Authority>,
    audiences: Vec<String>,
    users: Answers<token::Hash, Result<User, Unproven>>,
    decisions: Answers<Access, Decision>,
    lanes: Lanes,
    metrics: Metrics,
    questions: Semaphore,
    rounds: Rounds,
    budget: Budget,
    readers: Mutex<HashMap<String, Arc<Turns>>>,
}

/// The turns of one reader.
#[derive(Debug)]
struct Turns {
    places: Semaphore,
    slots: Slots,
}

impl Reviews {
    /// Asks this API; a token must be meant for one of these audiences.
    #[must_use]
    pub fn new(api: Arc<dyn Authority>, audiences: Vec<String>, metrics: Metrics) -> Self {
        Self {
            asking: Group::new("namespaces", MOST_ASKING),
            inner: Arc::new(Inner {
                api,
                audiences,
                users: Answers::default(),
                decisions: Answers::default(),
                lanes: Lanes::new(),
                metrics,
                questions: Semaphore::new(QUESTIONS),
                rounds: Rounds::default(),
                budget: Budget::default(),
                readers: Mutex::default(),
            }),
        }
    }

    /// Whose token this is.
    pub(super) async fn user(&self, token: &str) -> Result<User, Unproven> {
        let hash = token::hash(token.as_bytes());
        let (inner, token) = (Arc::clone(&self.inner), token.to_owned());
        let ask = |_| async move { inner.review(&token, hash).await };
        self.inner.users.ask(hash, ask).await
    }

    /// Whether this user may do this.
    pub(super) async fn decide(&self, user: &User, what: &Attributes) -> Decision {
        let access = |what: Attributes| Access {
            user: user.clone(),
            what,
        };
        let own = access(what.clone());
        if let Some(decision) = self.inner.decisions.kept(&own) {
            return decision;
        }
        if let Some(everywhere) = what.everywhere() {
            match self.asked(access(everywhere)).await {
                // Not in all of them: then in this one, perhaps.
                Decision::Denied(_) => {}
                decision => return decision,
            }
        }
        self.asked(own).await
    }

    /// In which of these namespaces this user may do this, as far as it is settled after that time: who may do it in all
    /// of them was found out before. Cancel safe: the questions go on for others.
    pub(super) async fn within(
        &self,
        user: &User,
        what: &Resource,
        (names, patience): (&[Arc<str>], Duration),
    ) -> Result<Within, Unsettled> {
        let access = Access {
            user: user.clone(),
            what: Attributes::Resource(what.clone()),
        };
        let within = self.settled(&access, names, patience).await;
        if let Err(Unsettled::Busy | Unsettled::TooMany | Unsettled::Crowded) = &within {
            self.inner.metrics.refused(Of::Namespace);
        }
        within
    }

    async fn settled(
        &self,
        access: &Access,
        names: &[Arc<str>],
        patience: Duration,
    ) -> Result<Within, Unsettled> {
        let rounds = &self.inner.rounds;
        let round = rounds.of(access).ok_or(Unsettled::Busy)?;
        if let Some(refusal) = round.refusal() {
            return Err(refusal);
        }
        let mut planned = round.plan(names);
        if let Some(asker) = planned.asker.take() {
            let asking = Arc::clone(&self.inner).ask_round(asker, access.clone());
            // One that is not begun lets those who wait go.
            let begun = self.asking.try_spawn(asking);
            begun.map_err(|_| Unsettled::Busy)?;
        }
        // At first by what was known before: who has too many rights does not wait to be told so.
        rounds.keep(access, &round)?;
        let within = round.settled(&planned, names, patience).await?;
        rounds.keep(access, &round)?;
        Ok(within)
    }

    async fn asked(&self, access: Access) -> Decision {
        let inner = Arc::clone(&self.inner);
        let ask = |access: Arc<Access>| async move { inner.question(&access).await };
        self.inner.decisions.ask(access, ask).await
    }
}

impl Inner {
    /// Has a token reviewed.
    async fn review(&self, token: &str, hash: token::Hash) -> Told<Result<User, Unproven>> {
        let until = Instant::now() + DEADLINE;
        let is_known = self.lanes.is_known(&hash);
        let of = if is_known { Of::KnownToken } else { Of::Token };
        // Whoever could not be asked about may well be good.
        let Some(_turn) = self.lanes.turn(is_known, until).await else {
            self.metrics.refused(of);
            return Told::Passing(Err(Unproven::Busy));
        };
        self.metrics.asked(of);
        let asked = timeout_at(until, self.api.review(token, &self.audiences));
        let review = match asked.await {
            Ok(Ok(review)) => review,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a reader's token could not be reviewed and is refused");
                return Told::Passing(Err(Unauthorized));
            }
            Err(_) => return Told::Passing(Err(Unauthorized)),
        };
        let is_meant = review.audiences.iter().any(|a| self.audiences.contains(a));
        let user = (review.authenticated && is_meant).then(|| User {
            name: review.username,
            uid: review.uid,
            // Whoever may do everything says so by a certificate, never by a token.
            groups: review
                .groups
                .into_iter()
                .filter(|group| group != MASTERS)
                .collect(),
            extra: review.extra,
        });
        self.lanes.reviewed(hash, user.is_some());
        Told::Kept(user.ok_or(Unauthorized))
    }

    /// Asks about a right.
    async fn question(&self, access: &Access) -> Told<Decision> {
        let turns = self.turns(&access.user.name);
        self.ask(&turns, access, Of::Right, turns.slots.next())
            .await
    }

    /// Asks about a right when it is its turn.
    async fn ask(
        &self,
        turns: &Turns,
        access: &Access,
        of: Of,
        turn: impl Future<Output = ()>,
    ) -> Told<Decision> {
        let (Ok(_place), Ok(_own)) = (self.questions.try_acquire(), turns.places.try_acquire())
        else {
            self.metrics.refused(of);
            return Told::Passing(Decision::Busy);
        };
        let asked = timeout(DEADLINE, async {
            turn.await;
            self.metrics.asked(of);
            self.api.access(access).await
        });
        match asked.await {
            Ok(Ok(answer)) if answer.allowed => Told::Kept(Decision::Allowed),
            Ok(Ok(answer)) => Told::Kept(Decision::Denied(answer.reason)),
            Ok(Err(unanswered)) => Told::Passing(Decision::Unanswered(unanswered.to_string())),
            Err(_) => {
                let why = format!(
                    "the Kubernetes API did not answer in {} s",
                    DEADLINE.as_secs()
                );
                Told::Passing(Decision::Unanswered(why))
            }
        }
    }

    fn turns(&self, reader: &str) -> Arc<Turns> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turns) = readers.get(reader) {
            return Arc::clone(turns);
        }
        if readers.len() >= MOST_READERS {
            readers.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        let turns = Arc::new(Turns {
            places: Semaphore::new(OF_ONE),
            slots: Slots::new(QUESTION_EVERY),
        });
        // More readers than that at once are few questions each.
        if readers.len() < MOST_READERS {
            readers.insert(reader.to_owned(), Arc::clone(&turns));
        }
        turns
    }
}

#[cfg(test)]
mod tests;

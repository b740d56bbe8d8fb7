//! What the Kubernetes API says of readers: whose token something is, and what somebody may do.
//!
//! Answers are kept for [`KEPT`], as long as an aggregated API server keeps them, and so is how long a right
//! that was taken away still counts. Without an answer nothing is allowed that is not kept.
//!
//! Bounds: [`MOST_KEPT`] answers of each kind; [`TOKENS`] tokens and [`QUESTIONS`] rights that wait, of one
//! reader [`OF_ONE`].

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{Attributes, Decision, MASTERS, Unauthorized, User};
use crate::cluster::access::Access;
use crate::cluster::authority::Authority;
use crate::cluster::slots::Slots;
use crate::cluster::token;

/// How long an answer is kept.
const KEPT: Duration = Duration::from_secs(10);

/// Answers of a kind.
const MOST_KEPT: usize = 4_096;

/// How long a question may take, the wait for its turn included.
const DEADLINE: Duration = Duration::from_secs(10);

/// Tokens that wait for their review.
const TOKENS: usize = 64;

/// Between two of them.
const TOKEN_EVERY: Duration = Duration::from_millis(100);

/// Questions about rights that wait.
const QUESTIONS: usize = 256;

/// Of one reader.
const OF_ONE: usize = 16;

/// Between two of one reader; others have turns of their own.
const QUESTION_EVERY: Duration = Duration::from_millis(50);

/// Readers with turns of their own.
const MOST_READERS: usize = 1_024;

/// Asks the Kubernetes API about readers. A clone is the same.
#[derive(Clone, Debug)]
pub struct Reviews {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    api: Arc<dyn Authority>,
    audiences: Vec<String>,
    users: Kept<token::Hash, Option<User>>,
    decisions: Kept<Access, Decision>,
    tokens: Semaphore,
    token_turns: Slots,
    questions: Semaphore,
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
    pub fn new(api: Arc<dyn Authority>, audiences: Vec<String>) -> Self {
        Self {
            inner: Arc::new(Inner {
                api,
                audiences,
                users: Kept::default(),
                decisions: Kept::default(),
                tokens: Semaphore::new(TOKENS),
                token_turns: Slots::new(TOKEN_EVERY),
                questions: Semaphore::new(QUESTIONS),
                readers: Mutex::default(),
            }),
        }
    }

    /// Whose token this is.
    pub(super) async fn user(&self, token: &str) -> Result<User, Unauthorized> {
        let inner = &self.inner;
        let hash = token::hash(token.as_bytes());
        if let Some(user) = inner.users.get(&hash) {
            return user.ok_or(Unauthorized);
        }
        let _place = inner.tokens.try_acquire().map_err(|_| Unauthorized)?;
        let asked = timeout(DEADLINE, async {
            inner.token_turns.next().await;
            inner.api.review(token, &inner.audiences).await
        });
        let review = match asked.await {
            Ok(Ok(review)) => review,
            Ok(Err(error)) => {
                tracing::warn!(%error, "a reader's token could not be reviewed and is refused");
                return Err(Unauthorized);
            }
            Err(_) => return Err(Unauthorized),
        };
        let is_meant = review.audiences.iter().any(|a| inner.audiences.contains(a));
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
        inner.users.put(hash, user.clone());
        user.ok_or(Unauthorized)
    }

    /// Whether this user may do this.
    pub(super) async fn decide(&self, user: &User, what: &Attributes) -> Decision {
        let inner = &self.inner;
        let access = Access {
            user: user.clone(),
            what: what.clone(),
        };
        if let Some(decision) = inner.decisions.get(&access) {
            return decision;
        }
        let turns = inner.turns(&user.name);
        let (Ok(_place), Ok(_own)) = (inner.questions.try_acquire(), turns.places.try_acquire())
        else {
            return Decision::Busy;
        };
        let asked = timeout(DEADLINE, async {
            turns.slots.next().await;
            // Another request of this reader may have asked the same meanwhile.
            match inner.decisions.get(&access) {
                Some(decision) => Ok(decision),
                None => inner.api.access(&access).await.map(|answer| {
                    if answer.allowed {
                        Decision::Allowed
                    } else {
                        Decision::Denied(answer.reason)
                    }
                }),
            }
        });
        match asked.await {
            Ok(Ok(decision)) => {
                inner.decisions.put(access, decision.clone());
                decision
            }
            Ok(Err(unanswered)) => Decision::Unanswered(unanswered.to_string()),
            Err(_) => {
                let why = format!(
                    "the Kubernetes API did not answer in {} s",
                    DEADLINE.as_secs()
                );
                Decision::Unanswered(why)
            }
        }
    }
}

impl Inner {
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

/// Answers that are kept for a while.
#[derive(Debug)]
struct Kept<K, V> {
    known: Mutex<HashMap<K, (V, Instant)>>,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        let known = Mutex::default();
        Self { known }
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    fn get(&self, key: &K) -> Option<V> {
        let known = self.lock();
        let (value, until) = known.get(key)?;
        (*until > Instant::now()).then(|| value.clone())
    }

    /// Keeps one more, where there is room.
    fn put(&self, key: K, value: V) {
        let now = Instant::now();
        let mut known = self.lock();
        if known.len() >= MOST_KEPT {
            known.retain(|_, (_, until)| *until > now);
        }
        if known.len() < MOST_KEPT {
            known.insert(key, (value, now + KEPT));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;

//! Agents known by service-account tokens: what a token says is verified here by the cluster's keys, and
//! the Kubernetes API is asked about it behind that, so that thousands of agents may come back at once.
//!
//! A token that no key here knows is asked about first, in a lane of its own: whoever sends such tokens waits
//! behind others who do, and takes nothing from those that are known. What was answered is kept: who was
//! taken, as long as a stream has it; who was refused, for [`REFUSED_FOR`].
//!
//! Bounds: [`MOST_GRANTS`] tokens that are good, [`MOST_REFUSED`] that are not, [`LANE`] that wait.

mod grant;
mod judge;
#[cfg(test)]
pub(super) mod played;
mod watching;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use cairn_runtime::clock::Clock;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, timeout};

use super::refusal::{Over, Refusal};
use crate::cluster::Cluster;
use crate::cluster::authority::Authority;
use crate::cluster::slots::Slots;
use crate::cluster::token::{self, Fault, Hash, Keys};

pub(crate) use grant::Grant;
pub use judge::Rules;

/// Tokens that are good: those of 5,000 nodes, each with the one before while it is renewed.
const MOST_GRANTS: usize = 16_384;

/// Tokens that are not.
const MOST_REFUSED: usize = 4_096;

/// How long it is remembered that a token is not good.
const REFUSED_FOR: Duration = Duration::from_secs(10);

/// Tokens that wait until the Kubernetes API was asked about them.
const LANE: usize = 64;

/// How long a question may take, its wait in the lane included.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// How long a stream waits for the keys to be fetched for the first time. At the start of an aggregator all agents
/// come at once, within moments of each other and of the keys: whoever was asked about in the lane instead, ten a
/// second, would come after those who waited.
const KEYS_WITHIN: Duration = Duration::from_secs(2);

/// Between two questions of a lane. Both lanes together ask 20 times a second at most.
const QUESTION_EVERY: Duration = Duration::from_millis(100);

/// A token that says no end is asked about again after this long.
const NO_END_MS: u64 = 600_000;

/// Tells who a token belongs to. A clone is the same.
#[derive(Clone, Debug)]
pub struct Reviewer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    api: Arc<dyn Authority>,
    cluster: Cluster,
    clock: Clock,
    rules: Rules,
    keys: ArcSwapOption<Keys>,
    // The first attempt to fetch them has ended.
    were_keys_asked: watch::Sender<bool>,
    // Somebody came with a token of a key that is not known here.
    keys_wanted: Notify,
    answers: Mutex<Answers>,
    lane: Semaphore,
    asked: Slots,
    confirmed: Slots,
    reviews: Family<Outcome, Counter>,
}

/// What was found out of tokens, by their hash.
#[derive(Debug, Default)]
struct Answers {
    grants: HashMap<Hash, Arc<Grant>>,
    refused: HashMap<Hash, (Refusal, Instant)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Reviewer {
    /// Asks this API by these rules.
    #[must_use]
    pub fn new(api: Arc<dyn Authority>, cluster: Cluster, clock: Clock, rules: Rules) -> Self {
        Self {
            inner: Arc::new(Inner {
                api,
                cluster,
                clock,
                rules,
                keys: ArcSwapOption::empty(),
                were_keys_asked: watch::Sender::new(false),
                keys_wanted: Notify::new(),
                answers: Mutex::default(),
                lane: Semaphore::new(LANE),
                asked: Slots::new(QUESTION_EVERY),
                confirmed: Slots::new(QUESTION_EVERY),
                reviews: Family::default(),
            }),
        }
    }

    /// Shows its figures.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "cairn_aggregator_ingest_token_reviews",
            "Agents' tokens that the Kubernetes API was asked about, by what it said",
            self.inner.reviews.clone(),
        );
    }

    /// Whose token this is. Waits for the Kubernetes API only where no key here knows the token.
    pub(super) async fn identify(&self, token: &str, hash: Hash) -> Result<Arc<Grant>, Refusal> {
        let now_ms = self.inner.clock.unix_ms();
        if let Some(answer) = self.remembered(&hash, now_ms) {
            return answer;
        }
        let keys = self.keys().await;
        let verified = keys.as_ref().map(|keys| keys.verify(token));
        let grant = match verified {
            Some(Ok(claims)) if !claims.is_current(now_ms) => Err(Refusal::Expired),
            Some(Ok(claims)) => {
                let expires_ms = claims.expires_ms;
                let judged = judge::claims(&self.inner.rules, &self.inner.cluster, claims);
                judged.map(|subject| Grant::unconfirmed(subject, (token, hash), expires_ms))
            }
            Some(Err(Fault::Form)) => Err(Refusal::NoServiceAccount),
            Some(Err(Fault::Signature)) => Err(Refusal::Signature),
            Some(Err(Fault::UnknownKey)) | None => {
                self.inner.keys_wanted.notify_one();
                self.ask(token, hash).await
            }
        };
        self.remember(hash, grant)
    }

    /// The keys that are known; at the start, waits for them to be asked for.
    async fn keys(&self) -> Option<Arc<Keys>> {
        let mut were_asked = self.inner.were_keys_asked.subscribe();
        drop(timeout(KEYS_WITHIN, were_asked.wait_for(|were_asked| *were_asked)).await);
        self.inner.keys.load_full()
    }

    /// What the Kubernetes API says of a token that is not known here.
    async fn ask(&self, token: &str, hash: Hash) -> Result<Grant, Refusal> {
        let inner = &self.inner;
        let _place = inner.lane.try_acquire().map_err(|_| Refusal::Busy)?;
        let asked = timeout(ANSWER_DEADLINE, async {
            inner.asked.next().await;
            inner.api.review(token, &inner.rules.audiences).await
        });
        let Ok(Ok(review)) = asked.await else {
            inner.count("unanswered");
            return Err(Refusal::Unanswered);
        };
        let subject = judge::review(&inner.rules, &inner.cluster, review);
        inner.count(if subject.is_ok() { "good" } else { "refused" });
        let ends_ms = inner.clock.unix_ms().saturating_add(NO_END_MS);
        let expires_ms = token::expiry_ms(token).unwrap_or(ends_ms);
        Ok(Grant::confirmed(subject?, (token, hash), expires_ms))
    }

    fn remembered(&self, hash: &Hash, now_ms: u64) -> Option<Result<Arc<Grant>, Refusal>> {
        let mut answers = self.inner.answers();
        if let Some(grant) = answers.grants.get(hash) {
            if let Some(over) = grant.over(now_ms) {
                return Some(Err(Refusal::Over(over)));
            }
            return Some(Ok(Arc::clone(grant)));
        }
        let (refusal, until) = answers.refused.get(hash)?;
        if *until > Instant::now() {
            return Some(Err(refusal.clone()));
        }
        answers.refused.remove(hash);
        None
    }

    fn remember(&self, hash: Hash, grant: Result<Grant, Refusal>) -> Result<Arc<Grant>, Refusal> {
        let mut answers = self.inner.answers();
        match grant {
            Ok(grant) => {
                let Answers { grants, .. } = &mut *answers;
                // Another stream came with it meanwhile: there is one of each token.
                if let Some(known) = grants.get(&hash) {
                    return Ok(Arc::clone(known));
                }
                if grants.len() >= MOST_GRANTS {
                    let now_ms = self.inner.clock.unix_ms();
                    grants.retain(|_, grant| {
                        Arc::strong_count(grant) > 1 || grant.over(now_ms) == Some(Over::Revoked)
                    });
                }
                if grants.len() >= MOST_GRANTS {
                    return Err(Refusal::Busy);
                }
                let grant = Arc::new(grant);
                grants.insert(hash, Arc::clone(&grant));
                Ok(grant)
            }
            Err(refusal) => {
                if refusal.is_lasting() {
                    let now = Instant::now();
                    if answers.refused.len() >= MOST_REFUSED {
                        answers.refused.retain(|_, (_, until)| *until > now);
                    }
                    if answers.refused.len() < MOST_REFUSED {
                        let known = (refusal.clone(), now + REFUSED_FOR);
                        answers.refused.insert(hash, known);
                    }
                }
                Err(refusal)
            }
        }
    }
}

impl Inner {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, outcome: &'static str) {
        self.reviews.get_or_create(&Outcome { outcome }).inc();
    }
}

#[cfg(test)]
mod tests;

//! What goes on behind the streams: keys are fetched, tokens that were taken are confirmed and, from time to
//! time, asked about again, and those whose pod is gone end.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_runtime::clock::ticker;
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::super::refusal::Over;
use super::grant::Grant;
use super::{ANSWER_DEADLINE, Inner, Reviewer, judge};
use crate::cluster::token::Hash;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);

/// Keys are fetched again after this long.
const KEYS_EVERY: Duration = Duration::from_secs(600);

/// When they are wanted, or could not be fetched, after this long at the earliest.
const KEYS_AGAIN: Duration = Duration::from_secs(30);

/// A token is asked about again after this long; each somewhat later than that.
const AGAIN: Duration = Duration::from_secs(600);

/// By how much, at most.
const SPREAD: Duration = Duration::from_secs(60);

/// After no answer, after this long.
const RETRY: Duration = Duration::from_secs(30);

/// Questions under way.
const AT_ONCE: usize = 8;

/// Between two refusals of a token, after which it is no good: one may be a fault of the API server's.
const SURE_AFTER: Duration = Duration::from_secs(5);

/// How long a pod may be unknown to the watch whose token is good.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// What is known of one token between two looks.
struct Watched {
    grant: Weak<Grant>,
    since: Instant,
    due: Instant,
    was_seen: bool,
    was_refused: bool,
}

impl Reviewer {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    ///
    /// None: what does not work is told and tried again.
    pub async fn run(self, readiness: Readiness, stop: Token) -> Result<(), TaskError> {
        let mut look = ticker(LOOK);
        let mut watched: HashMap<Hash, Watched> = HashMap::new();
        let mut keys_due = Instant::now();
        let mut fetched_at = None;
        loop {
            let is_wanted = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.inner.keys_wanted.notified() => true,
                _ = look.tick() => false,
            };
            if is_wanted {
                let soonest = fetched_at.map_or_else(Instant::now, |at: Instant| at + KEYS_AGAIN);
                keys_due = keys_due.min(soonest);
            }
            if keys_due <= Instant::now() {
                fetched_at = Some(Instant::now());
                let after = tokio::select! {
                    biased;
                    () = stop.cancelled() => return Ok(()),
                    after = self.fetch_keys(&readiness) => after,
                };
                self.inner.were_keys_asked.send_replace(true);
                keys_due = Instant::now() + after;
            }
            // Whoever wants keys does not make it look more often than it would.
            if is_wanted {
                continue;
            }
            self.keep(&mut watched);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = self.confirm(&mut watched, &readiness) => {}
            }
        }
    }

    /// Fetches the keys; returns after how long to do so again.
    async fn fetch_keys(&self, readiness: &Readiness) -> Duration {
        let fetched = timeout(ANSWER_DEADLINE, self.inner.api.keys()).await;
        let why = match fetched {
            Ok(Ok(keys)) if keys.count() > 0 => {
                self.inner.keys.store(Some(Arc::new(keys)));
                readiness.clear("token-keys");
                return KEYS_EVERY;
            }
            Ok(Ok(_)) => "it names no key that is understood here".to_owned(),
            Ok(Err(unanswered)) => unanswered.to_string(),
            Err(_) => format!("nothing came in {} s", ANSWER_DEADLINE.as_secs()),
        };
        let kept = if self.inner.keys.load().is_some() {
            "those fetched before stay in force"
        } else {
            "until then the Kubernetes API is asked about each token, ten times a second at most"
        };
        let text = format!(
            "the keys of service-account tokens could not be fetched: {why}; {kept}. May the \
             aggregator's service account get /openid/v1/jwks (ClusterRole \
             system:service-account-issuer-discovery)?"
        );
        tracing::warn!("{text}");
        readiness.note("token-keys", Note::Degraded(text));
        KEYS_AGAIN
    }

    /// Follows the tokens that streams hold, lets go of those that none holds, and ends those whose pod is
    /// gone.
    fn keep(&self, watched: &mut HashMap<Hash, Watched>) {
        let now_ms = self.inner.clock.unix_ms();
        let mut answers = self.inner.answers();
        // Those that were ended are remembered until nobody could come with them.
        answers
            .grants
            .retain(|_, grant| is_held(grant) || now_ms < grant.expires_ms());
        watched.retain(|hash, _| answers.grants.contains_key(hash));
        for (hash, grant) in &answers.grants {
            watched.entry(*hash).or_insert_with(|| {
                let now = Instant::now();
                let due = if grant.is_confirmed_at_first() {
                    now + later(grant)
                } else {
                    now
                };
                Watched {
                    grant: Arc::downgrade(grant),
                    since: now,
                    due,
                    was_seen: false,
                    was_refused: false,
                }
            });
        }
        drop(answers);
        let Some(known) = self.inner.cluster.known() else {
            return;
        };
        let (now, is_synced) = (Instant::now(), known.is_synced());
        for one in watched.values_mut() {
            let Some(grant) = one.grant.upgrade() else {
                continue;
            };
            let subject = grant.subject();
            let pod = known.pod(&subject.namespace, &subject.pod);
            let is_there = pod.is_some_and(|pod| *pod.uid == *subject.pod_uid);
            // A pod that is new may not have been heard of yet.
            let is_old = is_synced && now.duration_since(one.since) >= UNKNOWN_FOR;
            if (one.was_seen || is_old) && !is_there {
                grant.end(Over::PodGone);
            }
            one.was_seen |= is_there;
        }
    }

    /// Asks about some of those that are due and that somebody has.
    async fn confirm(&self, watched: &mut HashMap<Hash, Watched>, readiness: &Readiness) {
        let now = Instant::now();
        let due = watched.values_mut().filter_map(|one| {
            let grant = one.grant.upgrade().filter(|_| one.due <= now)?;
            // One in the map, and this one.
            (Arc::strong_count(&grant) > 2).then_some((one, grant))
        });
        let asked = due.take(AT_ONCE).map(async |(one, grant)| {
            let (after, why) = self.inner.confirm(&grant, &mut one.was_refused).await;
            one.due = Instant::now() + after;
            why
        });
        let answers = join_all(asked).await;
        match answers.iter().flatten().next() {
            Some(why) => {
                let text = format!(
                    "agents' tokens could not be reviewed: {why}; those that the cluster's keys know are \
                     taken all the same, until they expire. May the aggregator's service account create \
                     tokenreviews (ClusterRole system:auth-delegator)?"
                );
                readiness.note("token-reviews", Note::Degraded(text));
            }
            None if !answers.is_empty() => readiness.clear("token-reviews"),
            None => {}
        }
    }
}

impl Inner {
    /// Asks whether a token is still good; returns after how long to ask again, and why there was no answer.
    /// Without one it stays as good as it was.
    async fn confirm(&self, grant: &Grant, was_refused: &mut bool) -> (Duration, Option<String>) {
        self.confirmed.next().await;
        let asked = timeout(
            ANSWER_DEADLINE,
            self.api.review(grant.token(), &self.rules.audiences),
        );
        let unanswered = |why| {
            self.count("unanswered");
            (RETRY, Some(why))
        };
        let review = match asked.await {
            Ok(Ok(review)) => review,
            Ok(Err(error)) => return unanswered(error.to_string()),
            Err(_) => {
                let s = ANSWER_DEADLINE.as_secs();
                return unanswered(format!("the Kubernetes API did not answer in {s} s"));
            }
        };
        let why = match judge::review(&self.rules, &self.cluster, review) {
            Ok(subject) if subject == *grant.subject() => {
                self.count("good");
                *was_refused = false;
                return (later(grant), None);
            }
            Ok(_) => "it is another's than it says".to_owned(),
            Err(refusal) if !refusal.is_lasting() => return (RETRY, None),
            Err(refusal) => refusal.to_string(),
        };
        self.count("refused");
        if !std::mem::replace(was_refused, true) {
            return (SURE_AFTER, None);
        }
        let pod = &grant.subject().pod;
        tracing::warn!(
            pod,
            why,
            "the token of an agent is no good any more: its stream ends"
        );
        grant.end(Over::Revoked);
        (AGAIN, None)
    }
}

/// True while somebody beside the map has it.
fn is_held(grant: &Arc<Grant>) -> bool {
    Arc::strong_count(grant) > 1
}

/// When to ask again: not all at the same time.
fn later(grant: &Grant) -> Duration {
    let [first, second, ..] = grant.hash();
    let part = u32::from(u16::from_be_bytes([first, second]));
    AGAIN + SPREAD * part / u32::from(u16::MAX)
}

//! What goes on behind the streams: keys are fetched, tokens that were taken are confirmed and, from time to
//! time, asked about again, and those whose pod is gone end.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Weak};
use std::time::Duration;

use cairn_runtime::clock::ticker;
use cairn_runtime::readiness::{Note, Readiness};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tasks::TaskError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until, timeout};

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

/// Questions under way, with those that wait for their turn: ten a second, also where an answer takes a second.
const AT_ONCE: usize = 16;

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
    is_under_way: bool,
}

/// What came of a question about a token.
struct Asked {
    hash: Hash,
    // After how long to ask again.
    after: Duration,
    was_refused: bool,
    // Why there was no answer.
    why: Option<String>,
}

impl Reviewer {
    /// Runs until it is told to stop.
    ///
    /// # Errors
    ///
    /// None: what does not work is told and tried again.
    pub async fn run(self, readiness: Readiness, stop: Token) -> Result<(), TaskError> {
        let both = async { tokio::join!(self.keep_keys(&readiness), self.keep_tokens(&readiness)) };
        tokio::select! {
            biased;
            () = stop.cancelled() => Ok(()),
            (never, _) = both => match never {},
        }
    }

    /// Fetches the keys from time to time, and when they are wanted.
    async fn keep_keys(&self, readiness: &Readiness) -> Infallible {
        let mut due = Instant::now();
        let mut fetched_at = None;
        loop {
            tokio::select! {
                biased;
                () = self.inner.keys_wanted.notified() => {
                    let soonest = fetched_at.map_or_else(Instant::now, |at: Instant| at + KEYS_AGAIN);
                    due = due.min(soonest);
                    continue;
                }
                () = sleep_until(due) => {}
            }
            fetched_at = Some(Instant::now());
            let after = self.fetch_keys(readiness).await;
            self.inner.were_keys_asked.send_replace(true);
            due = Instant::now() + after;
        }
    }

    /// Looks every second, and asks about one token after the other while any is due.
    async fn keep_tokens(&self, readiness: &Readiness) -> Infallible {
        let mut look = ticker(LOOK);
        let mut watched: HashMap<Hash, Watched> = HashMap::new();
        let mut due = VecDeque::new();
        let mut under_way = FuturesUnordered::new();
        let mut answers = Vec::new();
        loop {
            while under_way.len() < AT_ONCE
                && let Some(hash) = due.pop_front()
            {
                let Some(one) = watched.get_mut(&hash) else {
                    continue;
                };
                if let Some(grant) = one.grant.upgrade().filter(is_in_use) {
                    one.is_under_way = true;
                    let was_refused = one.was_refused;
                    under_way.push(async move { self.inner.confirm(&grant, was_refused).await });
                }
            }
            tokio::select! {
                biased;
                _ = look.tick() => {
                    self.keep(&mut watched);
                    due = in_turn(&watched);
                    tell(readiness, &std::mem::take(&mut answers));
                }
                Some(asked) = under_way.next() => {
                    let Asked { hash, after, was_refused, why } = asked;
                    if let Some(one) = watched.get_mut(&hash) {
                        (one.is_under_way, one.was_refused) = (false, was_refused);
                        one.due = Instant::now() + after;
                    }
                    answers.push(why);
                }
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
                    is_under_way: false,
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
}

impl Inner {
    /// Asks, in its turn, whether a token is still good. Without an answer it stays as good as it was.
    async fn confirm(&self, grant: &Grant, was_refused: bool) -> Asked {
        self.confirmed.next().await;
        let asked = timeout(
            ANSWER_DEADLINE,
            self.api.review(grant.token(), &self.rules.audiences),
        );
        let again = |after: Duration, was_refused: bool, why: Option<String>| Asked {
            hash: grant.hash(),
            after,
            was_refused,
            why,
        };
        let unanswered = |why| {
            self.count("unanswered");
            again(RETRY, was_refused, Some(why))
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
                return again(later(grant), false, None);
            }
            Ok(_) => "it is another's than it says".to_owned(),
            Err(refusal) if !refusal.is_lasting() => return again(RETRY, was_refused, None),
            Err(refusal) => refusal.to_string(),
        };
        self.count("refused");
        if !was_refused {
            return again(SURE_AFTER, true, None);
        }
        let pod = &grant.subject().pod;
        tracing::warn!(
            pod,
            why,
            "the token of an agent is no good any more: its stream ends"
        );
        grant.end(Over::Revoked);
        again(AGAIN, true, None)
    }
}

/// Those that are due and that somebody has, the one that is due for longest first: where all cannot be asked
/// about in time none is left behind for others. Before them those of which the last answer was a refusal: whether
/// they are good any more is to be known soon.
fn in_turn(watched: &HashMap<Hash, Watched>) -> VecDeque<Hash> {
    let now = Instant::now();
    let due = watched.iter().filter(|(_, one)| {
        let is_in_use = || one.grant.upgrade().as_ref().is_some_and(is_in_use);
        one.due <= now && !one.is_under_way && is_in_use()
    });
    let due = due.map(|(hash, one)| (!one.was_refused, one.due, *hash));
    let mut due: Vec<(bool, Instant, Hash)> = due.collect();
    due.sort_unstable();
    due.into_iter().map(|(.., hash)| hash).collect()
}

/// Says what does not work, of the answers since it was said last.
fn tell(readiness: &Readiness, answers: &[Option<String>]) {
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

/// True while somebody has it beside the map and the one who looks.
fn is_in_use(grant: &Arc<Grant>) -> bool {
    Arc::strong_count(grant) > 2
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

//! For how long somebody may be told more: until what says who they are runs out, and as long as they may see
//! what they could at the start.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cairn_runtime::tls::PeerCertificates;
use http::HeaderMap;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{Denied, Readers, Seen};
use crate::access::Kept;
use crate::api::needs::Needs;
use crate::query::Visible;

/// Who may read no more is told nothing after that time.
const REVOKED_WITHIN: Duration = Duration::from_secs(70);

/// Between two judgements. An answer of the Kubernetes API is kept for ten seconds, and there are ten more for
/// it to come. Where a right was settled longer ago, the next judgement is that much earlier.
const EVERY: Duration = Duration::from_secs(45);

/// Between two judgements of a reader of many namespaces, at each of which those rights that are old are put into the
/// line to be asked for again: three times before they do not count any more.
const EVERY_OF_MANY: Duration = Duration::from_secs(10);

/// How long one judgement waits for what a reader may see of many namespaces. Half as long as there is: what was asked
/// meanwhile is there for the second attempt.
const WAIT: Duration = Duration::from_secs(4);

/// The part of the time between two judgements by which one may be earlier, as one in so many: streams that began
/// together, as after a restart, shall not be judged together.
const SPREAD: u32 = 3;

/// How long an answer may be waited for when there is none, before the end.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much later than planned a judgement may be that nothing waits for.
const LATE: Duration = Duration::from_secs(1);

/// Between two attempts to have one.
const AGAIN: Duration = Duration::from_secs(1);

/// Why somebody is told no more: for people, with the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// A token or certificate has run out.
    #[error("the token or certificate has run out: connect again with a new one")]
    Expired,
    /// What says who they are is not taken any more, or nobody could say whether it is.
    #[error(
        "who you are could not be verified any more: connect again, with a new token if need be"
    )]
    Unverified,
    /// They may see nothing of it any more.
    #[error("you may not read this any more: see docs/access.md for the rights that it takes")]
    Refused,
    /// They may see more, or less, than before.
    #[error("what you may see has changed: connect again")]
    Changed,
    /// Nobody could say.
    #[error("whether you may still read this could not be found out: connect again in a moment")]
    Undecided,
}

/// A right to be told more. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Lease(Option<Arc<Held>>);

#[derive(Debug)]
struct Held {
    readers: Readers,
    proof: Proof,
    needs: Needs,
    visible: Visible,
    // On what that rested at the start.
    kept: Kept,
    began: Instant,
    // By the clock of this process: wall time may step.
    until: Option<Instant>,
    // When it is judged next, ms after it began.
    next_ms: AtomicU64,
    // It was judged.
    judged: Notify,
}

/// What says who somebody is.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) evidence: HeaderMap,
    pub(super) shown: Option<Arc<PeerCertificates>>,
    /// Until when it holds, Unix ms; `None` without an end.
    pub(super) until_ms: Option<u64>,
}

impl Lease {
    pub(super) fn new(
        readers: Readers,
        proof: Proof,
        needs: Needs,
        (visible, kept): (Visible, Kept),
    ) -> Self {
        let began = Instant::now();
        let now_ms = readers.clock.unix_ms();
        let left = proof
            .until_ms
            .map(|until_ms| Duration::from_millis(until_ms.saturating_sub(now_ms)));
        Self(Some(Arc::new(Held {
            readers,
            proof,
            needs,
            visible,
            kept,
            began,
            // One that lasts beyond all time has no end.
            until: left.and_then(|left| began.checked_add(left)),
            next_ms: AtomicU64::new(u64::MAX),
            judged: Notify::new(),
        })))
    }

    /// Waits for the end, for ever where readers are not known. It has to be asked for to be noticed, but is
    /// then found whenever that is.
    pub(crate) async fn over(self) -> Over {
        let Some(held) = self.0 else {
            return pending().await;
        };
        let mut next = held.began + rest(held.kept);
        loop {
            held.plan(next);
            let until = held.until.unwrap_or(next);
            sleep_until(next.min(until)).await;
            if held.is_expired() {
                return Over::Expired;
            }
            match held.judged().await {
                Ok(kept) => next = Instant::now() + rest(kept),
                Err(over) => return over,
            }
        }
    }

    /// What is to be told next, once the judgement that is due is made: who took nothing for an hour is not told
    /// more on the word of an hour ago. [`Lease::over`] has to be asked for beside it.
    pub(crate) async fn settled<T>(&self, told: impl Future<Output = T>) -> T {
        let told = told.await;
        if let Some(held) = &self.0 {
            held.settled().await;
        }
        told
    }
}

/// How long until the next judgement, of what rests on that.
fn rest(kept: Kept) -> Duration {
    let every = if kept.is_many { EVERY_OF_MANY } else { EVERY };
    let spread_ms = u64::try_from((every / SPREAD).as_millis()).unwrap_or(u64::MAX);
    let rest = every.saturating_sub(Duration::from_millis(fastrand::u64(..spread_ms)));
    let spent = (PATIENCE + LATE).saturating_add(kept.oldest);
    rest.min(REVOKED_WITHIN.saturating_sub(spent))
}

/// What came of an attempt to judge.
enum Judged {
    GoesOn(Kept),
    Over(Over),
    /// Over, unless a later attempt says more.
    Open(Over),
}

impl Held {
    /// Says when it is judged next, to those who wait for that to be later.
    fn plan(&self, next: Instant) {
        let next_ms = next.saturating_duration_since(self.began).as_millis();
        let next_ms = u64::try_from(next_ms).unwrap_or(u64::MAX);
        self.next_ms.store(next_ms, Ordering::Release);
        self.judged.notify_waiters();
    }

    async fn settled(&self) {
        loop {
            let mut judged = pin!(self.judged.notified());
            judged.as_mut().enable();
            let next_ms = self.next_ms.load(Ordering::Acquire);
            let next = Duration::from_millis(next_ms).saturating_add(LATE);
            if self.began.elapsed() <= next {
                return;
            }
            judged.await;
        }
    }

    fn is_expired(&self) -> bool {
        let now_ms = self.readers.clock.unix_ms();
        let by_time = self.until.is_some_and(|until| until <= Instant::now());
        by_time || self.proof.until_ms.is_some_and(|until| until <= now_ms)
    }

    /// On what it rests when it goes on.
    ///
    /// # Errors
    ///
    /// Why it is over. An API server that is away for a moment ends nothing.
    async fn judged(&self) -> Result<Kept, Over> {
        let mut without = Over::Undecided;
        let answered = timeout(PATIENCE, async {
            loop {
                match self.answered().await {
                    Judged::GoesOn(kept) => return Ok(kept),
                    Judged::Over(over) => return Err(over),
                    Judged::Open(over) => without = over,
                }
                sleep(AGAIN).await;
            }
        });
        answered.await.unwrap_or(Err(without))
    }

    async fn answered(&self) -> Judged {
        let mut headers = self.proof.evidence.clone();
        let shown = self.proof.shown.as_deref();
        let (readers, needs) = (&self.readers, &self.needs);
        let found = readers.visible(&mut headers, shown, needs, WAIT).await;
        match found {
            Ok(seen) if self.is_covered(&seen) => Judged::GoesOn(seen.kept),
            // Some of what was visible may be what is not known yet.
            Ok(seen) if seen.pending > 0 => Judged::Open(Over::Changed),
            // Of what they may see more than can be kept, they are told so when they connect again.
            Ok(_) | Err(Denied::TooMany) => Judged::Over(Over::Changed),
            Err(Denied::Forbidden(_)) => Judged::Over(Over::Refused),
            Err(Denied::Anonymous | Denied::Unauthorized) => Judged::Open(Over::Unverified),
            Err(
                Denied::Unheard
                | Denied::Undecided
                | Denied::Busy
                | Denied::Asking
                | Denied::Crowded,
            ) => Judged::Open(Over::Undecided),
        }
    }

    /// True when all that was visible is; and nothing else, unless there is more to come: a stream that began before all
    /// was settled ends once, when it is. Of namespaces that are not asked about nothing is to come.
    fn is_covered(&self, seen: &Seen) -> bool {
        let (before, now) = (&self.visible, &seen.visible);
        let is_more = || {
            now.nodes == before.nodes
                && now.specs == before.specs
                && now.namespaces.includes(&before.namespaces)
        };
        now == before || (seen.settling > 0 && is_more())
    }
}

//! Fresh tokens on a stream that goes on.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::cluster::Known;
use crate::ingest::review::Reviewer;
use crate::ingest::review::played::{Played, good, rules};

const NOW_MS: u64 = 1_795_332_330_000;

const MINUTE_MS: u64 = 60_000;

/// A token of this name that says when it ends.
fn token(name: &str, expires_ms: u64) -> String {
    let payload = format!("{{\"exp\":{},\"name\":\"{name}\"}}", expires_ms / 1_000);
    format!("head.{}.signature", URL_SAFE_NO_PAD.encode(payload))
}

/// An aggregator, an API server, and an agent of the node `n` whose token ends in five minutes.
struct Bed {
    api: Arc<Played>,
    clock: Clock,
    ingest: Ingest,
}

impl Bed {
    fn new() -> Self {
        let api = Arc::new(Played::default());
        let cluster = Cluster::watched(Arc::new(Known::default()));
        let clock = Clock::driven(NOW_MS);
        let reviewer = Reviewer::new(
            Arc::clone(&api) as _,
            cluster.clone(),
            clock.clone(),
            rules(),
        );
        let auth = Authenticator::TokenReview {
            reviewer,
            clock: clock.clone(),
        };
        let ingest = Ingest::new(Parts {
            cluster,
            clock: clock.clone(),
            auth: Arc::new(auth),
            ..parts()
        });
        Self { api, clock, ingest }
    }

    /// A token that the API server knows as one of an agent on this node.
    fn token_of(&self, node: &str, expires_ms: u64) -> String {
        let token = token(&format!("of-{node}"), expires_ms);
        let review = good(&format!("agent-on-{node}"), node);
        let mut reviews = self.api.reviews.lock().unwrap();
        reviews.insert(token.clone(), review);
        token
    }

    /// What becomes of a stream that sends this token after its first row, and its second row when that of its
    /// beginning has ended a minute ago: the last row that is acknowledged, and how it ends.
    async fn goes_on(&self, fresh: Option<&str>) -> (Option<u64>, Option<Status>) {
        let first = self.token_of("n", NOW_MS + 5 * MINUTE_MS);
        let identity = self.ingest.inner.auth.identify_token(Some(&first)).await;
        let later_ms = NOW_MS + 6 * MINUTE_MS;
        let renewal = fresh.map(|bearer| {
            let bearer = bearer.to_owned();
            Kind::Token(v1::Token { bearer })
        });
        let bye = Kind::Bye(v1::Bye::default());
        let before = [row(0, NOW_MS)].into_iter().chain(renewal);
        let before: Vec<Kind> = before.collect();
        let step_at = before.len() + 1;
        let all = before.into_iter().chain([row(1, later_ms), bye]);
        let frames: Vec<v1::AgentFrame> = [hello(0)]
            .into_iter()
            .chain(all.map(|kind| frame(NOW_MS, kind)))
            .collect();
        let clock = self.clock.clone();
        let messages = iter(0..frames.len()).then(move |nth| {
            let clock = clock.clone();
            async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                if nth == step_at {
                    let stepped = clock.step(later_ms, Duration::from_secs(1)).await;
                    stepped.unwrap();
                }
                message()
            }
        });
        let (serving, mut told) = stream(&self.ingest, identity.unwrap(), frames, messages);
        let reading = async {
            let (mut acked, mut status) = (None, None);
            while let Some(answer) = told.recv().await {
                match answer {
                    Ok(frame) => {
                        if let Some(Answer::Ack(ack)) = frame.kind {
                            acked = Some(ack.seq);
                        }
                    }
                    Err(why) => status = Some(why),
                }
            }
            (acked, status)
        };
        let both = async { tokio::join!(serving, reading) };
        let ((), came) = timeout(Duration::from_secs(600), both).await.unwrap();
        came
    }
}

fn row(seq: u64, tick: u64) -> Kind {
    Kind::Row(v1::Row {
        seq,
        tick,
        payload: row::keyframe(codec::DENSE, tick, &Snapshot::default()),
        ..v1::Row::default()
    })
}

/// What a stream is told that ends.
fn told((acked, status): (Option<u64>, Option<Status>)) -> (Option<u64>, Code, String) {
    let status = status.unwrap();
    (acked, status.code(), status.message().to_owned())
}

/// Scenario: the token of a stream has five minutes left; a fresh one comes, or none.
/// Guarantees: with the fresh one a row is taken and acknowledged when the first one has ended; without it the
/// stream ends and says why.
#[tokio::test(start_paused = true)]
async fn a_fresh_token_carries_a_stream_past_the_end_of_the_first() {
    let bed = Bed::new();
    let fresh = bed.token_of("n", NOW_MS + 60 * MINUTE_MS);
    let (acked, status) = bed.goes_on(Some(&fresh)).await;
    assert!(status.is_none(), "{status:?}");
    assert_eq!(acked, Some(1));

    let bed = Bed::new();
    let (acked, code, why) = told(bed.goes_on(None).await);
    assert_eq!((acked, code), (Some(0), Code::Unauthenticated), "{why}");
    assert!(why.contains("no fresh one came"), "{why}");
}

/// Guarantees: the token of another node ends a stream, whoever sends it.
#[tokio::test(start_paused = true)]
async fn the_token_of_another_node_ends_a_stream() {
    let bed = Bed::new();
    let others = bed.token_of("other", NOW_MS + 60 * MINUTE_MS);
    let (acked, code, why) = told(bed.goes_on(Some(&others)).await);
    assert_eq!((acked, code), (Some(0), Code::PermissionDenied), "{why}");
    assert!(why.contains("another node"), "{why}");
}

/// Guarantees: a fresh token that the API server refuses ends a stream, with what it said; one that it says nothing
/// about does not, and the stream has the time of the one before.
#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_refused_ends_a_stream_and_one_that_is_not_reviewed_does_not() {
    let bed = Bed::new();
    let forged = token("forged", NOW_MS + 60 * MINUTE_MS);
    let (acked, code, why) = told(bed.goes_on(Some(&forged)).await);
    assert_eq!((acked, code), (Some(0), Code::Unauthenticated), "{why}");
    assert!(why.contains("invalid bearer token"), "{why}");

    let bed = Bed::new();
    let fresh = bed.token_of("n", NOW_MS + 60 * MINUTE_MS);
    let first = bed.token_of("n", NOW_MS + 5 * MINUTE_MS);
    let identified = bed.ingest.inner.auth.identify_token(Some(&first)).await;
    bed.api.is_away.store(true, Ordering::Relaxed);
    let (acked, code, why) = told(bed.goes_on(Some(&fresh)).await);
    assert_eq!((acked, code), (Some(0), Code::Unauthenticated), "{why}");
    assert!(why.contains("no fresh one came"), "{why}");
    drop(identified);
}

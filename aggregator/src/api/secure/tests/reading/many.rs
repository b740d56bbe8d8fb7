//! Readers who may see many namespaces, each by a right of its own.

use http::HeaderValue;
use tokio::time::{Instant, sleep, timeout};

use super::namespaces::many;
use super::streams::{Events, STREAM};
use super::*;
use crate::api::needs::Needs;
use crate::api::readers::Denied;
use crate::query::Names;

/// In a cluster of a thousand namespaces.
const MORE: usize = 998;

/// Questions a second of one reader.
const A_SECOND: usize = 20;

/// How long after a right was taken away nothing more is told.
const REVOKED_WITHIN: Duration = Duration::from_secs(70);

const MODEL: &str = "/api/v1/model/namespaces";

fn may(namespace: &str) -> (&'static str, &'static str, &str) {
    ("jane", "pods", namespace)
}

/// An API server where `jane` may see the first so many of the thousand.
fn permitting(count: usize) -> Arc<Played> {
    let played = Played::with(&[]);
    for n in 0..count {
        played.permit(may(&format!("n{n}")));
    }
    played
}

impl Listener {
    /// How many namespaces `jane` may see, and whether that is not known of others.
    async fn sees(&self) -> Result<(usize, bool), Denied> {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_static("Bearer jane"));
        let (api, of) = self
            .secure
            .admit(&mut headers, None, Needs::all("node1"))
            .await?;
        let Names::Only(names) = &api.visible.namespaces else {
            panic!("not all of them");
        };
        Ok((names.len(), of.pending > 0))
    }

    /// Asks until everything is known; fails when that takes long.
    async fn settles(&self) -> Result<usize, Denied> {
        let until = Instant::now() + Duration::from_secs(240);
        loop {
            assert!(Instant::now() < until, "it is not settled");
            match self.sees().await {
                Ok((count, false)) => return Ok(count),
                Ok(_) | Err(Denied::Asking) => sleep(Duration::from_secs(1)).await,
                Err(denied) => return Err(denied),
            }
        }
    }
}

/// Scenario: a reader may see 400 of 1,000 namespaces. A stream is open for five minutes, beside it lists are asked for;
/// then one right is taken away, and after that all others.
/// Guarantees: the stream stays and every list is whole, at once; the stream ends within 70 s of the right that it
/// lost, and who may see nothing more is told nothing after 70 s; the API server is asked no more than 20 times a
/// second.
#[tokio::test(start_paused = true)]
async fn a_reader_of_400_of_1000_namespaces_keeps_their_stream_and_sees_all_of_them() {
    let played = permitting(400);
    let listener = played.listener(many(MORE));
    assert_eq!(listener.settles().await, Ok(400));
    let mut events = Events::open(&listener, "jane", STREAM).await;
    for _ in 0..30 {
        events.goes_on(Duration::from_secs(10)).await;
        let began = Instant::now();
        assert_eq!(listener.sees().await, Ok((400, false)));
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    played.forbid(may("n7"));
    let revoked = Instant::now();
    let (last, _) = events.end().await;
    assert!(last.contains("what you may see has changed"), "{last}");
    assert!(
        revoked.elapsed() <= REVOKED_WITHIN,
        "{:?}",
        revoked.elapsed()
    );

    let events = Events::open(&listener, "jane", STREAM).await;
    for n in 0..400 {
        played.forbid(may(&format!("n{n}")));
    }
    let revoked = Instant::now();
    events.end().await;
    assert!(
        revoked.elapsed() <= REVOKED_WITHIN,
        "{:?}",
        revoked.elapsed()
    );
    // Some may still count for who connects again.
    loop {
        match listener.sees().await {
            Ok((seen, _)) => assert!(revoked.elapsed() <= REVOKED_WITHIN, "{seen} are seen"),
            Err(Denied::Forbidden(_)) => break,
            Err(Denied::Asking) => {}
            Err(denied) => panic!("{denied}"),
        }
        sleep(Duration::from_secs(1)).await;
    }
    let busiest = played.busiest_second();
    assert!((A_SECOND / 2..=A_SECOND).contains(&busiest), "{busiest}");
}

/// Scenario: nobody asks but a stream that is open for ten minutes, of a reader of as many namespaces as may be.
/// Guarantees: it stays, though nothing but itself has the rights asked for again.
#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_600_rights_by_itself() {
    let played = permitting(600);
    let listener = played.listener(many(MORE));
    assert_eq!(listener.settles().await, Ok(600));
    let mut events = Events::open(&listener, "jane", STREAM).await;
    events.goes_on(Duration::from_secs(600)).await;
    assert!(played.busiest_second() <= A_SECOND);
}

/// Scenario: a reader of 400 of 1,000 namespaces opens a stream before it is known which.
/// Guarantees: it goes on until that is known, and then ends once; the next one stays.
#[tokio::test(start_paused = true)]
async fn a_stream_that_begins_before_all_is_settled_ends_once() {
    let played = permitting(400);
    let listener = played.listener(many(MORE));
    let first = Events::open(&listener, "jane", STREAM).await;
    let (last, after) = first.end().await;
    assert!(last.contains("what you may see has changed"), "{last}");
    assert!(after > Duration::from_secs(30), "{after:?}");
    assert_eq!(listener.sees().await, Ok((400, false)));
    let mut second = Events::open(&listener, "jane", STREAM).await;
    second.goes_on(Duration::from_secs(300)).await;
}

/// Scenario: a reader of three namespaces, in a cluster that has more than are asked about; then they may see a fourth.
/// Guarantees: their stream stays until then, although it is never known of all, and ends when the fourth is found, so
/// that the next one shows it.
#[tokio::test(start_paused = true)]
async fn a_stream_among_more_namespaces_than_are_asked_about_ends_for_a_new_one() {
    let played = permitting(3);
    let listener = played.listener(many(4_200));
    // A round of questions takes 205 s.
    for _ in 0..30 {
        drop(listener.sees().await);
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(listener.sees().await, Ok((3, true)));
    let mut events = Events::open(&listener, "jane", STREAM).await;
    events.goes_on(Duration::from_secs(300)).await;
    played.permit(may("n3"));
    let end = timeout(Duration::from_secs(600), events.end()).await;
    let (last, _) = end.expect("it ends once the fourth is found");
    assert!(last.contains("what you may see has changed"), "{last}");
    assert_eq!(listener.sees().await, Ok((4, true)));
}

/// Scenario: a reader without any right asks about all namespaces, in a cluster that has more than are asked about.
/// Guarantees: once it is known of those, they are told that they may not, as in smaller clusters, and that a namespace
/// that was not asked about can be named, which is so; with a right to one that is asked about they are let in.
#[tokio::test(start_paused = true)]
async fn a_reader_without_rights_among_more_namespaces_than_are_asked_about_is_refused() {
    let played = permitting(0);
    let listener = played.listener(many(4_200));
    let began = Instant::now();
    while listener.sees().await == Err(Denied::Asking) {
        // A round of questions takes 205 s.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(240), "{took:?}");
        sleep(Duration::from_secs(5)).await;
    }
    let told = listener.tells("jane", MODEL).await;
    assert_eq!(told.status, 403, "{}", told.text());
    assert!(told.text().contains("name one"), "{}", told.text());
    // The last one by its name.
    played.permit(may("n999"));
    let named = format!("{MODEL}/n999/pods");
    assert_eq!(listener.tells("jane", &named).await.status, 200);
    assert_eq!(listener.tells("jane", MODEL).await.status, 403);
    played.permit(may("a"));
    let permitted = Instant::now();
    while let Err(denied) = listener.sees().await {
        assert!(matches!(denied, Denied::Forbidden(_)), "{denied}");
        let took = permitted.elapsed();
        // A minute and 0.2 s for each namespace.
        assert!(took < Duration::from_secs(960), "{took:?}");
        sleep(Duration::from_secs(10)).await;
    }
    assert_eq!(listener.sees().await, Ok((1, true)));
}

/// Scenario: a reader may see more namespaces than can be asked about again in time; later, fewer.
/// Guarantees: they are refused with the reason and the next step, at once and not told a part, each time; once it is
/// known that they are fewer they are let in.
#[tokio::test(start_paused = true)]
async fn a_reader_of_more_namespaces_than_can_be_kept_is_told_what_to_do() {
    let played = permitting(700);
    let listener = played.listener(many(MORE));
    assert_eq!(listener.settles().await, Err(Denied::TooMany));
    for _ in 0..20 {
        let began = Instant::now();
        let told = listener.tells("jane", MODEL).await;
        assert_eq!(told.status, 403);
        let text = told.text();
        for part in [
            "more than 600 namespaces",
            "name a namespace",
            "ClusterRoleBinding",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        sleep(Duration::from_secs(10)).await;
    }
    for n in 300..700 {
        played.forbid(may(&format!("n{n}")));
    }
    let changed = Instant::now();
    let found = loop {
        match listener.settles().await {
            Err(Denied::TooMany) => sleep(Duration::from_secs(5)).await,
            found => break found,
        }
        let took = changed.elapsed();
        assert!(took < Duration::from_secs(180), "{took:?}");
    };
    // What was not asked again yet may still count.
    assert!((300..=600).contains(&found.unwrap()));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(listener.settles().await, Ok(300));
}

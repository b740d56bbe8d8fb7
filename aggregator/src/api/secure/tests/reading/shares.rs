//! What one reader may have of what all of them need.

use super::super::super::super::{MAX_READERS, MAX_STREAMS, OWN_TURNS};
use super::*;

const STREAM: &str = "/api/cairn/v1/stream?node=node1";
const RANGE: &str = "/api/cairn/v1/range?metric=memory_working_set_bytes&namespace=a";
const MODEL: &str = "/api/v1/model/namespaces/a/pods";

/// Asks as somebody, and does not read the answer.
async fn open(listener: &Listener, token: &str, path: &str) -> Response {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", &*bearer)];
    listener.begin(Method::GET, path, &headers, None).await
}

/// Jane and Joe, who may read namespace `a`.
fn readers() -> Listener {
    Played::with(&[("jane", "pods", "a"), ("joe", "pods", "a")]).listener(cluster(true))
}

/// That the first is sent away for what they have, and another is not.
async fn is_over(listener: &Listener, path: &str, text: &str) {
    let told = listener.tells("jane", path).await;
    assert_eq!(told.status, 429, "{path}: {}", told.text());
    assert_eq!(told.headers["retry-after"], "1");
    assert!(told.text().contains(text), "{}", told.text());
    assert_eq!(open(listener, "joe", path).await.status(), 200, "{path}");
}

fn over(listener: &Listener, of: &'static str) -> u64 {
    let counted = &listener.secure.api.metrics.over_own;
    counted.get_or_create(&[("of", of)]).get()
}

#[tokio::test(start_paused = true)]
async fn one_reader_has_a_quarter_of_the_streams() {
    let listener = readers();
    let mut held = Vec::new();
    for _ in 0..MAX_STREAMS / 4 {
        let response = open(&listener, "jane", STREAM).await;
        assert_eq!(response.status(), 200);
        held.push(response);
    }
    is_over(&listener, STREAM, "64 open streams").await;
    assert_eq!(over(&listener, "streams"), 1);
    // On loopback nobody notices, and figures count them all.
    assert_eq!(listener.plain.streams.count(), MAX_STREAMS / 4);
    let plain: Vec<_> = (0..MAX_STREAMS).map(|_| listener.plain.watch()).collect();
    assert!(plain.iter().all(Result::is_ok));
    assert!(listener.plain.watch().is_err());
    assert_eq!(open(&listener, "joe", STREAM).await.status(), 200);
    held.pop();
    assert_eq!(open(&listener, "jane", STREAM).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn one_reader_has_a_quarter_of_the_answers_that_are_read() {
    let listener = readers();
    let mut jane = listener.secure.api.clone();
    jane.reader = Some("jane".into());
    let held: Vec<_> = (0..MAX_READERS / 4).map(|_| jane.seat().unwrap()).collect();
    is_over(&listener, RANGE, "16 answers").await;
    assert_eq!(over(&listener, "answers"), 1);
    drop(held);
    assert_eq!(listener.tells("jane", RANGE).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn one_reader_has_half_of_the_turns_and_others_do_not_wait() {
    let listener = readers();
    let api = &listener.secure.api;
    let held = api.own_turns.try_take(&Some("jane".into()), OWN_TURNS);
    let began = tokio::time::Instant::now();
    assert_eq!(listener.tells("joe", MODEL).await.status, 200);
    // But for questions about rights, of which one is asked each 50 ms.
    assert!(began.elapsed() < Duration::from_secs(1));
    is_over(&listener, MODEL, "2 large requests").await;
    assert_eq!(over(&listener, "turns"), 1);
    drop(held);
    assert_eq!(listener.tells("jane", MODEL).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn one_reader_has_a_quarter_of_the_room() {
    let listener = readers();
    let api = &listener.secure.api;
    let share = api.room.all() / 4;
    let held = api.room.share(share, &Some("jane".into())).unwrap();
    is_over(&listener, MODEL, "16777216 bytes").await;
    assert_eq!(over(&listener, "room"), 1);
    drop(held);
    assert_eq!(listener.tells("jane", MODEL).await.status, 200);
}

/// Lists of metrics.k8s.io have places of their own, of which one reader has a quarter too.
#[tokio::test(start_paused = true)]
async fn one_reader_has_a_quarter_of_the_lists_of_metrics() {
    let listener = readers();
    let path = format!("/apis/{GROUP_VERSION}/namespaces/a/pods");
    let jane = listener.secure.metrics.for_reader("jane");
    let held: Vec<_> = (0..MAX_READERS / 4)
        .map(|_| jane.api.seat().unwrap())
        .collect();
    let told = listener.tells("jane", &path).await;
    assert_eq!(told.status, 429, "{}", told.text());
    assert_eq!(told.json()["reason"], "TooManyRequests");
    assert!(told.text().contains("16 answers"), "{}", told.text());
    assert_eq!(listener.tells("joe", &path).await.status, 200);
    drop(held);
    assert_eq!(listener.tells("jane", &path).await.status, 200);
}

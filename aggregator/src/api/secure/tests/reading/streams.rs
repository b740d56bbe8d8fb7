//! Streams: what they begin with, and when and why they end.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::time::{Instant, timeout, timeout_at};

use super::*;
use crate::api::tests::T0;

/// Beyond every end.
const LONG: Duration = Duration::from_secs(600);

/// An open stream.
pub(super) struct Events {
    body: Body,
    read: Vec<u8>,
    began: Instant,
}

impl Events {
    pub(super) async fn open(listener: &Listener, token: &str, path: &str) -> Self {
        let request = Request::builder().uri(path);
        let request = request.header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        let mut router = secure_router(listener.secure.clone());
        let response = router.call(request).await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            body: response.into_body(),
            read: Vec::new(),
            began: Instant::now(),
        }
    }

    /// The next event, to its empty line; `None` at the end.
    async fn next(&mut self) -> Option<String> {
        loop {
            let end = self.read.windows(2).position(|two| two == b"\n\n");
            if let Some(end) = end {
                let event = self.read.drain(..end + 2).collect();
                return Some(String::from_utf8(event).unwrap());
            }
            let frame = timeout(LONG, self.body.frame()).await.unwrap()?;
            let data = frame.unwrap().into_data().unwrap();
            self.read.extend_from_slice(&data);
        }
    }

    /// Fails when it ends before that.
    pub(super) async fn goes_on(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(event) = timeout_at(until, self.next()).await {
            let event = event.unwrap();
            assert!(!event.starts_with("event: end"), "{event}");
        }
    }

    /// The last event, and how long after the start it came.
    pub(super) async fn end(mut self) -> (String, Duration) {
        let mut last = String::new();
        while let Some(event) = self.next().await {
            last = event;
        }
        (last, self.began.elapsed())
    }
}

pub(super) const STREAM: &str = "/api/cairn/v1/stream?node=node1";

/// Scenario: two readers of the same ticks, one of namespace `a` and one of everything.
/// Guarantees: each is told of what they may see, and the first of nothing that depends on the rest.
#[tokio::test(start_paused = true)]
async fn what_is_looked_up_for_one_reader_is_not_shown_to_another() {
    let played = Played::with(&[("jane", "pods", "a"), ("admin", "*", "")]);
    let (with, without) = (
        played.listener(cluster(true)),
        played.listener(cluster(false)),
    );
    let mut windows = Vec::new();
    for (listener, token) in [
        (&with, "admin"),
        (&with, "jane"),
        (&with, "admin"),
        (&without, "jane"),
    ] {
        let mut events = Events::open(listener, token, STREAM).await;
        windows.push(events.next().await.unwrap());
    }
    assert!(
        windows[0].starts_with("event: window\ndata: "),
        "{}",
        windows[0]
    );
    assert!(windows[0].contains("bank") && windows[0].contains("\"name\":\"node1\""));
    assert_eq!(windows[0], windows[2]);
    assert_eq!(windows[1], windows[3]);
    assert!(windows[1].contains("\"web\"") && !windows[1].contains("bank"));
}

/// Guarantees: who may read no more is told so within 70 seconds, and nothing after that.
#[tokio::test(start_paused = true)]
async fn a_revoked_readers_stream_ends_with_its_reason() {
    let played = Played::with(&[("jane", "pods", "a")]);
    let listener = played.listener(cluster(true));
    let mut events = Events::open(&listener, "jane", STREAM).await;
    events.goes_on(Duration::from_secs(300)).await;
    played.forbid(("jane", "pods", "a"));
    let revoked = Instant::now();
    let (last, _) = events.end().await;
    assert!(
        last.starts_with("event: end\ndata: {\"reason\":\"you may not"),
        "{last}"
    );
    assert!(
        revoked.elapsed() <= Duration::from_secs(70),
        "{:?}",
        revoked.elapsed()
    );
}

/// Guarantees: a reader who took nothing while a right was taken away is told no more on the word of before.
#[tokio::test(start_paused = true)]
async fn a_stalled_reader_is_judged_before_they_are_told_more() {
    let played = Played::with(&[("jane", "pods", "a")]);
    let listener = played.listener(cluster(true));
    let mut events = Events::open(&listener, "jane", STREAM).await;
    events.next().await.unwrap();
    played.forbid(("jane", "pods", "a"));
    advance(Duration::from_secs(3_600)).await;
    let next = events.next().await.unwrap();
    assert!(next.starts_with("event: end\n"), "{next}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_when_its_reader_may_see_more_or_nobody_can_say() {
    let played = Played::with(&[("jane", "pods", "a")]);
    let listener = played.listener(cluster(true));
    let mut events = Events::open(&listener, "jane", STREAM).await;
    events.next().await.unwrap();
    played.permit(("jane", "pods", "b"));
    let (last, after) = events.end().await;
    assert!(last.contains("what you may see has changed"), "{last}");
    assert!(after <= Duration::from_secs(70), "{after:?}");
    let events = Events::open(&listener, "jane", STREAM).await;
    played.set_away(true);
    let (last, after) = events.end().await;
    assert!(last.contains("could not be verified"), "{last}");
    assert!(after <= Duration::from_secs(70), "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_readers_token() {
    let played = Played::with(&[("jane", "pods", "a")]);
    let api = cluster(true);
    let ends_s = (T0 + 20_100) / 1_000 + 31;
    let payload = URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{ends_s}}}"));
    let token = format!("e30.{payload}.c2ln");
    played.know(&token, "jane");
    let listener = played.listener(api);
    let events = Events::open(&listener, &token, STREAM).await;
    let (last, after) = events.end().await;
    assert!(last.contains("has run out"), "{last}");
    let expected = Duration::from_secs(30)..Duration::from_secs(32);
    assert!(expected.contains(&after), "{after:?}");
}

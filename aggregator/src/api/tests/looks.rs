//! What pages that look at once cost.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use tokio::time::{advance, timeout};

use super::jam::{Jam, alone, is_pending};
use super::window::{USUAL, def, pod, report};
use super::*;

const CLIENTS: usize = 100;

const LONG: Duration = Duration::from_secs(60);

/// A client of the event stream.
struct Client {
    body: Body,
    read: Vec<u8>,
}

impl Client {
    async fn connect(api: &Api, query: &str) -> Self {
        let path = format!("/api/cairn/v1/stream{query}");
        let request = Request::builder().uri(path).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        let mut router = router(api.clone(), gate(), Router::new());
        let response = router.call(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.into_body(),
            read: Vec::new(),
        }
    }

    /// The next event, to its empty line.
    async fn event(&mut self) -> String {
        loop {
            let end = self.read.windows(2).position(|two| two == b"\n\n");
            if let Some(end) = end {
                let event = self.read.drain(..end + 2).collect();
                return String::from_utf8(event).unwrap();
            }
            let frame = timeout(LONG, self.body.frame()).await.unwrap();
            let data: Bytes = frame.unwrap().unwrap().into_data().unwrap();
            self.read.extend_from_slice(&data);
        }
    }
}

/// Two nodes with a pod each, over three ticks.
pub(in super::super) fn two_nodes() -> (Arc<dyn Door>, Api) {
    let store: Arc<dyn Door> = Arc::new(PackedStore::new(900_000, 0));
    for name in ["node1", "node2"] {
        let node = (def(1, EntityKind::Node, 0, name), USUAL);
        let things = [node, (pod(2, "shop", name), USUAL)];
        report(&store, name, &[things.as_slice(); 3]);
    }
    (Arc::clone(&store), with_store(store))
}

async fn all_events(clients: &mut [Client]) -> Vec<String> {
    let mut events = Vec::new();
    for client in clients {
        events.push(client.event().await);
    }
    events
}

/// Scenario: a hundred pages are open; a tick is published.
/// Guarantees: all nodes are read once for all of them at the start, and once at the tick; everybody is
/// told the same.
#[tokio::test(start_paused = true)]
async fn a_hundred_clients_of_the_stream_cost_one_look_a_tick() {
    let (_, api) = two_nodes();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(&api, "").await);
    }
    let windows = all_events(&mut clients).await;
    assert!(
        windows[0].starts_with("event: window\ndata: {"),
        "{}",
        windows[0]
    );
    assert!(windows[0].ends_with("}\nretry: 2000\n\n"), "{}", windows[0]);
    assert!(windows.iter().all(|window| window.contains("\"node2\"")));
    assert_eq!(api.metrics.looks.get(), 1);
    // Nobody sends the next rows; the tick is published without them.
    api.clock.step(T0 + 34_000, LONG).await.unwrap();
    let ticks = all_events(&mut clients).await;
    let tick = format!("\"ticks\":[{}]", T0 + 30_000);
    assert!(
        ticks.iter().all(|event| event.contains(&tick)),
        "{}",
        ticks[0]
    );
    assert!(ticks[0].starts_with("event: tick\ndata: {"), "{}", ticks[0]);
    assert_eq!(api.metrics.looks.get(), 2);
}

/// Scenario: the newest tick is asked for again and again; a node says goodbye; another one comes with a
/// row of that tick.
/// Guarantees: what is asked for again is not read again; how a node is, is told as it is now, and values
/// that came meanwhile are there.
#[tokio::test(start_paused = true)]
async fn what_came_since_the_last_look_is_told() {
    let (store, api) = two_nodes();
    let path = "/api/cairn/v1/overview";
    let ask = async || {
        let (status, body) = ask_of(api.clone(), Method::GET, path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str::<serde_json::Value>(&body).unwrap()
    };
    let first = ask().await;
    assert_eq!(first["nodes"][0]["series"]["cpu"], serde_json::json!([0.5]));
    assert_eq!(first["cluster"]["cpu"], serde_json::json!([1.0]));
    assert_eq!(ask().await, first);
    assert_eq!(api.metrics.looks.get(), 1);

    let session = crate::store::Session {
        node: "node1".to_owned(),
        number: 1,
    };
    store.close(&session, T0 + 20_050);
    assert_eq!(ask().await["nodes"][0]["state"], "stale");
    assert_eq!(api.metrics.looks.get(), 1);

    let node = (def(1, EntityKind::Node, 0, "node3"), USUAL);
    let things = [node, (pod(2, "shop", "node3"), USUAL)];
    report(&store, "node3", &[things.as_slice(); 3]);
    let later = ask().await;
    assert_eq!(later["nodes"][2]["series"]["cpu"], serde_json::json!([0.5]));
    assert_eq!(later["cluster"]["cpu"], serde_json::json!([1.5]));
    assert_eq!(api.metrics.looks.get(), 2);
}

/// A client that waits for a look, which the jam keeps from beginning.
async fn waiting(api: &Api) -> Client {
    let mut client = Client::connect(api, "").await;
    let mut event = Box::pin(client.event());
    assert!(is_pending(event.as_mut()).await);
    advance(Duration::from_millis(60)).await;
    assert!(is_pending(event.as_mut()).await);
    drop(event);
    client
}

/// Scenario: a look takes longer than nothing may be sent; a node comes meanwhile, so that the look is
/// not the newest any more.
/// Guarantees: the page is sent a sign of life and keeps its place: it gets what this look finds, and
/// has not asked for a second one.
#[test]
fn a_sign_of_life_does_not_cost_the_place_in_the_line() {
    alone(async {
        let (store, api) = two_nodes();
        let jam = Jam::begin().await;
        let mut client = waiting(&api).await;
        Jam::settle().await;
        let readers = Arc::strong_count(&store);
        advance(Duration::from_secs(15)).await;
        assert_eq!(client.event().await, ":keepalive\n\n");
        let node = (def(1, EntityKind::Node, 0, "node3"), USUAL);
        report(&store, "node3", &[[node].as_slice(); 3]);
        let mut event = Box::pin(client.event());
        assert!(is_pending(event.as_mut()).await);
        advance(Duration::from_millis(60)).await;
        assert!(is_pending(event.as_mut()).await);
        Jam::settle().await;
        assert_eq!(Arc::strong_count(&store), readers);
        drop(jam);
        let event = event.await;
        assert!(event.starts_with("event: window\ndata: {"), "{event}");
        assert_eq!(api.metrics.looks.get(), 1);
    });
}

/// Scenario: the process shall stop while a page waits for a look that does not end.
/// Guarantees: its stream ends at once.
#[test]
fn a_page_that_waits_for_a_look_does_not_hold_up_the_end() {
    alone(async {
        let (_, api) = two_nodes();
        let _jam = Jam::begin().await;
        let mut client = waiting(&api).await;
        Jam::settle().await;
        api.token.cancel();
        // Not awaited: as long as the jam lasts, no time passes that could end the wait.
        let mut end = Box::pin(client.body.frame());
        let mut ended = None;
        std::future::poll_fn(|cx| {
            ended = Some(end.as_mut().poll(cx));
            std::task::Poll::Ready(())
        })
        .await;
        assert!(
            matches!(ended, Some(std::task::Poll::Ready(None))),
            "{ended:?}"
        );
    });
}

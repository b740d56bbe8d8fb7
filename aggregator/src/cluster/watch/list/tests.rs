//! Lists against an API server that is played.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use cairn_runtime::logging::Repeat;
use cairn_runtime::readiness::Readiness;
use cairn_runtime::shutdown::Token;
use http::{Request, Response};
use kube::client::Body;
use tokio::time::Instant;
use tower_service::Service;

use super::super::Watch;
use super::*;
use crate::cluster::{Client, Known, Metrics};

/// Pods of a page that is played.
const PODS: usize = 2;

/// Answers each request with the next of these, and notes which page it was for.
#[derive(Clone, Default)]
struct Played {
    answers: Arc<Mutex<VecDeque<Response<Body>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Service<Request<Body>> for Played {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let query = request.uri().query().unwrap_or_default();
        let page = query
            .split('&')
            .find_map(|one| one.strip_prefix("continue="));
        let mut asked = self.asked.lock().unwrap();
        asked.push(page.unwrap_or_default().to_owned());
        let answer = self.answers.lock().unwrap().pop_front();
        ready(Ok(answer.expect("no more is asked for")))
    }
}

/// The page of this number of a list of so many.
fn page(nth: usize, of: usize, version: u32) -> Response<Body> {
    let items = (0..PODS).map(|pod| {
        serde_json::json!({
            "metadata": {"namespace": "shop", "name": format!("web-{nth}-{pod}"), "uid": format!("{nth}-{pod}")},
            "spec": {"nodeName": "node-a", "containers": []},
        })
    });
    let next = if nth + 1 < of {
        format!("{version}-{}", nth + 1)
    } else {
        String::new()
    };
    let list = serde_json::json!({
        "metadata": {"resourceVersion": version.to_string(), "continue": next},
        "items": items.collect::<Vec<_>>(),
    });
    Response::new(Body::from(list.to_string().into_bytes()))
}

/// A refusal; of a list it says where to go on, or it does not.
fn refusal(code: u16, next: &str) -> Response<Body> {
    let status = serde_json::json!({
        "kind": "Status", "code": code, "message": "not now", "metadata": {"continue": next},
    });
    let mut answer = Response::new(Body::from(status.to_string().into_bytes()));
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap();
    if code == 429 {
        let headers = answer.headers_mut();
        headers.insert("retry-after", "2".parse().unwrap());
    }
    answer
}

struct Bench {
    watcher: Watcher,
    played: Played,
    known: Arc<Known>,
}

impl Bench {
    fn new(answers: impl IntoIterator<Item = Response<Body>>) -> Self {
        let played = Played::default();
        played.answers.lock().unwrap().extend(answers);
        let known = Arc::new(Known::default());
        let parts = Watch {
            client: Client::played(kube::Client::new(played.clone(), "default")),
            known: Arc::clone(&known),
            metrics: Metrics::default(),
            readiness: Readiness::new(),
            token: Token::new(),
        };
        let watcher = Watcher {
            parts,
            resource: Resource::Pods,
            version: None,
            has_watched: false,
            refusals: 0,
            failing: None,
            repeat: Repeat::default(),
            page: PAGE,
        };
        Self {
            watcher,
            played,
            known,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.played.asked.lock().unwrap().clone()
    }

    fn pods(&self) -> usize {
        self.known.count(Resource::Pods)
    }
}

/// Scenario: 300 pages, of which one in a hundred is answered 429, and one 503.
/// Guarantees: each page is asked for until it comes, and no other one again; a `Retry-After` is waited for.
#[tokio::test(start_paused = true)]
async fn a_page_that_does_not_come_is_asked_for_again_and_no_other() {
    const PAGES: usize = 300;
    let mut answers = Vec::new();
    let mut expected = Vec::new();
    for nth in 0..PAGES {
        let is_refused = nth % 100 == 50;
        if is_refused {
            answers.push(refusal(if nth == 250 { 503 } else { 429 }, ""));
        }
        answers.push(page(nth, PAGES, 7));
        let name = if nth == 0 {
            String::new()
        } else {
            format!("7-{nth}")
        };
        expected.extend(std::iter::repeat_n(name, 1 + usize::from(is_refused)));
    }
    let mut bench = Bench::new(answers);
    let began = Instant::now();
    assert_eq!(bench.watcher.list().await.unwrap(), "7");
    assert_eq!(bench.asked(), expected);
    assert_eq!(bench.pods(), PAGES * PODS);
    assert!(
        began.elapsed() >= Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
}

/// Guarantees: a page that never comes ends the list, and so does one that is refused for good, at once.
#[tokio::test(start_paused = true)]
async fn a_page_that_never_comes_ends_the_list() {
    let never = (0..500).map(|_| refusal(503, ""));
    let mut bench = Bench::new([page(0, 2, 7)].into_iter().chain(never));
    let began = Instant::now();
    let error = bench.watcher.list().await.unwrap_err();
    assert!(matches!(error, Error::Status { code: 503, .. }), "{error}");
    let took = began.elapsed();
    assert!(
        took >= PATIENCE && took < PATIENCE + Duration::from_secs(31),
        "{took:?}"
    );
    let tries = bench.asked().len() - 1;
    assert!((10..100).contains(&tries), "{tries}");
    let mut bench = Bench::new([page(0, 2, 7), refusal(403, "")]);
    let error = bench.watcher.list().await.unwrap_err();
    assert!(matches!(error, Error::Status { code: 403, .. }), "{error}");
}

/// Guarantees: where the version of a list is forgotten it goes on with what the API server says, and the watch begins
/// where the list did, so that it tells what the pages before do not have.
#[tokio::test(start_paused = true)]
async fn a_list_whose_version_is_forgotten_goes_on_with_a_later_one() {
    let later = refusal(410, "9-2");
    let answers = [
        page(0, 4, 7),
        page(1, 4, 7),
        later,
        page(2, 4, 9),
        page(3, 4, 9),
    ];
    let mut bench = Bench::new(answers);
    assert_eq!(bench.watcher.list().await.unwrap(), "7");
    assert_eq!(bench.asked(), ["", "7-1", "7-2", "9-2", "9-3"]);
    assert_eq!(bench.pods(), 4 * PODS);
}

/// Guarantees: where it says nothing, everything is to be listed anew.
#[tokio::test(start_paused = true)]
async fn a_list_that_cannot_go_on_ends() {
    let mut bench = Bench::new([page(0, 2, 7), refusal(410, "")]);
    let error = bench.watcher.list().await.unwrap_err();
    assert!(matches!(error, Error::Gone { next: None }), "{error}");
}

//! Whatever is asked, of either listener: no panic, and no answer that blames the server.

use std::cell::Cell;
use std::io::Read as _;
use std::time::Duration;

use flate2::read::{GzDecoder, ZlibDecoder};
use http::{HeaderValue, header};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::{Builder, Runtime};

use super::super::secure::tests::Listener;
use super::*;

/// What is served, where paths begin.
static ROUTES: [&str; 22] = [
    "/apis/metrics.k8s.io/v1beta1/nodes",
    "/apis/metrics.k8s.io/v1beta1/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/shop/pods",
    "/apis/metrics.k8s.io/v1beta1",
    "/apis",
    "/openapi/v2",
    "/openapi/v3/apis/metrics.k8s.io/v1beta1",
    "/readyz",
    "/apis/metrics/v1alpha1/nodes",
    "/apis/metrics/v1alpha1/namespaces/shop/pods",
    "/api/v1/model/nodes/node1/metrics/cpu",
    "/api/v1/model/namespaces/shop/pods/web/metrics",
    "/api/v1/model/namespaces/shop/pod-list",
    "/api/v1/metric-export",
    "/api/v1/dashboard/nodes/node1/metrics/cpu/usage_rate",
    "/api/v1/dashboard/namespaces/shop/pod-list",
    "/api/cairn/v1/range",
    "/api/cairn/v1/overview",
    "/api/cairn/v1/values",
    "/api/cairn/v1/workloads",
    "/api/cairn/v1/stream",
    "/",
];

/// What queries name.
static NAMES: [&str; 18] = [
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "includeObject",
    "pretty",
    "watch",
    "timeoutSeconds",
    "start",
    "end",
    "step",
    "metric",
    "kind",
    "namespace",
    "pod",
    "node",
    "field",
];

/// What values and segments are made of, beside what is made up.
static WORDS: [&str; 34] = [
    "node1",
    "web",
    "shop",
    "a=b",
    "a!=b",
    "a in (b,c)",
    "a notin ()",
    "!a",
    "a,,b",
    "metadata.name=web",
    "metadata.name!=",
    "spec.nodeName=node1",
    "0",
    "-1",
    "18446744073709551616",
    "1e400",
    "NaN",
    "2026-11-22T07:27:16Z",
    "9999-12-31T23:59:60+99:99",
    "true",
    "cpu_usage_nano_cores",
    "memory_usage_bytes",
    "pod",
    "..",
    "%",
    "%2",
    "%00",
    "%ff%fe",
    "%2f",
    "//",
    "10s",
    "99999999999h",
    "*",
    "\u{202e}",
];

static METHODS: [&str; 4] = ["HEAD", "POST", "DELETE", "X"];

static HEADERS: [&str; 7] = [
    "accept",
    "accept-encoding",
    "if-none-match",
    "range",
    "x-remote-user",
    "authorization",
    "content-type",
];

static MEDIA: [&str; 14] = [
    "application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;as=APIGroupDiscoveryList;v=v2;g=apidiscovery.k8s.io",
    "application/vnd.kubernetes.protobuf",
    "application/yaml",
    "*/*",
    "text/html;q=0.5",
    "application/*;q=NaN",
    ";;;=,,",
    "gzip",
    "gzip;q=0",
    "identity;q=0,*;q=0",
    "bytes=0-",
];

/// A question.
#[derive(Clone, Debug)]
struct Asked {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned),
        2 => "[a-zA-Z0-9.!=(), _-]{0,24}",
        1 => "\\PC{0,12}",
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let name = prop_oneof![
        8 => proptest::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => word(),
    ];
    let header = (
        proptest::sample::select(&HEADERS[..]),
        prop_oneof![
            6 => vec(proptest::sample::select(&MEDIA[..]), 1..4).prop_map(|all| all.join(", ")),
            2 => "[ -~]{0,40}",
            1 => "\\PC{0,12}",
        ],
    );
    (
        prop_oneof![9 => Just("GET"), 1 => proptest::sample::select(&METHODS[..])],
        proptest::sample::select(&ROUTES[..]),
        vec(word(), 0..4),
        vec((name, word()), 0..5),
        vec(header, 0..4),
    )
        .prop_map(|(method, route, segments, pairs, headers)| {
            let segments: Vec<String> = segments.iter().map(|text| escaped(text)).collect();
            let pairs = pairs.iter();
            let pairs = pairs.map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
            let pairs: Vec<String> = pairs.collect();
            let mut path = [vec![route.to_owned()], segments].concat().join("/");
            if !pairs.is_empty() {
                path = format!("{path}?{}", pairs.join("&"));
            }
            Asked {
                method,
                path,
                headers,
            }
        })
}

/// What can stand in a URI as it is, and the rest in `%XX`; what looks escaped already stays, broken or not.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!*(),=/:".contains(&byte);
    let bytes = text.bytes();
    bytes
        .map(|byte| {
            if is_plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

impl Asked {
    fn request(&self) -> http::request::Builder {
        let request = http::Request::builder().method(self.method).uri(&self.path);
        let headers = self.headers.iter();
        // Of bytes: a value need not be ASCII.
        headers.fold(request, |request, (name, value)| {
            request.header(*name, value.as_bytes())
        })
    }
}

/// Time that passes at once where nothing else is to be done: streams without an end are left.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

const READ_FOR: Duration = Duration::from_millis(500);

/// Asks so many times; a part of it finds something, else it would show nothing.
fn check(cases: u32, ask: impl Fn(&Asked) -> u16) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let found = Cell::new(0);
    let outcome = TestRunner::new(config).run(&asked(), |asked| {
        let status = ask(&asked);
        found.set(found.get() + u32::from(status == 200));
        // 503 says that something is not there yet, which is nobody's fault.
        prop_assert!(status < 500 || status == 503, "{status} {asked:?}");
        Ok(())
    });
    outcome.unwrap();
    assert!(found.get() > cases / 20, "{} of {cases}", found.get());
}

#[test]
fn nothing_that_is_asked_of_the_plain_listener_is_its_fault() {
    let (runtime, api) = (runtime(), api());
    check(600, |asked| {
        let request = asked.request().header("host", "localhost");
        let mut router = router(api.clone(), gate(), Router::new());
        runtime.block_on(async {
            let request = request.body(Body::empty()).unwrap();
            status(router.call(request).await.unwrap()).await
        })
    });
}

#[test]
fn nothing_that_is_asked_of_the_https_listener_is_its_fault() {
    let runtime = runtime();
    let listener = runtime.block_on(async { Listener::of(api()) });
    check(300, |asked| {
        let answered = listener.anything(asked.request());
        runtime.block_on(async { status(answered.await).await })
    });
}

/// The status of an answer, which is read as far as it comes. That a pod is unknown was 500 in Heapster's
/// resource metrics, and has to be: it blames nobody.
async fn status(answered: Response) -> u16 {
    let (parts, body) = answered.into_parts();
    let read = tokio::time::timeout(READ_FOR, body.collect()).await;
    let body = read.ok().and_then(Result::ok).map(|body| body.to_bytes());
    let is_unknown = body
        .is_some_and(|body| plain(&parts.headers, &body).starts_with("Error while getting pod "));
    if is_unknown {
        404
    } else {
        parts.status.as_u16()
    }
}

/// The text of a body, which may be compressed; empty of what is none.
fn plain(headers: &HeaderMap, body: &[u8]) -> String {
    let mut text = String::new();
    let coding = headers.get(header::CONTENT_ENCODING);
    let read = match coding.map(HeaderValue::as_bytes) {
        Some(b"gzip") => GzDecoder::new(body).read_to_string(&mut text),
        Some(b"deflate") => ZlibDecoder::new(body).read_to_string(&mut text),
        _ => (&mut &*body).read_to_string(&mut text),
    };
    if read.is_err() {
        text.clear();
    }
    text
}

#[tokio::test]
async fn a_body_is_read_whether_it_is_compressed_or_not() {
    for accept in ["identity", "gzip", "deflate"] {
        let request = Request::builder()
            .uri("/apis/metrics/v1alpha1/namespaces/shop/pods/nosuch")
            .header("host", "localhost")
            .header("accept-encoding", accept);
        let request = request.body(Body::empty()).unwrap();
        let answered = router(api(), gate(), Router::new()).call(request).await;
        let answered = answered.unwrap();
        assert_eq!(answered.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(status(answered).await, 404, "{accept}");
    }
}

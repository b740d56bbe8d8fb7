//! Requests in, answers out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::Full;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use super::Admin;
use crate::body;
use crate::clock::StepError;
use crate::listen::Peer;
#[cfg(feature = "aside")]
use crate::tasks;

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const NOT_FOUND: &str = "not found: the paths are /livez, /readyz (or /readyz?verbose), /metrics \
                         and, for clients on this machine, /debug/clock\n";
const LOOPBACK_ONLY: &str = "/debug answers only clients on this machine: ask over 127.0.0.1\n";

/// The time a step may take: the longest source deadline and some.
const STEP_DEADLINE: Duration = Duration::from_secs(30);

/// A request to step the clock is a few dozen bytes.
const MAX_BODY_BYTES: usize = 1024;
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// The body of `/debug/clock`, both ways.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockTime {
    /// Wall time, Unix time in ms.
    unix_ms: u64,
    /// True: the clock is set as a machine's is, and no time passes. Never in an answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    jump: bool,
}

type Answer = Response<Full<Bytes>>;

pub(super) async fn answer<B>(admin: &Admin, request: Request<B>) -> Answer
where
    B: Body<Error: std::fmt::Display>,
{
    let path = request.uri().path();
    if path.starts_with("/debug/") {
        let local = request.extensions().get().is_some_and(Peer::is_loopback);
        if !local {
            return plain(StatusCode::FORBIDDEN, LOOPBACK_ONLY);
        }
    }
    let allowed = match path {
        "/livez" | "/readyz" | "/metrics" => "GET, HEAD",
        "/debug/clock" => "GET, HEAD, POST",
        _ => return plain(StatusCode::NOT_FOUND, NOT_FOUND),
    };
    // hyper leaves the body of an answer to HEAD out by itself.
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match path {
        "/livez" if reads => livez(admin),
        "/readyz" if reads => readyz(admin, is_verbose(request.uri().query())),
        "/metrics" if reads => metrics(admin).await,
        "/debug/clock" if reads => clock_time(admin.clock.unix_ms()),
        "/debug/clock" if request.method() == Method::POST => {
            step(admin, request.into_body()).await
        }
        _ => {
            let text = format!("this path takes {allowed}\n");
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, text);
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static(allowed));
            answer
        }
    }
}

fn livez(admin: &Admin) -> Answer {
    match admin.health.reason() {
        None => plain(StatusCode::OK, "ok\n"),
        Some(reason) => plain(StatusCode::INTERNAL_SERVER_ERROR, format!("{reason}\n")),
    }
}

fn readyz(admin: &Admin, verbose: bool) -> Answer {
    let (ready, text) = admin.readiness.render(verbose);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    plain(status, text)
}

/// Takes `?verbose` and `?verbose=...`, in any place of the query.
fn is_verbose(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| pair.split('=').next() == Some("verbose"))
}

async fn metrics(admin: &Admin) -> Answer {
    match encoded(&admin.registry).await {
        Some(text) => respond(StatusCode::OK, OPENMETRICS, text),
        // A collector gave up; half an exposition would be taken for the whole.
        None => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "a metric could not be read\n",
        ),
    }
}

/// Where this listener has a thread of its own, probes shall not wait on it for collectors that look over everything.
#[cfg(feature = "aside")]
async fn encoded(registry: &Arc<Registry>) -> Option<String> {
    let registry = Arc::clone(registry);
    let text = tasks::blocking("metrics", move || encode(&registry)).await;
    text.ok().flatten()
}

#[cfg(not(feature = "aside"))]
#[expect(clippy::unused_async, reason = "the other one waits")]
async fn encoded(registry: &Arc<Registry>) -> Option<String> {
    encode(registry)
}

fn encode(registry: &Registry) -> Option<String> {
    let mut text = String::new();
    let encoded = text::encode(&mut text, registry);
    encoded.is_ok().then_some(text)
}

async fn step<B>(admin: &Admin, body: B) -> Answer
where
    B: Body<Error: std::fmt::Display>,
{
    let bytes = match body::read_capped(body, MAX_BODY_BYTES, BODY_DEADLINE).await {
        Ok(bytes) => bytes,
        Err(error @ body::Error::TooLarge { .. }) => {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, format!("{error}\n"));
        }
        Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let Ok(ClockTime { unix_ms, jump }) = serde_json::from_slice(&bytes) else {
        return plain(
            StatusCode::BAD_REQUEST,
            "the body must be {\"unix_ms\":N}, with \"jump\":true where no time passes\n",
        );
    };
    let set = if jump {
        admin.clock.jump(unix_ms, STEP_DEADLINE).await
    } else {
        admin.clock.step(unix_ms, STEP_DEADLINE).await
    };
    match set {
        Ok(()) => clock_time(unix_ms),
        Err(error @ StepError::NotDriven) => plain(StatusCode::CONFLICT, format!("{error}\n")),
        Err(error @ StepError::Unsettled { .. }) => {
            plain(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
        }
    }
}

fn clock_time(unix_ms: u64) -> Answer {
    match serde_json::to_vec(&ClockTime {
        unix_ms,
        jump: false,
    }) {
        Ok(json) => respond(StatusCode::OK, JSON, json),
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the time could not be written\n",
        ),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    respond(status, TEXT, text)
}

fn respond(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Each answer is about this instant.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

//! The kubelet's port: statistics, and the ways they go wrong.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, LOCATION};
use hyper::{Method, Request, Response, StatusCode};

use super::control::Control;
use super::delivery::Delivery;
use super::fault::{Endpoint, Fault};

/// No test waits longer for an answer that does not come; then the request ends all the same.
const HANG_LIMIT: Duration = Duration::from_secs(600);

/// How many random bytes are garbage enough.
const GARBAGE_BYTES: u64 = 4096;

const TEXT: &str = "text/plain; charset=utf-8";

/// Which of the kubelet's ports was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// The one that wants a token.
    Kubelet,
    /// The one without TLS, which lets everybody in.
    ReadOnly,
    /// That of a cAdvisor of its own on the same machine, which asks for no token: it has nothing but its
    /// text, and breaks with the kubelet's.
    Cadvisor,
}

/// Answers one request to a port of the kubelet.
pub(super) async fn answer(
    control: Control,
    request: Request<Incoming>,
    door: Door,
) -> Result<Response<Delivery>, Infallible> {
    let path = request.uri().path();
    let endpoint = match (path, door) {
        ("/metrics", Door::Cadvisor) => Endpoint::Cadvisor,
        (_, Door::Cadvisor) => Endpoint::Other,
        (path, _) => Endpoint::of(path, request.uri().query()),
    };
    let authorization = request.headers().get(AUTHORIZATION);
    let admitted = control.admit(endpoint, authorization.map(|value| value.as_bytes()));
    let admitted = admitted || door != Door::Kubelet;
    if path == "/healthz" {
        return Ok(text(StatusCode::OK, "ok"));
    }
    let fault = control.next_fault(endpoint);
    if !admitted {
        return Ok(refusal(StatusCode::UNAUTHORIZED, endpoint));
    }
    if endpoint == Endpoint::Pods {
        return Ok(refusal(StatusCode::FORBIDDEN, endpoint));
    }
    if endpoint == Endpoint::Other {
        return Ok(text(StatusCode::NOT_FOUND, "404 page not found\n"));
    }
    if request.method() != Method::GET {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
        response
            .headers_mut()
            .insert(ALLOW, hyper::header::HeaderValue::from_static("GET"));
        return Ok(response);
    }
    Ok(broken(&control, endpoint, fault).await)
}

async fn broken(control: &Control, endpoint: Endpoint, fault: Fault) -> Response<Delivery> {
    match fault {
        Fault::None => whole(control, endpoint),
        Fault::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            whole(control, endpoint)
        }
        Fault::Hang => {
            tokio::time::sleep(HANG_LIMIT).await;
            text(StatusCode::SERVICE_UNAVAILABLE, "hung, as ordered")
        }
        Fault::Truncate { at } => {
            let body = Delivery::cut(&body(control, endpoint), at);
            respond(StatusCode::OK, content_type(endpoint), body)
        }
        Fault::Status { code } => {
            let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            refusal(status, endpoint)
        }
        Fault::Garbage => {
            let garbage: Vec<u8> = (0..GARBAGE_BYTES)
                .map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()[1])
                .collect();
            let body = Delivery::Whole(Bytes::from(garbage));
            respond(StatusCode::OK, content_type(endpoint), body)
        }
        Fault::Body { text } => {
            let body = Delivery::Whole(Bytes::from(text));
            respond(StatusCode::OK, content_type(endpoint), body)
        }
        Fault::LongLine { mut text, bytes } => {
            text.extend(std::iter::repeat_n('x', bytes));
            let body = Delivery::Whole(Bytes::from(text));
            respond(StatusCode::OK, content_type(endpoint), body)
        }
        Fault::Huge { bytes } => {
            let body = Delivery::huge(bytes);
            respond(StatusCode::OK, content_type(endpoint), body)
        }
        Fault::Endless => respond(StatusCode::OK, content_type(endpoint), Delivery::endless()),
        Fault::Redirect => {
            let mut response = text(StatusCode::TEMPORARY_REDIRECT, "Temporary Redirect");
            let elsewhere = hyper::header::HeaderValue::from_static("/redirected");
            response.headers_mut().insert(LOCATION, elsewhere);
            response
        }
        Fault::ContentType => {
            let body = Delivery::Whole(body(control, endpoint));
            respond(StatusCode::OK, "text/html; charset=utf-8", body)
        }
        Fault::Drip { bytes_per_s } => {
            let body = Delivery::drip(body(control, endpoint), bytes_per_s);
            respond(StatusCode::OK, content_type(endpoint), body)
        }
    }
}

fn whole(control: &Control, endpoint: Endpoint) -> Response<Delivery> {
    let body = Delivery::Whole(body(control, endpoint));
    respond(StatusCode::OK, content_type(endpoint), body)
}

/// The body of this moment.
fn body(control: &Control, endpoint: Endpoint) -> Bytes {
    let (body, marker) = control.body(endpoint);
    if let (Endpoint::Summary, Some(marker)) = (endpoint, marker) {
        control.note_served(marker);
    }
    body
}

fn content_type(endpoint: Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Summary | Endpoint::SummaryOfCpuAndMemory => "application/json",
        Endpoint::Resource | Endpoint::Cadvisor => {
            "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"
        }
        Endpoint::Pods | Endpoint::Other => TEXT,
    }
}

/// Refuses in the kubelet's words.
fn refusal(status: StatusCode, endpoint: Endpoint) -> Response<Delivery> {
    let right = match endpoint {
        Endpoint::Summary | Endpoint::SummaryOfCpuAndMemory => "stats",
        Endpoint::Resource | Endpoint::Cadvisor => "metrics",
        Endpoint::Pods | Endpoint::Other => "proxy",
    };
    match status {
        StatusCode::UNAUTHORIZED => text(status, "Unauthorized"),
        StatusCode::FORBIDDEN => text(
            status,
            &format!(
                "Forbidden (user=system:serviceaccount:cairn:cairn-agent, verb=get, \
                 resource=nodes, subresource(s)=[{right}])"
            ),
        ),
        other => text(other, other.canonical_reason().unwrap_or("no reason")),
    }
}

fn text(status: StatusCode, text: &str) -> Response<Delivery> {
    let body = Delivery::Whole(Bytes::copy_from_slice(text.as_bytes()));
    respond(status, TEXT, body)
}

pub(super) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: Delivery,
) -> Response<Delivery> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, value);
    response
}

//! Bodies and headers as the reference servers send them.

use std::io::Write as _;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::room::{self, Bounded, ROOM_BYTES};
use super::{Asked, Cut, Of};

/// Text, such as errors.
pub(super) fn text(status: StatusCode, body: impl Into<String>) -> Response {
    build(status, "text/plain; charset=utf-8", body.into())
}

/// JSON as Go's `MarshalIndent(v, " ", " ")` prints it: every line after the first begins with one
/// more space.
pub(super) fn pretty<T: Serialize>(value: &T) -> Response {
    // Strings never hold a raw line break, so each one is the formatter's.
    let mut bounded = Bounded::new(ROOM_BYTES, " ");
    let formatter = PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bounded, formatter);
    let written = value.serialize(&mut serializer);
    json(written, bounded)
}

/// JSON on one line and a line break.
pub(super) fn compact<T: Serialize>(value: &T) -> Response {
    let mut bounded = Bounded::new(ROOM_BYTES, "");
    let written = serde_json::to_writer(&mut bounded, value)
        .and_then(|()| bounded.write_all(b"\n").map_err(serde_json::Error::io));
    json(written, bounded)
}

fn json(written: serde_json::Result<()>, bounded: Bounded) -> Response {
    match written {
        Ok(()) => build(StatusCode::OK, JSON, bounded.into_bytes()),
        // Memory fails for nothing but its limit.
        Err(error) if error.is_io() => room::too_large(),
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the answer could not be written as JSON",
        ),
    }
}

/// A redirect to the path without double slashes.
pub(super) fn moved(path: &str, query: Option<&str>) -> Response {
    let target = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
    let mut response = text(StatusCode::MOVED_PERMANENTLY, String::new());
    if let Ok(value) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}

/// Too many requests that read much are under way.
pub(super) fn busy() -> Response {
    again("too many large requests at once: try again in a moment, or ask for fewer pods")
}

/// Why an answer does not begin.
pub(super) fn cut(cut: Cut) -> Response {
    match cut {
        Cut::Short => short_of_memory(),
        Cut::Busy => busy(),
        Cut::OfOne(most) => over_own(most.to_string()),
        Cut::Full | Cut::Crowded | Cut::Late | Cut::Over(_) | Cut::Going => again(cut.to_string()),
        Cut::Failed => failed(),
    }
}

/// A reader has as much as one may have; the text says of what, and how much that is.
fn over_own(body: String) -> Response {
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, body);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// There is no place now, for this reason.
pub(super) fn again(body: impl Into<String>) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, body);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// What is left of the memory is for rows.
pub(super) fn short_of_memory() -> Response {
    let body = "the aggregator is short of memory: try again in a while; /readyz?verbose on its admin \
                listener says more";
    let mut response = text(StatusCode::TOO_MANY_REQUESTS, body);
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
}

/// A defect of ours; the log says which.
pub(super) fn failed() -> Response {
    text(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the answer could not be made: see the log",
    )
}

/// `None` for GET; otherwise the refusal.
pub(super) fn not_get(method: &Method) -> Option<Response> {
    if method == Method::GET {
        return None;
    }
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "405: Method Not Allowed");
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("GET"));
    Some(response)
}

/// The refusal of a client that does not take JSON; `None` when it does. One `Accept` among several
/// that allows it is enough.
pub(super) fn not_json(headers: &HeaderMap) -> Option<Response> {
    let mut accepts = headers.get_all(header::ACCEPT).iter().peekable();
    let takes_json = accepts.peek().is_none()
        || accepts.any(|accept| {
            accept.to_str().is_ok_and(|accept| {
                accept.is_empty() || accept.contains("*/*") || accept.contains(JSON)
            })
        });
    (!takes_json).then(|| text(StatusCode::NOT_ACCEPTABLE, "406: Not Acceptable"))
}

/// `None` for a GET of a client that takes JSON; otherwise the refusal.
pub(super) fn not_for_json_get(asked: &Asked) -> Option<Response> {
    not_get(&asked.method).or_else(|| not_json(&asked.headers))
}

/// True of a call by gRPC, whose errors are headers of an answer that went well.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let told = headers.get(header::CONTENT_TYPE);
    told.is_some_and(|told| told.as_bytes().starts_with(GRPC.as_bytes()))
}

/// The refusal of a call by gRPC: `PERMISSION_DENIED`, and why.
pub(super) fn grpc_denied(why: &'static str) -> Response {
    let mut response = build(StatusCode::OK, GRPC, Body::empty());
    let headers = response.headers_mut();
    headers.insert("grpc-status", HeaderValue::from_static("7"));
    headers.insert("grpc-message", HeaderValue::from_static(why));
    response
}

/// What sums, lists and the highest of something are of, where a reader may not see everything.
pub(crate) const OF_VISIBLE: &str = "what you may see";

/// Marks an answer that is of what its reader may see, and says whether some is still being found out.
pub(super) fn of_visible(mut response: Response, of: Of) -> Response {
    let headers = response.headers_mut();
    if of.is_part {
        headers.insert(PART, HeaderValue::from_static(OF_VISIBLE));
    }
    if of.pending > 0 {
        headers.insert(PENDING, HeaderValue::from_static(IS_PENDING));
    }
    response
}

/// The header, and over gRPC the metadata, that says so.
pub(crate) const PART: &str = "cairn-of";

/// The one that says that of some namespaces it is not known yet whether their reader may see them. Of how many
/// would tell of what they may not.
pub(crate) const PENDING: &str = "cairn-namespaces-pending";

/// What it says.
pub(crate) const IS_PENDING: &str = "true";

/// There is no such path below one that is served.
pub(super) fn no_page() -> Response {
    text(StatusCode::NOT_FOUND, "404: Page Not Found")
}

/// Marks an answer over several nodes, some of which count with held values.
pub(super) fn with_missing(mut response: Response, nodes_missing: usize) -> Response {
    if nodes_missing > 0 {
        response
            .headers_mut()
            .insert("cairn-nodes-missing", HeaderValue::from(nodes_missing));
    }
    response
}

const GRPC: &str = "application/grpc";

pub(super) const JSON: &str = "application/json";

pub(super) fn build(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let value = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_over_the_budget_says_to_ask_for_less() {
        let longest = "x".repeat(ROOM_BYTES - 3);
        assert_eq!(compact(&longest).status(), StatusCode::OK);
        let longer = longest + "xx";
        for response in [compact(&longer), pretty(&longer)] {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.starts_with(b"the answer is over 67108864 bytes: ask for fewer pods"));
        }
    }
}

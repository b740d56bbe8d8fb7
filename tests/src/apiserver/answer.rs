//! Answers: JSON bodies, whole or line by line, and `Status` bodies.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// What every answer has.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &Value) -> Response<Body> {
    respond(
        status,
        Full::new(Bytes::from(body.to_string())).boxed_unsync(),
    )
}

/// An answer of a body.
pub(super) fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let of_json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, of_json);
    response
}

/// A refusal, as the real server words it.
pub(super) fn refusal(code: u16, reason: &str, message: &str) -> Response<Body> {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, &status_of(code, reason, message))
}

/// 429 with a wish.
pub(super) fn too_many(retry_after_s: u64) -> Response<Body> {
    let text = "the server has received too many requests and has asked us to try again later";
    let mut response = refusal(429, "TooManyRequests", text);
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(retry_after_s));
    response
}

/// The `Status` of a failure.
pub(super) fn status_of(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    })
}

/// The `Status` of a version that is gone.
pub(super) fn gone() -> Value {
    let message = "The resourceVersion for the provided watch is too old.";
    status_of(410, "Expired", message)
}

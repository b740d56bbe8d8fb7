//! Requests to the API server: each has a deadline, each answer a largest size.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use cairn_runtime::body;
use http::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use http::{Request, Response};
use kube::client::Body;
use serde::Deserialize;
use tokio::time::timeout;

use super::Error;
use super::dial::Dial;
use crate::config::ApiServer;

/// Time for an answer to begin. An API server gives up after a minute; one that takes half of that has
/// no room for us.
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);

/// Time for the body of a small answer.
const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// The largest answer to [`Client::get`] and [`Client::post`]: a `ConfigMap` has at most a megabyte.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// The largest `Status` that is read.
const MAX_STATUS_BYTES: usize = 64 * 1024;

/// The longest message of a `Status` that is passed on, characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// A way to ask the API server. Clones share one connection.
#[derive(Clone)]
pub struct Client {
    kube: kube::Client,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A whole answer, and when it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dated {
    /// The body.
    pub body: Bytes,
    /// The header `Date` as it came: the time by the clock of the one who answered. `None` when it is not there,
    /// or is no text.
    pub date: Option<String>,
}

impl Client {
    /// Makes one; it connects with its first request. Must be called inside a tokio runtime.
    #[must_use]
    pub fn new(api: &ApiServer) -> Self {
        Self {
            kube: kube::Client::new(Dial::new(api), "default"),
        }
    }

    /// Asks for one thing, such as `/api/v1/namespaces/kube-system/configmaps/NAME`.
    ///
    /// # Errors
    ///
    /// [`Error::Status`] for every status but success, others as they say.
    pub async fn get(&self, path: &str) -> Result<Bytes, Error> {
        Ok(self.get_dated(path).await?.body)
    }

    /// The same, with the time at which the API server answered.
    ///
    /// # Errors
    ///
    /// As [`Client::get`].
    pub async fn get_dated(&self, path: &str) -> Result<Dated, Error> {
        self.whole(request("GET", path, Vec::new())?).await
    }

    /// Posts JSON, such as a review to `/apis/authentication.k8s.io/v1/tokenreviews`, and gives the answer.
    ///
    /// # Errors
    ///
    /// As [`Client::get`]. Nothing is sent a second time.
    pub async fn post(&self, path: &str, body: Vec<u8>) -> Result<Bytes, Error> {
        Ok(self.whole(request("POST", path, body)?).await?.body)
    }

    /// Replaces an object by this JSON; the API server compares the version that stands in it.
    ///
    /// # Errors
    ///
    /// As [`Client::get`]; 409 when the object has changed since. Nothing is sent a second time.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Result<Dated, Error> {
        self.whole(request("PUT", path, body)?).await
    }

    /// Applies a JSON patch (RFC 6902) to an object.
    ///
    /// # Errors
    ///
    /// As [`Client::get`]; 422 when a `test` of the patch does not hold. Nothing is sent a second time.
    pub async fn json_patch(&self, path: &str, patch: Vec<u8>) -> Result<Dated, Error> {
        let mut request = request("PATCH", path, patch)?;
        let of_patch = HeaderValue::from_static("application/json-patch+json");
        request.headers_mut().insert(CONTENT_TYPE, of_patch);
        self.whole(request).await
    }

    /// One that is answered by this instead of an API server.
    #[cfg(test)]
    pub(super) fn played(kube: kube::Client) -> Self {
        Self { kube }
    }

    async fn whole(&self, request: Request<Vec<u8>>) -> Result<Dated, Error> {
        let answer = self.answered(request).await?;
        let date = answer.headers().get(DATE);
        let date = date.and_then(|date| date.to_str().ok().map(str::to_owned));
        let body = answer.into_body();
        let body = body::read_capped(body, MAX_ANSWER_BYTES, BODY_DEADLINE).await?;
        Ok(Dated { body, date })
    }

    /// Sends a request and gives the body of its answer, whose reader has limits of its own.
    pub(super) async fn open(&self, request: Request<Vec<u8>>) -> Result<Body, Error> {
        Ok(self.answered(request).await?.into_body())
    }

    /// Sends a request and gives its answer, when it is a good one.
    async fn answered(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, Error> {
        let path = request.uri().path().to_owned();
        let sent = self.kube.send(request.map(Body::from));
        let answer = timeout(ANSWER_DEADLINE, sent).await;
        let answer = answer.map_err(|_| Error::Deadline {
            path: path.clone(),
            deadline: ANSWER_DEADLINE,
        })?;
        let answer = answer.map_err(own)?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(refused(path, answer).await)
    }
}

/// A request with the headers that all have.
fn request(method: &str, path: &str, body: Vec<u8>) -> Result<Request<Vec<u8>>, Error> {
    let json = HeaderValue::from_static("application/json");
    // The keys of service-account tokens have a type of their own, and no other is acceptable for them.
    let accepted = HeaderValue::from_static("application/json, application/jwk-set+json");
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(ACCEPT, accepted)
        .header(CONTENT_TYPE, json)
        .body(body);
    request.map_err(|error| Error::Request {
        why: error.to_string(),
    })
}

/// The error of the service below, which `kube` passes up in a box.
fn own(error: kube::Error) -> Error {
    let why = error.to_string();
    match error {
        kube::Error::Service(inner) => match inner.downcast::<Error>() {
            Ok(own) => *own,
            Err(other) => Error::Broken {
                why: other.to_string(),
            },
        },
        _ => Error::Broken { why },
    }
}

/// What is read of a `Status`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    metadata: Option<StatusMetadata>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StatusMetadata {
    #[serde(rename = "continue")]
    next: String,
}

async fn refused(path: String, answer: Response<Body>) -> Error {
    let code = answer.status().as_u16();
    let after = answer.headers().get(RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.parse().ok());
    let said = body::read_capped(answer.into_body(), MAX_STATUS_BYTES, BODY_DEADLINE).await;
    let said = said
        .ok()
        .and_then(|said| serde_json::from_slice::<Status>(&said).ok());
    let Status { message, metadata } = said.unwrap_or_default();
    if code == 410 {
        let next = metadata.map(|metadata| metadata.next);
        let next = next.filter(|next| !next.is_empty());
        return Error::Gone { next };
    }
    Error::Status {
        code,
        path,
        message: message.chars().take(MAX_MESSAGE_CHARS).collect(),
        retry_after: after.map(Duration::from_secs),
    }
}

//! One HTTP/1.1 connection.
//!
//! The connection's own future is polled beside each request and not in a task of its own, so it
//! ends with its owner; between scrapes it stands still.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use cairn_proto::limits::MAX_TOKEN_BYTES;
use cairn_runtime::tls::ClientStream;
use cairn_runtime::{body, files, logging};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::either::Either;

use super::dial::Line;
use super::{Endpoint, Error};
use crate::config::Target;

/// Bytes of an answer: a summary of 110 pods is about half a megabyte, and eight times the largest
/// supported node still fits.
const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

/// What is read from a connection at a time, bytes: two of TLS's largest records. hyper's own limit lets a
/// connection that reads large answers keep 400 KiB.
const READ_BYTES: usize = 32 * 1024;

/// What the agent calls itself.
const AGENT: &str = concat!("cairn-agent/", env!("CARGO_PKG_VERSION"));

/// Reads a token file as the value of an `Authorization` header, kept out of debug output.
pub(super) fn bearer(path: &Path) -> Result<HeaderValue, Error> {
    let bytes =
        files::read_small(path, MAX_TOKEN_BYTES).map_err(|source| Error::ReadToken { source })?;
    let token = bytes.trim_ascii();
    if token.is_empty() {
        return Err(Error::Token);
    }
    let mut value =
        HeaderValue::from_bytes(&[b"Bearer ", token].concat()).map_err(|_| Error::Token)?;
    value.set_sensitive(true);
    Ok(value)
}

/// One request.
pub(super) struct Asked<'a> {
    pub(super) target: &'a Target,
    pub(super) endpoint: Endpoint,
    pub(super) bearer: Option<&'a HeaderValue>,
    /// How long its answer's body may take.
    pub(super) deadline: Duration,
}

/// A connection that is kept between scrapes.
pub(super) struct Exchange {
    sender: SendRequest<Empty<Bytes>>,
    // None once it has ended.
    connection: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// Whether a token may be sent.
    pub(super) takes_token: bool,
    /// True of one without TLS.
    pub(super) is_plain: bool,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("open", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}

impl Exchange {
    pub(super) async fn open(line: Line) -> Result<Self, Error> {
        match line {
            Line::Tls {
                stream,
                takes_token,
            } => Self::over(Either::Left(stream), takes_token, false).await,
            Line::Plain(stream) => Self::over(Either::Right(stream), false, true).await,
        }
    }

    async fn over(
        // One type for both, so that hyper's code is there once.
        stream: Either<Box<ClientStream>, TcpStream>,
        takes_token: bool,
        is_plain: bool,
    ) -> Result<Self, Error> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(READ_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| Error::Exchange { source })?;
        // Its error comes out of the request that it interrupts, too.
        let connection = async move { drop(connection.await) };
        Ok(Self {
            sender,
            connection: Some(Box::pin(connection)),
            takes_token,
            is_plain,
        })
    }

    /// Sends one request and reads its answer, in the place of what `room` held.
    pub(super) async fn get(&mut self, asked: Asked<'_>, room: &mut Vec<u8>) -> Result<(), Error> {
        let Asked {
            target,
            endpoint,
            bearer,
            deadline,
        } = asked;
        let request = request(target, endpoint, bearer);
        let Self {
            sender, connection, ..
        } = self;
        let exchanged = async {
            let sent = async {
                sender.ready().await?;
                sender.send_request(request).await
            };
            let response = sent.await.map_err(|source| Error::Exchange { source })?;
            judge(&response, endpoint, bearer.is_some())?;
            body::read_capped_into(response.into_body(), room, MAX_BODY_BYTES, deadline)
                .await
                .map_err(|source| Error::Body { source })
        };
        let mut exchanged = std::pin::pin!(exchanged);
        if let Some(open) = connection {
            tokio::select! {
                biased;
                result = &mut exchanged => return result,
                () = open => {}
            }
            // What came before the end is still in the body's queue.
            *connection = None;
        }
        exchanged.await
    }
}

fn request(
    target: &Target,
    endpoint: Endpoint,
    bearer: Option<&HeaderValue>,
) -> Request<Empty<Bytes>> {
    let host = target.server_name.to_str();
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static(endpoint.path);
    let headers = request.headers_mut();
    // A server name is a DNS name or an address, which a header always carries.
    if let Ok(host) = HeaderValue::from_str(&host) {
        headers.insert(HOST, host);
    }
    headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(ACCEPT, HeaderValue::from_static(endpoint.content_type));
    if let Some(bearer) = bearer {
        headers.insert(AUTHORIZATION, bearer.clone());
    }
    request
}

/// Refuses an answer whose head says that its body is not worth reading.
fn judge(response: &Response<Incoming>, endpoint: Endpoint, with_token: bool) -> Result<(), Error> {
    let status = response.status();
    let code = status.as_u16();
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(Error::Refused { code, with_token });
        }
        _ => return Err(Error::Status { code }),
    }
    let found = response
        .headers()
        .get(CONTENT_TYPE)
        .map_or(&b""[..], HeaderValue::as_bytes);
    if found.starts_with(endpoint.content_type.as_bytes()) {
        return Ok(());
    }
    let found = String::from_utf8_lossy(found);
    let cut: String = found.chars().take(80).collect();
    Err(Error::ContentType {
        found: logging::escape(&cut),
    })
}

//! The client's side: one question, one answer.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::body;

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer. Each message names the socket.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("nobody answers at the socket {}", .path.display())]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The exchange broke off.
    #[error("the answer at the socket {} broke off", .path.display())]
    Exchange {
        /// The socket's path.
        path: PathBuf,
        /// What the connection said.
        source: hyper::Error,
    },
    /// The answer was not read.
    #[error("the answer at the socket {} cannot be read", .path.display())]
    Body {
        /// The socket's path.
        path: PathBuf,
        /// Why.
        source: body::Error,
    },
    /// It took too long.
    #[error("no answer at the socket {} within {deadline:?}", .path.display())]
    Deadline {
        /// The socket's path.
        path: PathBuf,
        /// The time given.
        deadline: Duration,
    },
}

/// Asks for a path at a socket and reads the answer of at most `max_bytes`, all within `deadline`.
///
/// # Errors
///
/// [`AskError`]; an answer of any status is none.
pub async fn ask(
    socket: &Path,
    path: &'static str,
    max_bytes: usize,
    deadline: Duration,
) -> Result<Answer, AskError> {
    let asked = tokio::time::timeout(deadline, exchange(socket, path, max_bytes, deadline));
    asked.await.unwrap_or_else(|_| {
        Err(AskError::Deadline {
            path: socket.to_owned(),
            deadline,
        })
    })
}

async fn exchange(
    socket: &Path,
    path: &'static str,
    max_bytes: usize,
    deadline: Duration,
) -> Result<Answer, AskError> {
    let owned = || socket.to_owned();
    let stream = UnixStream::connect(socket).await;
    let stream = stream.map_err(|source| AskError::Connect {
        path: owned(),
        source,
    })?;
    let broke_off = |source| AskError::Exchange {
        path: owned(),
        source,
    };
    let (mut sender, connection) = http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
        .await
        .map_err(broke_off)?;
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    let answering = async {
        let answer = sender.send_request(request).await.map_err(broke_off)?;
        let status = answer.status();
        let body = body::read_capped(answer.into_body(), max_bytes, deadline).await;
        let body = body.map_err(|source| AskError::Body {
            path: owned(),
            source,
        })?;
        Ok(Answer { status, body })
    };
    let mut answering = std::pin::pin!(answering);
    // The connection ends by itself with the answer, whose end is then at hand.
    tokio::select! {
        biased;
        answered = &mut answering => return answered,
        ended = connection => ended.map_err(broke_off)?,
    }
    answering.await
}

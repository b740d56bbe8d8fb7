//! A socket in the file system, for programs of this machine.
//!
//! What is told here is not for whoever reaches one of the machine's addresses, loopback included: that is
//! every user and, with the host's network, pods too. The file is its owner's alone, and each client is
//! asked for its user beside that: the owner's and root are answered.
//!
//! One request a connection. No more than [`MAX_CONNECTIONS`] are served at a time, each for
//! [`CONNECTION_DEADLINE`] at most; others wait in the kernel's queue.

mod ask;
mod bind;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

pub use self::ask::{Answer, AskError, ask};
pub use self::bind::{Error, bind};
use crate::shutdown::Token;
use crate::tasks::{Group, TaskError};

/// A person or two with a terminal each; their requests are short.
pub const MAX_CONNECTIONS: usize = 4;

/// From being accepted to the last byte of the answer.
pub const CONNECTION_DEADLINE: Duration = Duration::from_secs(10);

/// A request has a line and two headers.
const MAX_HEADER_BYTES: usize = 8 * 1024;

/// Time for answers that are under way when the process stops.
const DRAIN: Duration = Duration::from_millis(200);

/// Waiting after a failed accept: without descriptors it fails again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An answer of the socket.
pub type Reply = Response<Full<Bytes>>;

/// A socket that is bound and does not accept yet. Its file goes with it.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
}

impl Bound {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Somebody may have taken it away.
        drop(fs::remove_file(&self.path));
    }
}

/// Answers until the token is cancelled.
///
/// # Errors
///
/// None so far: the result is what a supervised task returns.
pub async fn serve<F, A>(bound: Bound, answer: F, token: Token) -> Result<(), TaskError>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Reply> + Send + 'static,
{
    // Twice as many: a place is given back a moment before its task has ended.
    let group = Group::new("local", 2 * MAX_CONNECTIONS);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // A place first: what is not accepted waits in the kernel's queue and costs nothing here.
        let place = tokio::select! {
            biased;
            () = token.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place?,
        };
        let accepted = tokio::select! {
            biased;
            () = token.cancelled() => break,
            accepted = bound.listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept on the socket");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let answer = answer.clone();
        let task = async move {
            let done = tokio::time::timeout(CONNECTION_DEADLINE, connection(stream, answer));
            if done.await.is_err() {
                tracing::debug!("a client of the socket took too long");
            }
            drop(place);
        };
        if let Err(full) = group.try_spawn(task) {
            tracing::debug!(%full, "a client of the socket was sent away");
        }
    }
    drop(bound);
    group.drained(DRAIN).await;
    Ok(())
}

async fn connection<F, A>(stream: UnixStream, answer: F)
where
    F: Fn(Request<Incoming>) -> A,
    A: Future<Output = Reply>,
{
    let refusal = refusal(&stream);
    let service = service_fn(|request| {
        let told = match &refusal {
            Some(text) => Err(plain(StatusCode::FORBIDDEN, text.clone())),
            None => Ok(answer(request)),
        };
        async move {
            Ok::<_, Infallible>(match told {
                Err(refused) => refused,
                Ok(answering) => answering.await,
            })
        }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a client of the socket broke off");
    }
}

/// Why a client is told nothing.
fn refusal(stream: &UnixStream) -> Option<String> {
    let own = rustix::process::geteuid().as_raw();
    match stream.peer_cred() {
        Ok(client) if may_ask(client.uid(), own) => None,
        Ok(client) => Some(format!(
            "this socket answers root and the user of the process that listens ({own}), not user {}: \
             ask as one of them\n",
            client.uid()
        )),
        Err(_) => Some("the kernel does not tell who asks\n".to_owned()),
    }
}

fn may_ask(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

/// An answer that is a line for people.
#[must_use]
pub fn plain(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", text)
}

/// An answer.
#[must_use]
pub fn reply(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Each answer is about this instant.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

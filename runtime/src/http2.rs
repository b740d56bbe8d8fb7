//! HTTP/2 as a client, over a stream that is open: one connection whose end is somebody's.

use std::error::Error as StdError;
use std::time::Duration;

use hyper::body::Body;
use hyper::client::conn::http2;
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::tasks::{AbortOnDrop, Children};

/// How a connection is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes that may come ahead on one stream, and on all together.
    pub windows: (u32, u32),
    /// After how long without anything the peer is asked whether it is there, and how long it may take to
    /// say so.
    pub keep_alive: (Duration, Duration),
    /// It is asked also while no stream is open.
    pub while_idle: bool,
}

/// Begins to speak. The connection ends with the guard.
///
/// # Errors
///
/// What hyper says of a peer that does not speak HTTP/2.
pub async fn connect<T, B>(
    stream: T,
    options: Options,
) -> hyper::Result<(http2::SendRequest<B>, AbortOnDrop)>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let children = Children::new();
    let (sender, connection) = http2::Builder::new(children.clone())
        .timer(TokioTimer::new())
        .keep_alive_interval(options.keep_alive.0)
        .keep_alive_timeout(options.keep_alive.1)
        .keep_alive_while_idle(options.while_idle)
        .initial_stream_window_size(options.windows.0)
        .initial_connection_window_size(options.windows.1)
        .handshake(TokioIo::new(stream))
        .await?;
    let guard = children.abort_on_drop();
    // Its error ends the streams too, which tell it.
    children.execute(async move { drop(connection.await) });
    Ok((sender, guard))
}

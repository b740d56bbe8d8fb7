//! Connections with TLS or without, HTTP/1.1 and HTTP/2, told apart by what the client sends.

use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::{Opened, header_bytes};
use crate::listen::connection::Connection;
use crate::listen::{Config, Refused};
use crate::logging;
use crate::tasks::Children;
use crate::tls::{PeerCertificates, ServerTls};

/// One type of stream for both kinds, so that hyper's code is there once.
pub(in crate::listen) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Concurrent HTTP/2 streams of a connection. The page and a client library open a few dozen; fewer
/// than 100 is what the protocol's text advises against.
const MAX_STREAMS: u32 = 100;

/// What a peer may send ahead, in bytes, on one stream and on all together. A stream's window goes
/// out once per round trip: 64 KiB are 6.4 MB/s to an agent 10 ms away, far above its few KiB a tick.
/// More would let a fleet that sends ahead fill the memory (512 KiB: 2.4 GiB for 5,000 agents).
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 128 * 1024;

/// What is held for a slow reader, in bytes a stream. Less costs wake-ups on a long answer, more is
/// only memory.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A peer that vanished without a word is noticed after the sum of both.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(10);

/// Makes what serves one connection, in whichever protocol the client speaks.
pub(in crate::listen) fn builder(children: Children, config: &Config) -> auto::Builder<Children> {
    let header_bytes = header_bytes(config);
    let mut builder = auto::Builder::new(children);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_deadline)
        .max_buf_size(header_bytes as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_DEADLINE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(header_bytes)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    builder
}

/// Tells whether the connection ended since what came broke HTTP/2.
pub(super) fn is_malformed(error: &hyper::Error) -> bool {
    let source = error.source();
    let broken = source.and_then(|source| source.downcast_ref::<h2::Error>());
    broken.is_some_and(h2::Error::is_library)
}

/// Makes the TLS handshake where there is one to make; `None` when it was refused.
pub(in crate::listen) async fn open(connection: &Connection, stream: TcpStream) -> Option<Opened> {
    let Some(tls) = &connection.shared.config.tls else {
        return Some((Either::Left(stream), None));
    };
    let stream = handshake(connection, tls, stream).await?;
    let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = presented.to_vec();
    let presented = (!chain.is_empty()).then(|| Arc::new(PeerCertificates { chain }));
    Some((Either::Right(Box::new(stream)), presented))
}

/// Makes the TLS handshake when it is its turn; `None` when it was refused.
async fn handshake(
    connection: &Connection,
    tls: &ServerTls,
    stream: TcpStream,
) -> Option<TlsStream<TcpStream>> {
    let (shared, addr) = (&connection.shared, connection.addr);
    let handshake = async {
        // A turn is for those who began: silent strangers would keep everybody else out. A look at
        // the first byte is sure, unlike the socket's readiness, which may be announced falsely.
        stream.peek(&mut [0]).await?;
        let turn = shared.turns.take(addr.ip()).await;
        let _turn = turn.map_err(io::Error::other)?;
        TlsAcceptor::from(tls.config()).accept(stream).await
    };
    match tokio::time::timeout(shared.config.handshake_deadline, handshake).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            shared.refuse(Refused::HandshakeFailed, addr, &logging::chain(&error));
            None
        }
        Err(_) => {
            let why = "the TLS handshake took too long";
            shared.refuse(Refused::HandshakeTimeout, addr, why);
            None
        }
    }
}

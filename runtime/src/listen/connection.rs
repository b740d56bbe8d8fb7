//! One connection from its acceptance to its end.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::accept::Shared;
use super::metrics::Open;
use super::peers::Place;
use super::{BoxError, Peer, Refused};
use crate::logging;
use crate::tasks::Children;
use crate::tls::{PeerCertificates, ServerTls};

/// Concurrent HTTP/2 streams of a connection: the page and a client library open a few dozen.
const MAX_STREAMS: u32 = 256;

/// The largest HTTP/2 header list and HTTP/1 header, in bytes: a bearer token is a few KiB.
const MAX_HEADER_BYTES: u32 = 32 * 1024;

/// What a peer may send ahead on one stream and on all, in bytes: a row of a large node fits, and
/// 5,000 connections cannot fill the memory.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 512 * 1024;

/// What is held for a slow reader, in bytes a stream.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// A peer that vanished without a word is noticed after the sum of both.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEPALIVE_DEADLINE: Duration = Duration::from_secs(10);

/// A connection with its place in the counts.
pub(super) struct Connection {
    pub(super) shared: Arc<Shared>,
    pub(super) addr: SocketAddr,
    pub(super) _place: Place,
    pub(super) _open: Open,
}

impl Connection {
    pub(super) async fn run<S, B>(self, stream: TcpStream, service: S)
    where
        S: Service<
                Request<Incoming>,
                Response = Response<B>,
                Future: Send + 'static,
                Error: Into<BoxError>,
            > + Send
            + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        if let Err(error) = stream.set_nodelay(true) {
            // The peer is gone already; serving will find out.
            tracing::debug!(peer = %self.addr, %error, "cannot set TCP_NODELAY");
        }
        let local = stream.local_addr().unwrap_or(self.shared.local);
        let local = SocketAddr::new(local.ip().to_canonical(), local.port());
        let peer = Peer {
            addr: self.addr,
            local,
            tls: None,
        };
        let Some(tls) = self.shared.config.tls.clone() else {
            return self.serve(stream, service, peer).await;
        };
        // Both branches are cancel safe: the connection is closed with the future.
        let stream = tokio::select! {
            biased;
            () = self.shared.token.cancelled() => return,
            stream = self.handshake(&tls, stream) => stream,
        };
        if let Some(stream) = stream {
            let presented = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let chain: Vec<_> = presented.to_vec();
            let tls = (!chain.is_empty()).then(|| Arc::new(PeerCertificates { chain }));
            self.serve(stream, service, Peer { tls, ..peer }).await;
        }
    }

    /// Makes the TLS handshake when it is its turn; None when it was refused.
    async fn handshake(&self, tls: &ServerTls, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let handshake = async {
            let _turn = self
                .shared
                .handshakes
                .acquire()
                .await
                .map_err(io::Error::other)?;
            TlsAcceptor::from(tls.config()).accept(stream).await
        };
        let deadline = self.shared.config.handshake_deadline;
        match tokio::time::timeout(deadline, handshake).await {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                let why = logging::chain(&error);
                self.shared
                    .refuse(Refused::HandshakeFailed, self.addr, &why);
                None
            }
            Err(_) => {
                let why = "the TLS handshake took too long";
                self.shared
                    .refuse(Refused::HandshakeTimeout, self.addr, why);
                None
            }
        }
    }

    async fn serve<I, S, B>(&self, stream: I, service: S, peer: Peer)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<
                Request<Incoming>,
                Response = Response<B>,
                Future: Send + 'static,
                Error: Into<BoxError>,
            > + Send
            + 'static,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let header_deadline = self.shared.config.header_deadline;
        let children = Children::new();
        let _guard = children.abort_on_drop();
        let builder = builder(children, header_deadline);
        let asked = Arc::new(AtomicBool::new(false));
        let service = Introduced {
            service,
            peer,
            asked: Arc::clone(&asked),
        };
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let mut first_request = pin!(tokio::time::sleep(header_deadline));
        let mut waiting = true;
        let mut draining = false;
        let result = loop {
            // Each branch is polled again by the next turn; nothing is lost by not being taken.
            tokio::select! {
                biased;
                () = self.shared.token.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                result = connection.as_mut() => break result,
                // hyper times headers only once it knows the protocol, and not for HTTP/2.
                () = first_request.as_mut(), if waiting => {
                    waiting = false;
                    if !asked.load(Ordering::Relaxed) {
                        let why = "no request arrived in time";
                        self.shared.refuse(Refused::HeaderTimeout, self.addr, why);
                        return;
                    }
                }
            }
        };
        if let Err(error) = result {
            let timed_out = error.downcast_ref().is_some_and(hyper::Error::is_timeout);
            let why = logging::chain(&*error);
            if timed_out && !asked.load(Ordering::Relaxed) {
                self.shared.refuse(Refused::HeaderTimeout, self.addr, &why);
            } else {
                tracing::debug!(listener = self.shared.config.name, peer = %self.addr, why, "connection ended");
            }
        }
    }
}

fn builder(children: Children, header_deadline: Duration) -> Builder<Children> {
    let mut builder = Builder::new(children);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_deadline)
        .max_buf_size(MAX_HEADER_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_EVERY)
        .keep_alive_timeout(KEEPALIVE_DEADLINE)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES);
    builder
}

/// A service that learns who asks, and notes that somebody did.
struct Introduced<S> {
    service: S,
    peer: Peer,
    asked: Arc<AtomicBool>,
}

impl<S> Service<Request<Incoming>> for Introduced<S>
where
    S: Service<Request<Incoming>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<Incoming>) -> S::Future {
        self.asked.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(self.peer.clone());
        self.service.call(request)
    }
}

//! Every server socket: bound, accepted, limited, handshaken and drained in one place.
//!
//! [`bind`] makes the socket early, so that a taken port is a configuration error and not a dead
//! task; [`serve`] is the task that accepts. It owns its connections as a bounded group: a connection
//! beyond a limit is closed unanswered and counted, a handshake or a request header that takes too
//! long ends its connection, so does a client that asks nothing more, takes nothing of its answer or
//! takes back its requests without end, a request whose body does not come is given up, and accepting
//! never stops for a peer's fault or for want of descriptors. HTTP/1.1 and HTTP/2 are
//! told apart by what the client sends; TLS and HTTP/2 are there with the feature `secure-listen`. A request that cannot be read is answered with why.

mod accept;
mod activity;
mod connection;
mod metrics;
mod network;
mod peers;
mod places;
mod refusals;
mod socket;
#[cfg(test)]
#[cfg(feature = "secure-listen")]
mod tests;
mod transport;
mod turns;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::net::TcpListener;

pub use self::metrics::{Closed, ListenMetrics, Refused};
use crate::shutdown::Token;
use crate::tls::{PeerCertificates, ServerTls};

/// The error type that hyper asks services and bodies for.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The limits of one listener.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listener's name in logs and metrics: a constant, such as `grpc`.
    pub name: &'static str,
    /// The most connections at a time; 0 refuses all. When all places are taken, a connection that rests
    /// has to make room for a new one: of the network with the most connections (an IPv4 address, or the
    /// /64 of an IPv6 address) the one that has asked nothing for longest, but none with an answer under
    /// way.
    pub max_connections: usize,
    /// The most connections of one address at a time; loopback is exempt, since a whole test fleet
    /// or every local agent shares it.
    pub max_per_peer: usize,
    /// The most TLS handshakes at a time; others wait within their deadline. Handshakes are the most
    /// costly thing a stranger can ask for. One address has at most a quarter of them, but one at
    /// least (loopback is exempt), and a peer that sends nothing has none. 0 lets every handshake run
    /// into its deadline.
    pub max_handshakes: usize,
    /// The time from being accepted to the end of the TLS handshake, usually 5 s.
    pub handshake_deadline: Duration,
    /// The time for the first request to arrive, and for each later HTTP/1 request header: an idle
    /// HTTP/1 connection is closed after it too, so keep it above the clients' polling period.
    pub header_deadline: Duration,
    /// The time from a request's head to the head of its answer, usually 60 s. A request whose body does
    /// not come, or is not answered in this time for another reason, is given up: its stream is reset,
    /// and a connection of HTTP/1 ends. Keep it above the longest that an answer may take to begin.
    pub answer_deadline: Duration,
    /// The time without any request in flight after which a connection that had one is closed, with
    /// the protocol's farewell, usually 60 s. A request is in flight until its answer's body is
    /// complete, so a long stream is never idle. Keep it above the clients' polling period.
    pub idle_deadline: Duration,
    /// The time in which a client must take something of what waits for it, usually 30 s; above 0. A
    /// connection whose client takes nothing of any answer for this time (it reads no byte, or grants
    /// no HTTP/2 window) is cut. An answer that has nothing to say may be silent for as long as it
    /// likes.
    pub write_deadline: Duration,
    /// The most bytes of an HTTP/1 request's head and of an HTTP/2 header list. Usually 32 KiB: a
    /// bearer token is a few KiB, and whoever may connect can make this process hold that much per
    /// request. A listener whose clients put long lists into the URL needs 72 KiB: a request's target
    /// may have up to 65,534 bytes (beyond that the answer is 414 whatever is set here), and the
    /// other headers come on top. Values below 8 KiB count as 8 KiB.
    pub max_header_bytes: u32,
    /// The certificate to serve; None is plain text.
    pub tls: Option<Arc<ServerTls>>,
    /// Where connections are counted; shared by all listeners of a process.
    pub metrics: Arc<ListenMetrics>,
}

/// Who sent a request; in the extensions of each request.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The client's address; an IPv4 client of a dual-stack listener is shown as IPv4.
    pub addr: SocketAddr,
    /// The address it connected to.
    pub local: SocketAddr,
    /// The certificates it presented, unjudged; None without TLS or without a certificate.
    pub tls: Option<Arc<PeerCertificates>>,
}

impl Peer {
    /// Tells whether the client is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.addr.ip().is_loopback()
    }
}

/// A bound socket that does not accept yet; connections wait in the kernel's queue.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    local: SocketAddr,
}

impl Bound {
    /// Returns the address that was really bound, its port never 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// Why a listener was not bound. Each message names the address.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port is taken.
    #[error(
        "cannot listen on {addr}: another process holds it; choose another port or stop that process"
    )]
    InUse {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// This user may not listen there.
    #[error("cannot listen on {addr}: this user may not; choose a port above 1023")]
    Denied {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The machine does not have the address.
    #[error("cannot listen on {addr}: this machine does not have that address; choose one it has")]
    NotHere {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The socket could not be made or set up otherwise.
    #[error("cannot listen on {addr}: check the address")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Binds an address. `[::]` takes IPv4 too, and falls back to `0.0.0.0` with a line in the log where
/// the machine has no IPv6. Must be called inside a tokio runtime.
///
/// # Errors
///
/// One variant of [`Error`] per thing to do about it.
#[expect(
    clippy::unused_async,
    reason = "a runtime is needed, which an async fn says by its type"
)]
pub async fn bind(addr: SocketAddr) -> Result<Bound, Error> {
    socket::bind(addr)
}

/// What a listener did in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServeSummary {
    /// Connections taken, refused ones not counted.
    pub accepted: u64,
    /// Connections aborted because they did not end within the drain.
    pub aborted: usize,
}

/// Accepts until the token is cancelled, then lets connections finish within `drain`.
///
/// Draining: the socket is closed, idle connections are closed, HTTP/2 peers are told to go away,
/// requests in flight go on; what is left after `drain` is aborted and counted. So this returns at
/// most `drain` after the token, whatever a peer does. Each request carries a [`Peer`] in its
/// extensions.
pub async fn serve<S, B>(
    bound: Bound,
    config: Config,
    service: S,
    token: Token,
    drain: Duration,
) -> ServeSummary
where
    S: Service<
            Request<Incoming>,
            Response = Response<B>,
            Future: Send + 'static,
            Error: Into<BoxError>,
        > + Clone
        + Send
        + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let local = bound.local;
    let accept = accept::Accept::new(config, local, token);
    let accepted = accept.run(bound.listener, service).await;
    let aborted = accept.drained(drain).await;
    ServeSummary { accepted, aborted }
}

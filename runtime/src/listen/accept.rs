//! The accept loop and what its connections share.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::activity::Activity;
use super::connection::Connection;
use super::peers::Peers;
use super::places::Places;
use super::turns::Turns;
use super::{BoxError, Config, Refused};
use crate::logging::Repeat;
use crate::shutdown::Token;
use crate::tasks::Group;

/// The pause after a failed accept, unless the peer was at fault. Descriptors and memory come back as
/// connections end; without a pause the loop would spin on the same error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One listener at work.
pub(super) struct Accept {
    group: Group,
    peers: Peers,
    places: Places,
    shared: Arc<Shared>,
}

/// What all connections of a listener share.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) local: SocketAddr,
    pub(super) token: Token,
    pub(super) turns: Turns,
    repeat: Mutex<Repeat>,
}

impl Accept {
    pub(super) fn new(config: Config, local: SocketAddr, token: Token) -> Self {
        let places = Places::new(config.max_connections);
        let most = config.max_connections.saturating_add(places.leaving());
        let group = Group::new(config.name, most);
        let turns = Turns::new(config.max_handshakes);
        let repeat = Mutex::default();
        let shared = Arc::new(Shared {
            config,
            local,
            token,
            turns,
            repeat,
        });
        Self {
            group,
            peers: Peers::default(),
            places,
            shared,
        }
    }

    /// Accepts until the token is cancelled; returns how many connections were taken.
    pub(super) async fn run<S, B>(&self, listener: TcpListener, service: S) -> u64
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
        let mut accepted = 0;
        loop {
            // Accepting is cancel safe: a connection not taken stays in the kernel's queue.
            let result = tokio::select! {
                biased;
                () = self.shared.token.cancelled() => return accepted,
                result = listener.accept() => result,
            };
            match result {
                Ok((stream, addr)) => {
                    accepted += u64::from(self.take(stream, addr, service.clone()));
                }
                Err(error) => {
                    let text = error.to_string();
                    self.shared
                        .refuse(Refused::Accept, self.shared.local, &text);
                    if !is_peers(&error) {
                        // At most one pause after the token: far below any drain.
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        }
    }

    /// Starts a connection, unless a limit forbids it.
    pub(super) fn take<S, B>(&self, stream: TcpStream, addr: SocketAddr, service: S) -> bool
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
        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
        let config = &self.shared.config;
        let Some(place) = self.peers.enter(addr.ip(), config.max_per_peer) else {
            self.shared
                .refuse(Refused::PerPeer, addr, "the peer has too many connections");
            return false;
        };
        let now = Instant::now();
        let activity = Activity::new(now);
        let held = self.places.enter(addr.ip(), &activity, now);
        let started = held.is_some_and(|held| {
            let connection = Connection {
                shared: Arc::clone(&self.shared),
                addr,
                activity,
                _places: (place, held),
                _open: config.metrics.open(config.name),
            };
            let run = connection.run(stream, service);
            self.group.try_spawn(run).is_ok()
        });
        if !started {
            let why = "the listener has too many connections";
            self.shared.refuse(Refused::Limit, addr, why);
        }
        started
    }

    /// Waits for the connections, at most `drain`; returns how many were aborted.
    pub(super) async fn drained(&self, drain: Duration) -> usize {
        let aborted = self.group.drained(drain).await;
        if aborted > 0 {
            let Config { name, metrics, .. } = &self.shared.config;
            metrics.count_aborted(name, aborted);
            tracing::warn!(
                listener = name,
                aborted,
                ?drain,
                "connections aborted after the drain"
            );
        }
        aborted
    }
}

impl Shared {
    /// Counts a refused connection; each is told at debug level, and once a minute as a warning.
    pub(super) fn refuse(&self, reason: Refused, peer: SocketAddr, why: &str) {
        let name = self.config.name;
        self.config.metrics.count_refused(name, reason);
        tracing::debug!(listener = name, %peer, ?reason, why, "connection refused");
        let mut repeat = self.repeat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = repeat.should_log(Instant::now(), false) {
            tracing::warn!(listener = name, %peer, ?reason, why, before, "connection refused");
        }
    }
}

/// Tells whether a failed accept is that of one connection alone, so that the next may be taken at
/// once. The kernel hands a new connection's pending error out here (accept(2)). Whatever else
/// happens, want of descriptors or memory above all, would happen to the next one too.
fn is_peers(error: &io::Error) -> bool {
    let peers = [
        Errno::CONNABORTED,
        Errno::CONNRESET,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::INTR,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::NONET,
        Errno::NOPROTOOPT,
        Errno::OPNOTSUPP,
        Errno::PROTO,
        Errno::TIMEDOUT,
    ];
    Errno::from_io_error(error).is_some_and(|errno| peers.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_peers_error_lets_accepting_go_on_at_once() {
        for (errno, expected) in [
            (Errno::CONNABORTED, true),
            (Errno::PROTO, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOMEM, false),
            (Errno::NOBUFS, false),
            (Errno::INVAL, false),
            (Errno::BADF, false),
        ] {
            assert_eq!(is_peers(&errno.into()), expected, "{errno}");
        }
    }
}

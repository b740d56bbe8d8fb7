//! A simulated kubelet: the recorded statistics over real TLS sockets, with faults on demand.
//!
//! [`bind`] opens the sockets, [`Bound::run`] serves until it is told to stop, [`Control`] is how a
//! test looks at it and breaks it. The binary `kubelet-sim` is a thin shell around them; a
//! benchmark runs them in its own process. Nothing is spawned here but by the listener, one task
//! for each connection; whoever owns the run owns it all.

mod admin;
mod control;
mod delivery;
mod fault;
mod kubelet;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cairn_runtime::clock::{Clock, Mode};
use cairn_runtime::shutdown::Token;
use cairn_runtime::{listen, tls};

use crate::trace::Replay;

pub use control::{Control, Served};
pub use fault::{Endpoint, Fault, Order, Reach};
use kubelet::Door;

/// Connections may finish what they are sending within this time after the stop; a hanging or
/// endless answer is cut off then.
const DRAIN: Duration = Duration::from_secs(1);

/// More connections than the agents of a test open; a leak is refused before descriptors run out.
const CONNECTION_LIMIT: usize = 256;

/// A kubelet closes a connection that was idle for so long.
const IDLE_DEADLINE: Duration = Duration::from_secs(90);

/// What can go wrong before the simulator serves.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address cannot be listened on.
    #[error("cannot listen for {name}")]
    Listen {
        /// `kubelet` or `admin`.
        name: &'static str,
        /// Why.
        #[source]
        source: listen::Error,
    },
    /// The certificate or its key is unusable.
    #[error("cannot serve TLS")]
    Tls(#[source] tls::Error),
}

/// What to serve, and where.
#[derive(Debug)]
pub struct Config {
    /// Where the kubelet's port is; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where the admin port is; `None` opens none.
    pub admin_listen: Option<SocketAddr>,
    /// Where the port without TLS and without a token is; `None` opens none.
    pub read_only_listen: Option<SocketAddr>,
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with its private key.
    pub key: PathBuf,
    /// Where a cAdvisor of its own answers; `None` opens none.
    pub cadvisor_listen: Option<SocketAddr>,
    /// Whether it does so over TLS, with the kubelet's certificate.
    pub cadvisor_tls: bool,
    /// The bearer token that is expected; `None` lets everybody in.
    pub token: Option<String>,
    /// The clock that decides which frame is shown.
    pub clock: Mode,
    /// The statistics.
    pub replay: Replay,
}

/// A simulator whose sockets are open.
#[derive(Debug)]
pub struct Bound {
    kubelet: listen::Bound,
    read_only: Option<listen::Bound>,
    cadvisor: Option<listen::Bound>,
    admin: Option<listen::Bound>,
    tls: Arc<tls::ServerTls>,
    cadvisor_tls: bool,
    control: Control,
}

/// Opens the sockets of a simulator.
///
/// # Errors
///
/// `Tls` when the certificate is unusable, `Listen` when an address is taken.
pub async fn bind(config: Config) -> Result<Bound, Error> {
    let tls =
        tls::ServerTls::load(&config.cert, &config.key, &["h2", "http/1.1"]).map_err(Error::Tls)?;
    let open = async |name, addr| {
        listen::bind(addr)
            .await
            .map_err(|source| Error::Listen { name, source })
    };
    let kubelet = open("kubelet", config.listen).await?;
    let admin = match config.admin_listen {
        Some(addr) => Some(open("admin", addr).await?),
        None => None,
    };
    let read_only = match config.read_only_listen {
        Some(addr) => Some(open("read-only", addr).await?),
        None => None,
    };
    let cadvisor = match config.cadvisor_listen {
        Some(addr) => Some(open("cadvisor", addr).await?),
        None => None,
    };
    let clock = Clock::new(config.clock);
    let identity = control::Identity {
        token: config.token,
        tls: Arc::clone(&tls),
    };
    Ok(Bound {
        kubelet,
        read_only,
        cadvisor,
        admin,
        tls,
        cadvisor_tls: config.cadvisor_tls,
        control: Control::new(config.replay, clock, identity),
    })
}

impl Bound {
    /// The address of the kubelet's port.
    #[must_use]
    pub fn kubelet_addr(&self) -> SocketAddr {
        self.kubelet.local_addr()
    }

    /// The address of the port without TLS, when one was asked for.
    #[must_use]
    pub fn read_only_addr(&self) -> Option<SocketAddr> {
        self.read_only.as_ref().map(listen::Bound::local_addr)
    }

    /// The address of the cAdvisor of its own, when one was asked for.
    #[must_use]
    pub fn cadvisor_addr(&self) -> Option<SocketAddr> {
        self.cadvisor.as_ref().map(listen::Bound::local_addr)
    }

    /// The address of the admin port, when one was asked for.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(listen::Bound::local_addr)
    }

    /// The handle by which a test looks at the simulator and breaks it.
    #[must_use]
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Serves until the token is cancelled, then ends within about a second.
    pub async fn run(self, token: Token) {
        let control = self.control;
        let cadvisor_tls = self.cadvisor_tls.then(|| Arc::clone(&self.tls));
        let kubelet = {
            let control = control.clone();
            let service = hyper::service::service_fn(move |request| {
                kubelet::answer(control.clone(), request, Door::Kubelet)
            });
            let config = listen_config("kubelet", Some(self.tls));
            listen::serve(self.kubelet, config, service, token.clone(), DRAIN)
        };
        let other = async |bound: Option<listen::Bound>, config, door| {
            if let Some(bound) = bound {
                let control = control.clone();
                let service = hyper::service::service_fn(move |request| {
                    kubelet::answer(control.clone(), request, door)
                });
                listen::serve(bound, config, service, token.clone(), DRAIN).await;
            }
        };
        let config = listen_config("read-only", None);
        let read_only = other(self.read_only, config, Door::ReadOnly);
        let config = listen_config("cadvisor", cadvisor_tls);
        let cadvisor = other(self.cadvisor, config, Door::Cadvisor);
        let admin = async {
            if let Some(bound) = self.admin {
                let control = control.clone();
                let service = hyper::service::service_fn(move |request| {
                    admin::answer(control.clone(), request)
                });
                let config = listen_config("admin", None);
                listen::serve(bound, config, service, token.clone(), DRAIN).await;
            }
        };
        tokio::join!(kubelet, read_only, cadvisor, admin);
    }
}

fn listen_config(name: &'static str, tls: Option<Arc<tls::ServerTls>>) -> listen::Config {
    listen::Config {
        name,
        max_connections: CONNECTION_LIMIT,
        max_per_peer: CONNECTION_LIMIT,
        max_handshakes: CONNECTION_LIMIT,
        handshake_deadline: Duration::from_secs(5),
        header_deadline: IDLE_DEADLINE,
        answer_deadline: Duration::from_secs(600),
        idle_deadline: IDLE_DEADLINE,
        write_deadline: Duration::from_secs(30),
        max_header_bytes: 32 * 1024,
        tls,
        metrics: Arc::default(),
    }
}

#[cfg(test)]
mod tests;

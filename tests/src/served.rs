//! A service of a test, as the binaries serve theirs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use cairn_runtime::listen::{self, ListenMetrics};
use cairn_runtime::shutdown::Token;
use cairn_runtime::tls::ServerTls;
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::service::TowerToHyperService;
use tokio::runtime::Runtime;
use tonic::service::Routes;

/// What a service or a body may fail with.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A running one, in a thread of its own. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Served {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    token: Token,
    _runtime: Runtime,
}

impl Served {
    /// Starts one of gRPC with the certificate `server.pem` of a directory.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub(crate) fn start(dir: &Path, routes: Routes) -> Result<Self> {
        let (cert, key) = (dir.join("server.pem"), dir.join("server.key"));
        let tls = ServerTls::load(&cert, &key, &["h2"])?;
        let service = TowerToHyperService::new(routes.prepare().into_axum_router());
        Self::serving(service, Some(tls))
    }

    /// Starts one of any service, of plain HTTP where there is no certificate.
    ///
    /// # Errors
    ///
    /// When it cannot listen.
    pub(crate) fn serving<S, B>(service: S, tls: Option<Arc<ServerTls>>) -> Result<Self>
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
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = runtime.block_on(listen::bind(any))?;
        let addr = bound.local_addr();
        let config = listen::Config {
            name: "fake",
            max_connections: 16,
            max_per_peer: 16,
            max_handshakes: 4,
            handshake_deadline: Duration::from_secs(5),
            header_deadline: Duration::from_secs(10),
            answer_deadline: Duration::from_secs(60),
            idle_deadline: Duration::from_secs(60),
            write_deadline: Duration::from_secs(30),
            max_header_bytes: 32 * 1024,
            tls,
            metrics: Arc::new(ListenMetrics::default()),
        };
        let token = Token::new();
        let serving = listen::serve(bound, config, service, token.clone(), Duration::ZERO);
        drop(runtime.spawn(serving));
        Ok(Self {
            addr,
            token,
            _runtime: runtime,
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

//! One verified HTTP/2 connection to one address, with a gRPC client on it.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_proto::limits::MAX_FRAME_BYTES;
use cairn_proto::v1::ingest_client::IngestClient;
use cairn_runtime::http2::{self, Options};
use cairn_runtime::logging;
use cairn_runtime::tasks::AbortOnDrop;
use cairn_runtime::tls::{ClientStream, Connector, Hint};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tower_service::Service;

use super::{End, EndKind};
use crate::config::Aggregator;

/// The flags that mend a refused certificate.
const HINT: Hint = Hint {
    name_flag: "--aggregator-server-name",
    ca_flag: "--aggregator-ca",
    pin_flag: None,
};

/// Time for TCP and both handshakes: a healthy aggregator answers in milliseconds, and one that
/// does not must be tried again within the five seconds in which streaming resumes.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// What an aggregator may send that is not read yet. It has little to say, and what it says beyond its
/// pace waits on its side.
const WINDOW_BYTES: u32 = 64 << 10;

/// A connection on which nothing came for the interval is asked, and given up after the timeout: a
/// peer that vanished without a word is noticed within 15 s.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// Makes the connector of an aggregator.
pub(super) fn connector(target: &Aggregator) -> Connector {
    let (trust, name) = (Arc::clone(&target.trust), target.server_name.clone());
    let connector = Connector::new_with_hint(trust, name, &["h2"], HINT);
    match &target.client {
        Some(client) => connector.showing(client),
        None => connector,
    }
}

/// Reads the certificate that is shown again, in case it was renewed.
fn renew(target: &Aggregator) {
    let Some(client) = &target.client else { return };
    if let Err(error) = client.reload() {
        let why = logging::chain(&error);
        tracing::warn!(
            why,
            "--aggregator-client-cert cannot be read again: the old one is shown"
        );
    }
}

/// An open connection. Dropping it closes it.
pub(super) struct Link {
    pub(super) client: IngestClient<Channel>,
    // The guard that ends the connection's tasks.
    _connection: AbortOnDrop,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Where connections to the addresses of one host come from.
pub(super) trait Links: Clone + Send + Sync + 'static {
    /// Connects to one of them.
    ///
    /// # Errors
    ///
    /// Why there is no connection.
    fn open(&self, address: SocketAddr) -> impl Future<Output = Result<Link, End>> + Send;
}

/// Connections over the network, each made within [`CONNECT_DEADLINE`].
#[derive(Clone, Debug)]
pub(super) struct Dialled {
    target: Aggregator,
    connector: Connector,
}

impl Dialled {
    /// Of an aggregator.
    pub(super) fn new(target: Aggregator) -> Self {
        let connector = connector(&target);
        Self { target, connector }
    }

    async fn handshake(&self, address: SocketAddr) -> Result<Link, End> {
        renew(&self.target);
        let stream = Link::dial(&self.connector, address).await?;
        Link::speak(&self.target, stream).await
    }
}

impl Links for Dialled {
    async fn open(&self, address: SocketAddr) -> Result<Link, End> {
        tokio::time::timeout(CONNECT_DEADLINE, self.handshake(address))
            .await
            .unwrap_or_else(|_| {
                let reason = format!("no HTTP/2 connection within {CONNECT_DEADLINE:?}");
                Err(End::new(EndKind::Timeout, reason))
            })
    }
}

impl Link {
    /// Makes a verified connection on which HTTP/2 can be spoken.
    pub(super) async fn dial(
        connector: &Connector,
        address: SocketAddr,
    ) -> Result<ClientStream, End> {
        let stream = connector
            .connect(address, CONNECT_DEADLINE)
            .await
            .map_err(|error| End::of_connect(&error))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            let reason = format!("{address} does not speak HTTP/2: check --aggregator");
            return Err(End::new(EndKind::Protocol, reason));
        }
        Ok(stream)
    }

    /// Speaks HTTP/2 over such a connection.
    pub(super) async fn speak(target: &Aggregator, stream: ClientStream) -> Result<Self, End> {
        let host = if target.host.contains(':') {
            format!("[{}]", target.host)
        } else {
            target.host.clone()
        };
        let origin = format!("https://{host}:{}", target.port).parse::<http::Uri>();
        let origin = origin.map_err(|error| End::new(EndKind::Protocol, error.to_string()))?;
        Self::over(stream, origin).await
    }

    /// Speaks HTTP/2 over an open stream of bytes.
    pub(super) async fn over<T>(stream: T, origin: http::Uri) -> Result<Self, End>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let options = Options {
            windows: (WINDOW_BYTES, WINDOW_BYTES),
            keep_alive: KEEPALIVE,
            while_idle: true,
        };
        let (sender, guard) = http2::connect(stream, options)
            .await
            .map_err(|error| End::new(EndKind::Closed, logging::chain(&error)))?;
        let client = IngestClient::with_origin(Channel { sender }, origin)
            .max_decoding_message_size(MAX_FRAME_BYTES)
            .max_encoding_message_size(MAX_FRAME_BYTES);
        Ok(Self {
            client,
            _connection: guard,
        })
    }
}

/// What the generated client sends its requests through.
#[derive(Debug)]
pub(super) struct Channel {
    sender: SendRequest<Body>,
}

impl Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}

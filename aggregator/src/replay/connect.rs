//! One verified HTTP/2 connection to one address of a peer, with a gRPC client on it.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_proto::limits::{MAX_FRAME_BYTES, MAX_TOKEN_BYTES};
use cairn_proto::v1::peer_client::PeerClient;
use cairn_runtime::http2::{self, Options};
use cairn_runtime::tasks::AbortOnDrop;
use cairn_runtime::tls::{Connector, Hint};
use cairn_runtime::{bearer, logging};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tower_service::Service;

use super::end::{Failure, Kind};
use crate::config::HttpsHost;

/// The flags that mend a refused certificate.
const HINT: Hint = Hint {
    name_flag: "--peer",
    ca_flag: "--peer-ca",
    pin_flag: None,
};

/// Time for TCP and both handshakes.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A connection on which nothing came for the interval is asked, and given up after the timeout.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// Bytes that a peer may send before the ones before are taken in: as much of the history of one
/// session as an agent may have under way.
const BYTES_UNDER_WAY: u32 = 256 * 1024;

/// Makes the connector of a host.
pub(super) fn connector(host: &HttpsHost) -> Connector {
    let (trust, name) = (Arc::clone(&host.trust), host.server_name.clone());
    Connector::new_with_hint(trust, name, &["h2"], HINT)
}

/// An open connection. Dropping it closes it.
pub(super) struct Link {
    pub(super) client: PeerClient<Channel>,
    // The guard that ends the connection's tasks.
    _connection: AbortOnDrop,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl Link {
    /// Connects, within [`CONNECT_DEADLINE`].
    pub(super) async fn open(
        host: &HttpsHost,
        connector: &Connector,
        address: SocketAddr,
    ) -> Result<Self, Failure> {
        let opened = Self::handshake(host, connector, address);
        timeout(CONNECT_DEADLINE, opened).await.unwrap_or_else(|_| {
            let reason = format!("no HTTP/2 connection within {CONNECT_DEADLINE:?}");
            Err(Failure::new(Kind::Timeout, reason))
        })
    }

    async fn handshake(
        host: &HttpsHost,
        connector: &Connector,
        address: SocketAddr,
    ) -> Result<Self, Failure> {
        let stream = connector
            .connect(address, CONNECT_DEADLINE)
            .await
            .map_err(|error| Failure::of_connect(&error))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            let reason = format!("{address} does not speak HTTP/2: check --peer");
            return Err(Failure::new(Kind::Protocol, reason));
        }
        Self::over(stream, &host.authority()).await
    }

    /// Speaks to the peer of this name and port on an open stream.
    pub(super) async fn over<T>(stream: T, authority: &str) -> Result<Self, Failure>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let options = Options {
            windows: (BYTES_UNDER_WAY, 2 * BYTES_UNDER_WAY),
            keep_alive: KEEPALIVE,
            while_idle: false,
        };
        let (sender, guard) = http2::connect(stream, options)
            .await
            .map_err(|error| Failure::new(Kind::Closed, logging::chain(&error)))?;
        let origin = format!("https://{authority}").parse::<http::Uri>();
        let origin = origin.map_err(|error| Failure::new(Kind::Protocol, error.to_string()))?;
        let client = PeerClient::with_origin(Channel { sender }, origin)
            .max_decoding_message_size(MAX_FRAME_BYTES)
            .max_encoding_message_size(MAX_FRAME_BYTES);
        Ok(Self {
            client,
            _connection: guard,
        })
    }
}

/// Reads a token file, as the value of `authorization`; `None` when there is none to read.
pub(super) fn authorization(path: Option<&Path>) -> Result<Option<MetadataValue<Ascii>>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let refused = |why: &str| Failure::new(Kind::Auth, format!("--peer-token-file: {why}"));
    let token = bearer::read(path, MAX_TOKEN_BYTES);
    let token = token.map_err(|error| refused(&logging::chain(&error)))?;
    let mut value = MetadataValue::try_from(format!("Bearer {token}"))
        .map_err(|_| refused("it holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(Some(value))
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

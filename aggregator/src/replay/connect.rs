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
use cairn_runtime::tasks::{AbortOnDrop, Children};
use cairn_runtime::tls::{Connector, Hint};
use cairn_runtime::{files, logging};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tower_service::Service;

use super::end::{Failure, Kind};
use crate::config::PeerHost;

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
pub(super) fn connector(host: &PeerHost) -> Connector {
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
        host: &PeerHost,
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
        host: &PeerHost,
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
        let children = Children::new();
        let (sender, connection) = http2::Builder::new(children.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .initial_stream_window_size(BYTES_UNDER_WAY)
            .initial_connection_window_size(2 * BYTES_UNDER_WAY)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Failure::new(Kind::Closed, logging::chain(&error)))?;
        let guard = children.abort_on_drop();
        // Its error also ends the stream, which tells it.
        children.execute(async move { drop(connection.await) });
        let origin = format!("https://{}", host.authority()).parse::<http::Uri>();
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
pub(super) fn bearer(path: Option<&Path>) -> Result<Option<MetadataValue<Ascii>>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let refused = |why: &str| Failure::new(Kind::Auth, format!("--peer-token-file: {why}"));
    let bytes = files::read_small(path, MAX_TOKEN_BYTES)
        .map_err(|error| refused(&logging::chain(&error)))?;
    let token = bytes.trim_ascii();
    // What a header can carry, and what every kind of token is made of.
    if token.is_empty() || !token.iter().all(u8::is_ascii_graphic) {
        return Err(refused("it is empty or holds characters that no token has"));
    }
    let value = [b"Bearer ", token].concat();
    let mut value = MetadataValue::try_from(value.as_slice())
        .map_err(|_| refused("it holds characters that no token has"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// What the generated client sends its requests through.
#[derive(Debug)]
pub(super) struct Channel {
    sender: http2::SendRequest<Body>,
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

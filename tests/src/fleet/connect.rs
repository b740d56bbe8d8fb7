//! One verified HTTP/2 connection of one agent, with a gRPC client on it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_proto::limits::MAX_FRAME_BYTES;
use cairn_proto::v1::ingest_client::IngestClient;
use cairn_runtime::logging;
use cairn_runtime::tasks::{AbortOnDrop, Children};
use cairn_runtime::tls::Connector;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor as _;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::timeout;
use tonic::body::Body;
use tower_service::Service;

use super::end::End;

/// Time for TCP and both handshakes, as agents have.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// A silent connection is asked after the first, and given up after the second of these.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(5));

/// An open connection. Dropping it closes it.
pub(super) struct Link {
    pub(super) client: IngestClient<Channel>,
    _connection: AbortOnDrop,
}

impl Link {
    /// Connects, with a deadline.
    pub(super) async fn open(connector: &Connector, address: SocketAddr) -> Result<Self, End> {
        let opened = timeout(CONNECT_DEADLINE, Self::handshake(connector, address)).await;
        opened.unwrap_or_else(|_| Err(End::new("no HTTP/2 connection in time")))
    }

    async fn handshake(connector: &Connector, address: SocketAddr) -> Result<Self, End> {
        let connected = connector.connect(address, CONNECT_DEADLINE).await;
        let stream = connected.map_err(|error| End::new(logging::chain(&error)))?;
        let children = Children::new();
        let (sender, connection) = http2::Builder::new(children.clone())
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEPALIVE.0)
            .keep_alive_timeout(KEEPALIVE.1)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| End::new(logging::chain(&error)))?;
        let guard = children.abort_on_drop();
        // Its error also ends the stream, which tells it.
        children.execute(async move { drop(connection.await) });
        let origin = format!("https://{address}").parse::<http::Uri>();
        let origin = origin.map_err(|error| End::new(error.to_string()))?;
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

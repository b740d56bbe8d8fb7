//! One HTTP/2 connection to an aggregator, for generated clients.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use cairn_runtime::tasks::{AbortOnDrop, Children};
use cairn_runtime::tls::{ClientIdentity, Connector, Trust, TrustFiles, server_name};
use http::header::{AUTHORIZATION, HeaderValue};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::rt::Executor as _;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::body::Body;

/// How long anything may take.
const SOON: Duration = Duration::from_secs(10);

/// What is taken in of an answer that nobody reads: the protocol's own figure, so that the rest of it
/// is the server's business.
const WINDOW_BYTES: u32 = 65_535;

/// What the generated client sends its requests through.
#[derive(Clone, Debug)]
pub(crate) struct Channel {
    sender: http2::SendRequest<Body>,
    // Sent with every request.
    bearer: Option<HeaderValue>,
}

impl Channel {
    /// Over TLS, as an agent comes; the connection ends with the guard.
    pub(crate) async fn tls(addr: SocketAddr, ca: &Path) -> Result<(Self, AbortOnDrop)> {
        Self::showing(addr, ca, None).await
    }

    /// The same, with a certificate of its own.
    pub(crate) async fn showing(
        addr: SocketAddr,
        ca: &Path,
        client: Option<&ClientIdentity>,
    ) -> Result<(Self, AbortOnDrop)> {
        let trust = Trust::load(TrustFiles {
            ca: vec![ca.to_owned()],
            ..TrustFiles::default()
        })?;
        let mut connector = Connector::new(trust, server_name("localhost")?, &["h2"]);
        if let Some(client) = client {
            connector = connector.showing(client);
        }
        Self::over(connector.connect(addr, SOON).await?).await
    }

    /// Plain, as a reader on this machine comes.
    pub(crate) async fn plain(addr: SocketAddr) -> Result<(Self, AbortOnDrop)> {
        let stream = timeout(SOON, TcpStream::connect(addr)).await??;
        // Window updates that wait for an acknowledgement would be taken for the aggregator's time.
        stream.set_nodelay(true)?;
        Self::over(stream).await
    }

    /// Sends a bearer token with every request.
    pub(crate) fn bearer(self, token: &str) -> Result<Self> {
        let bearer = Some(format!("Bearer {token}").parse()?);
        Ok(Self { bearer, ..self })
    }

    async fn over<S>(stream: S) -> Result<(Self, AbortOnDrop)>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let children = Children::new();
        let handshake = http2::Builder::new(children.clone())
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = timeout(SOON, handshake).await??;
        let guard = children.abort_on_drop();
        children.execute(async move { drop(connection.await) });
        let bearer = None;
        Ok((Self { sender, bearer }, guard))
    }
}

impl tower_service::Service<http::Request<Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        if let Some(bearer) = &self.bearer {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, bearer.clone());
        }
        Box::pin(self.sender.send_request(request))
    }
}

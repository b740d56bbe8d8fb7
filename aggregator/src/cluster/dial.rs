//! One verified HTTP/2 connection to the API server, opened when it is needed and shared by all requests.
//!
//! This is the service below `kube`'s client: it puts the address and the bearer token to each request.
//! TLS is `runtime::tls`'s own. Requests that come while a connection is made wait for it; all of them have
//! deadlines of their own above.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use cairn_runtime::http2::{self, Options};
use cairn_runtime::lookup::{self, Host};
use cairn_runtime::tasks::AbortOnDrop;
use cairn_runtime::tls::{ClientStream, Connector, Hint};
use cairn_runtime::{bearer, logging};
use http::header::{AUTHORIZATION, HOST, HeaderValue};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use kube::client::Body;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::Error;
use crate::config::ApiServer;

/// The flags that mend a refused certificate.
const HINT: Hint = Hint {
    name_flag: "--kubernetes-api",
    ca_flag: "--kubernetes-ca",
    pin_flag: None,
};

/// Time for TCP and both handshakes, for each address.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Addresses of one name that are tried.
const MOST_ADDRESSES: usize = 4;

/// A connection on which nothing came for the interval is asked, and given up after the timeout: a watch
/// may be silent for minutes, and an API server that is gone must be noticed before.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(10));

/// Bytes of one answer that may come before the ones before are taken in: a third of a page of pods.
const BYTES_UNDER_WAY: u32 = 1024 * 1024;

/// The socket's bytes are taken in such pieces: the lists of a large cluster are a gigabyte.
const READ_BYTES: usize = 64 * 1024;

/// How long a token is used before its file is read again. A projected token is renewed when a fifth of
/// its life is left: minutes at least.
const TOKEN_LIFE: Duration = Duration::from_secs(10);

/// The largest token: signed ones are about a kilobyte.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The way to the API server.
#[derive(Clone)]
pub(super) struct Dial {
    way: Arc<Way>,
}

struct Way {
    host: String,
    port: u16,
    authority: String,
    connector: Connector,
    token_file: PathBuf,
    token: Lock<Option<(Instant, HeaderValue)>>,
    open: Mutex<Option<Open>>,
}

/// An open connection. Dropping it closes it.
struct Open {
    sender: SendRequest<Body>,
    _connection: AbortOnDrop,
}

impl Dial {
    pub(super) fn new(api: &ApiServer) -> Self {
        let host = api.host.clone();
        let (trust, name) = (Arc::clone(&host.trust), host.server_name.clone());
        let way = Way {
            authority: host.authority(),
            host: host.host,
            port: host.port,
            connector: Connector::new_with_hint(trust, name, &["h2"], HINT).reading(READ_BYTES),
            token_file: api.token_file.clone(),
            token: Lock::default(),
            open: Mutex::default(),
        };
        Self { way: Arc::new(way) }
    }
}

impl Service<Request<Body>> for Dial {
    type Response = Response<Incoming>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let way = Arc::clone(&self.way);
        Box::pin(async move { way.send(request).await })
    }
}

impl Way {
    async fn send(&self, mut request: Request<Body>) -> Result<Response<Incoming>, Error> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let uri: Result<Uri, _> = format!("https://{}{path}", self.authority).parse();
        *request.uri_mut() = uri.map_err(|error| Error::Request {
            why: error.to_string(),
        })?;
        // HTTP/2 has it in the address.
        request.headers_mut().remove(HOST);
        request.headers_mut().insert(AUTHORIZATION, self.token()?);
        let mut sender = self.sender().await?;
        let broken = |error: hyper::Error| Error::Broken {
            why: logging::chain(&error),
        };
        sender.ready().await.map_err(broken)?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        if answer.status() == http::StatusCode::UNAUTHORIZED {
            // There may be a newer one already.
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        Ok(answer)
    }

    /// The open connection, or a new one.
    async fn sender(&self) -> Result<SendRequest<Body>, Error> {
        let mut open = self.open.lock().await;
        if let Some(open) = open.as_ref().filter(|open| !open.sender.is_closed()) {
            return Ok(open.sender.clone());
        }
        // The old one goes before the new one is made: the API server counts connections too.
        *open = None;
        let made = self.connect().await?;
        let sender = made.sender.clone();
        *open = Some(made);
        Ok(sender)
    }

    async fn connect(&self) -> Result<Open, Error> {
        let host = Host {
            what: "Kubernetes API",
            flag: "--kubernetes-api",
            host: &self.host,
            port: self.port,
            most: MOST_ADDRESSES,
        };
        let found = lookup::once(host).await;
        let addresses = found.map_err(|why| Error::Lookup { why })?;
        let mut failed = Error::Lookup {
            why: format!("{} has no address: check --kubernetes-api", self.authority),
        };
        for address in addresses {
            match self.connector.connect(address, CONNECT_DEADLINE).await {
                Ok(stream) if stream.get_ref().1.alpn_protocol() != Some(b"h2") => {
                    let authority = self.authority.clone();
                    return Err(Error::Protocol { authority });
                }
                Ok(stream) => return handshake(stream).await,
                Err(source) => {
                    let source = Box::new(source);
                    failed = Error::Connect { source };
                }
            }
        }
        Err(failed)
    }

    /// The value of `authorization`.
    fn token(&self) -> Result<HeaderValue, Error> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, value)) = kept.as_ref()
            && since.elapsed() < TOKEN_LIFE
        {
            return Ok(value.clone());
        }
        let token = bearer::read(&self.token_file, MAX_TOKEN_BYTES);
        let token = token.map_err(|error| match error {
            bearer::Error::Read(source) => Error::Token { source },
            bearer::Error::Form => Error::NoToken,
        })?;
        let value = HeaderValue::from_maybe_shared(format!("Bearer {token}"));
        let mut value = value.map_err(|_| Error::NoToken)?;
        value.set_sensitive(true);
        *kept = Some((Instant::now(), value.clone()));
        Ok(value)
    }
}

async fn handshake(stream: ClientStream) -> Result<Open, Error> {
    let options = Options {
        windows: (BYTES_UNDER_WAY, 4 * BYTES_UNDER_WAY),
        keep_alive: KEEPALIVE,
        while_idle: false,
    };
    let broken = |why: String| Error::Broken { why };
    let shaken = timeout(CONNECT_DEADLINE, http2::connect(stream, options)).await;
    let shaken = shaken.map_err(|_| broken(format!("no HTTP/2 within {CONNECT_DEADLINE:?}")))?;
    let (sender, guard) = shaken.map_err(|error| broken(logging::chain(&error)))?;
    Ok(Open {
        sender,
        _connection: guard,
    })
}

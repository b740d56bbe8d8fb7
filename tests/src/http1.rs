//! A small blocking HTTP/1.1 client for tests, with and without TLS: one request per connection
//! unless a [`Session`] keeps it, one deadline for the whole exchange, everything read is bounded.

mod answer;
mod session;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::deadline::Deadline;

pub use answer::Answer;
use answer::read_answer;
pub use session::{Session, post_head};

/// More than any answer the tests ask for; an endless body ends here.
const ANSWER_LIMIT_BYTES: usize = 64 << 20;

/// Long against a loopback answer, short against a test run.
const DEADLINE: Duration = Duration::from_secs(40);

/// What can go wrong between a request and its answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("cannot connect to {addr}: is the process up?")]
    Connect {
        /// The address dialled.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The trusted certificate or the expected name is unusable.
    #[error("cannot use the trust given for {name:?}")]
    Trust {
        /// The expected name.
        name: String,
    },
    /// The exchange broke: the handshake failed, the peer hung up, or the deadline passed.
    #[error("the exchange with {addr} broke off")]
    Exchange {
        /// The address dialled.
        addr: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The answer is no HTTP/1.1.
    #[error("the answer is no HTTP/1.1 after {read_bytes} bytes: {problem}")]
    Malformed {
        /// What is wrong with it.
        problem: &'static str,
        /// How much was read.
        read_bytes: usize,
    },
    /// The body is shorter than its header said.
    #[error("the body ended after {read_bytes} bytes, before its end")]
    Truncated {
        /// How much of the body was read.
        read_bytes: usize,
    },
}

/// Whom to ask, and how.
#[derive(Clone, Debug)]
pub struct Target {
    addr: SocketAddr,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    bearer: Option<String>,
    // Further header lines.
    headers: String,
    deadline: Duration,
}

impl Target {
    /// A server that speaks plain HTTP.
    #[must_use]
    pub fn plain(addr: SocketAddr) -> Self {
        Self {
            addr,
            tls: None,
            bearer: None,
            headers: String::new(),
            deadline: DEADLINE,
        }
    }

    /// A TLS server that must show a certificate for `name` signed by an authority of the file.
    ///
    /// # Errors
    ///
    /// `Trust` when the file holds no certificate or the name is none.
    pub fn tls(addr: SocketAddr, name: &str, ca_pem: &Path) -> Result<Self, Error> {
        let trust = || Error::Trust {
            name: name.to_owned(),
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca_pem).map_err(|_| trust())? {
            let certificate = certificate.map_err(|_| trust())?;
            roots.add(certificate).map_err(|_| trust())?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| trust())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| trust())?;
        Ok(Self {
            tls: Some((Arc::new(config), server_name)),
            ..Self::plain(addr)
        })
    }

    /// Sends a bearer token with every request.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.to_owned());
        self
    }

    /// Sends one header more with every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sets the time one exchange may take; the default is 40 s.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Asks for a path.
    ///
    /// # Errors
    ///
    /// As [`Error`] says; an answer of any status is no error.
    pub fn get(&self, path: &str) -> Result<Answer, Error> {
        self.exchange("GET", path, None)
    }

    /// Posts a JSON body to a path.
    ///
    /// # Errors
    ///
    /// As [`Error`] says; an answer of any status is no error.
    pub fn post(&self, path: &str, body: &[u8]) -> Result<Answer, Error> {
        self.exchange("POST", path, Some(("application/json", body)))
    }

    /// Sends a body of a media type with another method.
    ///
    /// # Errors
    ///
    /// As [`Error`] says; an answer of any status is no error.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        (media_type, body): (&str, &[u8]),
    ) -> Result<Answer, Error> {
        self.exchange(method, path, Some((media_type, body)))
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        sent: Option<(&str, &[u8])>,
    ) -> Result<Answer, Error> {
        let deadline = Deadline::after(self.deadline);
        let addr = self.addr;
        let tcp = TcpStream::connect_timeout(&addr, self.deadline)
            .map_err(|source| Error::Connect { addr, source })?;
        let timed = Timed { tcp, deadline };
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
        if let Some(token) = &self.bearer {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        head.push_str(&self.headers);
        if let Some((media_type, body)) = sent {
            let length = body.len();
            head.push_str(&format!("Content-Type: {media_type}\r\n"));
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        head.push_str("\r\n");
        let body = sent.map(|(_, body)| body).unwrap_or_default();
        let request = [head.as_bytes(), body].concat();
        let broke = |source| Error::Exchange { addr, source };
        let raw = match &self.tls {
            None => talk(timed, &request).map_err(broke)?,
            Some((config, name)) => {
                let session = ClientConnection::new(Arc::clone(config), name.clone())
                    .map_err(|error| broke(io::Error::other(error)))?;
                talk(StreamOwned::new(session, timed), &request).map_err(broke)?
            }
        };
        read_answer(&raw)
    }
}

/// Asks a plain server for a path.
///
/// # Errors
///
/// As [`Target::get`].
pub fn get(addr: SocketAddr, path: &str) -> Result<Answer, Error> {
    Target::plain(addr).get(path)
}

/// Posts JSON to a plain server.
///
/// # Errors
///
/// As [`Target::post`].
pub fn post(addr: SocketAddr, path: &str, body: &[u8]) -> Result<Answer, Error> {
    Target::plain(addr).post(path, body)
}

/// A socket whose every wait ends at the deadline.
struct Timed {
    tcp: TcpStream,
    deadline: Deadline,
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        self.deadline
            .left()
            .ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "the deadline passed"))
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.tcp.set_read_timeout(Some(self.left()?))?;
        self.tcp.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.tcp.set_write_timeout(Some(self.left()?))?;
        self.tcp.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// Sends a request and reads until the peer closes. A connection that is cut after some bytes came
/// gives those bytes: whether they are a whole answer is judged by the header.
fn talk(mut stream: impl Read + Write, request: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(request)?;
    stream.flush()?;
    let mut raw = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while raw.len() < ANSWER_LIMIT_BYTES {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => raw.extend(buffer.iter().take(count)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                let timed_out = matches!(
                    error.kind(),
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
                );
                if raw.is_empty() || timed_out {
                    return Err(error);
                }
                break;
            }
        }
    }
    Ok(raw)
}

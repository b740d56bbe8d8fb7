//! The client side: dial one address, verify another's name.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::refusal::{Refusal, Why};
use super::verifier::Verifier;
use super::{ClientIdentity, ClientStream, Trust, provider};

/// The flags that an operator would use to mend a refusal, for the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The flag that sets the name to expect, such as `--kubelet-server-name`.
    pub name_flag: &'static str,
    /// The flag that names the CA file, such as `--kubelet-ca`.
    pub ca_flag: &'static str,
    /// The flag that pins the server's own certificate, such as `--kubelet-cert`; `None` where none does.
    pub pin_flag: Option<&'static str>,
}

impl Default for Hint {
    fn default() -> Self {
        Self {
            name_flag: "the server name flag",
            ca_flag: "the CA flag",
            pin_flag: None,
        }
    }
}

/// Why no verified connection came to be. The messages of refused certificates say which names the
/// certificate has, which was expected, and which flag helps.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address could not be reached.
    #[error("cannot connect to {addr}: check that something listens there")]
    Dial {
        /// The address dialled.
        addr: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection and its handshake took too long.
    #[error("no connection to {addr} within {deadline:?}: check the network and the server")]
    Deadline {
        /// The address dialled.
        addr: SocketAddr,
        /// The time given.
        deadline: Duration,
    },
    /// The certificate is for other names.
    #[error(
        "the certificate of {addr} is for {}, not for {expected}: set {} to a name it has{}, or renew it",
        listed(.found), .hint.name_flag, or_pin(*.hint)
    )]
    Names {
        /// The address dialled.
        addr: SocketAddr,
        /// The name expected.
        expected: String,
        /// The names the certificate has.
        found: Vec<String>,
        /// The flags that help.
        hint: Hint,
    },
    /// No trusted CA signed the certificate, and it is not pinned.
    #[error(
        "the certificate of {addr} (for {}, expected {expected}) is signed by no trusted CA and is \
         not pinned: set {} to the file of the CA that signed it{}",
        listed(.found), .hint.ca_flag, or_pin(*.hint)
    )]
    UnknownIssuer {
        /// The address dialled.
        addr: SocketAddr,
        /// The name expected.
        expected: String,
        /// The names the certificate has.
        found: Vec<String>,
        /// The flags that help.
        hint: Hint,
    },
    /// The certificate's dates are over or have not begun.
    #[error(
        "the certificate of {addr} (for {}, expected {expected}) {}: renew it, or check this \
         machine's clock{}",
        listed(.found), if *.not_yet_valid { "is not valid yet" } else { "has expired" }, or_pin(*.hint)
    )]
    Expired {
        /// The address dialled.
        addr: SocketAddr,
        /// The name expected.
        expected: String,
        /// The names the certificate has.
        found: Vec<String>,
        /// True when its dates have not begun.
        not_yet_valid: bool,
        /// The flags that help.
        hint: Hint,
    },
    /// The certificate is no server's, or not sound: that of a CA or a client, one with an algorithm that is not
    /// taken, or one whose key its server does not have.
    #[error(
        "the certificate of {addr} (for {}, expected {expected}) is not accepted ({cause}): give it one that is \
         made for a server{}",
        listed(.found), or_pin(*.hint)
    )]
    Unfit {
        /// The address dialled.
        addr: SocketAddr,
        /// The name expected.
        expected: String,
        /// The names the certificate has.
        found: Vec<String>,
        /// The TLS library's word for what is wrong.
        cause: String,
        /// The flags that help.
        hint: Hint,
    },
    /// The handshake failed otherwise: no certificate was judged.
    #[error("TLS handshake with {addr} failed: check that it serves TLS")]
    Handshake {
        /// The address dialled.
        addr: SocketAddr,
        /// What the TLS library or the connection said.
        source: io::Error,
    },
}

/// The kinds of [`ConnectError`], closed, for metric labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectKind {
    /// Not reached.
    Connect,
    /// Not in time.
    Timeout,
    /// The certificate was refused.
    Certificate,
    /// The handshake failed otherwise.
    Handshake,
}

impl ConnectError {
    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> ConnectKind {
        match self {
            Self::Dial { .. } => ConnectKind::Connect,
            Self::Deadline { .. } => ConnectKind::Timeout,
            Self::Names { .. }
            | Self::UnknownIssuer { .. }
            | Self::Expired { .. }
            | Self::Unfit { .. } => ConnectKind::Certificate,
            Self::Handshake { .. } => ConnectKind::Handshake,
        }
    }
}

/// Makes verified connections. A clone shares the trust.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    server_name: ServerName<'static>,
    hint: Hint,
    read_bytes: usize,
}

impl Connector {
    /// Makes a connector that expects `server_name` and offers the protocols `alpn`, best first.
    #[must_use]
    pub fn new(trust: Arc<Trust>, server_name: ServerName<'static>, alpn: &[&str]) -> Self {
        Self::new_with_hint(trust, server_name, alpn, Hint::default())
    }

    /// Makes a connector whose messages name the flags of `hint`.
    #[must_use]
    pub fn new_with_hint(
        trust: Arc<Trust>,
        server_name: ServerName<'static>,
        alpn: &[&str],
        hint: Hint,
    ) -> Self {
        let mut config = client_config(trust);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self {
            config: Arc::new(config),
            server_name,
            hint,
            read_bytes: 0,
        }
    }

    /// Reads from sockets in pieces of up to so many bytes, which each connection takes in memory: for large
    /// answers. The TLS library by itself asks for 4 KiB at a time, which is a call to the kernel each.
    #[must_use]
    pub fn reading(self, read_bytes: usize) -> Self {
        Self { read_bytes, ..self }
    }

    /// Shows this certificate to a server that asks for one.
    #[must_use]
    pub fn showing(self, client: &ClientIdentity) -> Self {
        let mut config = (*self.config).clone();
        config.client_auth_cert_resolver = client.resolver();
        Self {
            config: Arc::new(config),
            ..self
        }
    }

    /// Returns the name expected of the server.
    #[must_use]
    pub fn server_name(&self) -> &ServerName<'static> {
        &self.server_name
    }

    /// Dials `dial`, verifies the server and returns the connection, all within `deadline`.
    ///
    /// Cancel safe: the connection is closed with the future.
    ///
    /// # Errors
    ///
    /// Each step has its variant of [`ConnectError`].
    pub async fn connect(
        &self,
        dial: SocketAddr,
        deadline: Duration,
    ) -> Result<ClientStream, ConnectError> {
        tokio::time::timeout(deadline, self.handshake(dial))
            .await
            .unwrap_or(Err(ConnectError::Deadline {
                addr: dial,
                deadline,
            }))
    }

    async fn handshake(&self, addr: SocketAddr) -> Result<ClientStream, ConnectError> {
        let dialled = |source| ConnectError::Dial { addr, source };
        let stream = TcpStream::connect(addr).await.map_err(dialled)?;
        // Small frames go out at once; nothing here benefits from waiting for more.
        stream.set_nodelay(true).map_err(dialled)?;
        // One of a byte is passed by, and there is none of no size.
        let buffered = BufReader::with_capacity(self.read_bytes.max(1), stream);
        TlsConnector::from(Arc::clone(&self.config))
            .connect(self.server_name.clone(), buffered)
            .await
            .map_err(|error| self.refused(addr, error))
    }

    fn refused(&self, addr: SocketAddr, source: io::Error) -> ConnectError {
        let Some(refusal) = Refusal::unpack(&source) else {
            return ConnectError::Handshake { addr, source };
        };
        let Refusal { why, found, cause } = refusal.clone();
        let expected = self.server_name.to_str().into_owned();
        let hint = self.hint;
        match why {
            Why::Names => ConnectError::Names {
                addr,
                expected,
                found,
                hint,
            },
            Why::UnknownIssuer => ConnectError::UnknownIssuer {
                addr,
                expected,
                found,
                hint,
            },
            Why::Expired | Why::NotYetValid => {
                let not_yet_valid = why == Why::NotYetValid;
                ConnectError::Expired {
                    addr,
                    expected,
                    found,
                    not_yet_valid,
                    hint,
                }
            }
            Why::Other => ConnectError::Unfit {
                addr,
                expected,
                found,
                cause,
                hint,
            },
        }
    }
}

fn client_config(trust: Arc<Trust>) -> ClientConfig {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites of both protocol versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier { trust, algorithms }))
        .with_no_client_auth();
    // A resumed session would skip the verifier, and so outlive a CA that is no longer trusted.
    config.resumption = Resumption::disabled();
    config
}

/// That a pin helps, too, where there is a flag for it.
fn or_pin(hint: Hint) -> String {
    let flag = hint.pin_flag;
    flag.map_or_else(String::new, |flag| {
        format!(", or {flag} to the certificate itself")
    })
}

/// Writes the names of a certificate for a message.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "no name at all".to_owned()
    } else {
        names.join(", ")
    }
}

//! Every TLS configuration of the process, on both sides.
//!
//! Server: [`ServerTls`] serves a certificate from two files, or one that its owner puts into an
//! [`Identity`], and takes new ones without dropping a connection. It asks clients for a certificate and verifies that they hold its key; whether the
//! certificate is trusted is for the authenticators, which find it as [`PeerCertificates`] and have a [`Trust`] judge it.
//!
//! Client: a [`Connector`] dials one address and verifies another's name against a [`Trust`], whose
//! files are re-read too, and may show a certificate of its own, a [`ClientIdentity`]. [`reload_loop`] is the task that re-reads both kinds, by content: watching
//! for file events misses the way Kubernetes swaps mounted files.
//!
//! The crypto provider is passed explicitly everywhere. Sessions are never resumed, so each
//! connection proves both certificates anew.

mod certificate;
mod chain;
mod client;
mod connector;
mod error;
mod glob;
mod identity;
mod material;
mod refusal;
mod reload;
#[cfg_attr(not(feature = "secure-listen"), path = "tls/no_server.rs")]
mod server;
mod shown;
mod subject;
#[cfg(test)]
#[cfg(feature = "secure-listen")]
mod tests;
mod trust;
mod verifier;
mod vouch;

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
pub use rustls_pki_types::{CertificateDer, ServerName};

pub use self::chain::{Chain, Validity, one_pair};
pub use self::client::ClientRefusal;
pub use self::connector::{ConnectError, ConnectKind, Connector, Hint};
pub use self::error::Error;
pub use self::identity::Identity;
pub use self::reload::{Reload, Reloadable, reload_loop};
pub use self::server::{PeerCertificates, ServerTls};
pub use self::shown::ClientIdentity;
pub use self::subject::Subject;
pub use self::trust::{Trust, TrustFiles};
pub use self::vouch::{By, Voucher};

/// A connection of a [`Connector`], whose end reads the socket in pieces.
pub type ClientStream =
    tokio_rustls::client::TlsStream<tokio::io::BufReader<tokio::net::TcpStream>>;

/// Takes a host name or an address as the name to expect of a server.
///
/// # Errors
///
/// [`Error::Name`] for a text that is neither.
pub fn server_name(text: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(text.to_owned()).map_err(|_| Error::Name {
        text: text.to_owned(),
    })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

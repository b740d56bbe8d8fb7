//! The certificate that a client shows, of two files that are read again when they are wanted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;

use super::identity::{self, Identity};
use super::{Error, Reload, provider};

/// A certificate chain and its key, which a [`Connector`](super::Connector) shows to servers that ask for
/// one. Replaceable while in use.
#[derive(Debug)]
pub struct ClientIdentity {
    cert: PathBuf,
    key: PathBuf,
    current: Arc<Identity>,
}

impl ClientIdentity {
    /// Reads a chain (leaf first) and its private key.
    ///
    /// # Errors
    ///
    /// When one of the files is broken or they are not of one pair, each naming the file.
    pub fn load(cert: &Path, key: &Path) -> Result<Arc<Self>, Error> {
        let read = Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            current: Identity::empty(),
        };
        read.reload()?;
        Ok(Arc::new(read))
    }

    /// Reads both files again; what is new is shown from the next handshake on, and no connection notices.
    /// Blocks while they are read.
    ///
    /// # Errors
    ///
    /// As [`ClientIdentity::load`]; then the old pair stays in use. Half a rotation (one file new, the
    /// other not yet) is such an error and mends itself.
    pub fn reload(&self) -> Result<Reload, Error> {
        let read = identity::read_pair(&self.cert, &self.key, &provider())?;
        Ok(self.current.serve(read))
    }

    pub(super) fn resolver(&self) -> Arc<dyn ResolvesClientCert> {
        Arc::clone(&self.current) as Arc<dyn ResolvesClientCert>
    }
}

impl ResolvesClientCert for Identity {
    // Whichever CA the server hints at: it has one kind of clients, and says itself what is wrong.
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.key()
    }

    fn has_certs(&self) -> bool {
        self.is_there()
    }
}

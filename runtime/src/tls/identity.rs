//! The certificate that is served now, with its key, whoever brings it.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

use super::material::{self, Fingerprint};
use super::{Chain, Error, Reload, provider};

/// A serving certificate and its key, replaceable while in use and shared by all that serve it. Until
/// something is put there is none, and no handshake succeeds.
#[derive(Debug)]
pub struct Identity {
    current: ArcSwapOption<Current>,
    there: watch::Sender<bool>,
}

#[derive(Debug)]
pub(super) struct Current {
    key: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Makes one that has nothing to serve yet.
    #[must_use]
    pub fn empty() -> Arc<Self> {
        Arc::new(Self {
            current: ArcSwapOption::empty(),
            there: watch::Sender::new(false),
        })
    }

    /// Serves another chain (PEM, leaf first) from the next handshake on; living connections are not
    /// touched. `names` are what errors call the certificate and the key.
    ///
    /// # Errors
    ///
    /// When one of them is broken or the key is not the certificate's; then what was served stays.
    pub fn put(&self, names: (&str, &str), chain: &[u8], key: &[u8]) -> Result<Reload, Error> {
        let (cert_name, key_name) = names;
        let paths = (Path::new(cert_name), Path::new(key_name));
        Ok(self.serve(pair(paths, (chain, key), &provider())?))
    }

    /// Waits until there is something to serve. Cancel safe.
    pub async fn there(&self) {
        let mut there = self.there.subscribe();
        // The sender lives as long as this does.
        drop(there.wait_for(|there| *there).await);
    }

    /// True once there is something to serve.
    #[must_use]
    pub fn is_there(&self) -> bool {
        *self.there.borrow()
    }

    /// The chain that is served, leaf first; `None` before there is one.
    #[must_use]
    pub fn served(&self) -> Option<Chain> {
        let current = self.current.load_full()?;
        Some(Chain::of(current.key.cert.clone()))
    }

    /// The pair that is served; `None` before there is one.
    pub(super) fn key(&self) -> Option<Arc<CertifiedKey>> {
        let current = self.current.load();
        current.as_ref().map(|current| Arc::clone(&current.key))
    }

    pub(super) fn serve(&self, new: Current) -> Reload {
        let before = self.current.load();
        if before
            .as_ref()
            .is_some_and(|before| before.fingerprint == new.fingerprint)
        {
            return Reload::Same;
        }
        self.current.store(Some(Arc::new(new)));
        self.there.send_replace(true);
        Reload::Changed
    }
}

impl ResolvesServerCert for Identity {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.key()
    }
}

/// A chain and its key, of two files.
pub(super) fn read_pair(
    cert: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<Current, Error> {
    let (cert_bytes, key_bytes) = (material::read(cert)?, material::read(key)?);
    pair((cert, key), (&cert_bytes, &key_bytes), provider)
}

/// A chain and its key, of PEM; they must be of one pair.
pub(super) fn pair(
    (cert, key): (&Path, &Path),
    (cert_bytes, key_bytes): (&[u8], &[u8]),
    provider: &CryptoProvider,
) -> Result<Current, Error> {
    let chain = material::certificates(cert, cert_bytes)?;
    let private = provider
        .key_provider
        .load_private_key(material::private_key(key, key_bytes)?)
        .map_err(|source| Error::Key {
            path: key.to_owned(),
            source,
        })?;
    let pair = CertifiedKey::new(chain, private);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
        Err(rustls::Error::InconsistentKeys(_)) => {
            return Err(Error::Mismatch {
                cert: cert.to_owned(),
                key: key.to_owned(),
            });
        }
        Err(source) => {
            return Err(Error::Certificate {
                path: cert.to_owned(),
                source,
            });
        }
    }
    Ok(Current {
        key: Arc::new(pair),
        fingerprint: material::fingerprint([cert_bytes, key_bytes]),
    })
}

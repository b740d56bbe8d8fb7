//! The serving side: a certificate that can be replaced, and clients that may bring theirs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    DigitallySignedStruct, DistinguishedName, InconsistentKeys, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::material::{self, Fingerprint};
use super::{Error, Reload, provider};

/// The certificates a client presented, leaf first, never empty. The handshake proved that the client
/// holds the leaf's key; **nothing else was judged**: not the chain, not the dates, not the use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificates {
    /// The certificates as sent.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A serving certificate from two files, replaceable while in use.
#[derive(Debug)]
pub struct ServerTls {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    served: Arc<Served>,
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// Reads a certificate chain (leaf first) and its private key and makes a TLS 1.2 and 1.3
    /// configuration of them. `alpn` are the protocols offered, best first, such as `h2`.
    ///
    /// # Errors
    ///
    /// Any of [`Error`] but `NoTrust` and `Name`, each naming the file.
    pub fn load(cert: &Path, key: &Path, alpn: &[&str]) -> Result<Arc<Self>, Error> {
        let provider = provider();
        let current = read_pair(cert, key, &provider)?;
        let served = Arc::new(Served {
            current: ArcSwap::from_pointee(current),
        });
        let verifier = AnyHolder {
            algorithms: provider.signature_verification_algorithms,
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|source| Error::Config { source })?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            provider,
            served,
            config: Arc::new(config),
        }))
    }

    /// Re-reads both files; new content that is valid serves the next handshakes, living connections
    /// are not touched.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::load`]; then the old certificate stays in use. Half a rotation (one file new,
    /// the other not yet) is such an error and mends itself.
    pub fn reload(&self) -> Result<Reload, Error> {
        let new = read_pair(&self.cert, &self.key, &self.provider)?;
        if new.fingerprint == self.served.current.load().fingerprint {
            return Ok(Reload::Same);
        }
        self.served.current.store(Arc::new(new));
        Ok(Reload::Changed)
    }

    /// Returns the configuration for an acceptor. It stays right across reloads.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    fingerprint: Fingerprint,
}

fn read_pair(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<Current, Error> {
    let (cert_bytes, key_bytes) = (material::read(cert)?, material::read(key)?);
    let chain = material::certificates(cert, &cert_bytes)?;
    let private = provider
        .key_provider
        .load_private_key(material::private_key(key, &key_bytes)?)
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
    let fingerprint = material::fingerprint([&*cert_bytes, &*key_bytes]);
    Ok(Current {
        key: Arc::new(pair),
        fingerprint,
    })
}

#[derive(Debug)]
struct Served {
    current: ArcSwap<Current>,
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.load().key))
    }
}

/// Takes any client certificate whose key the client proves to hold, and none as well.
#[derive(Debug)]
struct AnyHolder {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyHolder {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    // No hint: a client then offers the certificate it has, whichever CA it is of.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // Judged per request by the authenticators: two CAs mean two kinds of identity.
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

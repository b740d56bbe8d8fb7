//! The serving side: a certificate that can be replaced, and clients that may bring theirs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::identity::{self, Identity};
use super::{Error, Reload, provider};

/// The certificates a client presented, leaf first, never empty. The handshake proved that the client
/// holds the leaf's key; **nothing else was judged**: not the chain, not the dates, not the use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificates {
    /// The certificates as sent.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A serving certificate, replaceable while in use: from two files, or put by its owner.
#[derive(Debug)]
pub struct ServerTls {
    // None where somebody else puts what is served.
    files: Option<(PathBuf, PathBuf)>,
    served: Arc<Identity>,
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
        let current = identity::read_pair(cert, key, &provider())?;
        let served = Identity::empty();
        served.serve(current);
        let files = Some((cert.to_owned(), key.to_owned()));
        Self::serving(files, served, alpn)
    }

    /// Makes the configuration for what somebody else puts, now or later.
    ///
    /// # Errors
    ///
    /// `Config` alone.
    pub fn of(identity: &Arc<Identity>, alpn: &[&str]) -> Result<Arc<Self>, Error> {
        Self::serving(None, Arc::clone(identity), alpn)
    }

    fn serving(
        files: Option<(PathBuf, PathBuf)>,
        served: Arc<Identity>,
        alpn: &[&str],
    ) -> Result<Arc<Self>, Error> {
        let provider = provider();
        let verifier = AnyHolder {
            algorithms: provider.signature_verification_algorithms,
        };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|source| Error::Config { source })?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::clone(&served) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(Self {
            files,
            served,
            config: Arc::new(config),
        }))
    }

    /// Re-reads both files; new content that is valid serves the next handshakes, living connections
    /// are not touched. Without files nothing is read, and nothing changes.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::load`]; then the old certificate stays in use. Half a rotation (one file new,
    /// the other not yet) is such an error and mends itself.
    pub fn reload(&self) -> Result<Reload, Error> {
        let Some((cert, key)) = &self.files else {
            return Ok(Reload::Same);
        };
        Ok(self
            .served
            .serve(identity::read_pair(cert, key, &provider())?))
    }

    /// Waits until there is a certificate to serve. Cancel safe.
    pub async fn there(&self) {
        self.served.there().await;
    }

    /// Returns the configuration for an acceptor. It stays right across reloads.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
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

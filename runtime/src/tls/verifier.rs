//! How a client judges a server: a pin first, then a chain and a name.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::Trust;
use super::certificate;
use super::refusal::Refusal;

#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) trust: Arc<Trust>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    fn warn_if_expired(&self, pinned: &CertificateDer<'_>, now: UnixTime) {
        if !certificate::is_expired(pinned, now, &self.algorithms)
            || self.trust.warned_expired.swap(true, Ordering::Relaxed)
        {
            return;
        }
        let names = certificate::names(pinned).join(", ");
        let end = certificate::not_after(pinned, &self.algorithms);
        let since = end.map_or_else(String::new, |end| certificate::day(end.as_secs()));
        tracing::warn!(
            names,
            since,
            "pinned certificate has expired and is accepted, since it is pinned: renew it when it is \
             convenient"
        );
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let anchors = self.trust.anchors();
        if anchors.insecure {
            return Ok(ServerCertVerified::assertion());
        }
        if anchors.pins.iter().any(|pin| pin == end_entity) {
            self.warn_if_expired(end_entity, now);
            return Ok(ServerCertVerified::assertion());
        }
        let judge = || {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            let all = self.algorithms.all;
            let roots = &anchors.roots;
            verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, all)?;
            verify_server_name(&parsed, server_name)
        };
        judge().map_err(|error| Refusal::of(&error, certificate::names(end_entity)).pack())?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| unsigned(&error, cert))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.algorithms)
            .map_err(|error| unsigned(&error, cert))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whoever shows a certificate without its key is refused as one with a wrong certificate is.
fn unsigned(error: &rustls::Error, shown: &CertificateDer<'_>) -> rustls::Error {
    Refusal::of_signature(error, certificate::names(shown)).pack()
}

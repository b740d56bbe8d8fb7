//! The serving side of a process whose listeners are all plain text.

use rustls_pki_types::CertificateDer;

/// The certificates a client presented; never there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificates {
    /// The certificates as sent.
    pub chain: Vec<CertificateDer<'static>>,
}

/// A serving certificate; there is none.
#[derive(Debug)]
pub enum ServerTls {}

//! Why the verifier refused a server, carried through the TLS library to the connector.

use std::sync::Arc;

use rustls::{CertificateError, OtherError};

/// A refusal with the names the certificate has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub(super) struct Refusal {
    pub(super) why: Why,
    pub(super) found: Vec<String>,
    /// The TLS library's own words, for the refusals without words of ours.
    pub(super) cause: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Names,
    UnknownIssuer,
    Expired,
    NotYetValid,
    Other,
}

impl Refusal {
    /// Names the reason of the TLS library's own error on a certificate.
    pub(super) fn of(error: &rustls::Error, found: Vec<String>) -> Self {
        let why = match error {
            rustls::Error::InvalidCertificate(error) => Why::of(error),
            _ => Why::Other,
        };
        let cause = cause(error);
        Self { why, found, cause }
    }

    /// A handshake that the certificate's key did not sign as it should have.
    pub(super) fn of_signature(error: &rustls::Error, found: Vec<String>) -> Self {
        Self {
            why: Why::Other,
            found,
            cause: cause(error),
        }
    }

    /// Packs the refusal into an error of the TLS library.
    pub(super) fn pack(self) -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(self))).into()
    }

    /// Finds a packed refusal in what the handshake returned.
    pub(super) fn unpack(error: &std::io::Error) -> Option<&Self> {
        let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
        match error {
            rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
                other.downcast_ref()
            }
            _ => None,
        }
    }
}

/// The reason alone, in the words of whoever found it.
fn cause(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            other.to_string()
        }
        rustls::Error::InvalidCertificate(error) => error.to_string(),
        error => error.to_string(),
    }
}

impl Why {
    fn of(error: &CertificateError) -> Self {
        match error {
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::Names
            }
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::UnknownIssuer,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            _ => Self::Other,
        }
    }
}

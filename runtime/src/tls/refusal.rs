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
        Self {
            why,
            found,
            cause: error.to_string(),
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

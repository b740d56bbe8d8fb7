//! What can be wrong with TLS files.

use std::path::PathBuf;

use rustls::CertificateError;

use crate::files;

/// Why a TLS configuration could not be made of its files. Each message names the file.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("a TLS file could not be read")]
    Read {
        /// Which file, and why.
        source: files::Error,
    },
    /// A file is not PEM.
    #[error("{} is not valid PEM: check that it was copied whole", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: rustls_pki_types::pem::Error,
    },
    /// A file has no certificate in it.
    #[error("{} has no certificate in it: it must have a PEM section CERTIFICATE", .path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file has no private key in it.
    #[error(
        "{} has no private key in it: it must have a PEM section PRIVATE KEY, RSA PRIVATE KEY or \
         EC PRIVATE KEY",
        .path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A certificate's content is not understood.
    #[error("{} has a certificate that is not understood: make it anew", .path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: rustls::Error,
    },
    /// The private key is of a kind that is not supported.
    #[error("the private key in {} is not supported: use ECDSA P-256, P-384, Ed25519 or RSA", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        source: rustls::Error,
    },
    /// The private key is not the certificate's.
    #[error(
        "the key in {} is not the key of the certificate in {}: check that both are of one pair",
        .key.display(), .cert.display()
    )]
    Mismatch {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// No file of a trust has a certificate in it.
    #[error(
        "nothing to trust was found in {looked_in}: name a file that exists and has a certificate"
    )]
    NoTrust {
        /// The files and patterns, with commas.
        looked_in: String,
    },
    /// A name is neither a host name nor an address.
    #[error("{text:?} is neither a host name nor an address")]
    Name {
        /// The text as given.
        text: String,
    },
    /// A client would refuse the certificate.
    #[error("a client would refuse the certificate")]
    Judged {
        /// What it would say.
        source: rustls::Error,
    },
    /// The TLS library refused the configuration.
    #[error("the TLS library refused the configuration")]
    Config {
        /// What it said.
        source: rustls::Error,
    },
}

impl Error {
    /// True of a certificate that was judged and that none of the CAs has signed; one of the same name with another
    /// key is another CA.
    #[must_use]
    pub fn is_unsigned(&self) -> bool {
        matches!(
            self,
            Self::Judged {
                source: rustls::Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::BadSignature
                ),
            }
        )
    }
}

//! PEM files read with a cap, and the fingerprint that tells whether they changed.

use std::path::Path;

use ring::digest::{Context, SHA256};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::Error;
use crate::files;

/// The largest PEM file taken. A bundle of every public CA is about 250 KiB.
const MAX_FILE_BYTES: usize = 1 << 20;

/// The content of a set of files as one number; equal content, equal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Makes a fingerprint of files in order; lengths are part of it, so that bytes cannot move between
/// files unnoticed.
pub(super) fn fingerprint<'a>(contents: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    for content in contents {
        context.update(&content.len().to_be_bytes());
        context.update(content);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    Fingerprint(bytes)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    files::read_small(path, MAX_FILE_BYTES).map_err(|source| Error::Read { source })
}

/// Parses all certificates of a file, at least one, in the order of the file.
pub(super) fn certificates(
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<_, _>>()
        .map_err(|source| Error::Pem {
            path: path.to_owned(),
            source,
        })?;
    if found.is_empty() {
        return Err(Error::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(found)
}

/// Parses the first private key of a file: PKCS#8, PKCS#1 or SEC1.
pub(super) fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|source| match source {
        pem::Error::NoItemsFound => Error::NoKey {
            path: path.to_owned(),
        },
        // The parser's words may quote the line it stopped at, and the line may be the key.
        _ => Error::Pem {
            path: path.to_owned(),
            source: pem::Error::NoItemsFound,
        },
    })
}

//! What made a server's certificate trusted, for people who check a configuration.

use std::path::PathBuf;

use rustls::RootCertStore;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{Trust, certificate, glob, material, provider};

/// What vouches for a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Exactly this certificate is pinned.
    Pin,
    /// A CA signed it.
    Ca,
    /// Nothing: any certificate is taken.
    Nothing,
}

/// Why a server is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// What vouches for it.
    pub by: By,
    /// The file that the pin or the CA is in; `None` when nothing vouches.
    pub file: Option<PathBuf>,
    /// The end of the server certificate's last day, Unix seconds; `None` when it is not understood.
    pub expires_unix_s: Option<u64>,
    /// True when that is over: only a pin outlives it.
    pub expired: bool,
}

impl Trust {
    /// Says why a server that was trusted is, from the files as they are now. `None` when no file
    /// says so any more, or the server showed no certificate.
    ///
    /// `chain` is what the server showed, its own certificate first. Reads files: for a check, not for
    /// each connection.
    #[must_use]
    pub fn voucher(&self, chain: &[CertificateDer<'_>]) -> Option<Voucher> {
        let (leaf, between) = chain.split_first()?;
        let now = UnixTime::now();
        let algorithms = provider().signature_verification_algorithms;
        let expires_unix_s = certificate::not_after(leaf, &algorithms).map(|end| end.as_secs());
        let voucher = |by, file| Voucher {
            by,
            file,
            expires_unix_s,
            expired: expires_unix_s.is_some_and(|end| end < now.as_secs()),
        };
        if self.is_insecure() {
            return Some(voucher(By::Nothing, None));
        }
        let files = self.files();
        let pins = certificates_of(&files.pins);
        if let Some((path, _)) = pins.iter().find(|(_, pinned)| pinned.contains(leaf)) {
            return Some(voucher(By::Pin, Some(path.clone())));
        }
        let parsed = ParsedCertificate::try_from(leaf).ok()?;
        let signed = |authorities: &[CertificateDer<'static>]| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(authorities.iter().cloned());
            let all = algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, now, all).is_ok()
        };
        let mut authorities = certificates_of(&files.ca);
        authorities.extend(pins.into_iter().map(|(path, mut pinned)| {
            pinned.retain(|one| certificate::is_ca(one, now, &algorithms));
            (path, pinned)
        }));
        let (path, _) = authorities.into_iter().find(|(_, found)| signed(found))?;
        Some(voucher(By::Ca, Some(path)))
    }
}

/// The certificates of each file that can be read.
fn certificates_of(patterns: &[PathBuf]) -> Vec<(PathBuf, Vec<CertificateDer<'static>>)> {
    let read = |path: PathBuf| {
        let bytes = material::read(&path).ok()?;
        let found = material::certificates(&path, &bytes).ok()?;
        Some((path, found))
    };
    let paths = patterns.iter().flat_map(|pattern| glob::expand(pattern));
    paths.filter_map(read).collect()
}

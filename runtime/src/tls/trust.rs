//! What a client trusts: CAs, and pinned certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::{ArcSwap, Guard};
use rustls::RootCertStore;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::certificate;
use super::material::{self, Fingerprint};
use super::{Error, Reload, glob, provider};

/// The files of a trust. Each may be a pattern with `*` in its last component; all are tried, and one
/// that is missing is skipped as long as another has something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustFiles {
    /// CA certificates: a server's chain must end at one of them.
    pub ca: Vec<PathBuf>,
    /// Pinned certificates: a server that presents exactly one of them is trusted whatever its names
    /// and dates. CA certificates in these files count as CAs too.
    pub pins: Vec<PathBuf>,
}

/// What a client trusts, replaceable while in use.
#[derive(Debug)]
pub struct Trust {
    files: TrustFiles,
    current: ArcSwap<Anchors>,
    /// An expired pin is warned of once in a process, not at each connection.
    pub(super) warned_expired: AtomicBool,
}

/// One reading of the files.
#[derive(Debug)]
pub(super) struct Anchors {
    pub(super) roots: RootCertStore,
    pub(super) pins: Vec<CertificateDer<'static>>,
    /// Everything is trusted.
    pub(super) insecure: bool,
    fingerprint: Fingerprint,
}

impl Trust {
    /// Reads all files of a trust.
    ///
    /// # Errors
    ///
    /// [`Error::NoTrust`] when no file has a certificate; any file that is there but unreadable or
    /// broken is an error of its own.
    pub fn load(files: TrustFiles) -> Result<Arc<Self>, Error> {
        let (anchors, missing) = read(&files)?;
        for path in missing {
            tracing::warn!(path = %path.display(), "trust file is missing, the others are used");
        }
        Ok(Arc::new(Self {
            files,
            current: ArcSwap::from_pointee(anchors),
            warned_expired: AtomicBool::new(false),
        }))
    }

    /// Makes a trust that takes any certificate whose key the server holds. Whoever is between can
    /// read everything: only for a server on loopback.
    #[must_use]
    pub fn insecure() -> Arc<Self> {
        let anchors = Anchors {
            roots: RootCertStore::empty(),
            pins: Vec::new(),
            insecure: true,
            fingerprint: material::fingerprint([]),
        };
        Arc::new(Self {
            files: TrustFiles::default(),
            current: ArcSwap::from_pointee(anchors),
            warned_expired: AtomicBool::new(false),
        })
    }

    /// Re-reads all files; new content that is valid counts from the next connection on.
    ///
    /// # Errors
    ///
    /// As [`Trust::load`]; then the old content stays in use.
    pub fn reload(&self) -> Result<Reload, Error> {
        if self.is_insecure() {
            return Ok(Reload::Same);
        }
        let (new, _) = read(&self.files)?;
        if new.fingerprint == self.current.load().fingerprint {
            return Ok(Reload::Same);
        }
        self.current.store(Arc::new(new));
        Ok(Reload::Changed)
    }

    /// Tells whether everything is trusted.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.current.load().insecure
    }

    pub(super) fn files(&self) -> &TrustFiles {
        &self.files
    }

    pub(super) fn anchors(&self) -> Guard<Arc<Anchors>> {
        self.current.load()
    }
}

/// Reads the files; also returns those that are missing.
fn read(files: &TrustFiles) -> Result<(Anchors, Vec<PathBuf>), Error> {
    let algorithms = provider().signature_verification_algorithms;
    let mut missing = Vec::new();
    let mut contents = Vec::new();
    let mut roots = RootCertStore::empty();
    let mut pins = Vec::new();
    for path in files.ca.iter().flat_map(|pattern| glob::expand(pattern)) {
        let Some(bytes) = read_present(&path, &mut missing)? else {
            continue;
        };
        for certificate in material::certificates(&path, &bytes)? {
            add_root(&mut roots, certificate, &path)?;
        }
        contents.push(bytes);
    }
    for path in files.pins.iter().flat_map(|pattern| glob::expand(pattern)) {
        let Some(bytes) = read_present(&path, &mut missing)? else {
            continue;
        };
        for certificate in material::certificates(&path, &bytes)? {
            if is_ca(&certificate, &algorithms) {
                add_root(&mut roots, certificate.clone(), &path)?;
            }
            pins.push(certificate);
        }
        contents.push(bytes);
    }
    if roots.is_empty() && pins.is_empty() {
        let patterns = files.ca.iter().chain(&files.pins);
        let shown: Vec<_> = patterns.map(|path| path.display().to_string()).collect();
        return Err(Error::NoTrust {
            looked_in: shown.join(", "),
        });
    }
    let fingerprint = material::fingerprint(contents.iter().map(Vec::as_slice));
    Ok((
        Anchors {
            roots,
            pins,
            insecure: false,
            fingerprint,
        },
        missing,
    ))
}

fn read_present(path: &Path, missing: &mut Vec<PathBuf>) -> Result<Option<Vec<u8>>, Error> {
    match material::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::Read { source }) if source.is_missing() => {
            missing.push(path.to_owned());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn is_ca(certificate: &CertificateDer<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
    certificate::is_ca(certificate, UnixTime::now(), algorithms)
}

fn add_root(
    roots: &mut RootCertStore,
    certificate: CertificateDer<'static>,
    path: &Path,
) -> Result<(), Error> {
    roots.add(certificate).map_err(|source| Error::Certificate {
        path: path.to_owned(),
        source,
    })
}

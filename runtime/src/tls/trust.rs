//! What a client trusts: CAs, and pinned certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use rustls::RootCertStore;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};

use super::certificate;
use super::material::{self, Fingerprint};
use super::{Error, Reload, glob, provider};
use crate::logging;

/// The files of a trust. Each may be a pattern with `*` in its last component; all are tried, and one
/// that is missing is skipped as long as another has something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustFiles {
    /// CA certificates: a server's chain must end at one of them.
    pub ca: Vec<PathBuf>,
    /// Pinned certificates: a server that presents exactly one of them is trusted whatever its names
    /// and dates. CA certificates in these files count as CAs too.
    pub pins: Vec<PathBuf>,
    /// True of places that are looked into by default: nothing has to be there, now or ever. What cannot
    /// be read or understood is passed over, and until something is found no server is trusted.
    pub optional: bool,
}

/// What a client trusts, replaceable while in use.
#[derive(Debug)]
pub struct Trust {
    files: TrustFiles,
    current: ArcSwap<Anchors>,
    /// An expired pin is warned of once, not at each connection, and again when the files have changed.
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
    /// broken is an error of its own. None when the files are optional.
    pub fn load(files: TrustFiles) -> Result<Arc<Self>, Error> {
        let (anchors, passed_over) = read(&files)?;
        for PassedOver { path, why } in passed_over {
            let path = path.display();
            match why {
                None if files.optional => {}
                None => tracing::warn!(%path, "trust file is missing, the others are used"),
                Some(why) => {
                    tracing::warn!(%path, why, "trust file is passed over, the others are used");
                }
            }
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
        // Optional files that are all gone are being replaced, or broken: the old ones stay.
        if new.fingerprint == self.current.load().fingerprint || new.is_empty() {
            return Ok(Reload::Same);
        }
        self.current.store(Arc::new(new));
        self.warned_expired.store(false, Ordering::Relaxed);
        Ok(Reload::Changed)
    }

    /// Tells whether no server can be trusted, since no file was found yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.load().is_empty()
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

impl Anchors {
    fn is_empty(&self) -> bool {
        !self.insecure && self.roots.is_empty() && self.pins.is_empty()
    }
}

/// A file that has nothing for a trust.
struct PassedOver {
    path: PathBuf,
    /// `None` when it is simply not there.
    why: Option<String>,
}

/// Reads the files; also returns those that are passed over.
fn read(files: &TrustFiles) -> Result<(Anchors, Vec<PassedOver>), Error> {
    let mut passed_over = Vec::new();
    let mut contents = Vec::new();
    let mut roots = RootCertStore::empty();
    let mut pins = Vec::new();
    let ca = files.ca.iter().flat_map(|pattern| glob::expand(pattern));
    let pinned = files.pins.iter().flat_map(|pattern| glob::expand(pattern));
    let all = ca.map(|path| (path, false));
    for (path, is_pin) in all.chain(pinned.map(|path| (path, true))) {
        let content = match read_one(&path, is_pin) {
            Ok(content) => content,
            Err(error) if is_missing(&error) => {
                passed_over.push(PassedOver { path, why: None });
                continue;
            }
            Err(error) if files.optional => {
                let why = Some(logging::chain(&error));
                passed_over.push(PassedOver { path, why });
                continue;
            }
            Err(error) => return Err(error),
        };
        roots.roots.extend(content.roots.roots);
        if is_pin {
            pins.extend(content.certificates);
        }
        contents.push(content.bytes);
    }
    if roots.is_empty() && pins.is_empty() && !files.optional {
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
        passed_over,
    ))
}

/// What one file has.
struct Content {
    bytes: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
}

/// Reads a file; of pinned certificates those of CAs are roots, of others all.
fn read_one(path: &Path, is_pin: bool) -> Result<Content, Error> {
    let algorithms = provider().signature_verification_algorithms;
    let bytes = material::read(path)?;
    let certificates = material::certificates(path, &bytes)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        if !is_pin || is_ca(certificate, &algorithms) {
            let added = roots.add(certificate.clone());
            added.map_err(|source| Error::Certificate {
                path: path.to_owned(),
                source,
            })?;
        }
    }
    Ok(Content {
        bytes,
        certificates,
        roots,
    })
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Read { source } if source.is_missing())
}

fn is_ca(certificate: &CertificateDer<'_>, algorithms: &WebPkiSupportedAlgorithms) -> bool {
    certificate::is_ca(certificate, UnixTime::now(), algorithms)
}

//! What a client trusts: CAs, and pinned certificates.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use rustls::RootCertStore;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime};
use tokio::sync::watch;

use super::certificate;
use super::material::{self, Fingerprint};
use super::reload::Told;
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
    /// be read or understood is passed over, and until something is found no server is trusted. A file
    /// that had something and goes, or is broken, keeps what it had: it may be under way to a newer one.
    pub optional: bool,
}

/// What a client trusts, replaceable while in use.
#[derive(Debug)]
pub struct Trust {
    files: TrustFiles,
    current: ArcSwap<Anchors>,
    // How often the content was replaced.
    version: AtomicU64,
    // Whether there is anything to trust by.
    there: watch::Sender<bool>,
    // Held while files are read, compared and put into use: the later reading is the later everywhere.
    held: Mutex<Held>,
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

/// What the last reading found, and what was said of it.
#[derive(Debug)]
struct Held {
    // Nothing of files that have to be there: one that is broken leaves all as it was.
    pieces: Vec<Piece>,
    told: Told,
}

impl Held {
    fn new(pieces: Vec<Piece>, broken: Option<String>) -> Self {
        Self {
            pieces,
            told: Told::new("trusted certificates", broken),
        }
    }
}

/// What one file had.
#[derive(Clone, Debug)]
struct Piece {
    path: PathBuf,
    is_pin: bool,
    content: Content,
}

impl Trust {
    /// Reads all files of a trust.
    ///
    /// # Errors
    ///
    /// [`Error::NoTrust`] when no file has a certificate; any file that is there but unreadable or
    /// broken is an error of its own. None when the files are optional.
    pub fn load(files: TrustFiles) -> Result<Arc<Self>, Error> {
        let reading = read(&files, &[])?;
        for PassedOver { path, why } in &reading.passed_over {
            let path = path.display();
            match why {
                None if files.optional => {}
                None => tracing::warn!(%path, "trust file is missing, the others are used"),
                Some(why) => {
                    tracing::warn!(%path, why, "trust file is passed over, the others are used");
                }
            }
        }
        let broken = reading.broken();
        let pieces = if files.optional {
            reading.pieces
        } else {
            Vec::new()
        };
        Ok(Arc::new(Self::of(
            files,
            reading.anchors,
            Held::new(pieces, broken),
        )))
    }

    fn of(files: TrustFiles, anchors: Anchors, held: Held) -> Self {
        Self {
            files,
            there: watch::Sender::new(!anchors.is_empty()),
            current: ArcSwap::from_pointee(anchors),
            version: AtomicU64::new(0),
            held: Mutex::new(held),
            warned_expired: AtomicBool::new(false),
        }
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
        let held = Held::new(Vec::new(), None);
        Arc::new(Self::of(TrustFiles::default(), anchors, held))
    }

    /// Makes a trust of CA certificates that are no file; `name` is what errors call them. It stays as it is.
    ///
    /// # Errors
    ///
    /// When it has no certificate, or a broken one.
    pub fn of_pem(name: &str, pem: &[u8]) -> Result<Arc<Self>, Error> {
        let content = content(Path::new(name), pem, false)?;
        let anchors = anchors(&[Piece {
            path: name.into(),
            is_pin: false,
            content,
        }]);
        let held = Held::new(Vec::new(), None);
        Ok(Arc::new(Self::of(TrustFiles::default(), anchors, held)))
    }

    /// Makes a trust that has nothing yet and is given its CA certificates by [`Trust::put`].
    #[must_use]
    pub fn empty() -> Arc<Self> {
        let held = Held::new(Vec::new(), None);
        Arc::new(Self::of(TrustFiles::default(), anchors(&[]), held))
    }

    /// Trusts other CA certificates, PEM, from the next connection on; `name` is what errors call them.
    ///
    /// # Errors
    ///
    /// As [`Trust::of_pem`]; then what was trusted stays.
    pub fn put(&self, name: &str, pem: &[u8]) -> Result<Reload, Error> {
        let new = anchors(&[Piece {
            path: name.into(),
            is_pin: false,
            content: content(Path::new(name), pem, false)?,
        }]);
        let _held = self.held();
        Ok(self.replace(new))
    }

    /// Puts a reading into use, where it is another one. The caller holds `held`.
    fn replace(&self, new: Anchors) -> Reload {
        if new.fingerprint == self.current.load().fingerprint {
            return Reload::Same;
        }
        let is_there = !new.is_empty();
        self.current.store(Arc::new(new));
        self.there.send_replace(is_there);
        self.version.fetch_add(1, Ordering::Release);
        self.warned_expired.store(false, Ordering::Relaxed);
        Reload::Changed
    }

    /// Re-reads all files; new content that is valid counts from the next connection on. What is found is
    /// logged here, whoever asks: a change, and what is broken when it breaks and when it is mended.
    ///
    /// Blocks while files are read.
    ///
    /// # Errors
    ///
    /// As [`Trust::load`]; then the old content stays in use.
    pub fn reload(&self) -> Result<Reload, Error> {
        // What has no file does not change.
        if self.files == TrustFiles::default() {
            return Ok(Reload::Same);
        }
        let mut held = self.held();
        let reading = read(&self.files, &held.pieces)
            .inspect_err(|error| held.told.tell(Reload::Same, Some(logging::chain(error))))?;
        let broken = reading.broken();
        let new = reading.anchors;
        if self.files.optional {
            held.pieces = reading.pieces;
        }
        let reload = self.replace(new);
        held.told.tell(reload, broken);
        Ok(reload)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that is another one once something else is trusted.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    #[cfg(test)]
    pub(super) fn broken(&self) -> Option<String> {
        self.held().told.broken().map(str::to_owned)
    }

    /// Tells whether no server can be trusted, since no file was found yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.current.load().is_empty()
    }

    /// Waits until some server can be trusted. Cancel safe.
    pub async fn there(&self) {
        let mut there = self.there.subscribe();
        // The sender lives as long as this does.
        drop(there.wait_for(|there| *there).await);
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

/// A file that has nothing for a trust, or no more than it had before.
struct PassedOver {
    path: PathBuf,
    /// `None` when it is simply not there, and never was.
    why: Option<String>,
}

/// What the files have.
struct Reading {
    anchors: Anchors,
    pieces: Vec<Piece>,
    passed_over: Vec<PassedOver>,
}

impl Reading {
    /// Which files should be looked after, and why.
    fn broken(&self) -> Option<String> {
        let whys = self.passed_over.iter().filter_map(|file| file.why.clone());
        let whys: Vec<String> = whys.collect();
        (!whys.is_empty()).then(|| whys.join("; "))
    }
}

/// Reads the files. Of optional ones a piece that was there before stays when its file is no longer whole.
fn read(files: &TrustFiles, before: &[Piece]) -> Result<Reading, Error> {
    let mut passed_over = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    let ca = files.ca.iter().flat_map(|pattern| glob::expand(pattern));
    let pinned = files.pins.iter().flat_map(|pattern| glob::expand(pattern));
    let all = ca.map(|path| (path, false));
    for (path, is_pin) in all.chain(pinned.map(|path| (path, true))) {
        let error = match read_one(&path, is_pin) {
            Ok(content) => {
                pieces.push(Piece {
                    path,
                    is_pin,
                    content,
                });
                continue;
            }
            Err(error) if files.optional || is_missing(&error) => error,
            Err(error) => return Err(error),
        };
        let mut before = before.iter();
        let kept = before.find(|piece| piece.path == path && piece.is_pin == is_pin);
        let why = (kept.is_some() || !is_missing(&error)).then(|| logging::chain(&error));
        pieces.extend(kept.cloned());
        passed_over.push(PassedOver { path, why });
    }
    let anchors = anchors(&pieces);
    if anchors.is_empty() && !files.optional {
        let patterns = files.ca.iter().chain(&files.pins);
        let shown: Vec<_> = patterns.map(|path| path.display().to_string()).collect();
        return Err(Error::NoTrust {
            looked_in: shown.join(", "),
        });
    }
    Ok(Reading {
        anchors,
        pieces,
        passed_over,
    })
}

fn anchors(pieces: &[Piece]) -> Anchors {
    let mut roots = RootCertStore::empty();
    let mut pins = Vec::new();
    for Piece {
        is_pin, content, ..
    } in pieces
    {
        roots.roots.extend(content.roots.roots.iter().cloned());
        if *is_pin {
            pins.extend(content.certificates.iter().cloned());
        }
    }
    let contents = pieces.iter().map(|piece| piece.content.fingerprint.bytes());
    Anchors {
        roots,
        pins,
        insecure: false,
        fingerprint: material::fingerprint(contents),
    }
}

/// What one file has.
#[derive(Clone, Debug)]
struct Content {
    fingerprint: Fingerprint,
    certificates: Vec<CertificateDer<'static>>,
    roots: RootCertStore,
}

/// Reads a file; of pinned certificates those of CAs are roots, of others all.
fn read_one(path: &Path, is_pin: bool) -> Result<Content, Error> {
    content(path, &material::read(path)?, is_pin)
}

fn content(path: &Path, bytes: &[u8], is_pin: bool) -> Result<Content, Error> {
    let algorithms = provider().signature_verification_algorithms;
    let certificates = material::certificates(path, bytes)?;
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
        fingerprint: material::fingerprint([bytes]),
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

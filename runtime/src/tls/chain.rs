//! Certificates that are looked at before they are put into use: their dates, their subject, whether a key
//! is theirs, and whether a client that trusts some CAs would take them.

use std::path::Path;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::server::ParsedCertificate;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::EndEntityCert;

use super::{Error, Subject, certificate, identity, material, provider};

/// When a certificate is valid, Unix seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub from_unix_s: u64,
    /// The last second.
    pub until_unix_s: u64,
}

/// Certificates of one PEM text, in its order, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    certificates: Vec<CertificateDer<'static>>,
}

impl Chain {
    /// Reads PEM; `name` is what errors call it.
    ///
    /// # Errors
    ///
    /// When it is not PEM or has no certificate.
    pub fn parse(name: &str, pem: &[u8]) -> Result<Self, Error> {
        let certificates = material::certificates(Path::new(name), pem)?;
        Ok(Self { certificates })
    }

    pub(super) fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self { certificates }
    }

    /// What a server has shown, its own certificate first; `None` when it has shown nothing.
    #[must_use]
    pub fn shown(certificates: &[CertificateDer<'_>]) -> Option<Self> {
        let owned = certificates.iter().map(|one| one.clone().into_owned());
        (!certificates.is_empty()).then(|| Self::of(owned.collect()))
    }

    /// Each certificate by itself, as a text of CAs that do not sign each other has them.
    pub fn each(&self) -> impl Iterator<Item = Self> + '_ {
        let all = self.certificates.iter();
        all.map(|one| Self::of(vec![one.clone()]))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.certificates.len()
    }

    /// When the first one is valid; `None` when it is not understood.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        let first = self.certificates.first()?;
        let algorithms = provider().signature_verification_algorithms;
        Some(Validity {
            from_unix_s: certificate::not_before(first, &algorithms)?.as_secs(),
            until_unix_s: certificate::not_after(first, &algorithms)?.as_secs(),
        })
    }

    /// The subject of the first one; `None` when it is not understood.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        let first = EndEntityCert::try_from(self.certificates.first()?).ok()?;
        Subject::parse(first.subject())
    }

    /// True when the first one is for this name.
    #[must_use]
    pub fn is_for(&self, name: &ServerName<'_>) -> bool {
        let first = self.certificates.first();
        let first = first.and_then(|first| EndEntityCert::try_from(first).ok());
        first.is_some_and(|first| first.verify_is_valid_for_subject_name(name).is_ok())
    }

    /// Judges the first one as a client would that trusts `anchors` and expects each of `names`, at a time in
    /// Unix seconds. The others stand between it and its CA.
    ///
    /// # Errors
    ///
    /// What the client would say.
    pub fn verify(
        &self,
        anchors: &Self,
        names: &[ServerName<'_>],
        at_unix_s: u64,
    ) -> Result<(), Error> {
        let judge = || {
            let Some((leaf, between)) = self.certificates.split_first() else {
                return Err(rustls::Error::NoCertificatesPresented);
            };
            let mut roots = RootCertStore::empty();
            for anchor in &anchors.certificates {
                roots.add(anchor.clone())?;
            }
            let now = UnixTime::since_unix_epoch(Duration::from_secs(at_unix_s));
            let all = provider().signature_verification_algorithms.all;
            let parsed = ParsedCertificate::try_from(leaf)?;
            verify_server_cert_signed_by_trust_anchor(&parsed, &roots, between, now, all)?;
            names
                .iter()
                .try_for_each(|name| verify_server_name(&parsed, name))
        };
        judge().map_err(|source| Error::Judged { source })
    }
}

/// Checks that a private key, PEM, is the one of the first certificate. `names` are what errors call them.
///
/// # Errors
///
/// When one of them is broken, or they are not of one pair.
pub fn one_pair(names: (&str, &str), chain: &[u8], key: &[u8]) -> Result<(), Error> {
    let paths = (Path::new(names.0), Path::new(names.1));
    identity::pair(paths, (chain, key), &provider()).map(drop)
}

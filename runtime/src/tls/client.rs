//! How a server judges the certificates of a client: after the handshake, for each request, by the CAs that
//! count then.

use rustls_pki_types::{TrustAnchor, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::certificate;
use super::{PeerCertificates, Subject, Trust, provider};
use crate::logging;

/// Why a client's certificate is not taken. For the log: the client is told nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum ClientRefusal {
    /// None was shown.
    #[error("no certificate was shown")]
    Absent,
    /// It is not understood, not of these CAs, not of this day, or not for clients.
    #[error("the certificate does not hold: check which CA signed it, its dates and its use")]
    Judged {
        /// What the library said.
        source: webpki::Error,
    },
    /// Its subject cannot be read.
    #[error("the subject of the certificate cannot be read: make it of UTF-8 or printable strings")]
    Subject,
}

impl PeerCertificates {
    /// The last moment at which the certificate of the client itself is valid, Unix ms; `None` when that is
    /// not understood.
    #[must_use]
    pub fn until_ms(&self) -> Option<u64> {
        let leaf = self.chain.first()?;
        let until = certificate::not_after(leaf, &provider().signature_verification_algorithms)?;
        Some(until.as_secs().saturating_mul(1_000))
    }
}

impl PeerCertificates {
    /// The DNS name of the certificate of the client itself, where it has exactly one; other kinds of names
    /// and the subject are not looked at.
    #[must_use]
    pub fn one_dns_name(&self) -> Option<String> {
        let leaf = EndEntityCert::try_from(self.chain.first()?).ok()?;
        let mut names = leaf.valid_dns_names();
        let name = names.next()?.to_owned();
        names.next().is_none().then_some(name)
    }
}

impl Trust {
    /// The common name of a CA that is trusted here and there, escaped; `None` where there is none. A CA is known by
    /// its key, whatever else its certificates say here and there.
    #[must_use]
    pub fn shared_authority(&self, other: &Self) -> Option<String> {
        let shared = self.anchor_of(other, has_key_of)?;
        let subject = Subject::parse(&shared.subject).unwrap_or_default();
        Some(logging::escape(&subject.common_name))
    }

    /// True when what a CA of this trust has signed is taken by the other one too: there is a CA of the same
    /// subject and key in both, whatever else their certificates say.
    #[must_use]
    pub fn shares_issuer(&self, other: &Self) -> bool {
        let is = |own: &TrustAnchor<'_>, other: &TrustAnchor<'_>| {
            has_key_of(own, other) && own.subject == other.subject
        };
        self.anchor_of(other, is).is_some()
    }

    /// The first CA of this trust that is one of the other's.
    fn anchor_of(
        &self,
        other: &Self,
        is: impl Fn(&TrustAnchor<'_>, &TrustAnchor<'_>) -> bool,
    ) -> Option<TrustAnchor<'static>> {
        let (own, other) = (self.anchors(), other.anchors());
        let mut own = own.roots.roots.iter();
        own.find(|own| other.roots.roots.iter().any(|other| is(own, other)))
            .cloned()
    }

    /// Judges what a client showed by the CAs of this trust, now, and says who it is for. The handshake
    /// has proved that the client holds the key.
    ///
    /// # Errors
    ///
    /// One variant of [`ClientRefusal`] for each reason.
    pub fn client(&self, shown: &PeerCertificates) -> Result<Subject, ClientRefusal> {
        let Some((leaf, between)) = shown.chain.split_first() else {
            return Err(ClientRefusal::Absent);
        };
        let judged = |source| ClientRefusal::Judged { source };
        let certificate = EndEntityCert::try_from(leaf).map_err(judged)?;
        let anchors = self.anchors();
        let path = certificate.verify_for_usage(
            provider().signature_verification_algorithms.all,
            &anchors.roots.roots,
            between,
            UnixTime::now(),
            KeyUsage::client_auth(),
            None,
            None,
        );
        path.map(drop).map_err(judged)?;
        Subject::parse(certificate.subject()).ok_or(ClientRefusal::Subject)
    }
}

fn has_key_of(one: &TrustAnchor<'_>, other: &TrustAnchor<'_>) -> bool {
    one.subject_public_key_info == other.subject_public_key_info
}

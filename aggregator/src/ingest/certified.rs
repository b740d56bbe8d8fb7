//! Agents that are known by a client certificate of a CA of their own.
//!
//! The one DNS name of the certificate is the node. TLS has proved that the agent holds the key; here it
//! is judged by the CAs, the dates and the use, when a stream begins and again at every frame: by its
//! end, and by the CAs whenever other ones are trusted. While one of the CAs is somebody else's too ([`OwnCa`])
//! nobody is known by a certificate.

mod own_ca;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cairn_proto::model::{EntityKind, check_name};
use cairn_runtime::clock::Clock;
use cairn_runtime::logging;
use cairn_runtime::tls::{PeerCertificates, Reloadable};

use super::refusal::{Over, Refusal};

pub use self::own_ca::{Elsewhere, OwnCa};

/// Knows agents by their certificates.
#[derive(Debug)]
pub struct Clients {
    ca: Arc<OwnCa>,
    clock: Clock,
}

/// A node that has shown its certificate.
#[derive(Debug)]
pub(crate) struct Certified {
    pub(super) node: Arc<str>,
    shown: Arc<PeerCertificates>,
    until_ms: u64,
    // By which reading of the CAs it was last judged.
    judged_by: AtomicU64,
}

impl PartialEq for Certified {
    fn eq(&self, other: &Self) -> bool {
        (&self.node, &self.shown) == (&other.node, &other.shown)
    }
}

impl Eq for Certified {}

impl Clients {
    /// Takes certificates of these CAs, as long as they sign nothing else.
    #[must_use]
    pub fn new(ca: Arc<OwnCa>, clock: Clock) -> Self {
        Self { ca, clock }
    }

    /// What is to be read again when its files change.
    pub(super) fn reloadable(&self) -> Reloadable {
        Arc::clone(&self.ca.trust).into()
    }

    /// Whose certificate this is.
    pub(super) fn identify(
        &self,
        shown: Option<&Arc<PeerCertificates>>,
    ) -> Result<Certified, Refusal> {
        let shown = shown.ok_or(Refusal::NoCertificate)?;
        if let Some(text) = self.ca.shared() {
            return Err(Refusal::SharedCa(text));
        }
        // Before it is judged: what is trusted while that goes on is looked at again.
        let judged_by = AtomicU64::new(self.ca.trust.version());
        let judged = self.ca.trust.client(shown);
        judged.map_err(|error| Refusal::Certificate(logging::chain(&error)))?;
        let node = shown.one_dns_name().ok_or(Refusal::NoNodeName)?;
        check_name(EntityKind::Node, &node).map_err(|_| Refusal::NoNodeName)?;
        let until_ms = shown.until_ms().unwrap_or(0);
        let certified = Certified {
            node: node.into(),
            shown: Arc::clone(shown),
            until_ms,
            judged_by,
        };
        match self.over(&certified) {
            None => Ok(certified),
            Some(over) => Err(Refusal::Over(over)),
        }
    }

    /// Why the certificate is no good any more; `None` while it is.
    pub(super) fn over(&self, certified: &Certified) -> Option<Over> {
        if self.clock.unix_ms() >= certified.until_ms {
            return Some(Over::CertificateExpired);
        }
        if self.ca.shared().is_some() {
            return Some(Over::SharedCa);
        }
        let version = self.ca.trust.version();
        if certified.judged_by.load(Ordering::Relaxed) != version {
            if self.ca.trust.client(&certified.shown).is_err() {
                return Some(Over::Untrusted);
            }
            certified.judged_by.store(version, Ordering::Relaxed);
        }
        None
    }
}

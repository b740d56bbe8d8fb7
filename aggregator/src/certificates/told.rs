//! What is wrong, thing by thing: each is said once in the log, and stands in `/readyz?verbose` until it is
//! over. While nothing is served yet, the process is not ready, and says what it waits for.

use std::collections::BTreeMap;

use cairn_runtime::readiness::{Blocker, Note, Readiness};

/// What may be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// Who writes.
    Lease,
    /// The certificates themselves.
    Secret,
    /// Where agents find the CAs.
    ConfigMap,
    /// Where the API server finds them.
    ApiService,
}

impl About {
    pub(super) const ALL: [Self; 4] =
        [Self::Lease, Self::Secret, Self::ConfigMap, Self::ApiService];

    /// What it is called in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::Secret => "secret",
            Self::ConfigMap => "config-map",
            Self::ApiService => "api-service",
        }
    }

    /// The name of its note.
    fn note(self) -> &'static str {
        match self {
            Self::Lease => "certificate lease",
            Self::Secret => "certificate",
            Self::ConfigMap => "certificate config map",
            Self::ApiService => "certificate api service",
        }
    }
}

/// Says it.
#[derive(Debug)]
pub(super) struct Told {
    readiness: Readiness,
    // None once something is served.
    blocker: Option<Blocker>,
    wrong: BTreeMap<About, String>,
}

impl Told {
    pub(super) fn new(readiness: &Readiness, waits_for: &str) -> Self {
        Self {
            blocker: Some(readiness.block("certificate", waits_for)),
            readiness: readiness.clone(),
            wrong: BTreeMap::new(),
        }
    }

    /// Something is wrong.
    pub(super) fn wrong(&mut self, about: About, text: String) {
        if about == About::Secret
            && let Some(blocker) = &self.blocker
        {
            blocker.set_reason(text.as_str());
        }
        if self.wrong.get(&about) == Some(&text) {
            return;
        }
        tracing::warn!("{text}");
        let note = Note::Degraded(text.clone());
        self.readiness.note(about.note(), note);
        self.wrong.insert(about, text);
    }

    /// Nothing is wrong with it, or no more.
    pub(super) fn well(&mut self, about: About) {
        if self.wrong.remove(&about).is_some() {
            self.readiness.clear(about.note());
            tracing::info!(about = about.as_str(), "it is in order again");
        }
    }

    /// It is another replica's business now.
    pub(super) fn forget(&mut self, about: About) {
        if self.wrong.remove(&about).is_some() {
            self.readiness.clear(about.note());
        }
    }

    /// Not yet: says what is waited for, as long as nothing is served.
    pub(super) fn waits(&self, text: &str) {
        if let Some(blocker) = &self.blocker {
            blocker.set_reason(text);
        }
    }

    /// A certificate is served.
    pub(super) fn served(&mut self) {
        self.blocker = None;
    }
}

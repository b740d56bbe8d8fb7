//! A token that is good, and what it is good for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::super::refusal::Over;
use crate::cluster::token::Hash;

/// What the bearer of a token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Report this node.
    Node(Arc<str>),
    /// Ask for history.
    Peer,
}

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) role: Role,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) pod_uid: String,
}

/// A token that was taken. Streams hold it, and see at each frame whether it is still good.
pub(crate) struct Grant {
    subject: Subject,
    // Asked about again; never shown.
    token: Box<str>,
    hash: Hash,
    expires_ms: u64,
    is_confirmed_at_first: bool,
    ended: AtomicU8,
}

const REVOKED: u8 = 1;
const POD_GONE: u8 = 2;

impl Grant {
    /// Known by the cluster's keys; the Kubernetes API was not asked yet.
    pub(super) fn unconfirmed(subject: Subject, token: (&str, Hash), expires_ms: u64) -> Self {
        Self::new(subject, token, expires_ms, false)
    }

    /// The Kubernetes API says so.
    pub(super) fn confirmed(subject: Subject, token: (&str, Hash), expires_ms: u64) -> Self {
        Self::new(subject, token, expires_ms, true)
    }

    fn new(
        subject: Subject,
        (token, hash): (&str, Hash),
        expires_ms: u64,
        is_confirmed_at_first: bool,
    ) -> Self {
        Self {
            subject,
            token: token.into(),
            hash,
            expires_ms,
            is_confirmed_at_first,
            ended: AtomicU8::new(0),
        }
    }

    /// Why it is no good any more.
    pub(crate) fn over(&self, now_ms: u64) -> Option<Over> {
        match self.ended.load(Ordering::Relaxed) {
            REVOKED => Some(Over::Revoked),
            POD_GONE => Some(Over::PodGone),
            _ if now_ms >= self.expires_ms => Some(Over::Expired),
            _ => None,
        }
    }

    pub(super) fn end(&self, over: Over) {
        let ended = match over {
            Over::Revoked => REVOKED,
            Over::PodGone => POD_GONE,
            // Seen by the clock, or of other kinds of identity.
            Over::Expired
            | Over::Removed
            | Over::CertificateExpired
            | Over::Untrusted
            | Over::SharedCa => return,
        };
        self.ended.store(ended, Ordering::Relaxed);
    }

    /// The node that it may report.
    pub(crate) fn node(&self) -> Option<&Arc<str>> {
        match &self.subject.role {
            Role::Node(node) => Some(node),
            Role::Peer => None,
        }
    }

    pub(crate) fn may_replay(&self) -> bool {
        self.subject.role == Role::Peer
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn hash(&self) -> Hash {
        self.hash
    }

    pub(super) fn expires_ms(&self) -> u64 {
        self.expires_ms
    }

    pub(super) fn is_confirmed_at_first(&self) -> bool {
        self.is_confirmed_at_first
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Grant");
        debug.field("subject", &self.subject);
        debug
            .field("expires_ms", &self.expires_ms)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Grant {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Grant {}

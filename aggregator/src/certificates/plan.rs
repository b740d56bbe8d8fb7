//! What is to be done to the Secret next. Pure: times and facts go in, one change comes out.
//!
//! A CA is published a day before it signs, so that whoever holds a copy of the bundle that is a little old
//! takes what it signs. One that signs no more stays in the bundle until the last leaf that it signed
//! has expired, so that a replica that could not read the Secret since is still taken.

use cairn_runtime::tls::Validity;

use super::make::{DAY_S, EARLIER_S};

/// How long a new CA is published before it signs. The kubelet brings a `ConfigMap` into a pod in about two
/// minutes; a node that was away for the night gets it too.
pub(super) const PUBLISHED_FIRST_S: u64 = DAY_S;

/// Left of a CA's life when the next one signs though nobody knows whether it was published: after the end
/// of the old one nothing would be taken anyway.
const LAST_CALL_S: u64 = 7 * DAY_S;

/// What is known of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// The CA that signs.
    pub(super) ca: Validity,
    /// The serving certificate; or what is wrong with it.
    pub(super) leaf: Result<Validity, String>,
    /// Names that it should have and does not.
    pub(super) missing: Vec<String>,
    /// The CA that will sign.
    pub(super) next: Option<Next>,
    /// Until when CAs that sign no more stay, Unix seconds; `None` when there are none.
    pub(super) old_until_s: Option<u64>,
}

/// The CA that will sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// When it was seen in everything that publishes it, Unix seconds.
    pub(super) published_s: Option<u64>,
}

/// One change of the Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A new CA is made, to be published.
    MakeNext,
    /// Writes down since when the next CA is published.
    NotePublished,
    /// The next CA signs from now on, and signs a serving certificate.
    Promote,
    /// A serving certificate is made.
    RenewLeaf {
        /// Why, where it is not for its age.
        fault: Option<String>,
    },
    /// CAs whose leaves have expired go.
    DropOld,
    /// The CA has ended, and there is no other: everything is made anew.
    Begin,
}

impl Facts {
    /// Why the leaf does not hold, or not for all names; such a Secret is not written.
    pub(super) fn fault(&self) -> Option<String> {
        match &self.leaf {
            Err(fault) => Some(fault.clone()),
            Ok(_) if !self.missing.is_empty() => {
                Some(format!("it is not for {}", self.missing.join(", ")))
            }
            Ok(_) => None,
        }
    }
}

/// The change that is due, if any. `is_published`: everybody who publishes the bundle had all of it at the
/// last look.
pub(super) fn due(facts: &Facts, is_published: bool, now_s: u64) -> Option<Change> {
    // Our clock was set back before the CA's first day: what is made now would hold no better.
    if now_s < facts.ca.from_unix_s {
        return None;
    }
    if let Some(next) = facts.next {
        let waited = next
            .published_s
            .is_some_and(|since| now_s.saturating_sub(since) >= PUBLISHED_FIRST_S);
        if waited || now_s.saturating_add(LAST_CALL_S) >= facts.ca.until_unix_s {
            return Some(Change::Promote);
        }
    }
    if now_s > facts.ca.until_unix_s {
        return Some(Change::Begin);
    }
    // Before what signs nothing: a Secret with a leaf that does not hold is not written.
    if let Some(fault) = facts.fault() {
        return Some(Change::RenewLeaf { fault: Some(fault) });
    }
    if let Some(next) = facts.next
        && next.published_s.is_none()
        && is_published
    {
        return Some(Change::NotePublished);
    }
    if facts.next.is_none() && now_s >= two_thirds(facts.ca) {
        return Some(Change::MakeNext);
    }
    // A leaf that ends with its CA is not made longer by making it again.
    if let Ok(leaf) = &facts.leaf
        && now_s >= two_thirds(*leaf)
        && leaf.until_unix_s < facts.ca.until_unix_s
    {
        return Some(Change::RenewLeaf { fault: None });
    }
    let is_over = facts.old_until_s.is_some_and(|until| now_s > until);
    is_over.then_some(Change::DropOld)
}

/// The moment at which two thirds of a life are over, Unix seconds.
fn two_thirds(life: Validity) -> u64 {
    let made_s = life.from_unix_s.saturating_add(EARLIER_S);
    made_s.saturating_add(life.until_unix_s.saturating_sub(made_s) / 3 * 2)
}

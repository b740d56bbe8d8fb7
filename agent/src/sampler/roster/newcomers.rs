//! Who has just come.

use super::{Roster, Seen};

/// For so long a container is a newcomer, ms: a kubelet lists it a moment after it is there.
const NEWCOMER_MS: u64 = 5_000;

impl Roster {
    /// True when a container is there that was not before, and not for long, and that no summary listed
    /// yet: it may be a new life of one whose figures the last summary does not have.
    #[must_use]
    pub fn has_newcomer(&self, tick: u64) -> bool {
        self.containers.values().any(|of| {
            of.is_open()
                && !of.is_listed
                && self.is_there(of.seen)
                && self
                    .came(of.seen)
                    .is_some_and(|came| tick.saturating_sub(came) <= NEWCOMER_MS)
        })
    }

    /// True when a pod came at this very tick that no summary lists yet, and nobody has told who it is, or who a
    /// container of it is.
    #[must_use]
    pub fn has_stranger(&self, tick: u64) -> bool {
        let is_new = |seen: Option<Seen>| self.came(seen) == Some(tick);
        let mut pods = self.pods.iter();
        pods.any(|(uid, of)| {
            let is_open = is_new(of.cgroup) && of.is_unlisted();
            is_open && (of.named.is_none() || self.has_unnamed_below(uid))
        })
    }

    /// True when a container of this pod is there that nobody named, and that is not its sandbox.
    fn has_unnamed_below(&self, uid: &str) -> bool {
        let mut all = self.containers.values();
        all.any(|of| {
            *of.uid == *uid
                && of.is_unnamed()
                && self.is_there(of.seen)
                && !self.is_no_container(of)
        })
    }

    /// The tick at which it was seen first; `None` of what was there when the agent first looked.
    fn came(&self, seen: Option<Seen>) -> Option<u64> {
        let seen = seen.filter(|seen| !seen.is_from_before(self.first_tick));
        seen.map(|seen| seen.first_tick)
    }
}

//! Which cgroups are sandboxes.
//!
//! Half of all cgroups directly below pods are those of their pause containers, which nobody asks
//! about. Only who knows containers by name can say which.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The ids of sandboxes: written by the sampler, read by the thread that reads cgroups.
#[derive(Clone, Debug, Default)]
pub struct Sandboxes {
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    ids: HashSet<Box<str>>,
    // Grows with each change.
    version: u64,
}

impl Sandboxes {
    /// Says which ids are sandboxes, all of them.
    pub fn set(&self, ids: HashSet<Box<str>>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.ids != ids {
            known.ids = ids;
            known.version += 1;
        }
    }

    /// Looks at them when they are others than those of this version, and gives their version.
    pub(super) fn changed_since(
        &self,
        version: Option<u64>,
        look: impl FnOnce(&HashSet<Box<str>>),
    ) -> u64 {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if version != Some(known.version) {
            look(&known.ids);
        }
        known.version
    }
}

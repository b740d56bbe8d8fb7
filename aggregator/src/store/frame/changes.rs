//! What changed, for readers that have seen an earlier state.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::watch;

use super::lock;

/// Changes remembered for [`Changes::since`]: at two rows a node and second, 5,000 nodes fill it in
/// half a second; a reader that is further behind starts over with the whole window.
const CHANGES: usize = 4096;

#[derive(Debug, Default)]
pub(in crate::store) struct Changes {
    // Invariant: versions are consecutive, the last one is `version`'s value.
    recent: Mutex<VecDeque<(u64, u64)>>,
    version: watch::Sender<u64>,
}

impl Changes {
    /// Remembers that rows from this tick on changed; `u64::MAX` when none did but something else.
    pub(in crate::store) fn add(&self, tick_ms: u64) {
        let mut recent = lock(&self.recent);
        let version = *self.version.borrow() + 1;
        if recent.len() == CHANGES {
            recent.pop_front();
        }
        recent.push_back((version, tick_ms));
        self.version.send_replace(version);
    }

    /// See [`Door::subscribe`](crate::store::Door::subscribe).
    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// See [`Door::changed_since`](crate::store::Door::changed_since).
    pub(super) fn since(&self, version: u64) -> Option<Option<u64>> {
        let recent = lock(&self.recent);
        if recent
            .front()
            .is_some_and(|(first, _)| *first > version + 1)
        {
            return None;
        }
        let later = recent
            .iter()
            .filter(|(v, tick)| *v > version && *tick != u64::MAX);
        Some(later.map(|(_, tick)| *tick).min())
    }
}

//! What one reader may have of something that all readers share.
//!
//! Readers of the HTTPS listener have different rights, and one of a single namespace shall not be able to hold
//! what all others need. So each of them has a share, counted by their name; on the plain listener nobody is known,
//! and nobody has one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// One reader in so many may have all of it: four who take what they can leave nothing, three leave a quarter.
pub(super) const READERS: usize = 4;

/// Readers that are counted at once: more than there are places for. Those beyond have a share each time anew.
const MOST_READERS: usize = 1_024;

/// A reader's name, where readers are known.
pub(super) type Reader = Option<Arc<str>>;

/// Shares by readers. A clone is the same.
#[derive(Clone, Debug)]
pub struct Shares {
    most: usize,
    held: Arc<Mutex<BTreeMap<Arc<str>, Arc<Semaphore>>>>,
}

/// A part of a reader's share, which comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Part(
    #[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>,
);

impl Shares {
    /// Each reader may have so much.
    #[must_use]
    pub fn of(most: usize) -> Self {
        Self {
            most,
            held: Arc::default(),
        }
    }

    /// How much that is.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A part of a share, at most all of it; `None` when the reader has too much already.
    pub(super) fn try_take(&self, reader: &Reader, count: usize) -> Option<Part> {
        let Some(reader) = reader else {
            return Some(Part(None));
        };
        let part = self.own(reader).try_acquire_many_owned(self.count(count)?);
        part.ok().map(|part| Part(Some(part)))
    }

    /// The same, once the reader has given enough back; `None` when that is not in time.
    pub(super) async fn take(&self, reader: &Reader, count: usize, until: Instant) -> Option<Part> {
        let Some(reader) = reader else {
            return Some(Part(None));
        };
        let part = self.own(reader).acquire_many_owned(self.count(count)?);
        let part = timeout_at(until, part).await.ok()?.ok()?;
        Some(Part(Some(part)))
    }

    fn count(&self, count: usize) -> Option<u32> {
        u32::try_from(count.min(self.most)).ok()
    }

    fn own(&self, reader: &Arc<str>) -> Arc<Semaphore> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get(reader) {
            return Arc::clone(own);
        }
        if held.len() >= MOST_READERS {
            // Whoever has something, or waits for it, has the semaphore too.
            held.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let own = Arc::new(Semaphore::new(self.most));
        if held.len() < MOST_READERS {
            held.insert(Arc::clone(reader), Arc::clone(&own));
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn named(name: &str) -> Reader {
        Some(name.into())
    }

    #[tokio::test(start_paused = true)]
    async fn each_reader_has_a_share_and_who_is_not_known_has_no_bound() {
        let shares = Shares::of(2);
        let (jane, joe) = (named("jane"), named("joe"));
        let held = [shares.try_take(&jane, 1), shares.try_take(&jane, 1)];
        assert!(held.iter().all(Option::is_some));
        assert!(shares.try_take(&jane, 1).is_none());
        assert!(shares.try_take(&joe, 2).is_some());
        let nobody: Vec<_> = (0..100).map(|_| shares.try_take(&None, 1)).collect();
        assert!(nobody.iter().all(Option::is_some));
        let until = Instant::now() + Duration::from_secs(5);
        assert!(shares.take(&jane, 1, until).await.is_none());
        assert_eq!(Instant::now(), until);
        drop(held);
        // More than there is, is all of it.
        assert!(shares.take(&jane, 100, until).await.is_some());
    }

    #[test]
    fn readers_who_have_nothing_are_forgotten() {
        let shares = Shares::of(1);
        let held = shares.try_take(&named("holds"), 1);
        for n in 0..3 * MOST_READERS {
            assert!(shares.try_take(&named(&n.to_string()), 1).is_some());
        }
        assert!(shares.held.lock().unwrap().len() <= MOST_READERS);
        assert!(shares.try_take(&named("holds"), 1).is_none());
        drop(held);
        assert!(shares.try_take(&named("holds"), 1).is_some());
    }
}

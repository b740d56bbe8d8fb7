//! Whose turn it is to make a TLS handshake.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// One address has at most one in so many turns: a peer that stays silent in the midst of its
/// handshakes then leaves the rest to the others.
const SHARE: usize = 4;

/// A bounded number of turns, each address having a share of its own in which it waits in order.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    share: usize,
    // Invariant: an entry lives as long as one of its waiters or turns, so there are never more
    // entries than connections.
    peers: Arc<Mutex<HashMap<IpAddr, Queue>>>,
}

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    users: usize,
}

/// A turn; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _any: OwnedSemaphorePermit,
    _own: Option<(OwnedSemaphorePermit, Presence)>,
}

/// Keeps an address's queue.
#[derive(Debug)]
struct Presence {
    turns: Turns,
    address: IpAddr,
}

impl Turns {
    /// Makes as many turns as can be held at a time.
    pub(super) fn new(most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self {
            all: Arc::new(Semaphore::new(most)),
            share: (most / SHARE).max(1),
            peers: Arc::default(),
        }
    }

    /// Waits for a turn, in order among those of the same address and then among all. The share of
    /// loopback is everything. Cancel safe: only the place in the order is given up.
    ///
    /// # Errors
    ///
    /// None, since nobody closes the semaphores.
    pub(super) async fn take(&self, address: IpAddr) -> Result<Turn, AcquireError> {
        // The address's own turn comes first: no address then has more than its share of places in
        // the common queue either.
        let own = if address.is_loopback() {
            None
        } else {
            let (queue, presence) = self.enter(address);
            Some((queue.acquire_owned().await?, presence))
        };
        Ok(Turn {
            _any: Arc::clone(&self.all).acquire_owned().await?,
            _own: own,
        })
    }

    fn enter(&self, address: IpAddr) -> (Arc<Semaphore>, Presence) {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = peers.entry(address).or_insert_with(|| Queue {
            turns: Arc::new(Semaphore::new(self.share)),
            users: 0,
        });
        queue.users += 1;
        let presence = Presence {
            turns: self.clone(),
            address,
        };
        (Arc::clone(&queue.turns), presence)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut peers = self
            .turns
            .peers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = peers.get_mut(&self.address) {
            queue.users -= 1;
            if queue.users == 0 {
                peers.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    /// A turn if there is one at once.
    async fn try_take(turns: &Turns, address: [u8; 4]) -> Option<Turn> {
        let turn = timeout(Duration::from_millis(1), turns.take(address.into())).await;
        turn.ok().map(Result::unwrap)
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_a_quarter_and_its_queue_goes_with_it() {
        let turns = Turns::new(8);
        let (one, two) = ([192, 0, 2, 1], [192, 0, 2, 2]);
        let first = try_take(&turns, one).await.unwrap();
        let second = try_take(&turns, one).await.unwrap();
        assert!(try_take(&turns, one).await.is_none());
        let other = try_take(&turns, two).await.unwrap();
        drop(first);
        let third = try_take(&turns, one).await.unwrap();
        drop((second, third, other));
        assert!(turns.peers.lock().unwrap().is_empty());
        assert_eq!(turns.all.available_permits(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn loopback_may_have_all_and_few_turns_still_make_a_share() {
        let turns = Turns::new(2);
        let other = try_take(&turns, [192, 0, 2, 1]).await.unwrap();
        let local = try_take(&turns, [127, 0, 0, 1]).await.unwrap();
        assert!(try_take(&turns, [127, 0, 0, 1]).await.is_none());
        drop(other);
        let more = try_take(&turns, [127, 0, 0, 1]).await.unwrap();
        drop((local, more));
        assert!(try_take(&Turns::new(0), [127, 0, 0, 1]).await.is_none());
    }
}

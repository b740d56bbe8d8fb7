//! How much history may be under way at once.
//!
//! A want is a promise to take what it asks for, so its bytes are reserved before it is sent and given
//! back when it is answered, when the answer is overdue, or when its session ends. Sessions stand in
//! one line for that, each with one request at a time, and go to its end for the next: a fleet that
//! comes back at once is served in turn, and a large node does not hold up a small one for longer
//! than its one request. While memory is short nobody is served, nor while a fleet comes back (`rush`), nor
//! when so much has come that memory has to be looked at first (`pressure`).

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::rush::Rush;
use crate::pressure::{Level, Pressure};

/// Bytes of all sessions: with 1.5 GiB for a large cluster it is a twentieth, and it is the windows of
/// 500 usual nodes. With less than 1 GiB `pressure` says how much it is.
const ALL_BYTES: u32 = 64 << 20;

/// Bytes of one session at a time: the window of a node of 50 pods. More would make the line slow,
/// less would cost a large node a turn for every block.
pub(super) const SESSION_BYTES: u32 = 256 << 10;

/// Bytes that are reserved; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Claim {
    permit: OwnedSemaphorePermit,
}

impl Claim {
    pub(super) fn bytes(&self) -> u64 {
        self.permit.num_permits() as u64
    }
}

/// The line. A clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    bytes: Arc<Semaphore>,
    all: u32,
    pressure: Pressure,
    rush: Rush,
}

impl Quota {
    pub(super) fn new(pressure: Pressure) -> Self {
        let most = u32::try_from(pressure.under_way()).unwrap_or(u32::MAX);
        Self::of(most.min(ALL_BYTES), pressure)
    }

    fn of(all: u32, pressure: Pressure) -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(all as usize)),
            all,
            pressure,
            rush: Rush::new(),
        }
    }

    /// One that nobody comes back to.
    #[cfg(test)]
    pub(super) fn without_rush(all: u32, pressure: Pressure) -> Self {
        Self {
            rush: Rush::past(),
            ..Self::of(all, pressure)
        }
    }

    /// Takes note that a session opened: those that are to come go before history for a while.
    pub(super) fn opened(&self) {
        self.rush.opened();
    }

    /// Stands in the line until so many bytes are free and memory is not short; a block that is larger
    /// than everything gets everything. `None` never comes but at the end of the process. Dropping
    /// the future leaves the line.
    pub(super) async fn claim(self, bytes: u64) -> Option<Claim> {
        self.rush.over().await;
        let count = u32::try_from(bytes).unwrap_or(u32::MAX).clamp(1, self.all);
        loop {
            self.pressure.calm().await;
            // Given in the order in which they are asked for, also to those that want much.
            let permit = Arc::clone(&self.bytes).acquire_many_owned(count).await;
            let claim = Claim {
                permit: permit.ok()?,
            };
            // At the head of the line, so that a look wakes no more than it makes room for.
            self.pressure.room().await;
            if self.pressure.level() == Level::Calm {
                return Some(claim);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future<Output = Option<Claim>>>(claim: Pin<&mut F>) -> Option<Claim> {
        match claim.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(claim) => claim,
            Poll::Pending => None,
        }
    }

    #[test]
    fn sessions_are_served_in_turn_whatever_they_want() {
        let quota = Quota::without_rush(100, Pressure::default());
        let mut first = pin!(quota.clone().claim(60));
        let held = poll(first.as_mut()).unwrap();
        let mut large = pin!(quota.clone().claim(80));
        let mut small = pin!(quota.clone().claim(10));
        assert!(poll(large.as_mut()).is_none());
        assert!(poll(small.as_mut()).is_none(), "it came later");
        drop(held);
        let large = poll(large.as_mut()).unwrap();
        let small = poll(small.as_mut()).unwrap();
        assert_eq!((large.bytes(), small.bytes()), (80, 10));
    }

    #[test]
    fn who_leaves_the_line_holds_up_nobody_and_a_block_larger_than_all_gets_all() {
        let quota = Quota::without_rush(100, Pressure::default());
        let mut huge = pin!(quota.clone().claim(u64::MAX));
        let held = poll(huge.as_mut()).unwrap();
        assert_eq!(held.bytes(), 100);
        {
            let mut leaves = pin!(quota.clone().claim(100));
            assert!(poll(leaves.as_mut()).is_none());
        }
        let mut stays = pin!(quota.clone().claim(1));
        assert!(poll(stays.as_mut()).is_none());
        drop(held);
        assert!(poll(stays.as_mut()).is_some());
        assert_eq!(quota.bytes.available_permits(), 100);
    }

    #[test]
    fn nobody_is_served_while_memory_is_short() {
        let pressure = Pressure::default();
        let quota = Quota::without_rush(100, pressure.clone());
        let mut held = pin!(quota.clone().claim(100));
        let held = poll(held.as_mut()).unwrap();
        let mut waits = pin!(quota.clone().claim(1));
        assert!(poll(waits.as_mut()).is_none());
        pressure.set(Level::NoWants);
        drop(held);
        assert!(poll(waits.as_mut()).is_none());
        assert_eq!(quota.bytes.available_permits(), 100, "it holds nothing");
        pressure.set(Level::Calm);
        assert!(poll(waits.as_mut()).is_some());
    }

    #[test]
    fn with_little_memory_less_is_under_way_and_a_look_comes_first() {
        let all = |limit| Quota::new(Pressure::below(limit)).bytes.available_permits();
        let most = ALL_BYTES as usize;
        assert_eq!(all(0), most);
        assert_eq!(all(20 << 20), 20 << 16);
        assert_eq!(all(u64::MAX), most);

        let pressure = Pressure::below(1_600);
        let quota = Quota::without_rush(100, pressure.clone());
        let held = poll(pin!(quota.clone().claim(100)).as_mut()).unwrap();
        // It weighed more than was thought.
        pressure.took(150);
        drop(held);
        let mut waits = pin!(quota.clone().claim(1));
        assert!(poll(waits.as_mut()).is_none());
        pressure.looked(Level::Calm);
        assert!(poll(waits.as_mut()).is_some());
    }

    /// Scenario: a fleet comes back at once, each node with several requests to make.
    /// Guarantees: nobody gets a second turn before everybody has had a first.
    #[tokio::test(start_paused = true)]
    async fn a_fleet_that_comes_back_at_once_is_served_round_by_round() {
        const AT_ONCE: usize = 3;
        const NODES: usize = 20;
        let quota = Quota::without_rush(3, Pressure::default());
        let served = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut sessions = tokio::task::JoinSet::new();
        for _ in 0..NODES {
            let (quota, served) = (quota.clone(), Arc::clone(&served));
            sessions.spawn(async move {
                for round in 0..4 {
                    let claim = quota.clone().claim(1).await;
                    served.lock().unwrap().push(round);
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                    drop(claim);
                }
            });
        }
        sessions.join_all().await;
        let served = served.lock().unwrap();
        assert_eq!(served.len(), 4 * NODES);
        // Those that are served at the same moment write it down in any order.
        let early = |(at, round): (usize, &usize)| round * NODES > at + AT_ONCE;
        assert!(!served.iter().enumerate().any(early), "{served:?}");
    }
}

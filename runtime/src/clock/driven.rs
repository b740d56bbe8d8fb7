//! The driven clock: a number, the seats of those who wait for it, and two bells.
//!
//! Owned by an `Arc` in each clone of the clock and in each seat. The lock is held for a few
//! instructions, never across an await. Seats are as many as live waiters.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::{StepError, Wake};

#[derive(Debug)]
pub(super) struct Driven {
    state: Mutex<State>,
    /// Rung at each change of the time; the seats listen.
    changed: watch::Sender<()>,
    /// Rung when a seat comes to rest or is given up; a step listens.
    rested: Notify,
    /// One step at a time.
    stepping: tokio::sync::Mutex<()>,
}

/// How a driven clock gets to a later time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The time passes.
    Passing,
    /// Somebody sets the clock, and no time passes.
    Jump,
}

#[derive(Debug)]
struct State {
    unix_ms: u64,
    boot_ms: u64,
    steps_back: u64,
    next_seat: u64,
    seats: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    name: &'static str,
    resting: Option<Resting>,
}

/// What a resting waiter waits for.
#[derive(Clone, Copy, Debug)]
struct Resting {
    until_unix_ms: u64,
    /// The number of steps back it knows of, when another one shall wake it.
    steps_back: Option<u64>,
}

impl State {
    /// Why a waiter that rests like this must get up, or None while it may rest.
    fn wake(&self, resting: Resting) -> Option<Wake> {
        if resting
            .steps_back
            .is_some_and(|known| known != self.steps_back)
        {
            Some(Wake::SteppedBack)
        } else if resting.until_unix_ms <= self.unix_ms {
            Some(Wake::Due)
        } else {
            None
        }
    }

    fn at_work(&self) -> Vec<&'static str> {
        let rests = |entry: &Entry| entry.resting.is_some_and(|r| self.wake(r).is_none());
        let mut names: Vec<_> = self
            .seats
            .values()
            .filter(|entry| !rests(entry))
            .map(|entry| entry.name)
            .collect();
        names.sort_unstable();
        names
    }
}

impl Driven {
    pub(super) fn new(unix_ms: u64) -> Self {
        let state = State {
            unix_ms,
            boot_ms: 0,
            steps_back: 0,
            next_seat: 0,
            seats: BTreeMap::new(),
        };
        Self {
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            rested: Notify::new(),
            stepping: tokio::sync::Mutex::new(()),
        }
    }

    /// The state stays whole whatever panics elsewhere, so a poisoned lock is taken as it is.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn unix_ms(&self) -> u64 {
        self.lock().unix_ms
    }

    pub(super) fn boot_ms(&self) -> u64 {
        self.lock().boot_ms
    }

    pub(super) async fn step(
        &self,
        to_unix_ms: u64,
        way: Way,
        deadline: Duration,
    ) -> Result<(), StepError> {
        let settled = async {
            let _turn = self.stepping.lock().await;
            self.set(to_unix_ms, way);
            loop {
                let rested = self.rested.notified();
                let mut rested = std::pin::pin!(rested);
                // Listen before looking, or the last one to rest is missed.
                rested.as_mut().enable();
                if self.lock().at_work().is_empty() {
                    return;
                }
                rested.await;
            }
        };
        tokio::time::timeout(deadline, settled)
            .await
            .map_err(|_| StepError::Unsettled {
                names: self.lock().at_work(),
            })
    }

    fn set(&self, to_unix_ms: u64, way: Way) {
        let mut state = self.lock();
        if to_unix_ms < state.unix_ms {
            state.steps_back += 1;
        }
        if way == Way::Passing {
            // The time comes from a request: no pair of jumps may overflow the sum.
            let forward_ms = to_unix_ms.saturating_sub(state.unix_ms);
            state.boot_ms = state.boot_ms.saturating_add(forward_ms);
        }
        state.unix_ms = to_unix_ms;
        drop(state);
        self.changed.send_replace(());
    }
}

/// One waiter's place; given up on drop.
#[derive(Debug)]
pub(super) struct Seat {
    driven: Arc<Driven>,
    id: u64,
    changed: watch::Receiver<()>,
}

impl Seat {
    pub(super) fn new(driven: Arc<Driven>, name: &'static str) -> Self {
        let changed = driven.changed.subscribe();
        let id = {
            let mut state = driven.lock();
            let id = state.next_seat;
            state.next_seat += 1;
            state.seats.insert(
                id,
                Entry {
                    name,
                    resting: None,
                },
            );
            id
        };
        Self {
            driven,
            id,
            changed,
        }
    }

    /// Rests until the time has come or, if asked for, until the clock goes backwards.
    pub(super) async fn rest(&mut self, until_unix_ms: u64, wake_on_back: bool) -> Wake {
        let getting_up = GetUp {
            driven: &self.driven,
            id: self.id,
        };
        let resting = {
            let mut state = self.driven.lock();
            let steps_back = wake_on_back.then_some(state.steps_back);
            let resting = Resting {
                until_unix_ms,
                steps_back,
            };
            if let Some(entry) = state.seats.get_mut(&self.id) {
                entry.resting = Some(resting);
            }
            resting
        };
        self.driven.rested.notify_waiters();
        let wake = loop {
            self.changed.mark_unchanged();
            let wake = self.driven.lock().wake(resting);
            if let Some(wake) = wake {
                break wake;
            }
            // The sender lives in `driven`, which this seat holds: an error cannot come.
            if self.changed.changed().await.is_err() {
                break Wake::Due;
            }
        };
        drop(getting_up);
        wake
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.driven.lock().seats.remove(&self.id);
        self.driven.rested.notify_waiters();
    }
}

/// Marks the waiter as at work again when `rest` ends, also when it is dropped halfway.
struct GetUp<'a> {
    driven: &'a Driven,
    id: u64,
}

impl Drop for GetUp<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.driven.lock().seats.get_mut(&self.id) {
            entry.resting = None;
        }
    }
}

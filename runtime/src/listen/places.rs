//! The places of a listener, and who has to make room when all of them are taken.
//!
//! A connection that has an answer under way keeps its place. Of the others, those of the network that has most
//! connections go first, and among these the one that could have gone for longest: whoever opens connections
//! without end loses its own ones, and a client of one connection is the last that notices. Addresses of
//! loopback count like all others here. An IPv6 host has 2^64 addresses, so these are one network; that hosts of one
//! subnet may be, costs them no more than a new connection.
//!
//! A connection does not tell here what goes on in it. Each has a time before which it cannot go, which is looked at
//! again once that is past: at most once a second for each connection, and [`LOOKS`] times for one that comes. So a
//! flood of connections costs the same for each of them, however many are there.

mod crowd;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::Closed;
use super::activity::Activity;
use super::network::Network;
use crowd::Crowd;

/// One in so many connections beyond the places may be there that was told to go and has not gone yet.
const PART: usize = 64;

/// How many connections are looked at for one that comes. Fewer, and those that just had something to do could stand
/// before one that rests for longer than a few connections take to come.
const LOOKS: usize = 64;

/// Everybody who has a place.
#[derive(Clone, Debug)]
pub(super) struct Places {
    most: usize,
    crowd: Arc<Mutex<Crowd>>,
}

/// One connection's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    places: Places,
    number: u64,
}

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            crowd: Arc::default(),
        }
    }

    /// How many connections may be there beyond the places: those that were told to go, until they have gone.
    pub(super) fn leaving(&self) -> usize {
        (self.most / PART).max(1)
    }

    /// Takes a place, if there is one or somebody has to make room.
    pub(super) fn enter(&self, address: IpAddr, activity: &Activity, now: Instant) -> Option<Held> {
        let mut crowd = self.lock();
        if crowd.len() >= self.most {
            crowd.displace(now, LOOKS)?.end(Closed::Displaced);
        }
        // Of no place at all nobody can be displaced.
        let number = crowd.enter(Network::of(address), activity.clone(), now);
        drop(crowd);
        Some(Held {
            places: self.clone(),
            number,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Crowd> {
        // What is changed under it is whole at every step.
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.lock().leave(self.number);
    }
}

//! How many connections each address has.
//!
//! Addresses, and not networks: all nodes and pods of a subnet may share the /64 of IPv6, and would share one limit. A
//! host that takes another address for each connection is stopped by the number of places, where it makes room for
//! others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts per address. An entry lives as long as one of its connections, so there are never more
/// entries than connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Peers {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection's place in the count of its address; None for loopback, which is not counted.
#[derive(Debug)]
pub(super) struct Place(Option<(Peers, IpAddr)>);

impl Peers {
    /// Takes a place, or None when the address has `most` already.
    pub(super) fn enter(&self, address: IpAddr, most: usize) -> Option<Place> {
        if address.is_loopback() {
            return Some(Place(None));
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.get(&address).copied().unwrap_or(0) >= most {
            return None;
        }
        *counts.entry(address).or_default() += 1;
        drop(counts);
        Some(Place(Some((self.clone(), address))))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((peers, address)) = self.0.take() else {
            return;
        };
        let mut counts = peers.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_per_address_and_freed() {
        let peers = Peers::default();
        let (one, two) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = peers.enter(one, 2).unwrap();
        let _second = peers.enter(one, 2).unwrap();
        assert!(peers.enter(one, 2).is_none());
        drop(peers.enter(two, 2).unwrap());
        drop(first);
        let _third = peers.enter(one, 2).unwrap();
        assert_eq!(peers.counts.lock().unwrap().len(), 1);
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let places: Vec<_> = (0..10).map(|_| peers.enter(loopback, 2).unwrap()).collect();
        assert_eq!(places.len(), 10);
    }
}

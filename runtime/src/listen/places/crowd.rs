//! The connections that have a place, by network, and which of them goes next.
//!
//! Invariants: each connection has one key in its network, a time before which it cannot go; each network that has
//! connections is in one of two orders, by what it was found to be when it was filed: of those that may have one that
//! can go, by their size, and of the others by their earliest key. All steps are O(log n), but that networks whose
//! time has come change their order when the next connection comes: each once for each time it was looked at.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use super::super::activity::{Activity, RESTS_AFTER};
use super::super::network::Network;

/// Connections by network.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    next: u64,
    holders: HashMap<u64, Holder>,
    networks: HashMap<Network, Members>,
    // By how many connections they have.
    ready: BTreeSet<(usize, Network)>,
    // By when the first of these may be able to go.
    waiting: BTreeSet<(Instant, Network)>,
    #[cfg(test)]
    looks: usize,
}

#[derive(Debug)]
struct Holder {
    network: Network,
    activity: Activity,
    key: Instant,
}

/// The connections of a network, by their keys.
#[derive(Debug, Default)]
struct Members {
    keys: BTreeSet<(Instant, u64)>,
    // The order in which the network is.
    filed: Option<Filed>,
}

#[derive(Clone, Copy, Debug)]
enum Filed {
    Ready(usize),
    Waiting(Instant),
}

impl Crowd {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }

    /// Takes one in; returns its number.
    pub(super) fn enter(&mut self, network: Network, activity: Activity, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        let key = key(&activity, now);
        let members = self.networks.entry(network).or_default();
        members.keys.insert((key, number));
        let holder = Holder {
            network,
            activity,
            key,
        };
        self.holders.insert(number, holder);
        self.file(network, now);
        number
    }

    /// Lets one go that is there no more; nothing when it was displaced before.
    pub(super) fn leave(&mut self, number: u64) {
        if let Some(holder) = self.holders.remove(&number) {
            self.remove(&holder, number);
        }
    }

    /// Takes the place of the one that has to make room, if one of so many can; what it does is returned, to be ended.
    pub(super) fn displace(&mut self, now: Instant, looks: usize) -> Option<Activity> {
        self.wake(now);
        for _ in 0..looks {
            let (_, network) = self.ready.last().copied()?;
            let first = self.networks.get(&network)?.keys.first().copied();
            let (before, number) = first?;
            #[cfg(test)]
            {
                self.looks += 1;
            }
            let holder = self.holders.get_mut(&number)?;
            let is_resting = holder.activity.rests_from().is_some_and(|from| from <= now);
            let key = key(&holder.activity, now);
            if is_resting && key == before {
                let holder = self.holders.remove(&number)?;
                self.remove(&holder, number);
                return Some(holder.activity);
            }
            // Something was done since it was looked at.
            holder.key = key;
            let members = self.networks.get_mut(&network)?;
            members.keys.remove(&(before, number));
            members.keys.insert((key, number));
            self.file(network, now);
        }
        None
    }

    /// Networks of which one may be able to go now.
    fn wake(&mut self, now: Instant) {
        while let Some((first, network)) = self.waiting.first().copied()
            && first <= now
        {
            self.file(network, now);
        }
    }

    fn remove(&mut self, holder: &Holder, number: u64) {
        let network = holder.network;
        let Some(members) = self.networks.get_mut(&network) else {
            return;
        };
        members.keys.remove(&(holder.key, number));
        let was_ready = matches!(members.filed, Some(Filed::Ready(_)));
        // Without a look at the clock: one that waited before waits still, and one that did not is looked at again.
        self.refile(network, |first| (!was_ready).then_some(first));
    }

    fn file(&mut self, network: Network, now: Instant) {
        self.refile(network, |first| (first > now).then_some(first));
    }

    /// Puts a network into the order of those that wait until the time that `waits` gives for its earliest key, or of
    /// those that are ready; forgets one that has no connections.
    fn refile(&mut self, network: Network, waits: impl FnOnce(Instant) -> Option<Instant>) {
        let Some(members) = self.networks.get_mut(&network) else {
            return;
        };
        match members.filed.take() {
            Some(Filed::Ready(count)) => {
                self.ready.remove(&(count, network));
            }
            Some(Filed::Waiting(first)) => {
                self.waiting.remove(&(first, network));
            }
            None => {}
        }
        let Some((first, _)) = members.keys.first() else {
            self.networks.remove(&network);
            return;
        };
        members.filed = Some(if let Some(until) = waits(*first) {
            self.waiting.insert((until, network));
            Filed::Waiting(until)
        } else {
            let count = members.keys.len();
            self.ready.insert((count, network));
            Filed::Ready(count)
        });
    }
}

/// Before then a connection cannot go, whatever it does; when it can go now, since when.
fn key(activity: &Activity, now: Instant) -> Instant {
    // What ends from now on, an answer or a question that has none yet, leaves it at rest no sooner than that.
    let soonest = now + RESTS_AFTER;
    let rests_from = activity.rests_from();
    rests_from.map_or(soonest, |from| from.min(soonest))
}

#[cfg(test)]
impl Crowd {
    /// Connections that were looked at.
    pub(super) fn looks(&self) -> usize {
        self.looks
    }

    pub(super) fn assert_empty(&self) {
        assert!(self.holders.is_empty() && self.networks.is_empty());
        assert!(self.ready.is_empty() && self.waiting.is_empty());
    }
}

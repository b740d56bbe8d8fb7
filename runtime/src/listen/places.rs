//! The places of a listener, and who has to make room when all of them are taken.
//!
//! A connection that has an answer under way keeps its place. Of the others, those of the address that
//! has most connections go first, and among these the one that has asked nothing for longest: whoever
//! opens connections without end loses its own ones, and a client of one connection is the last that
//! notices. Addresses of loopback count like all others here.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Closed;
use super::activity::Activity;

/// One in so many places is freed at once: looking at all of them for each connection that comes would
/// itself be what a flood wants.
const PART: usize = 64;

/// After a look that found nobody who could go, none is made for so long, for the same reason.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Everybody who has a place.
#[derive(Clone, Debug)]
pub(super) struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    // Invariant: an entry is gone when its place is dropped or was taken away, so there are never more
    // than `most`.
    by_number: BTreeMap<u64, Holder>,
    // When nobody was found who could go.
    in_vain: Option<Instant>,
}

#[derive(Debug)]
struct Holder {
    address: IpAddr,
    activity: Activity,
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
            taken: Arc::default(),
        }
    }

    /// How many connections are told to go at once at most: so many may be there beyond the places until
    /// they have gone.
    pub(super) fn leaving(&self) -> usize {
        (self.most / PART).max(1)
    }

    /// Takes a place, if there is one or somebody has to make room.
    pub(super) fn enter(&self, address: IpAddr, activity: &Activity, now: Instant) -> Option<Held> {
        let mut taken = self.lock();
        if taken.by_number.len() >= self.most {
            taken.make_room(self.leaving(), now);
        }
        if taken.by_number.len() >= self.most {
            return None;
        }
        let number = taken.next;
        taken.next += 1;
        let holder = Holder {
            address,
            activity: activity.clone(),
        };
        taken.by_number.insert(number, holder);
        drop(taken);
        Some(Held {
            places: self.clone(),
            number,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Tells at most so many connections to go.
    fn make_room(&mut self, most: usize, now: Instant) {
        let is_soon = |at: Instant| now.saturating_duration_since(at) < LOOK_AGAIN;
        if self.in_vain.is_some_and(is_soon) {
            return;
        }
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for holder in self.by_number.values() {
            *counts.entry(holder.address).or_default() += 1;
        }
        let resting = self.by_number.iter().filter_map(|(number, holder)| {
            let since = holder.activity.rests_since(now)?;
            Some((holder.address, since, *number))
        });
        let resting: Vec<(IpAddr, Instant, u64)> = resting.collect();
        let of = |address: &IpAddr| counts.get(address).copied().unwrap_or(0);
        let largest = resting.iter().map(|(address, ..)| *address).max_by_key(of);
        let mut own: Vec<(Instant, u64)> = resting
            .into_iter()
            .filter(|(address, ..)| Some(*address) == largest)
            .map(|(_, since, number)| (since, number))
            .collect();
        self.in_vain = own.is_empty().then_some(now);
        own.sort_unstable();
        for (_, number) in own.into_iter().take(most) {
            if let Some(holder) = self.by_number.remove(&number) {
                holder.activity.end(Closed::Displaced);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.places.lock().by_number.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Client {
        activity: Activity,
        held: Option<Held>,
    }

    fn enter(places: &Places, address: [u8; 4]) -> Client {
        let now = Instant::now();
        let activity = Activity::new(now);
        let held = places.enter(address.into(), &activity, now);
        Client { activity, held }
    }

    fn is_displaced(client: &Client) -> bool {
        client.activity.ordered() == Some(Closed::Displaced)
    }

    const CROWD: [u8; 4] = [192, 0, 2, 1];
    const ALONE: [u8; 4] = [192, 0, 2, 2];

    #[tokio::test(start_paused = true)]
    async fn who_has_most_makes_room_by_what_rested_longest() {
        let places = Places::new(4);
        let alone = enter(&places, ALONE);
        tokio::time::advance(Duration::from_millis(1)).await;
        let first = enter(&places, CROWD);
        tokio::time::advance(Duration::from_millis(1)).await;
        let second = enter(&places, CROWD);
        let third = enter(&places, CROWD);
        // Nobody has rested long enough to be told to go.
        assert!(enter(&places, ALONE).held.is_none());
        tokio::time::advance(Duration::from_secs(2)).await;
        let next = enter(&places, ALONE);
        assert!(next.held.is_some());
        let displaced = [&alone, &first, &second, &third].map(is_displaced);
        assert_eq!(displaced, [false, true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_under_way_keeps_its_place_and_a_question_without_one_does_not_for_long() {
        let places = Places::new(2);
        let served = enter(&places, CROWD);
        let mut answering = served.activity.begin(true);
        answering.answered();
        let asking = enter(&places, CROWD);
        let question = asking.activity.begin(true);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(enter(&places, ALONE).held.is_none());
        tokio::time::advance(Duration::from_secs(6)).await;
        let next = enter(&places, ALONE);
        assert!(next.held.is_some() && is_displaced(&asking) && !is_displaced(&served));
        drop((answering, question));
    }

    #[tokio::test(start_paused = true)]
    async fn places_come_back_and_none_means_none() {
        let places = Places::new(1);
        let one = enter(&places, ALONE);
        assert!(one.held.is_some() && enter(&places, ALONE).held.is_none());
        drop(one);
        assert!(enter(&places, ALONE).held.is_some());
        assert!(enter(&Places::new(0), ALONE).held.is_none());
    }
}
